import { type ServiceAddress, toClientConfig } from "./client-config.ts";

const connectMilliseconds = 2_000;
const answerMilliseconds = 4_000;

/** For somebody who waits for a diagnosis: what does not answer soon is a finding. */
export function toDoctorConfig(address: ServiceAddress) {
  return {
    ...toClientConfig(address),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: connectMilliseconds,
      requestTimeout: answerMilliseconds,
      throwOnRequestTimeout: true,
    },
  };
}
