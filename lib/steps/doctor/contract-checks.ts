import { contractFaults } from "../../core/contract.ts";
import { type Finding, finding, type Verdict } from "../../core/doctor.ts";
import { contractsKey, parseFragmentKey, stagingPrefix } from "../../core/keys.ts";
import { type ContractPorts, type ContractView, tablesOf } from "./contract-view.ts";
import type { PlannedCheck } from "./run-checks.ts";

const noTables: Verdict = { said: "there is none to look at", findings: [] };

/** What the bucket alone tells. */
export function contractFileChecks(view: ContractView): PlannedCheck[] {
  return [{ area: "contracts", name: "file", run: () => checkFile(view) }];
}

/** What bucket and database tell together. */
export function contractChecks(view: ContractView, ports: ContractPorts): PlannedCheck[] {
  return [
    { area: "contracts", name: "catalog", run: () => checkCatalog(view) },
    { area: "contracts", name: "in force", run: () => checkInForce(view) },
    { area: "contracts", name: "coverage", run: () => checkCoverage(view, ports) },
  ];
}

async function checkFile({ current }: ContractView): Promise<Verdict> {
  const parsed = await current();
  const fix = `put a corrected file to ${contractsKey}, or deploy it`;
  if (parsed === null) {
    const particulars = { where: contractsKey, got: "none", expected: "the table contracts", fix };
    return { said: "", findings: [finding("CONTRACT_MISSING", particulars)] };
  }
  const findings = parsed.faults.map((got) => toFault(contractsKey, got));
  return { said: `${contractsKey}, ${tablesOf(parsed.contracts).length} tables`, findings };
}

const missingKey = /^natural_key names column .+, which the table does not have$/;

function toFault(where: string, got: string): Finding {
  const expected = "contracts as docs/reference/contracts.md describes them";
  return finding("CONTRACT_FAULT", { where, got, expected, fix: `correct it in ${contractsKey}` });
}

/** Every name of the contracts against the tables as they are now. */
async function checkCatalog({ current, catalog }: ContractView): Promise<Verdict> {
  const contracts = (await current())?.contracts;
  if (!contracts) return noTables;
  const findings = contractFaults(contracts, await catalog()).map((fault) => {
    const [, where = contractsKey, text = fault] = /^(table [^:]+): ([\s\S]*)$/.exec(fault) ?? [];
    if (!missingKey.test(text)) return toFault(where, text);
    const fix = `add the column, or name another one in ${contractsKey}`;
    return finding("KEY_COLUMN_MISSING", { where, got: text, expected: "a column of the table", fix });
  });
  return { said: "every name is there", findings };
}

/** A text that was valid once stays in force; another one that is not valid leaves the last good one there. */
async function checkInForce({ current, catalog, facts }: ContractView): Promise<Verdict> {
  const { known, lastGood } = await facts();
  const parsed = await current();
  const faults = parsed?.contracts ? contractFaults(parsed.contracts, await catalog()) : ["it cannot be read"];
  if (known || faults.length === 0) return { said: "the current version", findings: [] };
  const got = `${contractsKey} has faults: see above`;
  if (lastGood === null) {
    const fix = `correct ${contractsKey}; until then nothing is loaded`;
    const particulars = { where: contractsKey, got, expected: "a valid version, now or earlier", fix };
    return { said: "", findings: [finding("CONTRACT_NONE", particulars)] };
  }
  const fix = `correct ${contractsKey}; until then loads go by the earlier version`;
  const where = `version ${lastGood.hash.slice(0, 12)}, found valid at ${lastGood.validAt.slice(0, 19)}`;
  return { said: "", findings: [finding("CONTRACT_OUTDATED", { where, got, expected: "the current version", fix })] };
}

/** A contract without a table that wants it is none of ours to complain about. */
async function checkCoverage({ usable, facts }: ContractView, { store }: ContractPorts): Promise<Verdict> {
  const covered = new Set(tablesOf(await usable()));
  const { queuedTables } = await facts();
  // one page: how many batches lie there is no business of a diagnosis
  const keys = await store.keys(stagingPrefix, "");
  const staged = keys.flatMap((key) => parseFragmentKey(key)?.table ?? []);
  const found = (tables: readonly string[], place: string): Finding[] =>
    [...new Set(tables)]
      .filter((table) => !covered.has(table))
      .map((table) =>
        finding("TABLE_UNCOVERED", {
          where: `table ${table}`,
          got: `it is in ${place}, and has no contract`,
          expected: "a contract, or no such table",
          fix: `add it to ${contractsKey}, or take it out of ${place}`,
        }),
      );
  const queued = found(queuedTables, "validation_queue");
  const others = found(
    staged.filter((table) => !queuedTables.includes(table)),
    "staging",
  );
  return { said: "no table in queue or staging is without one", findings: [...queued, ...others] };
}
