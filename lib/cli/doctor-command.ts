import { inspectSettings } from "../config.ts";
import {
  type Check,
  type CheckOutcome,
  type Diagnosis,
  doctorAreas,
  type Finding,
  faultFinding,
  finding,
  outcomeOf,
} from "../core/doctor.ts";
import { loaderVersion } from "../core/plan.ts";
import { clipText } from "../core/rejects.ts";
import { queueChecks } from "../steps/doctor/aws-checks.ts";
import { fixOf, runChecks } from "../steps/doctor/run-checks.ts";
import { openQueues, within } from "../wiring.ts";
import type { Connect } from "./connect.ts";
import type { CliOptions } from "./options.ts";
import { type ExitCode, exitCodes, toCliFault } from "./outcomes.ts";
import { type CliIo, type Paint, type Style, shown } from "./terminal.ts";

/** The document that `--json` writes. */
export type DoctorReport = {
  readonly status: "healthy" | "findings" | "unreachable";
  readonly errors: number;
  readonly warnings: number;
  readonly loader: Diagnosis["loader"] | null;
  readonly checks: readonly Check[];
};

/** `doctor`: finds everything that is wrong with the environment and with the command line itself, at once. */
export async function runDoctor(io: CliIo, connect: Connect, options: CliOptions): Promise<ExitCode> {
  const report = await examine(io, connect, options);
  io.out(options.json ? JSON.stringify(report, null, 2) : renderDoctor(report, io.paint));
  if (report.status === "unreachable") return exitCodes.blocked;
  return report.errors > 0 ? exitCodes.failed : exitCodes.success;
}

async function examine(io: CliIo, connect: Connect, options: CliOptions): Promise<DoctorReport> {
  const where = nameOf(options);
  try {
    const diagnosis = await ask(io, connect, options);
    const checks = [...cliChecks(where, diagnosis), ...diagnosis.checks, ...(await queues(diagnosis))];
    return toReport("healthy", checks, diagnosis.loader);
  } catch (error) {
    // a wrong flag or a defect of this program says nothing about the environment
    if (toCliFault(error).exitCode !== exitCodes.blocked) throw error;
    return toReport("unreachable", [unreachable(where, error)], null);
  }
}

async function ask(io: CliIo, connect: Connect, options: CliOptions): Promise<Diagnosis> {
  const connection = await connect(options, io);
  try {
    return await connection.operate({ operation: "doctor" });
  } finally {
    connection.close();
  }
}

function toReport(
  status: "healthy" | "unreachable",
  checks: readonly Check[],
  loader: DoctorReport["loader"],
): DoctorReport {
  const findings = checks.flatMap((check) => check.findings);
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const found = status === "healthy" && findings.length > 0 ? "findings" : status;
  return { status: found, errors, warnings: findings.length - errors, loader, checks };
}

function nameOf({ local, function: name }: CliOptions): string {
  const { operateFunction } = inspectSettings().settings;
  return local ? "local environment" : (name ?? operateFunction ?? "local environment");
}

const toCheck = (name: string, said: string, findings: readonly Finding[]): Check => ({
  area: "cli",
  name,
  outcome: outcomeOf(findings),
  said,
  findings,
});

function cliChecks(where: string, { loader }: Diagnosis): Check[] {
  const { loader_version: version, function_version: published, ...rest } = loader;
  const answers = published === null ? `${where} answers` : `${where} answers, version ${published}`;
  const runsWith = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
  const differs = finding("LOADER_VERSIONS", {
    where,
    got: `loader ${version}`,
    expected: `loader ${loaderVersion}, as this command line`,
    fix: "deploy the functions, or use the command line of their version",
  });
  return [
    toCheck("function", answers, []),
    toCheck("version", `loader ${version}`, version === loaderVersion ? [] : [differs]),
    toCheck("runs with", runsWith.join(", "), []),
  ];
}

