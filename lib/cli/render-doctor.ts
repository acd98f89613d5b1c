import { type Check, type CheckOutcome, doctorAreas, type Finding } from "../core/doctor.ts";
import { clipText } from "../core/escape-text.ts";
import type { Paint, Style } from "./cli-io.ts";
import type { DoctorReport } from "./doctor-command.ts";
import { shown } from "./shown.ts";

const styles: Readonly<Record<CheckOutcome, Style>> = { ok: "green", warning: "yellow", error: "red", skipped: "dim" };
const labelWidth = "warning".length;
/** Of server messages and lists of names. */
const longestText = 2_000;

/** What was looked at, by area, and below it what was found. */
export function renderDoctor(report: DoctorReport, paint: Paint): string {
  const { checks, errors, warnings, status } = shown(report);
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const areas = doctorAreas.flatMap((area) => {
    const own = checks.filter((check) => check.area === area);
    if (own.length === 0) return [];
    const looked = own.filter(({ outcome }) => outcome !== "skipped");
    const lines = looked.flatMap((check) => renderCheck(check, { nameWidth, paint }));
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

type Layout = { readonly nameWidth: number; readonly paint: Paint };

function renderCheck({ outcome, name, said, findings }: Check, { nameWidth, paint }: Layout): string[] {
  const label = paint(styles[outcome], outcome.padEnd(labelWidth));
  const head =
    `  ${label}  ${name.padEnd(nameWidth)}  ${clipText(findings.length > 0 ? "" : said, longestText)}`.trimEnd();
  return [head, ...findings.flatMap((found) => renderFinding(found, paint))];
}

/** One line for all that could not be looked at for the same reason. */
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
