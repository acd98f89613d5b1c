import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { exitCodes } from "../lib/cli/outcomes.ts";
import { parseContracts } from "../lib/core/contract.ts";
import { findingKinds } from "../lib/core/doctor.ts";
import * as durations from "../lib/core/durations.ts";
import { defaultBatchIdPattern } from "../lib/core/keys.ts";
import { accountedFor, type LoadResult, noCounts, sumCounts } from "../lib/core/report.ts";
import { type Node, nodesOf, readSources, root, textsOf } from "./support/sources.ts";

/** The documentation names what the code has, and nothing else. */

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const documents = ["README.md", ...globSync("docs/**/*.md", { cwd: root })].filter((path) =>
  existsSync(join(root, path)),
);

/** The code names that the first column of tables holds: `NAME` of "| `NAME` | ... |". */
function named(text: string): string[] {
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  return rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name as string));
}

/** The part of a document below a heading. */
function below(text: string, heading: string): string {
  const [, section = ""] = text.split(`\n## ${heading}\n`);
  return section.split("\n## ")[0] ?? "";
}

/** Members of the object literal that a call such as `z.object({...})` takes, with the code of each. */
function membersOf(path: string, call: string, nth = 0): Map<string, Node> {
  const [source] = readSources(path);
  const calls = source?.nodes.filter((node) => node.type === "CallExpression" && calleeOf(node) === call) ?? [];
  const [literal] = (calls[nth]?.arguments ?? []) as readonly Node[];
  const members = (literal?.properties ?? []) as readonly Node[];
  return new Map(members.map((member) => [String((member.key as Node).name), member.value as Node]));
}

function calleeOf(node: Node): string {
  const callee = node.callee as Node;
  return `${(callee.object as Node | null)?.name ?? ""}.${(callee.property as Node | null)?.name ?? ""}`;
}

describe("settings.md", () => {
  const text = read("docs/reference/settings.md");
  const variables = membersOf("lib/config.ts", "z.object");

  test("has a row for every variable, and no other", () => {
    expect(named(text).toSorted()).toEqual([...variables.keys()].toSorted());
  });

  const constants: Readonly<Record<string, unknown>> = { defaultBatchIdPattern, ...durations };
  const defaults = [...variables].flatMap(([name, schema]) => {
    const call = nodesOf(schema).find((node) => node.type === "CallExpression" && calleeOf(node).endsWith(".default"));
    const [value] = (call?.arguments ?? []) as readonly Node[];
    return value ? [[name, String(value.value ?? constants[String(value.name)])] as const] : [];
  });

  test.each(defaults)("%s has its default, %s", (name, value) => {
    const row = text.split("\n").find((line) => line.startsWith(`| \`${name}\``));
    expect(row?.split("|")[2]?.trim()).toBe(`\`${value}\``);
  });

  test("says of no other variable that it has a default", () => {
    const rows = text.split("\n").filter((line) => line.startsWith("| `") && line.split("|")[2]?.trim() !== "");
    const derived = ["DB_AUTH"];
    expect(named(rows.join("\n")).toSorted()).toEqual([...defaults.map(([name]) => name), ...derived].toSorted());
  });
});

describe("contracts.md", () => {
  const text = read("docs/reference/contracts.md");

  test.each([
    ["A column", 0],
    ["A table", 1],
    ["The file", 2],
  ] as const)("section %s has a row for every key", (heading, nth) => {
    const rows = below(text, heading).split("\n| value |")[0] ?? "";
    const keys = [...membersOf("lib/core/contract.ts", "z.strictObject", nth).keys()];
    const documented = named(rows).filter(
      (name) => keys.includes(name) || !["merge", "replace", "skip", "newest"].includes(name),
    );
    expect(documented.toSorted()).toEqual(keys.toSorted());
  });

  test("shows contracts that are valid", () => {
    const [, json = ""] = /```json\n([\s\S]*?)```/.exec(text) ?? [];
    expect(parseContracts(json).faults).toEqual([]);
  });
});

