import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { root } from "../support/sources.ts";

/** Every statement that the documentation shows runs on the tables as they are. */

const statements = globSync("docs/**/*.md", { cwd: root }).flatMap((path) =>
  [...readFileSync(join(root, path), "utf8").matchAll(/```sql\n([\s\S]*?)```/g)].flatMap(([, block]) =>
    (block as string)
      .split(";")
      .map((statement) => [path, statement.trim()] as const)
      .filter(([, statement]) => statement !== ""),
  ),
);

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

test.each(statements)("%s: %s", async (_path, statement) => {
  await expect(database.sql.unsafe(statement)).resolves.toBeDefined();
});
