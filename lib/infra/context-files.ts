import { readFileSync } from "node:fs";
import { parseContracts } from "../core/contract.ts";
import type { LoaderContext } from "./context.ts";
import { databaseAuthorities } from "./context-defaults.ts";
import type { Misfit } from "./context-misfits.ts";
import { type AuthoritiesFile, rdsAuthorities, readAuthoritiesFile } from "./database-ca.ts";

/** The files that the context names: read when the templates are made, so that no deployment fails by them. */

export function fileFaults(context: LoaderContext): Misfit[] {
  const contracts = contractsFaults(context.contractsFile);
  const authorities = authoritiesOf(context);
  return [
    ...contracts.map((fault) => ({
      about: ["contractsFile"],
      text: `contractsFile, got ${context.contractsFile}, ${fault}`,
    })),
    ...(authorities !== null && "fault" in authorities
      ? [{ about: ["databaseCa"], text: `databaseCa, ${authorities.fault}` }]
      : []),
  ];
}

/** The text of the contracts, as the bucket gets it. */
export function readContracts(file: string): string {
  return JSON.stringify(JSON.parse(readFileSync(file, "utf8")), null, 2);
}

/** The certificates to lay beside the bundles; null where those of Node are to be trusted, or none are asked for. */
export function authoritiesOf(context: LoaderContext): AuthoritiesFile | null {
  const authorities = databaseAuthorities(context);
  if (context.databaseTls === "off" || authorities === "system") return null;
  return authorities === "rds" ? { pem: rdsAuthorities() } : readAuthoritiesFile(authorities);
}

function contractsFaults(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return ["which cannot be read; correct the path"];
  }
  const { faults } = parseContracts(text);
  return faults.length === 0 ? [] : [`expected valid table contracts: ${faults.join(", ")}; correct the file`];
}
