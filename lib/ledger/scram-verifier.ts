import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { BlockedError } from "../core/errors.ts";

/** As many as PostgreSQL itself takes by default. */
const iterations = 4096;
const saltBytes = 16;
const hashBytes = 32;

/**
 * What PostgreSQL stores of a password (RFC 5802, 7677). Sent in the password's place, so that no log of the server's
 * can show the password; who reads the verifier cannot log in with it.
 *
 * @throws BlockedError DB_AUTH for a password that clients and servers would normalise differently
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(saltBytes)): string {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    const text = "password of the loader's secret: got other characters, expected printable ASCII alone; change it";
    throw new BlockedError("DB_AUTH", text);
  }
  const salted = pbkdf2Sync(password, salt, iterations, hashBytes, "sha256");
  const keyed = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(keyed("Client Key")).digest("base64");
  const serverKey = keyed("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}
