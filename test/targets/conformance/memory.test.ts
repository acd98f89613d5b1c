import postgres from "postgres";
import { expect, test } from "vitest";
import { errorNames } from "../../../lib/core/errors.ts";
import { openCommits } from "../../../lib/ledger/commits.ts";
import { drive, requestOf, takeOver, undo } from "./drive.ts";
import { openMemoryHome } from "./memory-home.ts";
import { openMemoryTarget, openStore } from "./memory-target.ts";
import { column, keyedBy, one } from "./obligation.ts";
import { describeTarget } from "./suite.ts";

describeTarget("Memory", openMemoryHome);

/** Without this the obligations of pending answers would say nothing of it. */
test("it answers `pending` first, and has done nothing until it is asked under the newest fence", async () => {
  const home = drive(await openMemoryHome());
  await home.createTable(keyedBy("slow", [column("n", "integer")]));
  const older = await home.stage(one("slow", {}, [{ k: 1, n: 1 }]));
  const newer = takeOver(older);
  const [early, request] = [requestOf(older, null), requestOf(newer, null)];
  const { commit, undo: undoing } = newer.target;
  await commit.prepare(early);
  const answer = await commit.submit(early);
  expect(answer).toEqual({ outcome: "pending", handle: expect.any(String) });
  await commit.prepare(request);
  expect(await commit.submit(request)).toEqual(answer);
  expect(await home.rows("slow", ["k"])).toEqual([]);
  const handle = "handle" in answer ? answer.handle : "";
  await expect(commit.ask(handle, early)).rejects.toMatchObject({ name: errorNames.staleFence });
  expect(await commit.ask(handle, request)).toMatchObject({ outcome: "done" });
  expect(await home.rows("slow", ["k"])).toEqual([["1"]]);
  expect(await undoing?.submit(request)).toMatchObject({ outcome: "pending" });
  expect(await home.rows("slow", ["k"])).toEqual([["1"]]);
  expect(await undo(newer)).toEqual({ outcome: "done", rows: { slow: 1 } });
  expect(await home.rows("slow", ["k"])).toEqual([]);
});

test("the ledger commits only for a target that shares its transaction", () => {
  const target = openMemoryTarget(openStore());
  const open = () => openCommits({ sql: postgres(), target, leaseSeconds: 60 });
  expect(open).toThrow("target memory commits by itself, not in a transaction of the ledger");
});
