import type { Cost, Profile } from "./profile.ts";

const rows = 25;
const longestName = 120;

/** A profile as lines of text. */
export function renderProfile({ load, parts, functions, statements }: Profile): string {
  const { validate, stage, commit } = load.phases;
  return [
    `phases: validate ${validate.toFixed(2)} s, stage ${stage.toFixed(2)} s (${load.workers} workers), commit ${commit.toFixed(2)} s; archive ${load.archive.toFixed(2)} s`,
    table("worker, processor time by part", parts),
    table("worker, processor time by function", functions),
    table("database, time by statement", statements),
  ].join("\n\n");
}

function table(title: string, costs: readonly Cost[]): string {
  const total = costs.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const lines = costs
    .slice(0, rows)
    .map(
      ({ name, milliseconds }) =>
        `${milliseconds.toFixed(0).padStart(8)} ms ${((100 * milliseconds) / total).toFixed(1).padStart(5)} %  ${name.slice(0, longestName)}`,
    );
  return [`${title} (${total.toFixed(0)} ms)`, ...lines].join("\n");
}
