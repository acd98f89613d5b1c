import { createHash } from "node:crypto";
import type postgres from "postgres";
import { type Contracts, contractFaults, parseContracts } from "../core/contract.ts";
import { BlockedError } from "../core/errors.ts";
import { contractsKey } from "../core/keys.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { ContractStore } from "../core/ports.ts";
import type { TargetCatalog } from "../core/target.ts";
import { inTransaction } from "../postgres/transaction.ts";

type ContractPorts = { readonly sql: postgres.Sql; readonly store: ObjectStore; readonly catalog: TargetCatalog };

/**
 * The contracts in force. A text that was valid before is not checked again; a new one is checked against the live
 * catalog. An invalid text never replaces a valid one.
 */
export function openContractStore(ports: ContractPorts): ContractStore {
  return {
    current: async ({ remember }) => {
      const object = await ports.store.readText(contractsKey);
      const faults = object ? [] : [`${contractsKey} is not in the bucket; deploy it`];
      const found = object ? await checked(ports, object.text, remember) : { contracts: null, faults };
      if (found.contracts && object) return { hash: hashText(object.text), contracts: found.contracts, faults: [] };
      const lastGood = await readLastGood(ports.sql);
      if (lastGood) return { ...lastGood, faults: found.faults };
      throw new BlockedError("CONTRACT_INVALID", `table contracts cannot be used: ${found.faults.join("; ")}`);
    },
  };
}

export const hashText = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 32);

async function checked(
  { sql, catalog }: ContractPorts,
  text: string,
  remember: boolean,
): Promise<{ readonly contracts: Contracts | null; readonly faults: readonly string[] }> {
  const parsed = parseContracts(text);
  if (!parsed.contracts) return parsed;
  const hash = hashText(text);
  if (remember && (await isKnown(sql, hash))) return parsed;
  const shapes = await catalog.read(Object.keys(parsed.contracts.tables));
  const faults = contractFaults(parsed.contracts, shapes);
  if (faults.length > 0) return { contracts: null, faults };
  if (remember) await keep(sql, hash, text);
  return parsed;
}

/** True if this text was valid before; it becomes the newest valid one again. */
async function isKnown(sql: postgres.Sql, hash: string): Promise<boolean> {
  return inTransaction(sql, {}, async (tx) => {
    const known = await tx`update table_loader.contracts set last_valid_at = now() where hash = ${hash}`;
    return known.count === 1;
  });
}

async function keep(sql: postgres.Sql, hash: string, text: string): Promise<void> {
  await inTransaction(sql, {}, async (tx) => {
    await tx`
      insert into table_loader.contracts (hash, body) values (${hash}, ${text})
      on conflict (hash) do update set last_valid_at = now()
    `;
  });
}

async function readLastGood(sql: postgres.Sql): Promise<{ hash: string; contracts: Contracts } | null> {
  return inTransaction(sql, {}, async (tx) => {
    const [row] = await tx<{ hash: string; body: string }[]>`
      select hash, body from table_loader.contracts order by last_valid_at desc limit 1
    `;
    const contracts = row && parseContracts(row.body).contracts;
    return row && contracts ? { hash: row.hash, contracts } : null;
  });
}
