import {
  type Arrival,
  type ArrivalSettings,
  type DeadLetters,
  executionNameOf,
  parseArrival,
} from "../core/arrivals.ts";
import { type Fault, toLoaderError } from "../core/errors.ts";
import { type Executions, executionInput } from "../core/execution.ts";
import type { Log } from "../core/ports.ts";

/** start-load: turns arrivals into executions, one for each batch. It needs no database. */

type StartLoadPorts = {
  readonly executions: Pick<Executions, "start">;
  readonly deadLetters: DeadLetters;
  readonly log: Log;
  readonly settings: ArrivalSettings;
};

/** A message of an SQS event. */
type Message = { readonly messageId: string; readonly body: string };

/** The messages that SQS delivers again; all others are done. */
type StartLoadAnswer = { readonly batchItemFailures: readonly { readonly itemIdentifier: string }[] };

type Arrived = { readonly messageId: string; readonly arrival: Arrival };

export async function startLoad(
  ports: StartLoadPorts,
  { Records }: { readonly Records: readonly Message[] },
): Promise<StartLoadAnswer> {
  const batches = new Map<string, Arrived[]>();
  const refusals: Promise<string[]>[] = [];
  for (const { messageId, body } of Records) {
    const parsed = parseArrival(body, ports.settings);
    if (parsed.kind === "ignored") ports.log.info(parsed.reason.message, { code: parsed.reason.code, messageId });
    if (parsed.kind === "refused") refusals.push(refuse(ports, { messageId, body }, parsed.reason));
    if (parsed.kind !== "arrival") continue;
    const arrived = batches.get(parsed.batchId) ?? [];
    batches.set(parsed.batchId, [...arrived, { messageId, arrival: parsed }]);
  }
  const starts = [...batches].map(([batchId, arrived]) => start(ports, batchId, arrived));
  const failed = (await Promise.all([...starts, ...refusals])).flat();
  return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
}

/** Starts one batch; answers with all its messages if that fails, so that no other batch suffers. */
async function start(ports: StartLoadPorts, batchId: string, arrived: readonly Arrived[]): Promise<string[]> {
  const arrivals = arrived.map(({ arrival }) => arrival);
  try {
    const name = executionNameOf(batchId, arrivals);
    const input = executionInput.parse({ batchId, source: "arrival" });
    const { executionArn, duplicate } = await ports.executions.start(name, input);
    const code = duplicate ? "EVT_DUPLICATE" : "EVT_STARTED";
    ports.log.info(`batch ${batchId}: ${duplicate ? "started before" : "started"}`, {
      code,
      batchId,
      executionArn,
      objects: arrivals.length,
    });
    return [];
  } catch (error) {
    const { code, message } = toLoaderError(error);
    ports.log.warn(`batch ${batchId}: not started, its messages come again: ${message}`, { code, batchId });
    return arrived.map(({ messageId }) => messageId);
  }
}

/** Sends a message to the dead-letter queue at once; if that fails, it comes again. */
async function refuse(ports: StartLoadPorts, { messageId, body }: Message, reason: Fault): Promise<string[]> {
  try {
    await ports.deadLetters.send(body, reason);
    ports.log.warn(reason.message, { code: reason.code, messageId });
    return [];
  } catch (error) {
    const { code, message } = toLoaderError(error);
    ports.log.warn(`message not put aside, it comes again: ${message}`, { code, messageId, reason: reason.code });
    return [messageId];
  }
}