describe("errors.md", () => {
  /** Texts that look like codes and are none. */
  const noCodes = [
    ...["LOCAL_ENDPOINT", "LOCAL_MACHINE_ENDPOINT", "STATE_MACHINE_ARN", "DB_POOL_MIN", "DB_POOL_MAX"], // settings
    ...["ARRIVALS_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "UNDELIVERED_QUEUE_URL"],
    "FULL_OBJECT", // a kind of S3's checksums
    "PG_VERSION", // a file of PostgreSQL
    "TIMED_OUT", // a state of an execution
    "Z_BUF_ERROR", // zlib's
  ];
  const code = /^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:$|: )|'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'/g;
  const sources = readSources("lib/**/*.ts", "functions/**/*.ts", "bin/**/*.ts").filter(
    // of what doctor finds; doctor.md has them
    ({ path }) => !/^lib\/(steps\/doctor\/|cli\/doctor-command\.ts)/.test(path),
  );
  const texts = sources.flatMap((source) => textsOf(source).map(({ text }) => text));
  const found = texts.flatMap((text) =>
    [...text.matchAll(code)].map(([, plain, quoted]) => (plain ?? quoted) as string),
  );
  const codes = [...new Set(found)].filter((name) => !noCodes.includes(name));
  const documented = named(read("docs/reference/errors.md")).filter((name) => /^[A-Z0-9_]+$/.test(name));

  test("has a row for every code, and no other", () => {
    expect(documented.toSorted()).toEqual(codes.toSorted());
  });

  test("has every code once", () => {
    expect(documented.filter((name, index) => documented.indexOf(name) !== index)).toEqual([]);
  });

  test("says of every code what it means and what to do", () => {
    const rows = read("docs/reference/errors.md")
      .split("\n")
      .filter((line) => /^\| `[A-Z]+_/.test(line));
    expect(rows.filter((row) => row.split("|").filter((cell) => cell.trim() !== "").length !== 3)).toEqual([]);
  });
});

describe("doctor.md", () => {
  const rows = read("docs/reference/doctor.md")
    .split("\n")
    .filter((line) => /^\| `[A-Z]+_/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));

  test("has a row for everything that may be found, with its severity, and no other", () => {
    const documented = rows.map(([, code, severity]) => [code?.replaceAll("`", ""), severity]);
    const kinds = Object.entries(findingKinds).map(([code, { severity }]) => [code, severity]);
    expect(documented.toSorted()).toEqual(kinds.toSorted());
  });

  test("says of everything what it means and what to do", () => {
    expect(rows.filter(([, , , meaning, advice]) => !meaning || !advice)).toEqual([]);
  });

  test("everything may be found", () => {
    const texts = new Set(
      readSources("lib/steps/**/*.ts", "lib/cli/doctor-command.ts").flatMap((source) =>
        textsOf(source).map(({ text }) => text),
      ),
    );
    expect(Object.keys(findingKinds).filter((code) => !texts.has(code))).toEqual([]);
  });
});

describe("control-tables.md", () => {
  const text = read("docs/reference/control-tables.md");
  const migrations = globSync("lib/ledger/migrations/*.sql", { cwd: root }).toSorted().map(read).join("\n");

  test("names every table and view", () => {
    const made = migrations.matchAll(
      /create (?:or replace )?(?:unlogged )?(?:table|view) (?:if not exists )?(\w+)\.(\w+)/g,
    );
    expect([...made].map(([, , name]) => name as string).filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  const tables = [...migrations.matchAll(/create table if not exists public\.(\w+) \(\n([\s\S]*?)\n\);/g)];
  test.each(tables.map(([, name, body]) => [name as string, body as string] as const))(
    "names every column of %s",
    (name, body) => {
      const columns = body.split("\n").map((line) => /^ {2}(\w+) /.exec(line)?.[1] as string);
      expect(columns.filter((column) => !below(text, `\`${name}\``).includes(`\`${column}\``))).toEqual([]);
    },
  );
});

describe("reports.md", () => {
  const text = read("docs/reference/reports.md");
  const examples = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(
    ([, json]) => JSON.parse(json as string) as unknown,
  );

  test("explains every count", () => {
    expect(named(below(text, "Counts")).toSorted()).toEqual(Object.keys(noCounts).toSorted());
  });

  test("shows a load result that adds up", () => {
    const result = examples[0] as LoadResult;
    for (const counts of [result, ...Object.values(result.tables)])
      expect(accountedFor(sumCounts([counts]))).toBe(counts.records_read);
  });

  test("explains every member of a load result", () => {
    const members = Object.keys(examples[0] as object);
    expect(members.filter((member) => !text.includes(`\`${member}\``) && !text.includes(`\`${member}.`))).toEqual([]);
  });
});

describe("deploy.md", () => {
  test("has a row for every context key, and no other", () => {
    const keys = [...membersOf("lib/infra/context.ts", "z.strictObject").keys()];
    expect(named(below(read("docs/deploy.md"), "Context")).toSorted()).toEqual(keys.toSorted());
  });
});

/** Numbers as the texts write them. */
const numbers: Readonly<Record<string, number>> = { a: 1, an: 1, one: 1, five: 5, ten: 10, fifteen: 15, thirty: 30 };
const numberOf = (text: string): number => numbers[text.toLowerCase()] ?? Number(text.replaceAll(",", ""));

/** Hours until a load that its environment blocks gives up. */
function hoursOfRounds({ firstSeconds, longestSeconds, rounds }: typeof durations.blockedWait): number {
  const waits = Array.from({ length: rounds - 1 }, (_, round) => Math.min(longestSeconds, firstSeconds * 2 ** round));
  return Math.round(waits.reduce((sum, seconds) => sum + seconds, 0) / 3600);
}

describe("texts name the durations of lib/core/durations.ts", () => {
  const d = durations;
  const longestRoundMinutes = d.blockedWait.longestSeconds / 60;
  const leaseMinutes = d.leaseSeconds / 60;
  const migrations = globSync("lib/ledger/migrations/*.sql", { cwd: root }).toSorted().map(read).join("\n");
  const performance = migrations.match(/create (?:or replace )?view public\.load_performance\b[^;]*;/g)?.at(-1) ?? "";
  const performanceDays = Number(/interval '(\d+) days'/.exec(performance)?.[1]);

  /** The sentence with a group for every number, and what the numbers are. */
  test.each<[path: string, sentence: RegExp, ...values: number[]]>([
    ["README.md", /The sweep looks every (\w+) minutes for what no event told/, d.sweepIntervalMinutes],
    ["docs/deploy.md", /`loaded\/` \| for ever, after (\d+) days in `INTELLIGENT_TIERING`/, d.archiveTierDays],
    ["docs/deploy.md", /`failed\/` \| for ever, after (\d+) days in `INTELLIGENT_TIERING`/, d.archiveTierDays],
    ["docs/deploy.md", /`failed\/` \|[^|]*overwrites or deletes there, for (\d+) days/, d.failedVersionDays],
    ["docs/deploy.md", /the version below the delete marker for (\d+) days/, d.stagedVersionDays],
    ["docs/deploy.md", /`previews\/` \| (\d+) days/, d.previewDays],
    ["docs/deploy.md", /uploads that were never ended \| (\d+) day/, d.unfinishedUploadDays],
    [
      "docs/how-it-works.md",
      /Everything else waits \((\d+) s, doubling to (\d+) minutes, (\d+) rounds\)/,
      ...[d.blockedWait.firstSeconds, longestRoundMinutes, d.blockedWait.rounds],
    ],
    ["docs/how-it-works.md", /Every (\w+) minutes, never two at a time/, d.sweepIntervalMinutes],
    ["docs/how-it-works.md", /has (\w+) seconds to take its place before/, d.turnSettleSeconds],
    ["docs/how-it-works.md", /its slices follow what it gets done in (\d+) s/, d.sliceTargetSeconds],
    ["docs/how-it-works.md", /the lease ends \((\d+) minutes\), the next sweep starts/, leaseMinutes],
    [
      "docs/how-it-works.md",
      /given up after (\d+) s of a COPY or (\d+) s of a transaction/,
      ...[d.copyStallSeconds, d.plainTransactionSeconds],
    ],
    [
      "docs/how-it-works.md",
      /the server ends its session, and with it its locks, within (\w+) minute/,
      d.stuckSessionMinutes,
    ],
    ["docs/reliability.md", /the lease is 20 s there instead of (\d+) minutes/, leaseMinutes],
    ["docs/runbook.md", /Its periods are five seconds, not (\w+) minutes/, d.sweepIntervalMinutes],
    ["docs/runbook.md", /finds what lies in staging within (\w+) minutes/, d.sweepIntervalMinutes],
    [
      "docs/runbook.md",
      /a batch was blocked for (\d+) rounds \(about (\d+) hours\)/,
      ...[d.blockedWait.rounds, hoursOfRounds(d.blockedWait)],
    ],
    ["docs/runbook.md", /a load is on its way and has not moved for (\w+) minutes/, d.stallMinutes],
    ["docs/runbook.md", /the lease ends after `LEASE_SECONDS` \((\d+) minutes\)/, leaseMinutes],
    [
      "docs/runbook.md",
      /It tries again by itself after (\d+) s, then ever later, at most every (\d+) minutes/,
      ...[d.blockedWait.firstSeconds, longestRoundMinutes],
    ],
    ["docs/runbook.md", /The load goes on within (\d+) minutes after that/, longestRoundMinutes],
    ["docs/runbook.md", /The sweep looks every (\w+) minutes, so that the alarm is there/, d.sweepIntervalMinutes],
    ["docs/runbook.md", /no sweep has looked at the loads for (\d+) minutes/, d.sweepAlarmMinutes],
    ["docs/runbook.md", /the rule that starts it every (\w+) minutes/, d.sweepIntervalMinutes],
    ["docs/runbook.md", /five pages of 1,000 keys every (\w+) minutes/, d.sweepIntervalMinutes],
    ["docs/scale.md", /TRANSACTION_TIMEOUT, (\d+) s/, d.transactionTimeoutSeconds],
    ["docs/scale.md", /TRANSACTION_TIMEOUT up to \d+ s \(Lambda ends at (\d+)\)/, d.lambdaTimeoutSeconds],
    ["docs/scale.md", /batches in line that each ask every (\d+) s/, d.longestTurnPauseSeconds],
    ["docs/scale.md", /keys of the archive every (\d+) minutes/, d.sweepIntervalMinutes],
    ["docs/reference/control-tables.md", /not moved for (\w+) minutes, or its lease has ended/, d.stallMinutes],
    ["docs/reference/control-tables.md", /`load_performance` \| per table over (\d+) days/, performanceDays],
    [
      "docs/reference/doctor.md",
      /No check takes longer than (\d+) seconds, all together (\d+)/,
      ...[d.doctorCheckSeconds, d.doctorSeconds],
    ],
    [
      "docs/reference/doctor.md",
      /no sweep has been at work for (\d+) minutes;.*the local one comes within (\d+) seconds/,
      ...[d.sweepSilenceMinutes, d.localSweepSeconds],
    ],
    ["docs/reference/doctor.md", /a load has not moved for (\d+) minutes/, d.stallMinutes],
    ["docs/reference/doctor.md", /begun more than (\w+) day ago and never ended/, d.unfinishedUploadDays],
    ["docs/reference/doctor.md", /an execution has been running for more than (\w+) day/, d.longExecutionHours / 24],
    ["docs/reference/doctor.md", /a batch has been waiting for more than (\w+) day/, d.waitingNoticeHours / 24],
    [
      "docs/reference/errors.md",
      /environment's fault: waits \((\d+) s, doubling to (\d+) min\)/,
      ...[d.blockedWait.firstSeconds, longestRoundMinutes],
    ],
    ["docs/reference/errors.md", /a table or row stayed locked for (\d+) s/, d.lockWaitSeconds],
    [
      "docs/reference/errors.md",
      /\((\d+) s of a COPY, (\d+) s of a transaction, (\d+) s beyond a time limit, (\d+) s of a new connection\)/,
      ...[d.copyStallSeconds, d.plainTransactionSeconds, d.transactionGraceSeconds, d.openConnectionSeconds],
    ],
    ["docs/reference/metrics.md", /how things stood at that moment, every (\w+) minutes/, d.sweepIntervalMinutes],
    ["docs/reference/metrics.md", /loads that have not moved for (\w+) minutes/, d.stallMinutes],
    ["docs/reference/reports.md", /a dry run; it expires after (\d+) days/, d.previewDays],
    ["docs/reference/settings.md", /the Lambda's remaining time less (\d+) s/, d.commitReserveSeconds],
    ["docs/reference/settings.md", /longer than a task may take \((\d+) s\)/, d.taskTimeoutSeconds],
    ["lib/core/doctor.ts", /"an execution runs for more than (\w+) day"/, d.longExecutionHours / 24],
    ["lib/core/doctor.ts", /"a batch waits for more than (\w+) day"/, d.waitingNoticeHours / 24],
    ["lib/core/metrics.ts", /"loads that have not moved for (\w+) minutes"/, d.stallMinutes],
    ["lib/infra/monitoring.ts", /Periods are (\w+) minutes/, d.sweepIntervalMinutes],
    ["lib/ledger/migrations/003.do.views.sql", /it has not moved for (\w+) minutes/, d.stallMinutes],
    ["lib/steps/doctor/aws-checks.ts", /"none is older than (\w+) day"/, d.unfinishedUploadDays],
    ["lib/steps/doctor/aws-checks.ts", /older than (\w+) day`/, d.unfinishedUploadDays],
    ["lib/steps/doctor/aws-checks.ts", /incomplete multipart uploads after (\w+) day/, d.unfinishedUploadDays],
    ["lib/steps/doctor/aws-checks.ts", /"an end within (\w+) day"/, d.longExecutionHours / 24],
    ["lib/steps/doctor/database-checks.ts", /idle in a transaction for more than (\w+) minute/, d.stuckSessionMinutes],
    ["lib/steps/doctor/load-checks.ts", /"loaded within (\w+) day"/, d.waitingNoticeHours / 24],
    ["lib/steps/sweep.ts", /"batch waits for more than (\w+) day"/, d.waitingNoticeHours / 24],
  ])("%s: %s", (path, sentence, ...values) => {
    const found = sentence.exec(read(path).replaceAll(/\s+/g, " "));
    expect(found?.slice(1).map(numberOf)).toEqual(values);
  });

  test("a year, half a day and the last hour", () => {
    expect(d.loadedVersionDays).toBe(365);
    expect(read("docs/deploy.md")).toMatch(/`loaded\/` \|.*deletes there, for a year/);
    expect(d.longestTurnWaitSeconds).toBe((24 / 2) * 3600);
    expect(read("docs/how-it-works.md")).toContain("After half a day in line");
    expect(read("docs/reference/errors.md")).toContain("stood in line for half a day");
    expect(d.missedEventsHours).toBe(1);
    expect(read("docs/reference/doctor.md")).toContain("within the last hour the sweep started");
    expect(read("lib/steps/doctor/load-checks.ts")).toContain("batches in the last hour");
  });
});

/** What a heading's link ends with. */
const slugOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");

const slugsOf = (path: string): string[] =>
  [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => slugOf(heading as string));

describe("architecture.md", () => {
  const files = existsSync(join(root, "docs/architecture.md")) ? filesIn(read("docs/architecture.md")) : [];

  test("names files that are there, in full: `lib/core/decide.ts`, or a folder as `lib/core/`", () => {
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  test.each([
    ["A record", 14],
    ["A batch id", 12],
  ])("%s walks through at most %i files, by functions that are there", (name, most) => {
    const walk = read("docs/architecture.md").split(`**${name},`)[1]?.split("\n\n")[1] ?? "";
    const stations = [...walk.matchAll(/^\d+\. `(lib\/[\w./-]+)`: ((?:[^.]|\.(?!\s))+)/gm)];
    expect(stations.length).toBeGreaterThan(1);
    expect(stations.length).toBeLessThanOrEqual(most);
    expect(stations.length).toBe([...walk.matchAll(/^\d+\. /gm)].length);
    expect(new Set(stations.map(([, file]) => file)).size).toBe(stations.length);
    const functions = stations.flatMap(([, file = "", line = ""]) =>
      [...line.matchAll(/`(\w+)`/g)].map(([, called]) => [file, called] as const),
    );
    expect(new Set(functions.map(([file]) => file)).size).toBe(stations.length);
    expect(functions.filter(([file, called]) => !new RegExp(`function\\*? ${called}\\(`).test(read(file)))).toEqual([]);
  });

  test("names every folder of lib", () => {
    const folders = globSync("lib/*/", { cwd: root }).map((path) => basename(path));
    expect(folders.filter((name) => !files.some((file) => file.startsWith(`lib/${name}/`)))).toEqual([]);
  });
});

/** What a text names in code as a path of ours: from a folder at the root, or with the end of a source's name. */
function filesIn(text: string): string[] {
  const names = [...text.matchAll(/`([\w.*/-]+)`/g)].map(([, name]) => name as string);
  const isPath = (name: string): boolean =>
    /^(lib|bin|functions|test|bench|docs|events|config)\//.test(name) || /\.(ts|sql|svg|md)$/.test(name);
  return names.filter((name) => isPath(name) && !name.includes("*"));
}

describe("runbook.md", () => {
  const [alarms] = readSources("lib/infra/alarms.ts");
  const anchors =
    alarms?.nodes.filter((node) => node.type === "Property" && (node.key as Node).name === "anchor") ?? [];
  const named = anchors.flatMap((node) => ((node.value as Node).value as string | undefined) ?? []);

  test("has an entry for every alarm", () => {
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((anchor) => !slugsOf("docs/runbook.md").includes(anchor))).toEqual([]);
  });
});

describe("README.md", () => {
  test.runIf(existsSync(join(root, "README.md")))("has every exit code", () => {
    const rows = [...read("README.md").matchAll(/^\| (\d) \|/gm)].map(([, code]) => Number(code));
    expect(rows.toSorted()).toEqual(Object.values(exitCodes).toSorted());
  });
});

describe("documents", () => {
  const links = documents.flatMap((path) =>
    [...read(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => [path, link as string] as const),
  );
  const own = links.filter(([, link]) => !/^[a-z]+:/.test(link));

  test("link to what is there", () => {
    const broken = own.filter(([path, link]) => {
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? path : join(dirname(path), file);
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && target.endsWith(".md") && !slugsOf(target).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  test("name files that are there", () => {
    const files = documents.flatMap((path) =>
      [...read(path).matchAll(/`((?:lib|bin|functions|test|docs|events|config)\/[\w./-]+\.\w+)`/g)].map(([, file]) => [
        path,
        file as string,
      ]),
    );
    expect(files.filter(([, file]) => !existsSync(join(root, file as string)))).toEqual([]);
  });
});
