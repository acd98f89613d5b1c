import { text } from "node:stream/consumers";
import { openSql } from "../../../lib/postgres/connection.ts";
import { inTransaction } from "../../../lib/postgres/transaction.ts";
import { openCopy } from "../../../lib/targets/postgres/staging.ts";

/**
 * A process for a test to kill: reads the connection and what to do from its standard input, takes the lock of one
 * row, says the number of its backend, and never ends by itself.
 */

export type Holding = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Seconds, see ConnectionLimits. */
  readonly check: number;
  readonly what: "statement" | "copy";
};

const { password, check, what, ...login } = JSON.parse(await text(process.stdin)) as Holding;
const sql = openSql({ ...login, password: () => password, tls: null, limits: { check, transaction: 600 } });
const place = { planId: 1, plan: { columns: [] }, index: 0 } as unknown as Parameters<typeof openCopy>[1];

await inTransaction(sql, {}, async (tx) => {
  const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid from held for update`;
  if (what === "copy") {
    const copy = await openCopy(tx, place);
    await copy.write(Buffer.from("1\t1\t\\N\n"));
  }
  process.stdout.write(`${row?.pid}\n`);
  if (what === "statement") await tx`insert into slow values (1)`;
  await new Promise((resolve) => setTimeout(resolve, 600_000));
});
