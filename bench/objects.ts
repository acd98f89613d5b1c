import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";

/** The bench's own hand in the bucket: it plays the validator that writes fragments. */
export type Objects = {
  readonly endpoint: string;
  readonly bucket: string;
  put(key: string, body: string): Promise<void>;
  /** Writes text of any length as one object, in parts. Answers its bytes. */
  upload(key: string, text: Iterable<string>): Promise<number>;
  copy(from: string, to: string): Promise<void>;
  /** Deletes everything below a prefix. */
  clear(prefix: string): Promise<void>;
  close(): void;
};

const region = "us-east-1";
/** The local S3 refuses single bodies of about 200 MB; S3 wants parts of 5 MB at least. */
const partBytes = 32 * 1024 * 1024;

export function openObjects(endpoint: string, bucket: string): Objects {
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  const at = (key: string) => ({ Bucket: bucket, Key: key });
  return {
    endpoint,
    bucket,
    put: (key, body) => put(client, at(key), Buffer.from(body)),
    upload: (key, text) => upload(client, at(key), text),
    copy: async (from, to) =>
      void (await client.send(new CopyObjectCommand({ ...at(to), CopySource: `${bucket}/${from}` }))),
    clear: (prefix) => clear(client, bucket, prefix),
    close: () => client.destroy(),
  };
}

type Place = { readonly Bucket: string; readonly Key: string };

/** With its length, which the SDK does not see in an empty body. */
async function put(client: S3Client, place: Place, body: Buffer): Promise<void> {
  await client.send(new PutObjectCommand({ ...place, Body: body, ContentLength: body.length }));
}

async function upload(client: S3Client, place: Place, text: Iterable<string>): Promise<number> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(place));
  const parts: { PartNumber: number; ETag: string | undefined }[] = [];
  let bytes = 0;
  for (const body of bodiesOf(text)) {
    const PartNumber = parts.length + 1;
    const { ETag } = await client.send(new UploadPartCommand({ ...place, UploadId, PartNumber, Body: body }));
    parts.push({ PartNumber, ETag });
    bytes += body.length;
  }
  await client.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts } }));
  return bytes;
}

function* bodiesOf(text: Iterable<string>): Generator<Buffer> {
  let chunks: Buffer[] = [];
  let bytes = 0;
  for (const piece of text) {
    const chunk = Buffer.from(piece);
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < partBytes) continue;
    yield Buffer.concat(chunks);
    chunks = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(chunks);
}

async function clear(client: S3Client, bucket: string, prefix: string): Promise<void> {
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
    if (Contents.length === 0) return;
    const keys = Contents.map(({ Key }) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: keys } }));
  }
}
