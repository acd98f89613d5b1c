import { execFile } from "node:child_process";
import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findFreePort } from "../../lib/local/free-port.ts";
import { openPython, type PythonPackage, startPythonServer } from "../support/python.ts";

/** The deployment emulator: MiniStack (PyPI) with TLS and with IAM enforced; docs/emulator.md says what it is good for. */

const ministack: PythonPackage = {
  name: "ministack",
  version: "1.5.33",
  // makes the certificate
  others: ["trustme==1.2.1"],
  modules: ["hypercorn", "trustme"],
};

const script = fileURLToPath(new URL("./emulator.py", import.meta.url));

/** What a client needs to reach it; plain data, so that vitest can hand it to its workers. */
export type EmulatorAddress = {
  /** `https://127.0.0.1:<port>`, or `http://` where it is not guarded */
  readonly endpoint: string;
  /** The authority of its certificate. */
  readonly caFile: string;
  /** Of programs that use it, the CDK and the CLI among them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Everything that it and the functions have said. */
  readonly logFile: string;
};

export type Emulator = EmulatorAddress & { close(): Promise<void> };

export const region = "us-east-1";
export const account = "000000000000";

/** The account's root, which no policy binds. */
export const rootCredentials = { accessKeyId: "test", secretAccessKey: "test" };

export type EmulatorOptions = {
  /** For everything that it writes. */
  readonly folder: string;
  /** Whether it asks for TLS and enforces IAM. @default true */
  readonly guarded?: boolean;
};

export async function startEmulator({ folder, guarded = true }: EmulatorOptions): Promise<Emulator> {
  const python = await openPython(ministack);
  const caFile = await makeCertificate(python, folder);
  const port = await findFreePort();
  const endpoint = `${guarded ? "https" : "http"}://127.0.0.1:${port}`;
  const environment = environmentOf(folder, endpoint, caFile);
  const logFile = join(folder, "emulator.log");
  const ca = await readFile(caFile, "utf8");
  const server = await startPythonServer({
    name: "ministack",
    python,
    args: [script],
    directory: folder,
    env: { ...environment, ...gateway(port), ...(guarded && guards(folder)) },
    log: (text) => appendFileSync(logFile, text),
    answers: (signal) => isHealthy(endpoint, ca, signal),
  });
  return { endpoint, caFile, environment, logFile, close: server.close };
}

async function makeCertificate(python: string, folder: string): Promise<string> {
  const names = ["-i", "127.0.0.1", "localhost"];
  await promisify(execFile)(python, ["-m", "trustme", "--quiet", "--dir", folder, ...names]);
  return join(folder, "client.pem");
}

/** Nothing of the account or the home of whoever runs the tests. */
function environmentOf(folder: string, endpoint: string, caFile: string): Record<string, string> {
  return {
    // the first node on it runs the functions, so it has to be the project's own
    PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
    HOME: folder,
    TMPDIR: folder,
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: rootCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: rootCredentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: "true",
    NODE_EXTRA_CA_CERTS: caFile,
  };
}

function gateway(port: number): Record<string, string> {
  return {
    BIND_HOST: "127.0.0.1",
    MINISTACK_HOST: "127.0.0.1",
    GATEWAY_PORT: String(port),
    MINISTACK_REGION: region,
    // rounds of a blocked load and retries of a refused call, in a tenth of their time
    SFN_WAIT_SCALE: "0.1",
    SFTP_ENABLED: "0",
    IOT_MTLS_ENABLED: "0",
    // where CDK's own functions find the SDK that Lambda's runtime brings along
    NODE_PATH: fileURLToPath(new URL("../../node_modules", import.meta.url)),
  };
}

function guards(folder: string): Record<string, string> {
  return {
    AUTH: "true",
    // the buckets' policies refuse what is not encrypted
    USE_SSL: "1",
    MINISTACK_SSL_CERT: join(folder, "server.pem"),
    MINISTACK_SSL_KEY: join(folder, "server.key"),
  };
}

function isHealthy(endpoint: string, ca: string, signal: AbortSignal): Promise<boolean> {
  const get = endpoint.startsWith("https") ? https.get : http.get;
  return new Promise((resolve, reject) => {
    const request = get(`${endpoint}/_ministack/health`, { ca, signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once("error", reject);
  });
}
