import type { TestProject } from "vitest/node";
import { findFreePort } from "../../lib/local/free-port.ts";
import { openPython, type PythonPackage, type PythonServer, startPythonServer } from "./python.ts";

/** A stand-in for a versioned S3, and a second interpreter of state machines: moto (PyPI). */

declare module "vitest" {
  interface ProvidedContext {
    /** `http://127.0.0.1:<port>` */
    motoEndpoint: string;
  }
}

const moto: PythonPackage = {
  name: "moto",
  version: "5.2.5",
  extra: "server,stepfunctions",
  modules: ["flask", "antlr4", "jsonpath_ng"],
};

let server: MotoServer | null = null;

export async function setup(project: TestProject): Promise<void> {
  server = await startMoto();
  project.provide("motoEndpoint", server.endpoint);
}

export async function teardown(): Promise<void> {
  await server?.close();
}

export type MotoServer = PythonServer & { readonly endpoint: string };

/**
 * What moto_server runs, and a thread that ends it as soon as our end of its standard input is closed or we die. To list
 * versions, moto copies every object of the bucket with its bytes: here it is shown those below the prefix alone, as the
 * answer is the same and a long soak has some ten thousand.
 */
const script = `
import os, sys, threading
from types import SimpleNamespace
def follow():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=follow, daemon=True).start()
from moto.s3.models import S3Backend
list_all = S3Backend.list_object_versions
def list_below(backend, bucket_name, delimiter=None, key_marker=None, max_keys=1000, prefix="", version_id_marker=None):
    keys = backend.get_bucket(bucket_name).keys
    below = [(key, versions) for key, versions in list(keys.iterlists()) if key.startswith(prefix or "")]
    bucket = SimpleNamespace(keys=SimpleNamespace(iterlists=lambda: below))
    shown = SimpleNamespace(get_bucket=lambda name: bucket)
    return list_all(shown, bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker)
S3Backend.list_object_versions = list_below
from moto.server import main
main(sys.argv[1:])
`;

/** @param variables of its environment, besides ours */
export async function startMoto(variables: Readonly<Record<string, string>> = {}): Promise<MotoServer> {
  const python = await openPython(moto);
  const port = await findFreePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const server = await startPythonServer({
    name: "moto_server",
    python,
    args: ["-c", script, "-H", "127.0.0.1", "-p", String(port)],
    env: { ...(process.env as Record<string, string>), ...variables },
    answers: async (signal) => (await fetch(`${endpoint}/moto-api/data.json`, { signal })).ok,
  });
  return { endpoint, ...server };
}
