import { expect, test } from "vitest";
import type { QueueRow, TableState } from "../../lib/core/batch.ts";
import type { ListedObject, ObjectStore } from "../../lib/core/objects.ts";
import { findSources } from "../../lib/steps/find-sources.ts";

/** Which folders an event makes the loader list. */
async function listedFor(states: Record<string, TableState>, queued: readonly string[]): Promise<string[]> {
  const listed: string[] = [];
  const list = async function* (prefix: string): AsyncGenerator<ListedObject> {
    listed.push(prefix);
    yield* [];
  };
  const toRow = (table: string): QueueRow => ({
    table,
    status: "validated",
    approved: true,
    approvedAt: null,
    totalRecords: null,
  });
  const records = {
    tableStates: async () => new Map(Object.entries(states)),
    queue: async () => queued.map(toRow),
    seenVersions: async () => [],
  };
  const store: Pick<ObjectStore, "list"> = { list };
  await findSources(
    { store: store as ObjectStore, records },
    { batchId: "b", epoch: 1, retry: false, lookInArchive: true },
  );
  return listed;
}

const staging = "staging/validated/b/";
const archive = "loaded/b/";

test("the archive of a batch that is loaded is not listed", async () => {
  expect(await listedFor({ subject: "loaded" }, ["subject"])).toEqual([staging]);
  expect(await listedFor({ subject: "loaded", blood: "loaded" }, [])).toEqual([staging]);
});

test("it is where a table is not loaded, or nothing is known", async () => {
  expect(await listedFor({ subject: "loaded", blood: "loading" }, [])).toEqual([staging, archive]);
  expect(await listedFor({ subject: "loaded" }, ["subject", "blood"])).toEqual([staging, archive]);
  expect(await listedFor({}, [])).toEqual([staging, archive]);
});
