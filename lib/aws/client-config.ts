import { classifyAwsError } from "../core/classify-error.ts";

/** Where an AWS client finds its service. */
export type ServiceAddress = {
  readonly region: string;
  /** Loopback address of a stand-in on this machine; null on AWS. */
  readonly endpoint: string | null;
};

/** A stand-in asks for a signature without checking it; real credentials are never sent there. */
const localCredentials = { accessKeyId: "local", secretAccessKey: "local" };

const connectMilliseconds = 5_000;
/** Time from the request to the first byte of its answer; bodies have a timer of their own. */
const answerMilliseconds = 120_000;

/** Options that all SDK clients share: four tries with backoff, and a time limit for every request. */
export function toClientConfig({ region, endpoint }: ServiceAddress) {
  return {
    region,
    maxAttempts: 4,
    retryMode: "standard",
    requestHandler: {
      connectionTimeout: connectMilliseconds,
      requestTimeout: answerMilliseconds,
      throwOnRequestTimeout: true,
    },
    ...(endpoint === null ? {} : { endpoint, credentials: localCredentials }),
  };
}

/**
 * Runs a call to AWS.
 *
 * @param subject what the call is about, for the message: `s3://bucket/key version v`, `execution arn:...`
 * @throws the LoaderError that the client's error stands for; an error that is not of AWS as it is
 */
export async function callAws<Answer>(subject: string, call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call();
  } catch (error) {
    throw classifyAwsError(error, subject) ?? error;
  }
}
