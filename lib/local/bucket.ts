import { buildFauxqs, type Upload } from "./fauxqs-app.ts";
import { localAccount, type ObjectCreatedEvent, toObjectCreatedEvent } from "./object-event.ts";

type BucketOptions = {
  /** Folder that keeps objects as files; null keeps them in memory. */
  readonly storageDir: string | null;
  /** @default 0, a free port */
  readonly port?: number;
  readonly bucket: string;
  /** @default us-east-1 */
  readonly region?: string;
  /** Called for every object that is put, copied or completed from parts. */
  readonly onArrival?: (event: ObjectCreatedEvent) => void;
};

export type LocalBucket = {
  /** `http://127.0.0.1:<port>`, of both S3 (path style) and SQS. */
  readonly endpoint: string;
  readonly port: number;
  readonly name: string;
  readonly region: string;
  readonly arrivals: Queue;
  readonly deadLetters: Queue;
  put(key: string, body: string | Uint8Array<ArrayBuffer>): Promise<void>;
  /** The object's bytes; null if there is none. */
  get(key: string): Promise<Uint8Array | null>;
  /** All keys below a prefix, in the order of their bytes. */
  keys(prefix: string): string[];
  /** One call of the SQS protocol, as an SDK would make it. */
  sqs(action: SqsAction, input: object, signal?: AbortSignal): Promise<unknown>;
  close(): Promise<void>;
};

type Queue = { readonly name: string; readonly url: string; readonly arn: string };
type SqsAction = "SendMessage" | "ReceiveMessage" | "DeleteMessage" | "GetQueueAttributes";

/**
 * Receives after which a message goes to the dead letters. The deployed queue allows 300, six minutes apart, to outlive
 * a day of faults; five, 30 s apart, show a fault here within minutes.
 */
const maxReceiveCount = 5;
const visibilitySeconds = 30;

/** Opens S3 and SQS on one loopback port, with the bucket, the arrivals queue and its dead letters. */
export async function openBucket(options: BucketOptions): Promise<LocalBucket> {
  const { bucket: name, region = "us-east-1", onArrival = () => {} } = options;
  const onUpload = (upload: Upload): void => onArrival(toObjectCreatedEvent(upload, { bucket: name, region }));
  const { app, stores } = await buildFauxqs({ storageDir: options.storageDir, region, bucket: name, onUpload });
  const endpoint = await app.listen({ port: options.port ?? 0, host: "127.0.0.1" });

  const createQueue = (queue: string, attributes: Record<string, string>): Queue => {
    const url = `${endpoint}/${localAccount}/${queue}`;
    const arn = `arn:aws:sqs:${region}:${localAccount}:${queue}`;
    stores.sqsStore.createQueue(queue, url, arn, attributes);
    return { name: queue, url, arn };
  };
  const deadLetters = createQueue("table-loader-dead-letters", {});
  const arrivals = createQueue("table-loader-arrivals", {
    VisibilityTimeout: String(visibilitySeconds),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadLetters.arn, maxReceiveCount }),
  });

  const objectUrl = (key: string): string => `${endpoint}/${name}/${key.split("/").map(encodeURIComponent).join("/")}`;
  return {
    endpoint,
    port: Number(new URL(endpoint).port),
    name,
    region,
    arrivals,
    deadLetters,
    put: (key, body) => put(objectUrl(key), body),
    get: (key) => get(objectUrl(key)),
    keys: (prefix) => {
      const objects = stores.s3Store.listObjects(name, { prefix, maxKeys: Number.MAX_SAFE_INTEGER }).objects;
      return objects.map((object) => object.key);
    },
    sqs: (action, input, signal) => callSqs(endpoint, action, input, signal),
    close: () => app.close(),
  };
}

async function put(url: string, body: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "PUT", body, headers });
  if (!response.ok) throw new Error(`LOCAL_S3_PUT: ${url} answered ${response.status}: ${await response.text()}`);
}

async function get(url: string): Promise<Uint8Array | null> {
  const response = await fetch(url);
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`LOCAL_S3_GET: ${url} answered ${response.status}: ${await response.text()}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function callSqs(endpoint: string, action: SqsAction, input: object, signal?: AbortSignal): Promise<unknown> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": `AmazonSQS.${action}` },
    body: JSON.stringify(input),
    signal: signal ?? null,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`LOCAL_SQS: ${action} answered ${response.status}: ${text}`);
  return text === "" ? {} : JSON.parse(text);
}
