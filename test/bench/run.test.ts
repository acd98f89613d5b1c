import { expect, test } from "vitest";
import { runRounds } from "../../bench/run.ts";
import type { Trial } from "../../bench/trials.ts";

const quiet = { note: () => undefined };

/** Leaves these rows behind, and says when it ran. */
function trial(name: string, holds: string | null, order: string[] = []): Trial {
  const run = async () => {
    order.push(name);
    return { samples: { [name]: { seconds: order.length, records: 10 } }, holds };
  };
  return { name, run };
}

test("the programs take turns", async () => {
  const order: string[] = [];
  const series = await runRounds([trial("ours", "10 rows", order), trial("copy", "10 rows", order)], {
    runs: 3,
    ...quiet,
  });
  expect(order).toEqual(["ours", "copy", "ours", "copy", "ours", "copy"]);
  expect(series).toEqual([
    { name: "ours", samples: [1, 3, 5].map((seconds) => ({ seconds, records: 10 })) },
    { name: "copy", samples: [2, 4, 6].map((seconds) => ({ seconds, records: 10 })) },
  ]);
});

test("different rows fail the bench, and say whose", async () => {
  const trials = [trial("ours", "blood: 10 rows, checksum 1"), trial("copy", "blood: 10 rows, checksum 2")];
  await expect(runRounds(trials, { runs: 1, ...quiet })).rejects.toThrow(
    "after copy the tables hold blood: 10 rows, checksum 2, after the others blood: 10 rows, checksum 1",
  );
});

test("what loads a part of the rows is not compared", async () => {
  const trials = [trial("ours", "10 rows"), trial("each", null), trial("copy", "10 rows")];
  await expect(runRounds(trials, { runs: 2, ...quiet })).resolves.toHaveLength(3);
});
