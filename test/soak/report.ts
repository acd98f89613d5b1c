import type { SoakFigures } from "./run.ts";

/** docs/reliability.md, from the figures of the soaks. */
export function toPage(runs: readonly SoakFigures[]): string {
  const total = (of: (run: SoakFigures) => number): number => runs.reduce((sum, run) => sum + of(run), 0);
  const kinds = [...new Set(runs.flatMap(({ faults }) => Object.keys(faults)))].toSorted();
  const faultRows = kinds.map((kind) => `| ${kind} | ${total(({ faults }) => faults[kind] ?? 0)} |`);
  const rows = runs.map((run) => {
    const faults = Object.values(run.faults).reduce((sum, count) => sum + count, 0);
    const { seed, kills, batches, loaded, failed, retried } = run;
    const cells = [seed, faults, kills, batches, loaded, failed, retried, run.rows.toLocaleString("en")];
    const verdict = [lostOf(run), doubledOf(run), run.stuck.length, `${run.longestRecovery} s`];
    return `| ${[...cells, ...verdict].join(" | ")} |`;
  });
  return `# Reliability

Written by \`npm run soak -- --write\`; CI runs one with every change, and \`--long\` is longer. What the faults are, and what is
checked afterwards, is below. Beside the random ones, [\`test/faults\`](../test/faults) has a case for every place where a
handler can die, for every reply that can be lost, and for a network and a bucket that misbehave.

| seed | cases (faults) | processes killed | batches | loaded | failed, as they had to | retried by hand | rows written | lost | doubled | stuck | longest recovery |
|---|---|---|---|---|---|---|---|---|---|---|---|
${rows.join("\n")}

${explanation}
| fault | times |
|---|---|
${faultRows.join("\n")}
`;
}

const explanation = `**Retried by hand**: batches that were disturbed three times in a row without any progress in between; the loader
leaves those to a person, which the soak plays. **Lost**: rows of a committed batch that are missing in the target or
differ from it. **Doubled**: rows that were inserted twice or written more than once by a transaction, and commits
without their row or with two; a log kept by triggers that the loader knows nothing of says so. **Stuck**: batches that came to no end within three minutes after
the last fault. **Longest recovery**: from the last fault that met a batch to its end; the lease is 20 s there instead
of 16 minutes, waits of the machine are 0.3 s, a sweep comes every second.

## What a soak is

Every handler runs in a process of its own, with the concurrency, the limits and the settings of its Lambda, and
reaches database and bucket by proxies only. The database is a real PostgreSQL of the soak's own, the bucket a stand-in
with versions, the machine the synthesized one. Batches with new rows, changed rows, many parts, broken records and
repeated deliveries come four at a time. Faults strike at a random exchange with database or bucket, whoever has it, at
most twelve ahead of the batches they are spread over; each kind of batch and of fault comes at least once.
Everything random comes from the seed, so that a run that fails can be run again; the order of what happens at the same
time is the operating system's.

Afterwards one checker reads tables and bucket, and nothing else: the targets are what the archived fragments of the
committed batches say in the order of their commits; ledger, queue, reports and archive agree; counts add up; no
staging table, lock, transaction, backend or upload is left.
`;

const faultsOf = ({ broken }: SoakFigures, isOf: (rule: string) => boolean): number =>
  Object.entries(broken).reduce((sum, [rule, faults]) => sum + (isOf(rule) ? faults.length : 0), 0);

const isProbe = (rule: string): boolean => rule.startsWith("probe") || rule.startsWith("I2");

const lostOf = (run: SoakFigures): number => faultsOf(run, (rule) => !isProbe(rule));
const doubledOf = (run: SoakFigures): number => faultsOf(run, isProbe);
