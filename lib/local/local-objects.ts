import { type LocalEnvironmentInfo, readLocalEnvironment } from "./environment-file.ts";

/** @throws Error where no environment is open in the directory */
export async function requireLocalEnvironment(directory: string): Promise<LocalEnvironmentInfo> {
  const info = await readLocalEnvironment(directory);
  if (info) return info;
  throw new Error(`LOCAL_NOT_RUNNING: no local environment runs in ${directory}; start one with: table-loader local`);
}

/** Puts an object into the bucket of an environment that another process has open. */
export async function putLocalObject(
  { variables }: LocalEnvironmentInfo,
  key: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<void> {
  const path = key.split("/").map(encodeURIComponent).join("/");
  const url = `${variables["LOCAL_ENDPOINT"]}/${variables["S3_BUCKET"]}/${path}`;
  const response = await fetch(url, { method: "PUT", body });
  if (!response.ok) throw new Error(`LOCAL_S3_PUT: ${url} answered ${response.status}: ${await response.text()}`);
}
