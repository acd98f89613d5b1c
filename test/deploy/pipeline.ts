import { readFile } from "node:fs/promises";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { DescribeExecutionCommand, ListExecutionsCommand, StartExecutionCommand } from "@aws-sdk/client-sfn";
import postgres from "postgres";
import { stagingPrefixOf } from "../../lib/core/keys.ts";
import type { LoadResult } from "../../lib/core/report.ts";
import type { SampleFragment } from "../../lib/local/sample/values.ts";
import { testerName } from "../support/database.ts";
import { type Clients, openClients } from "./clients.ts";
import type { Deployed } from "./global-setup.ts";
import { until } from "./waiting.ts";

/** What people do with a deployed loader and see of it: public APIs of AWS, and SQL. */

export type Ended = { readonly status: string; readonly error: string | null; readonly output: unknown };

export type Pipeline = {
  readonly clients: Clients;
  readonly sql: postgres.Sql;
  /** @returns the version */
  put(key: string, body: string | Uint8Array): Promise<string>;
  /** Its fragments into staging, in their order. */
  drop(batchId: string, fragments: readonly SampleFragment[]): Promise<void>;
  /** A row of the queue for each of its tables. */
  queue(batchId: string, fragments: readonly SampleFragment[], approved?: boolean): Promise<void>;
  keys(prefix: string): Promise<string[]>;
  /** Null where there is no such object. */
  json(key: string): Promise<unknown>;
  state(batchId: string): Promise<string | null>;
  /** Waits for the batch, and answers its load result. */
  settled(batchId: string, state: "loaded" | "failed"): Promise<LoadResult>;
  /** Starts an execution by hand; ARN. */
  start(input: object): Promise<string>;
  ended(executionArn: string): Promise<Ended>;
  /** Until no execution runs. */
  quiet(): Promise<void>;
  /** How many executions there are of each status. */
  executions(): Promise<Readonly<Record<string, number>>>;
  /** Until so many objects of a batch have arrived, and what they started has ended. */
  arrived(batchId: string, objects: number): Promise<void>;
  log(): Promise<string>;
  close(): Promise<void>;
};

export function openPipeline({
  emulator,
  database,
  outputs,
}: Pick<Deployed, "emulator" | "database" | "outputs">): Pipeline {
  const clients = openClients(emulator);
  const connection = { application_name: testerName };
  const sql = postgres(database.url, { max: 4, connection, onnotice: () => {} });
  const objects = bucketActions(clients, outputs.BucketName);
  const machine = machineActions(clients, outputs.StateMachineArn);
  const log = () => readFile(emulator.logFile, "utf8");
  return {
    clients,
    sql,
    ...objects,
    ...batchActions(sql, objects),
    ...machine,
    log,
    async arrived(batchId, expected) {
      const seen = async (): Promise<number> => startedObjects(await log(), batchId);
      await until(`${expected} objects of ${batchId} to arrive`, async () => (await seen()) >= expected, seen);
      await machine.quiet();
    },
    close: () => sql.end({ timeout: 1 }),
  };
}

/** How many objects start-load says that it has started executions for. */
function startedObjects(log: string, batchId: string): number {
  const lines = log.split("\n").filter((line) => line.includes(`"batchId":"${batchId}"`));
  return lines.reduce((sum, line) => sum + Number(/"objects":(\d+)/.exec(line)?.[1] ?? 0), 0);
}

type Objects = Pick<Pipeline, "put" | "keys" | "json">;

function bucketActions({ s3 }: Clients, Bucket: string): Objects {
  return {
    async put(Key, body) {
      const Body = Buffer.from(body);
      const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
      return VersionId ?? "";
    },
    async keys(Prefix) {
      const { Contents = [], IsTruncated } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
      if (IsTruncated) throw new Error(`keys below ${Prefix}: expected one page, got more; list less`);
      return Contents.map(({ Key }) => Key ?? "");
    },
    async json(Key) {
      try {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        return JSON.parse((await Body?.transformToString()) ?? "");
      } catch (error) {
        if ((error as Error).name === "NoSuchKey") return null;
        throw error;
      }
    },
  };
}

function batchActions(sql: postgres.Sql, { put }: Objects): Pick<Pipeline, "drop" | "queue" | "state" | "settled"> {
  const state: Pipeline["state"] = async (batchId) => {
    const [row] = await sql<{ state: string }[]>`select state from table_loader.batches where batch_id = ${batchId}`;
    return row?.state ?? null;
  };
  const resultOf = async (batchId: string): Promise<LoadResult | null> => {
    const [row] = await sql<{ result: LoadResult }[]>`
      select result from table_loader.attempts
      where batch_id = ${batchId} and ended_at is not null and result ? 'report_key'
      order by ended_at desc limit 1`;
    return row?.result ?? null;
  };
  return {
    async drop(batchId, fragments) {
      for (const { fileName, body } of fragments) await put(`${stagingPrefixOf(batchId)}${fileName}`, body);
    },
    async queue(batchId, fragments, approved = true) {
      const tables = [...new Set(fragments.map(({ table }) => table))];
      await sql`
        insert into validation_queue (
          batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at
        )
        select ${batchId}, t, 'validated', ${approved}, 'tester', case when ${approved} then clock_timestamp() end
        from unnest(${tables}::text[]) t`;
    },
    state,
    async settled(batchId, wanted) {
      const found = `batch ${batchId} to be ${wanted}`;
      await until(
        found,
        async () => (await state(batchId)) === wanted,
        () => state(batchId),
      );
      return until(`${found}, with a result`, () => resultOf(batchId));
    },
  };
}

function machineActions(
  { sfn }: Clients,
  stateMachineArn: string,
): Pick<Pipeline, "start" | "ended" | "quiet" | "executions"> {
  const executions: Pipeline["executions"] = async () => {
    const counts: Record<string, number> = {};
    let nextToken: string | undefined;
    do {
      const page = await sfn.send(new ListExecutionsCommand({ stateMachineArn, nextToken }));
      for (const { status = "" } of page.executions ?? []) counts[status] = (counts[status] ?? 0) + 1;
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return counts;
  };
  return {
    async start(input) {
      const command = new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) });
      return (await sfn.send(command)).executionArn ?? "";
    },
    async ended(executionArn) {
      const describe = () => sfn.send(new DescribeExecutionCommand({ executionArn }));
      const {
        status = "",
        error = null,
        output,
      } = await until(
        `execution ${executionArn} to end`,
        async () => {
          const seen = await describe();
          return seen.status === "RUNNING" ? null : seen;
        },
        describe,
      );
      return { status, error, output: output === undefined ? null : JSON.parse(output) };
    },
    async quiet() {
      await until("all executions to end", async () => !(await executions()).RUNNING, executions);
    },
    executions,
  };
}
