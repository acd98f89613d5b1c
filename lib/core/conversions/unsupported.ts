const geometry = "the server takes several notations of it and rounds their numbers; use double precision columns";
const lookedUp = "it is looked up in the database that reads it; use a text column";
const internal = "it is the server's own; use a text column";
const search = "the server rewrites what it reads; load the text, and generate this column from it";

/**
 * Types that are refused although people have columns of them: why, and what to do instead. Any other type that has no
 * conversion is refused as well.
 */
export const unsupportedTypes: ReadonlyMap<string, string> = new Map([
  ["money", "what it reads depends on the server's locale; use numeric(14,2)"],
  ["xml", "what it takes depends on how the server was built; use a text column"],
  ["name", "the server cuts it at 63 bytes without a word; use varchar(63)"],
  ["char", 'the server keeps one byte of it; use character(1) or boolean, not "char"'],
  ["tsvector", search],
  ["tsquery", search],
  ["jsonpath", "the server rewrites what it reads; use a text column"],
  ["point", geometry],
  ["line", geometry],
  ["lseg", geometry],
  ["box", geometry],
  ["path", geometry],
  ["polygon", geometry],
  ["circle", geometry],
  ["regclass", lookedUp],
  ["regproc", lookedUp],
  ["regtype", lookedUp],
  ["regrole", lookedUp],
  ["regnamespace", lookedUp],
  ["pg_lsn", internal],
  ["xid", internal],
  ["xid8", internal],
  ["int2vector", internal],
  ["oidvector", internal],
  ["record", "composite types have no JSON form here; use jsonb, or a column for each of their fields"],
  ["hstore", "use jsonb"],
  ["ltree", "its labels depend on the extension's version; use a text column with a check"],
]);
