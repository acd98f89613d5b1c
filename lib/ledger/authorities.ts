import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BlockedError } from "../core/errors.ts";

/** Laid beside the bundle of a function by the deployment. */
const bundled = fileURLToPath(new URL("./database-ca.pem", import.meta.url));

/**
 * Whose signature on the server's certificate is trusted, for the driver.
 *
 * @param authorities `system` (those of Node), `bundled` (those beside the code), or the path of a PEM file
 * @throws BlockedError DB_TLS where there is no such file, or no certificate in it
 */
export function readAuthorities(authorities: string): { readonly ca: string | null } {
  if (authorities === "system") return { ca: null };
  const file = authorities === "bundled" ? bundled : authorities;
  try {
    const ca = readFileSync(file, "utf8");
    new X509Certificate(ca);
    return { ca };
  } catch (cause) {
    const text = `certificate authorities: ${file} is no readable PEM file of certificates; correct DB_CA or the file`;
    throw new BlockedError("DB_TLS", text, { cause });
  }
}
