import { afterAll, beforeAll, expect, test } from "vitest";
import { ledgerOf, nothingLoaded, sampleLoaded, stageBroken, stageSample, type TestBatch } from "../support/batches.ts";
import { crash, finish } from "./lab/drive.ts";
import type { Exchange } from "./lab/exchanges.ts";
import { brokenInvariants, evidenceOf } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";
import { openRandom, sample } from "./lab/random.ts";

/**
 * A load is known by what it asks of database and bucket. The sandbox is killed before and after every one of these
 * exchanges: with FAULTS_ALL=1 at all of them, otherwise at a sample, whose seed is FAULTS_SEED.
 */

const everywhere = process.env["FAULTS_ALL"] === "1";
const seed = Number(process.env["FAULTS_SEED"] ?? 1);
const minutes = everywhere ? 90 : 20;

let lab: Lab;
beforeAll(async () => {
  lab = await openLab();
});
afterAll(() => lab.close());

type Kill = { readonly number: number; readonly way: "before" | "after"; readonly execution: "goes on" | "is lost" };

type Kind = {
  readonly name: string;
  readonly stage: () => Promise<TestBatch>;
  readonly left: typeof sampleLoaded;
  readonly state: "loaded" | "failed";
  /** How many kills of a sample change something outside, and how many do not. */
  readonly sampled: { readonly effects: number; readonly others: number };
};

const kinds: Kind[] = [
  {
    name: "a batch that loads",
    stage: () => stageSample(lab),
    left: sampleLoaded,
    state: "loaded",
    sampled: { effects: 28, others: 14 },
  },
  {
    name: "a batch that fails by its rejects",
    stage: () => stageBroken(lab),
    left: nothingLoaded,
    state: "failed",
    sampled: { effects: 12, others: 6 },
  },
];

/** The exchanges of an undisturbed run: the second one, which finds nothing to do for the first time. */
async function learn({ stage }: Kind): Promise<Exchange[]> {
  let seen: Exchange[] = [];
  for (let run = 0; run < 2; run += 1) {
    const batch = await stage();
    lab.network.exchanges.reset();
    await lab.run({ batchId: batch.id });
    seen = [...lab.network.exchanges.seen];
  }
  return seen;
}

const hasEffect = ({ link, text }: Exchange): boolean =>
  link === "database" ? /^(commit|insert|update|delete)/i.test(text) : !/^(GET|HEAD)/.test(text);

function choose(seen: readonly Exchange[], { effects, others }: Kind["sampled"]): Kill[] {
  const random = openRandom(seed);
  const killsOf = (exchanges: readonly Exchange[]): Kill[] =>
    exchanges.flatMap(({ number }) =>
      (["before", "after"] as const).map((way) => {
        const execution = random() < 0.5 ? ("goes on" as const) : ("is lost" as const);
        return { number, way, execution };
      }),
    );
  const [changing, reading] = [killsOf(seen.filter(hasEffect)), killsOf(seen.filter((one) => !hasEffect(one)))];
  return everywhere
    ? [...changing, ...reading]
    : [...sample(random, changing, effects), ...sample(random, reading, others)];
}

/** What is wrong after the kill; null where all is as it has to be. */
async function killAt(kind: Kind, { number, way, execution }: Kill): Promise<string | null> {
  const batch = await kind.stage();
  const { exchanges } = lab.network;
  const order = (): void => {
    exchanges.reset();
    void exchanges.on({ when: (exchange) => exchange.number === number, act: `kill-${way}` });
  };
  const { goOn } = await crash(lab, batch, { order, execution });
  const left = await batch.probe();
  goOn();
  const halves = [JSON.stringify(nothingLoaded), JSON.stringify(kind.left)].includes(JSON.stringify(left));
  if (!halves) return `right after: ${JSON.stringify(left)}`;
  const sweeps = await finish(lab, batch);
  const end = { state: (await ledgerOf(lab, batch))?.state, left: await batch.probe() };
  const isRight = JSON.stringify(end) === JSON.stringify({ state: kind.state, left: kind.left });
  return isRight ? null : `after ${sweeps} sweeps: ${JSON.stringify(end)}`;
}

/** The invariants read everything that there is, so not after every kill. */
const killsBetweenChecks = 12;

test.each(kinds)("$name: killed at any exchange, it ends exactly", { timeout: minutes * 60_000 }, async (kind) => {
  const seen = await learn(kind);
  const kills = choose(seen, kind.sampled);
  const faults: object[] = [];
  for (const [index, kill] of kills.entries()) {
    const wrong = await killAt(kind, kill).catch((error: Error) => error.message);
    if (wrong !== null) faults.push({ ...kill, text: seen[kill.number - 1]?.text.slice(0, 80), wrong });
    if (index % killsBetweenChecks !== killsBetweenChecks - 1 && index !== kills.length - 1) continue;
    const broken = await brokenInvariants(evidenceOf(lab));
    if (Object.keys(broken).length > 0) faults.push({ after: kill, broken });
  }
  expect(faults).toEqual([]);
  expect(kills.length).toBeGreaterThanOrEqual(kind.sampled.effects + kind.sampled.others);
  expect(lab.sandboxes.deaths.filter(({ signal }) => signal !== "SIGKILL")).toEqual([]);
});
