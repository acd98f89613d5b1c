import { createRequire } from "node:module";
import { beforeAll, describe, expect, test } from "vitest";
import { lambdaTimeoutSeconds, taskTimeoutSeconds } from "../../lib/core/durations.ts";
import { errorNames } from "../../lib/core/errors.ts";
import { answers, noticeStates, type TaskState, taskStates, waitStates } from "../../lib/core/machine.ts";
import { functionSizes } from "../../lib/infra/capacity.ts";
import { lambdaServiceErrors, resultPaths } from "../../lib/infra/machine-tasks.ts";
import { machineDefinition, synthesizeMachine } from "../../lib/infra/synthesize-machine.ts";
import { synthesizeApp } from "./support/synthesize.ts";

type Rule = {
  readonly Next?: string;
  readonly Variable?: string;
  readonly StringEquals?: string;
  readonly And?: Rule[];
};
type State = {
  readonly Type: string;
  readonly Resource?: unknown;
  readonly Next?: string;
  readonly End?: boolean;
  readonly Default?: string;
  readonly Choices?: Rule[];
  readonly Catch?: { readonly ErrorEquals: string[]; readonly Next: string }[];
  readonly Retry?: {
    readonly ErrorEquals: string[];
    readonly JitterStrategy?: string;
    readonly MaxAttempts?: number;
  }[];
  readonly TimeoutSeconds?: number;
  readonly Parameters?: Record<string, unknown>;
  readonly ItemProcessor?: Machine;
};
type Machine = { readonly StartAt: string; readonly States: Record<string, State> };

/** The package has no types of its own. */
const validate: (definition: unknown, options: object) => { isValid: boolean; errorsText(): string } = createRequire(
  import.meta.url,
)("asl-validator");

let machine: Machine;
let machines: Machine[];
let tasks: [string, State][];

beforeAll(() => {
  machine = machineDefinition(synthesizeApp().pipeline) as Machine;
  machines = [machine, ...Object.values(machine.States).flatMap(({ ItemProcessor }) => ItemProcessor ?? [])];
  tasks = machines.flatMap(({ States }) => Object.entries(States)).filter(([, { Type }]) => Type === "Task");
});

const nextOf = (state: State): string[] =>
  [
    state.Next,
    state.Default,
    ...(state.Choices ?? []).map(({ Next }) => Next),
    ...(state.Catch ?? []).map(({ Next }) => Next),
  ].filter((name) => name !== undefined);

function reach(from: string[], edges: (name: string) => string[]): Set<string> {
  const seen = new Set(from);
  for (const name of seen) for (const next of edges(name)) seen.add(next);
  return seen;
}

describe("the machine in the template", () => {
  test("is valid Amazon States Language", () => {
    // The validator writes defaults into what it is given.
    const { isValid, errorsText } = validate(structuredClone(machine), { checkArn: true, checkPaths: true });
    expect(isValid, errorsText()).toBe(true);
  });

  test("is the one that runs locally", () => {
    const withoutArns = (definition: unknown) =>
      JSON.stringify(definition).replaceAll(/"arn:aws:(lambda|sns)[^"]*"/g, '"arn"');
    expect(withoutArns(synthesizeMachine().definition)).toBe(withoutArns(machine));
  });

  test("reaches every state, and from every state an end", () => {
    for (const { StartAt, States } of machines) {
      const names = Object.keys(States);
      expect([...reach([StartAt], (name) => nextOf(States[name] as State))].toSorted()).toEqual(names.toSorted());
      const ends = names.filter((name) => nextOf(States[name] as State).length === 0);
      const before = (name: string) => names.filter((other) => nextOf(States[other] as State).includes(name));
      expect([...reach(ends, before)].toSorted()).toEqual(names.toSorted());
    }
  });

  test("has the task, notice and wait states that the core names, and no other", () => {
    expect(tasks.map(([name]) => name).toSorted()).toEqual(
      [...Object.keys(taskStates), ...Object.values(noticeStates)].toSorted(),
    );
    const waits = machines.flatMap(({ States }) => Object.entries(States)).filter(([, { Type }]) => Type === "Wait");
    expect(waits.map(([name]) => name).toSorted()).toEqual(Object.values(waitStates).toSorted());
  });

  test("knows every answer of every task", () => {
    const rules = machines
      .flatMap(({ States }) => Object.values(States))
      .flatMap(({ Choices }) => Choices ?? [])
      .flatMap((rule) => [rule, ...(rule.And ?? [])]);
    for (const [state, given] of Object.entries(answers)) {
      const variable = `${resultPaths[state as TaskState]}.next`;
      const known = rules.filter(({ Variable }) => Variable === variable).map(({ StringEquals }) => StringEquals);
      expect(new Set(known), state).toEqual(new Set(given));
    }
  });
});

describe("every task", () => {
  test("tries again what is transient, with jitter, and never what is permanent, blocked or stale", () => {
    const never = [errorNames.permanent, errorNames.blocked, errorNames.staleFence, "States.ALL", "States.TaskFailed"];
    for (const [name, { Retry }] of tasks) {
      expect(Retry?.at(-1)).toMatchObject({ JitterStrategy: "FULL", MaxAttempts: 3 });
      const tried = Retry?.flatMap(({ ErrorEquals }) => ErrorEquals);
      for (const error of never) expect(tried, name).not.toContain(error);
      if (!(name in taskStates)) continue;
      const [throttled] = Retry ?? [];
      expect(throttled).toMatchObject({ ErrorEquals: ["Lambda.TooManyRequestsException"], JitterStrategy: "FULL" });
      expect(tried).toEqual(["Lambda.TooManyRequestsException", errorNames.transient, ...lambdaServiceErrors]);
    }
  });

  test("catches everything in the end", () => {
    for (const [name, { Catch }] of tasks) expect(Catch?.at(-1)?.ErrorEquals, name).toEqual(["States.ALL"]);
    expect(machine.States.StageBatch?.Catch?.at(-1)?.ErrorEquals).toEqual(["States.ALL"]);
  });

  test("reaches FailBatch from nothing that runs after the commit", () => {
    const toFail = tasks
      .filter(([, { Catch }]) => Catch?.some(({ Next }) => Next === "FailBatch"))
      .map(([name]) => name);
    expect(toFail).toEqual(["CommitBatch"]);
  });

  test("carries ids only", () => {
    const allowed = new Set(["input.$", "run.$", "execution.$", "rounds.$", "worker.$", "error.$"]);
    for (const [name, { Parameters }] of tasks.filter(([state]) => state in taskStates)) {
      expect(
        Object.keys(Parameters ?? {}).every((member) => allowed.has(member)),
        name,
      ).toBe(true);
    }
  });

  test("ends before its lease, and its Lambda before it", () => {
    for (const [name, { TimeoutSeconds }] of tasks)
      expect(TimeoutSeconds, name).toBeLessThanOrEqual(taskTimeoutSeconds);
    for (const { timeoutSeconds } of Object.values(functionSizes)) {
      expect(timeoutSeconds).toBeLessThanOrEqual(lambdaTimeoutSeconds);
    }
  });

  test("invokes a published version", () => {
    for (const [name, { Resource }] of tasks.filter(([state]) => state in taskStates)) {
      expect(Resource, name).toMatch(/CurrentVersion/);
    }
  });
});
