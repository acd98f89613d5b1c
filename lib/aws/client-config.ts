/** Where an AWS client finds its service. */
export type ServiceAddress = {
  readonly region: string;
  /** Loopback address of a stand-in on this machine; null on AWS. */
  readonly endpoint: string | null;
};

/** A stand-in asks for a signature and checks none; real credentials never go there. */
const localCredentials = { accessKeyId: "local", secretAccessKey: "local" };

const connectMilliseconds = 5_000;
/** From the request to the first byte of its answer; bodies have a timer of their own. */
const answerMilliseconds = 120_000;

/** What all SDK clients share: four tries with backoff, and no request that waits for ever. */
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
