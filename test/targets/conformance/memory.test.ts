import { expect, test } from "vitest";
import { drive, requestOf, undo } from "./drive.ts";
import { openMemoryHome } from "./memory-home.ts";
import { column, keyedBy, one } from "./obligation.ts";
import { describeTarget } from "./suite.ts";

describeTarget("Memory", openMemoryHome);

/** Without this the obligations of pending answers would say nothing of it. */
test("it answers `pending` first, and has done nothing until it is asked", async () => {
  const home = drive(await openMemoryHome());
  await home.createTable(keyedBy("slow", [column("n", "integer")]));
  const delivery = await home.stage(one("slow", {}, [{ k: 1, n: 1 }]));
  const { commit, undo: undoing } = delivery.target;
  const request = requestOf(delivery, null);
  await commit.prepare(request);
  const answer = await commit.submit(request);
  expect(answer).toEqual({ outcome: "pending", handle: expect.any(String) });
  expect(await commit.submit(request)).toEqual(answer);
  expect(await home.rows("slow", ["k"])).toEqual([]);
  if (answer.outcome !== "pending") return;
  expect(await commit.ask(answer.handle, request)).toMatchObject({ outcome: "done" });
  expect(await home.rows("slow", ["k"])).toEqual([["1"]]);
  expect(await undoing?.submit(request)).toMatchObject({ outcome: "pending" });
  expect(await home.rows("slow", ["k"])).toEqual([["1"]]);
  expect(await undo(delivery)).toEqual({ outcome: "done", rows: { slow: 1 } });
  expect(await home.rows("slow", ["k"])).toEqual([]);
});
