import { amount, table, thousands } from "../markdown.ts";
import { delivered, setups } from "./experiments.ts";
import type { Line } from "./fit.ts";
import { limitsOf } from "./limits.ts";
import { durationsOf, phases, processorMb, requestSeconds } from "./recording.ts";
import { type Figures, mostEvents, mostPayload, type ScaleResults } from "./results.ts";

/** docs/scale.md */
export function renderScale(results: ScaleResults): string {
  const { facts, recording, simulated } = results;
  const limits = limitsOf(durationsOf(recording), recording);
  const sections = [
    head(),
    "## The next wall",
    wallText(simulated.setups),
    table(
      ["limit", "lies at", "is reached by", "what moves it"],
      limits.map(({ limit, value, at, moves }) => [limit, value, at, moves]),
    ),
    "## One batch",
    `Every fragment has 100 records. Events are of at most ${thousands(mostEvents)}, payloads of at most ${thousands(mostPayload)} bytes; the plan stands in the ledger, so neither grows with the fragments, but for the rounds of archiving. Above 1,000 fragments CloseBatch's answer, the largest payload of the others, is not among them: there the steps behind the planner only take their time.`,
    sizeTable([...simulated.sizes, simulated.line]),
    "## Workers",
    `One batch of ${thousands(simulated.workers[0]?.fragments ?? 0)} fragments, by MAX_WORKERS. A load gets eight at most, so that more serve other loads.`,
    workerTable(simulated.workers),
    "## Many batches",
    manyText(simulated.setups[0]?.batches ?? 0),
    setupTable(simulated.setups),
    hourText(simulated.many),
    "## What was recorded",
    "Lines by the least squares through real loads of several sizes, by the bundled handlers, warm, one worker each.",
    recordTable(results),
    "## Taken with",
    table(
      ["", ""],
      Object.entries(facts).filter(([name]) => !irrelevant.includes(name)),
    ),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** Facts of the comparison with psql. */
const irrelevant = ["arrival", "warm-up", "psql", "flags"];

function head(): string {
  return `# A plan for size

What \`npm run scale\` measured and simulated; \`npm run scale -- --write\` writes this page anew, and fails where an
execution comes near a limit of Step Functions, a batch is not loaded, or the order of approvals is not kept.

- **Measured**: what each step takes of a function's processor, of the database server's and of requests to the bucket,
  in real loads on this machine.
- **Simulated**: everything below. The synthesized state machine runs in the local interpreter, its retries included. The
  planner is the real ValidateBatch on a real PostgreSQL, whose clock, sessions and limit of connections are the
  simulation's (its statements find them in a schema that comes before the catalog). The other steps take the time that
  was recorded, on a clock that jumps from event to event, and then really run on fragments of one record (up to 1,000
  fragments a batch; beyond that they only take their time). Reserved concurrency refuses calls as Lambda does.
- **Assumed**: Lambda's processor is as fast as this machine's, and a function of 512 MB has 512/${processorMb.toLocaleString("en-US")} of it
  ([AWS](https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html): one whole at ${processorMb.toLocaleString("en-US")} MB); S3 takes
  ${requestSeconds * 1000} ms for a request ([AWS](https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html): 100 to 200 ms for small
  objects); functions are warm; a processor of RDS is one of this machine's, and 2 of them serve \`m7g.large\`.
  Left out: round trips to the database, waiting for its disk (the time of a commit as a whole is several times
  that of its processor, see below), what else the database has to do, credits of t4g.
- **Documented by AWS**: ${thousands(mostEvents)} events an execution and ${thousands(mostPayload)} bytes a payload
  ([quotas](https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html)); 3,500 and 5,500 requests a second to
  a prefix of S3. Events are counted by the kinds of the
  [API](https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html): a state is entered and exited; a
  Lambda task is also scheduled, started and succeeded or failed, once for each try; a Map is started and succeeded, and so is
  every iteration.

None of it has run in an AWS account. Ratios are worth more than the seconds.`;
}

/** The resource with the largest share of its places taken. */
const busiest = ({ usage }: Figures): string => {
  const [first] = Object.entries(usage).toSorted(([, a], [, b]) => b - a);
  return first ? `${first[0]} ${percent(first[1])}` : "";
};

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;

function wallText(inSetups: readonly Figures[]): string {
  const deployed = inSetups.find(({ name }) => name === "as deployed");
  if (!deployed) return "";
  return `With the capacity that is deployed, a burst of ${deployed.batches} batches keeps **${busiest(deployed)}** busiest. The walls, the nearest first, by what was recorded:`;
}

const rate = (count: number, seconds: number): string => amount(count / seconds);

function sizeTable(figures: readonly Figures[]): string {
  const rows = figures.map((one) => [
    one.name === "as deployed" ? thousands(one.fragments) : one.name,
    thousands(one.events),
    thousands(one.transitions),
    thousands(one.largestPayload),
    thousands(one.polls),
    one.name === "as deployed" ? amount(one.committedAfter) : "",
    amount(one.endedAfter),
  ]);
  const names = ["fragments", "events", "transitions", "largest payload, bytes", "calls of ValidateBatch"];
  return table([...names, "committed after, s", "ended after, s"], rows);
}

function workerTable(figures: readonly Figures[]): string {
  const rows = figures.map((one) => [
    one.name,
    amount(one.committedAfter),
    rate(one.fragments, one.committedAfter),
    rate(one.records, one.committedAfter),
    thousands(one.events),
  ]);
  return table(["MAX_WORKERS", "committed after, s", "fragments/s", "records/s", "events"], rows);
}

const batchText = `${delivered.fragments} fragments of ${thousands(delivered.recordsPerFragment)} records (${amount((delivered.fragments * delivered.bytes) / 1e6)} MB of JSON)`;

function manyText(batches: number): string {
  return `A burst of ${batches} batches, ten a second, each of ${batchText}, approved in another order than they arrive. Every batch is loaded, with one row of each fragment in the target. "Overtaken" is by how many batches with a later approval one was at most, among those that stood in line together: as many as have places may begin in any order.`;
}

function setupTable(figures: readonly Figures[]): string {
  const rows = figures.map((one, index) => {
    const setup = setups[index];
    return [
      one.name,
      `${setup?.maxWorkers} / ${setup?.maxLoads} / ${setup?.maxConnections} / ${setup?.processors}`,
      rate(one.fragments, one.committedAfter),
      thousands(one.records / one.committedAfter),
      thousands((one.batches * 3600) / one.committedAfter),
      busiest(one),
      thousands(one.retries),
      String(one.overtaken),
      String(one.mostConnections),
    ];
  });
  const limits = "workers / loads / connections / processors";
  return table(
    [
      "setup",
      limits,
      "fragments/s",
      "records/s",
      "batches/h",
      "busiest",
      "refused calls",
      "overtaken",
      "most connections",
    ],
    rows,
  );
}

function hourText(many: Figures): string {
  const { batches, committedAfter, events, largestPayload, polls, retries, overtaken, fragments, rows } = many;
  return `**${thousands(batches)} batches**, one every 3.6 s, as deployed: all ${thousands(batches)} are loaded, with ${thousands(rows)} rows of ${thousands(fragments)} fragments; the last commit comes ${amount(committedAfter / 60)} minutes after the first start (${thousands((batches * 3600) / committedAfter)} batches/h, ${thousands(many.records / committedAfter)} records/s). ValidateBatch was called ${thousands(polls)} times, ${thousands(retries)} calls were refused and tried again, no execution had more than ${thousands(events)} events or a payload above ${thousands(largestPayload)} bytes, and no batch was overtaken by more than ${overtaken}. Busiest: ${busiest(many)}.${ledgerText(many)}`;
}

const yearOfBatches = 365 * 1_000;

function ledgerText({ ledgerBytes, batches }: Figures): string {
  if (ledgerBytes === undefined) return "";
  const each = ledgerBytes / batches;
  return `\n\nThe ledger grew by ${amount(each / 1e3)} kB a batch, on disk and with its indexes: ${amount((each * yearOfBatches) / 1e9)} GB in a year of ${thousands(yearOfBatches / 365)} batches a day. Undo images, which go with the records and are kept for UNDO_RETENTION_DAYS, are nearly left out of it: there was one record to a fragment.`;
}

function recordTable({ recording }: ScaleResults): string {
  const cells = ({ base, perFragment, perRecord }: Line): string =>
    `${amount(base * 1e3)} / ${amount(perFragment * 1e3)} / ${amount(perRecord * 1e6)}`;
  const rows = phases.map((phase) => {
    const { wall, cpu, database, requests } = recording.phases[phase];
    const asked = Object.values(requests).reduce((sum, { perFragment }) => sum + perFragment, 0);
    return [phase, cells(wall), cells(cpu), cells(database), amount(asked)];
  });
  const unit = "ms / ms a fragment / µs a record";
  return table(
    ["step", `wall, ${unit}`, `processor of the function, ${unit}`, `of the database, ${unit}`, "requests a fragment"],
    rows,
  );
}