/** The only check of a stack that cannot be reached; it also reports what is wrong on this side. */
function unreachable(where: string, error: unknown): Check {
  const { settings: mine, faults } = inspectSettings();
  const wrong = faults.map(({ variable, expected }) => {
    const fix = "correct it, see docs/reference/settings.md";
    return finding("SETTING_INVALID", { where: variable, got: "something else, which is not shown", expected, fix });
  });
  const { code, message } = toCliFault(error);
  const rest = { what: "the loader cannot be reached", where, expected: "an answer", fix: fixOf(code) };
  const fault = code === "SETTINGS_INVALID" ? [] : [faultFinding({ code, message }, rest)];
  return toCheck("function", "", [...wrong, ...fault, ...otherRegion(where, mine.region)]);
}

function otherRegion(where: string, region: string): Finding[] {
  const [, , , named] = where.startsWith("arn:") ? where.split(":") : [];
  if (named === undefined || named === region) return [];
  return [finding("CLI_REGION", { where, got: named, expected: `${region}, as AWS_REGION`, fix: "set AWS_REGION" })];
}

/** Seconds for the checks of all queues together. */
const queueSeconds = 15;

async function queues({ queues: addresses }: Diagnosis): Promise<readonly Check[]> {
  const doctor = openQueues();
  const end = Date.now() + queueSeconds * 1000;
  try {
    const runner = { within, secondsLeft: () => (end - Date.now()) / 1000 };
    return (await runChecks(runner, queueChecks(doctor, addresses))).checks;
  } finally {
    doctor.close();
  }
}

const styles: Readonly<Record<CheckOutcome, Style>> = { ok: "green", warning: "yellow", error: "red", skipped: "dim" };
const labelWidth = "warning".length;
/** Characters that are shown of a server's message or a list of names. */
const longestText = 2_000;

/** Lists the checks by area, each with its findings below it. */
export function renderDoctor(report: DoctorReport, paint: Paint): string {
  const { checks, errors, warnings, status } = shown(report);
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const areas = doctorAreas.flatMap((area) => {
    const own = checks.filter((check) => check.area === area);
    if (own.length === 0) return [];
    const looked = own.filter(({ outcome }) => outcome !== "skipped");
    const lines = looked.flatMap((check) => renderCheck(check, nameWidth, paint));
    return [paint("bold", area), ...lines, ...renderSkipped(own, paint), ""];
  });
  const passed = checks.filter(({ outcome }) => outcome === "ok").length;
  const skipped = checks.filter(({ outcome }) => outcome === "skipped").length;
  const counts = [
    status === "unreachable" ? ["the environment cannot be reached"] : [],
    [count(errors, "error"), count(warnings, "warning"), `${count(passed, "check")} ok`],
    skipped > 0 ? [`${skipped} not checked`] : [],
  ];
  const worst = errors > 0 ? "red" : warnings > 0 ? "yellow" : "green";
  return [...areas, paint(worst, counts.flat().join(", "))].join("\n");
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;

function renderCheck({ outcome, name, said, findings }: Check, nameWidth: number, paint: Paint): string[] {
  const label = paint(styles[outcome], outcome.padEnd(labelWidth));
  const text = clipText(findings.length > 0 ? "" : said, longestText);
  const head = `  ${label}  ${name.padEnd(nameWidth)}  ${text}`.trimEnd();
  return [head, ...findings.flatMap((found) => renderFinding(found, paint))];
}

/** One line for all checks that were skipped for the same reason. */
function renderSkipped(checks: readonly Check[], paint: Paint): string[] {
  const skipped = Map.groupBy(
    checks.filter(({ outcome }) => outcome === "skipped"),
    ({ said }) => said,
  );
  return [...skipped].map(([said, same]) => {
    const names = same.map(({ name }) => name).join(", ");
    return `  ${paint("dim", "-".padEnd(labelWidth))}  ${said} (${names})`;
  });
}

function renderFinding({ code, severity, what, where, got, expected, fix }: Finding, paint: Paint): string[] {
  const rows = [
    ["where", where],
    ["got", got],
    ["expected", expected],
    ["do", fix],
  ];
  return [
    `    ${paint(styles[severity], code)}: ${what}`,
    ...rows.map(
      ([title = "", text = ""]) => `      ${title.padEnd("expected".length)}  ${clipText(text, longestText)}`,
    ),
  ];
}
