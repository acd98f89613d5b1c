import { inspectSettings } from "../config.ts";
import { type Check, type Diagnosis, type Finding, faultFinding, finding, outcomeOf } from "../core/doctor.ts";
import { loaderVersion } from "../core/plan.ts";
import { queueChecks } from "../steps/doctor/queue-checks.ts";
import { runChecks } from "../steps/doctor/run-checks.ts";
import { fixOf } from "../steps/doctor/unreachable.ts";
import { openQueues, within } from "../wiring/doctor.ts";
import { toCliFault } from "./cli-error.ts";
import type { CliIo } from "./cli-io.ts";
import type { Connect } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import type { CliOptions } from "./options.ts";
import { renderDoctor } from "./render-doctor.ts";

/** What `--json` writes. */
export type DoctorReport = {
  readonly status: "healthy" | "findings" | "unreachable";
  readonly errors: number;
  readonly warnings: number;
  readonly loader: Diagnosis["loader"] | null;
  readonly checks: readonly Check[];
};

/** `doctor`: everything that is wrong with the environment, at once; with the command line itself, too. */
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
    return toReport("healthy", checks, { loader: diagnosis.loader });
  } catch (error) {
    // a wrong flag, or a fault of this program, says nothing about the environment
    if (toCliFault(error).exitCode !== exitCodes.blocked) throw error;
    return toReport("unreachable", [unreachable(where, error)], { loader: null });
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
  { loader }: Pick<DoctorReport, "loader">,
): DoctorReport {
  const findings = checks.flatMap((check) => check.findings);
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const found = status === "healthy" && findings.length > 0 ? "findings" : status;
  return { status: found, errors, warnings: findings.length - errors, loader, checks };
}

const isArn = (name: string): boolean => name.startsWith("arn:");

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

/** A stack that nobody reaches has nothing else that could be looked at; what is wrong on this side is said at once. */
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
  const [, , , named] = isArn(where) ? where.split(":") : [];
  if (named === undefined || named === region) return [];
  return [finding("CLI_REGION", { where, got: named, expected: `${region}, as AWS_REGION`, fix: "set AWS_REGION" })];
}

/** Seconds that the queues may take together. */
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
