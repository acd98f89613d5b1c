/** What differs by the server's version, and the first major version that has it. 16 is the least that is supported. */
const firstVersions = {
  /** The setting `transaction_timeout`: before, every statement is given what is left of the time. */
  transactionTimeout: 17,
} as const;

export type Capability = keyof typeof firstVersions;

/** @param version as the server reports it: `16.10`, `18beta1` */
export function hasCapability(version: string, capability: Capability): boolean {
  return Number.parseInt(version, 10) >= firstVersions[capability];
}
