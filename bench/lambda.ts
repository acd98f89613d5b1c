import type { HandlerName } from "../lib/infra/capacity.ts";
import { sourceOf } from "./bundles.ts";
import { type Child, openChild } from "./child.ts";
import type { Laboratory } from "./laboratory.ts";
import type { Usage } from "./meter.ts";

/** A deployed function in a process of its own, to be called as often as one likes. */
export type Lambda = Child<Invoked>;

/** Answer of `lambda-process.ts` to an event. */
export type Invoked = {
  readonly answer: unknown;
  /** Text of the error with which the handler failed. */
  readonly fault: string | null;
  readonly peakBytes: number;
  readonly usage: Usage;
};

type LambdaOptions = {
  /** Settings besides those of the bucket. */
  readonly variables: Readonly<Record<string, string>>;
  /** Folder for a CPU profile of each invocation; the source runs in place of the bundle. @default - none */
  readonly profileFolder?: string | undefined;
  /** True if nobody reads its stderr. @default false */
  readonly quiet?: boolean | undefined;
};

export function openLambda(
  { bundles, bucket, nodeFlags }: Laboratory,
  handler: HandlerName,
  { variables, profileFolder, quiet = false }: LambdaOptions,
): Promise<Lambda> {
  const file = profileFolder ? sourceOf(handler) : (bundles.get(handler)?.file ?? "");
  return openChild<Invoked>({
    file: "lambda-process.ts",
    args: [handler, file, ...(profileFolder ? [profileFolder] : [])],
    flags: nodeFlags,
    quiet,
    env: {
      S3_BUCKET: bucket.name,
      S3_VERSIONING: "disabled",
      AWS_REGION: "us-east-1",
      LOCAL_ENDPOINT: bucket.endpoint,
      ...variables,
    },
  });
}

/** @throws Error if the handler fails */
export async function invoke(lambda: Lambda, event: object): Promise<Invoked> {
  const invoked = await lambda.ask(event);
  if (invoked.fault !== null) throw new Error(`a handler failed: ${invoked.fault}`);
  return invoked;
}
