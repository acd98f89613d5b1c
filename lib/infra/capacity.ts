import {
  lambdaTimeoutSeconds,
  operateTimeoutSeconds,
  startLoadTimeoutSeconds,
  sweepTimeoutSeconds,
} from "../core/durations.ts";
import type { otherFunctions, TaskState, taskStates } from "../core/machine.ts";

/** The functions by name and size, and the database connections that they may take together. */

/** A handler file of functions/, without its extension. */
export type HandlerName = (typeof taskStates)[TaskState] | (typeof otherFunctions)[number];

/** The name of a function in logs, metrics and traces: `StartLoad` of `start-load`. */
export function taskNameOf(handler: HandlerName): string {
  return handler.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

type FunctionSize = {
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  /** Reserved concurrency, since each invocation opens one database connection; null if the function opens none. */
  readonly connections: number | null;
};

/**
 * Reserved concurrency is the only hard cap on connections: a worker that Lambda does not start opens none.
 * ValidateBatch divides the share of stage-fragments between all loads that run at a time.
 */
export const functionSizes: Readonly<Record<HandlerName, FunctionSize>> = {
  "validate-batch": { timeoutSeconds: lambdaTimeoutSeconds, memoryMb: 512, connections: 5 },
  "stage-fragments": { timeoutSeconds: lambdaTimeoutSeconds, memoryMb: 512, connections: 20 },
  "commit-batch": { timeoutSeconds: lambdaTimeoutSeconds, memoryMb: 512, connections: 5 },
  "archive-fragments": { timeoutSeconds: lambdaTimeoutSeconds, memoryMb: 512, connections: 5 },
  "close-batch": { timeoutSeconds: 300, memoryMb: 512, connections: 4 },
  "fail-batch": { timeoutSeconds: 300, memoryMb: 512, connections: 2 },
  "rollback-batch": { timeoutSeconds: lambdaTimeoutSeconds, memoryMb: 512, connections: 2 },
  "start-load": { timeoutSeconds: startLoadTimeoutSeconds, memoryMb: 256, connections: null },
  sweep: { timeoutSeconds: sweepTimeoutSeconds, memoryMb: 512, connections: 1 },
  operate: { timeoutSeconds: operateTimeoutSeconds, memoryMb: 512, connections: 4 },
  migrate: { timeoutSeconds: 300, memoryMb: 512, connections: 1 },
};

/** Share of the server's connections that the loader may take; the rest is for users and their applications. */
const connectionShare = 0.8;

/** Memory of the instance classes that the database stack offers, in GiB. */
const instanceMemory: Readonly<Record<string, number>> = {
  "t4g.small": 2,
  "t4g.medium": 4,
  "t4g.large": 8,
  "m7g.large": 8,
  "m7g.xlarge": 16,
  "m7g.2xlarge": 32,
  "r7g.large": 16,
  "r7g.xlarge": 32,
};

export const instanceClasses = Object.keys(instanceMemory);

/** RDS allows one connection per 9,531,392 bytes of the engine's memory (about nine tenths of all), at most 5,000. */
export function maxConnectionsOf(instanceClass: string): number {
  const bytes = (instanceMemory[instanceClass] ?? 0) * 2 ** 30;
  return Math.min(5000, Math.floor((bytes * 0.9) / 9_531_392));
}

export function connectionsInUse(sizes: Readonly<Record<string, FunctionSize>> = functionSizes): number {
  return Object.values(sizes).reduce((sum, { connections }) => sum + (connections ?? 0), 0);
}

/** @throws Error if all functions together could take more than their share of the server's connections */
export function assertCapacity(maxConnections: number, inUse: number = connectionsInUse()): void {
  const fault = capacityFault(maxConnections, inUse);
  if (fault !== null) throw new Error(fault);
}

/** The message of assertCapacity; null if the connections fit. */
export function capacityFault(maxConnections: number, inUse: number = connectionsInUse()): string | null {
  const allowed = Math.floor(maxConnections * connectionShare);
  if (inUse <= allowed) return null;
  return (
    `capacity: reserved concurrency, got ${inUse} connections, expected at most ${allowed} (${connectionShare * 100} % ` +
    `of maxConnections ${maxConnections}); raise maxConnections on the server and in the context, ` +
    "or lower the numbers in lib/infra/capacity.ts"
  );
}
