/** Quotes an SQL name, which comes from the catalog or from the code. Values are always parameters. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a constant for places of a statement that allow no parameter; never a record's value. */
export function quoteConstant(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

export function qualifiedName(schema: string, name: string): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

export const stagingSchema = "table_loader_staging";

/** The staging table of the plan's n-th table. */
export function stagingTableOf(planId: number, index: number): string {
  return qualifiedName(stagingSchema, `p${planId}_${index}`);
}
