import { openBucketDoctor, openMachineDoctor, openQueueDoctor } from "../aws/aws-facts.ts";
import { inspectSettings, settings } from "../config.ts";
import type { QueueDoctor } from "../core/doctor.ts";
import { doctorAnswerSeconds } from "../core/durations.ts";
import { TransientError } from "../core/errors.ts";
import { openDatabaseDoctor } from "../ledger/doctor-facts.ts";
import { closeSql } from "../postgres/connection.ts";
import { inTransaction } from "../postgres/transaction.ts";
import { openCatalog } from "../targets/postgres/postgres-catalog.ts";
import { openDatabase, openStarter, openStore, prepareTelemetry } from "../wiring.ts";

/** What a diagnosis looks with. Nothing is opened before it is looked at: what cannot be opened is what it is about. */

type Closing = () => Promise<void> | void;

/** Seconds; a diagnosis waits for nobody as long as a load does. */
const grace = 1;
const impatient = {
  open: doctorAnswerSeconds,
  transaction: doctorAnswerSeconds + grace,
  grace,
  stall: doctorAnswerSeconds,
};
const closeSeconds = 1;

function openDoctor(closings: Closing[]) {
  const inspected = inspectSettings();
  const current = inspected.settings;
  const { region, localEndpoint, localMachineEndpoint, stateMachineArn, bucket: name, bucketOwner } = current;
  let opening: ReturnType<typeof openDatabase> | null = null;
  const open = (): ReturnType<typeof openDatabase> => {
    opening ??= openDatabase(current, impatient);
    return opening;
  };
  const bucket = openBucketDoctor({ bucket: name, bucketOwner, region, endpoint: localEndpoint });
  const store = openStore(current);
  const machine =
    stateMachineArn === null ? null : openMachineDoctor({ stateMachineArn, region, endpoint: localMachineEndpoint });
  closings.push(
    () => bucket.close(),
    () => store.close(),
    () => machine?.close(),
    // what was never opened needs no closing, nor what could not be, nor what nobody waits for any longer
    async () => {
      const sql = opening && (await within(closeSeconds, opening).catch(() => null));
      if (sql) await closeSql(sql);
    },
  );
  const { schema } = current.database;
  return {
    inspected,
    database: openDatabaseDoctor({ open, schema, now: () => Date.now() }),
    catalog: {
      read: async (tables: readonly string[]) =>
        inTransaction(await open(), { budget: doctorAnswerSeconds }, (tx) => openCatalog(tx, schema).read(tables)),
    },
    bucket,
    store,
    machine,
    within,
    now: () => Date.now(),
  };
}

/**
 * What operate works with: the ports of a starter, or those of a diagnosis, opened when they are asked for. So a fault
 * of the environment stops every operation but the one that has to say so.
 */
export async function openOperator() {
  prepareTelemetry(inspectSettings().settings);
  const closings: Closing[] = [];
  const ports = {
    starter: async () => {
      const starter = await openStarter();
      closings.push(starter.close);
      return starter.ports;
    },
    doctor: () => openDoctor(closings),
  };
  const close = async (): Promise<void> => {
    for (const end of closings) await end();
  };
  return { ports, close };
}

/** The intake's queues, asked with the permissions of whoever runs this process. */
export function openQueues(): QueueDoctor & { close(): void } {
  const { region, localEndpoint } = settings();
  return openQueueDoctor({ region, endpoint: localEndpoint });
}

/** @throws TransientError NO_ANSWER where the work takes longer; what it does then goes on, and is not waited for */
export async function within<Answer>(seconds: number, work: Promise<Answer>): Promise<Answer> {
  const late = Promise.withResolvers<never>();
  const text = `no answer within ${Math.round(seconds)} s`;
  const timer = setTimeout(() => late.reject(new TransientError("NO_ANSWER", text)), seconds * 1000);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
