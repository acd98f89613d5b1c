import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseContext, rdsAuthorities, rdsRegions, readAuthoritiesFile } from "../../lib/infra/context.ts";
import { selfSigned, signed } from "../ledger/support/certificates.ts";
import { root } from "../support/sources.ts";
import { existingDatabase } from "./support/synthesize.ts";

const folder = mkdtempSync(join(tmpdir(), "table-loader-context-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("the contracts that are deployed", () => {
  test.each([
    ["nowhere/tables.json", null, "which cannot be read; correct the path"],
    ["text.json", "{ tables: }", "expected valid table contracts: not JSON"],
    ["empty.json", "{}", "expected valid table contracts: tables: "],
    [
      "wrong.json",
      '{"tables":{"blood":{"update_strategy":"overwrite"},"dna":{"key":["id"]}}}',
      /tables\.blood\.update_strategy: .*, tables\.dna: .*; correct the file$/,
    ],
  ])("are refused where they are none: %s", (name, text, message) => {
    const contractsFile = text === null ? join(folder, name) : file(name, text);
    const parse = () => parseContext({ contractsFile });
    expect(parse).toThrow(`context: contractsFile, got ${contractsFile}, `);
    expect(parse).toThrow(message);
  });

  test("are those of config/tables.json by default", () => {
    expect(parseContext({}).contractsFile).toBe("config/tables.json");
  });
});

describe("the file of authorities", () => {
  const broken = signed.authority.replace(/\n[A-Za-z0-9+/]{10}/, "\nAAAAAAAAAA");

  test.each([
    ["text.pem", "no certificate", "expected a PEM file of certificates, which begin with BEGIN CERTIFICATE"],
    ["key.pem", signed.key, "expected a PEM file of certificates"],
    ["broken.pem", broken, "certificate 1 is broken"],
    ["server.pem", `${signed.authority}\n${signed.cert}`, "certificate 2 is a server's, expected the authority's"],
  ])("is refused where it is none: %s", (name, text, message) => {
    const databaseCa = file(name, text);
    expect(() => parseContext({ ...existingDatabase, databaseCa })).toThrow(`context: databaseCa, got ${databaseCa}`);
    expect(() => parseContext({ ...existingDatabase, databaseCa })).toThrow(message);
  });

  test("is refused where it cannot be read", () => {
    const databaseCa = join(folder, "nowhere.pem");
    expect(() => parseContext({ ...existingDatabase, databaseCa })).toThrow("which cannot be read; correct the path");
    expect(() => parseContext({ ...existingDatabase, databaseCa: folder })).toThrow("which cannot be read");
  });

  test("is taken without what else is in it", () => {
    const path = file("all.pem", `# ours\n${selfSigned.cert}\n${selfSigned.key}\n${signed.authority}`);
    expect(readAuthoritiesFile(path)).toEqual({ pem: `${selfSigned.cert}\n${signed.authority}\n` });
  });
});

describe("the roots of RDS that are shipped", () => {
  const certificates = rdsAuthorities()
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .map((pem) => new X509Certificate(pem));

  test("are authorities that last, three for each region, and those of RDS Proxy", () => {
    const ofRegion = (region: string) =>
      certificates.filter(({ subject }) => subject.includes(`CN=Amazon RDS ${region} Root CA`));
    for (const region of ["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2"])
      expect(ofRegion(region), region).toHaveLength(3);
    expect(certificates).toHaveLength(3 * rdsRegions().length + 5);
    for (const { ca, validToDate, subject } of certificates) {
      expect(ca, subject).toBe(true);
      expect(validToDate.getFullYear(), subject).toBeGreaterThanOrEqual(2037);
    }
  });

  test("are named by region where the deployment is explained", () => {
    const text = readFileSync(join(root, "docs/deploy.md"), "utf8");
    expect(rdsRegions().filter((region) => !text.includes(`\`${region}\``))).toEqual([]);
  });
});
