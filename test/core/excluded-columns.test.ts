import { expect, test } from "vitest";
import type { TableShape } from "../../lib/core/catalog.ts";
import { excludedColumns, parseContracts } from "../../lib/core/contract.ts";

/** The excluded ones of these columns. */
function excluded(names: readonly string[], contract: object = {}): string[] {
  const { contracts, faults } = parseContracts(JSON.stringify({ tables: { t: contract } }));
  if (!contracts?.tables["t"]) throw new Error(faults.join("; "));
  const shape = { columns: names.map((name) => ({ name })) } as unknown as TableShape;
  return [...excludedColumns(shape, contracts.tables["t"])];
}

test("B6: by their names, system columns by default", () => {
  expect(excluded(["Id", "a", "created_at", "updated_at"])).toEqual(["Id", "created_at", "updated_at"]);
  expect(excluded(["Id", "a", "created_at"], { exclude_fields: ["a"] })).toEqual(["a"]);
  expect(excluded(["Id", "a"], { exclude_fields: [] })).toEqual([]);
});

test("B6: a name that is no column stands for the one that differs in case only", () => {
  expect(excluded(["id", "a"])).toEqual(["id"]);
  expect(excluded(["ID", "Created_At"])).toEqual(["ID", "Created_At"]);
  expect(excluded(["Id", "id"])).toEqual(["Id"]);
});

test("J17: it stands for none of several", () => {
  expect(excluded(["ID", "id", "a"])).toEqual([]);
  expect(excluded(["ID", "id"], { natural_key: ["ID"] })).toEqual([]);
});

test.each<object>([
  { natural_key: ["id"] },
  { required_fields: ["id"] },
  { immutable_fields: ["id"] },
  { newer_by: "id" },
  { unknown_fields: "rescue", rescue_column: "id" },
  { columns: { id: { null_values: [] } } },
])("B6: nor for a column of which the contract says something else: %j", (contract) => {
  expect(excluded(["id", "a"], contract)).toEqual([]);
});
