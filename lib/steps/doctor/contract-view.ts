import type { Catalog } from "../../core/catalog.ts";
import { type Contracts, type ParsedContracts, parseContracts } from "../../core/contract.ts";
import type { ContractFacts, DatabaseDoctor } from "../../core/doctor.ts";
import { contractsKey } from "../../core/keys.ts";
import type { ObjectStore } from "../../core/objects.ts";
import type { CatalogReader } from "../../core/ports.ts";
import { once } from "./run-checks.ts";

export type ContractPorts = {
  readonly store: Pick<ObjectStore, "readText" | "keys">;
  readonly catalog: CatalogReader;
  readonly database: DatabaseDoctor;
};

/** The contracts and their tables, read once for all checks that look at them. */
export type ContractView = {
  /** What lies in the bucket, parsed; null where nothing does. */
  readonly current: () => Promise<ParsedContracts | null>;
  readonly facts: () => Promise<ContractFacts>;
  /** The current contracts, or, where they cannot be used, the last good ones. */
  readonly usable: () => Promise<Contracts | null>;
  /** The tables that the usable contracts name. */
  readonly catalog: () => Promise<Catalog>;
};

export function openContractView({ store, catalog, database }: ContractPorts): ContractView {
  const text = once(async () => (await store.readText(contractsKey))?.text ?? null);
  const current = once(async () => {
    const found = await text();
    return found === null ? null : parseContracts(found);
  });
  const facts = once(async () => database.contracts(await text().catch(() => null)));
  const usable = once(async () => {
    const parsed = await current().catch(() => null);
    if (parsed?.contracts) return parsed.contracts;
    const { lastGood } = await facts();
    return lastGood && parseContracts(lastGood.body).contracts;
  });
  return { current, facts, usable, catalog: once(async () => catalog.read(tablesOf(await usable()))) };
}

export function tablesOf(contracts: Contracts | null): string[] {
  return Object.keys(contracts?.tables ?? {});
}
