import { longestTurnWaitSeconds, sweepIntervalMinutes, transactionTimeoutSeconds } from "../../lib/core/durations.ts";
import { secondsUntilAsked } from "../../lib/core/workers.ts";
import { functionSizes } from "../../lib/infra/capacity.ts";
import { movesAtOnce } from "../../lib/steps/archive-fragments.ts";
import { amount, thousands } from "../markdown.ts";
import { delivered } from "./experiments.ts";
import { type Durations, noWork, type Phase, type Recording, type Work, workOf } from "./recording.ts";

/** One line of the page: a limit, its value by the recorded durations alone, and ways to raise it. */
type Limit = { readonly limit: string; readonly value: string; readonly at: string; readonly moves: string };

const secondsOf = ({ lambda, database }: Work): number => lambda + database;
const places = (phase: Phase): number => functionSizes[phase].connections ?? 0;
const hour = 3600;
const records = delivered.fragments * delivered.recordsPerFragment;

/** Seconds that a batch of the simulations keeps one of the places of MAX_LOADS, with so many workers. */
function placeSeconds(durations: Durations, workers: number): number {
  const stage = durations["stage-fragments"];
  const share = Math.ceil(delivered.fragments / workers);
  const staged =
    secondsOf(stage.base) + share * secondsOf(workOf({ ...stage, base: noWork }, 1, delivered.recordsPerFragment));
  return staged + secondsOf(workOf(durations["commit-batch"], delivered.fragments, records));
}

/** Questions of batches in line that ValidateBatch can answer in a second. */
const asksPerSecond = (durations: Durations, concurrency = places("validate-batch")): number =>
  concurrency / secondsOf(workOf(durations["validate-batch"], delivered.fragments, 0));

/** Fragments that one execution moves to the archive in a second. */
const archivedPerSecond = (durations: Durations): number => 1 / secondsOf(durations["archive-fragments"].perFragment);

/** Records that fit into one commit, by its time as a whole, waiting for the disk included. */
function recordsPerCommit({ phases }: Recording): number {
  const { base, perRecord } = phases["commit-batch"].wall;
  return (transactionTimeoutSeconds - base) / perRecord;
}

/** Limits that no recorded duration moves. */
const otherLimits: readonly Limit[] = [
  {
    limit: `the sweep: 5 pages of 1,000 keys of the archive every ${sweepIntervalMinutes} minutes`,
    value: `${thousands((5 * 1_000 * 24 * 60) / sweepIntervalMinutes)} keys a day`,
    at: "an archive of that size is looked through once a day; a restored database is noticed later in a larger one",
    moves: "`pagesAtOnce` in `lib/steps/sweep.ts`; events start loads all the same",
  },
  {
    limit:
      "StartExecution, 1,300 at once and 300/s (AWS's default for Standard workflows in us-east-1; in no page that was at hand)",
    value: "start-load runs 5 at a time and starts one execution a batch and delivery",
    at: "not reached: refused starts stay in the queue and come again",
    moves: "a quota of the account",
  },
];

export function limitsOf(durations: Durations, recording: Recording): Limit[] {
  const { phases } = recording;
  const asks = asksPerSecond(durations);
  const archived = archivedPerSecond(durations);
  const archivers = places("archive-fragments");
  const requests = phases["archive-fragments"].requests;
  const copies = archivers * archived;
  const longest = secondsUntilAsked(1e6, longestTurnWaitSeconds);
  return [
    {
      limit: `archiving, ${movesAtOnce} objects at a time`,
      value: `${amount(archived)} fragments/s of one batch, ${amount(archivers * archived)} of all`,
      at: `a batch of 10,000 fragments is archived ${amount(10_000 / archived / 60)} minutes after its commit`,
      moves:
        "fewer and larger fragments; memory of ArchiveFragments, and with it its processor; its reserved concurrency",
    },
    {
      limit: `reserved concurrency of ValidateBatch, ${places("validate-batch")}`,
      value: `${amount(asks)} questions/s`,
      at: `about ${thousands(asks * longest)} batches in line that each ask every ${longest} s; from there on calls are refused and tried again`,
      moves:
        "more of it in `lib/infra/capacity.ts` (each place is a connection); longer waits in `lib/core/durations.ts`; fewer batches at once",
    },
    {
      limit: `MAX_LOADS, ${places("commit-batch")}`,
      value: `${thousands((places("commit-batch") * hour) / placeSeconds(durations, delivered.fragments))} batches/h of 200,000 records`,
      at: "all the time, where more batches arrive than that",
      moves:
        "reserved concurrency of CommitBatch, from which it follows; a larger database, once its processors are busy",
    },
    transactionLimit(recording),
    {
      limit: "S3, requests to one prefix: 5,500 GET or HEAD and 3,500 PUT, COPY or DELETE a second",
      value: `${amount(copies * requests.head.perFragment)} HEAD/s and ${amount(copies * (requests.copy.perFragment + requests.delete.perFragment))} COPY and DELETE/s with every archiver at work`,
      at: "not reached: more than a hundred times away, also when everything is at work",
      moves: "S3 splits prefixes by itself; batches have prefixes of their own",
    },
    ...otherLimits,
  ];
}

const transactionLimit = (recording: Recording): Limit => ({
  limit: `TRANSACTION_TIMEOUT, ${transactionTimeoutSeconds} s`,
  value: `${thousands(recordsPerCommit(recording))} new records in one commit, as this machine writes them`,
  at: "one batch of that size; two failures fail it (`DB_TIMEOUT`)",
  moves: "TRANSACTION_TIMEOUT up to 840 s (Lambda ends at 900); smaller batches",
});
