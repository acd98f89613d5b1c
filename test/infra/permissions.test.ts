import { beforeAll, describe, expect, test } from "vitest";
import { archivePatterns, bucketActions, bucketPermissions } from "../../lib/infra/permissions.ts";
import { type CloudTemplate, resolveText } from "../../lib/infra/synthesize-machine.ts";
import { existingDatabase, type Statement, statementsByPolicy, synthesizeApp } from "./support/synthesize.ts";

let pipeline: CloudTemplate;
let policies: Map<string, Statement[]>;

beforeAll(() => {
  pipeline = synthesizeApp().pipeline;
  policies = statementsByPolicy(pipeline);
});

const allowed = (): Statement[] => [...policies.values()].flat().filter(({ Effect }) => Effect === "Allow");

function statementsOf(name: string): Statement[] {
  const [, statements] = [...policies].find(([id]) => id.startsWith(`Functions${name}Role`)) ?? [];
  return (statements ?? []).filter(({ Effect }) => Effect === "Allow");
}

const actionsOf = (name: string) => statementsOf(name).flatMap(({ Action }) => Action);

describe("permissions", () => {
  test("name every action", () => {
    for (const { Action } of allowed()) for (const action of Action) expect(action).not.toContain("*");
  });

  test("reach every resource only where the service knows no narrower one", () => {
    const everywhere = allowed().filter(({ Resource }) => Resource.includes("*"));
    const services = new Set(everywhere.flatMap(({ Action }) => Action.map((action) => action.split(":")[0])));
    expect(services).toEqual(new Set(["ec2", "logs", "xray"]));
    const logs = everywhere.filter(({ Action }) => Action.some((action) => action.startsWith("logs:")));
    expect(logs, "the machine's log delivery").toHaveLength(1);
  });

  test("let no function delete from the archive of loaded batches, nor change the bucket", () => {
    const removals = allowed().filter(({ Action }) => Action.some((action) => action.startsWith("s3:Delete")));
    expect(removals).toHaveLength(1);
    const keys = removals[0]?.Resource.map((resource) => resolveText(pipeline, resource).replace(/^[^/]*\//, ""));
    expect(keys?.toSorted()).toEqual(["failed/*/*", "staging/validated/*/*"]);
    const known = new Set<string>(Object.values(bucketActions).flat());
    for (const action of allowed().flatMap(({ Action }) => Action)) {
      if (action.startsWith("s3:")) expect(known).toContain(action);
    }
  });

  test("give each function its own share of the bucket", () => {
    for (const name of ["StartLoad", "RollbackBatch", "Migrate"]) {
      expect(
        actionsOf(name).filter((action) => action.startsWith("s3:") || action.startsWith("kms:")),
        name,
      ).toEqual([]);
    }
    // The originals of rejected records, and the reports of previews.
    expect(bucketPermissions["commit-batch"]).toMatchObject({
      read: ["staging", "failed", "loaded"],
      write: ["previews"],
    });
    expect(bucketPermissions["fail-batch"]).toEqual({ write: ["previews"] });
    expect(actionsOf("StageFragments")).not.toContain("s3:PutObject");
    expect(actionsOf("Sweep")).not.toContain("s3:PutObject");
    // Manifests and contracts, and the reports of previews: nothing else of the bucket.
    expect(bucketPermissions.sweep.read).toEqual(["contracts", "staging", "loaded"]);
    expect(bucketPermissions["close-batch"].read).toEqual(["staging", "previews", "loadedResults", "failedResults"]);
    expect(archivePatterns.loadedResults).toBe("loaded/*/load_result*.json");
    expect(bucketPermissions["archive-fragments"].remove).not.toContain("loaded");
  });

  test("let archive-fragments, sweep and operate find unfinished copies, and the sweep give up those of the archives", () => {
    const names = ["ArchiveFragments", "Sweep", "Operate"];
    for (const [id, statements] of policies) {
      const lists = statements.some(({ Action }) => Action.includes("s3:ListBucketMultipartUploads"));
      expect(lists, id).toBe(names.some((name) => id.startsWith(`Functions${name}Role`)));
    }
    const [abandons, ...others] = statementsOf("Sweep").filter(({ Action }) =>
      Action.includes("s3:AbortMultipartUpload"),
    );
    expect(others).toEqual([]);
    expect(abandons?.Action).toEqual(["s3:AbortMultipartUpload"]);
    const keys = abandons?.Resource.map((resource) => resolveText(pipeline, resource).replace(/^[^/]*\//, ""));
    expect(keys?.toSorted()).toEqual(["failed/*/*", "loaded/*/*"]);
  });

  test("let only the entrances start executions, and only of this machine", () => {
    const starters = ["StartLoad", "Sweep", "Operate"];
    for (const [id, statements] of policies) {
      const starts = statements.filter(({ Action }) => Action.includes("states:StartExecution"));
      expect(starts.length, id).toBe(starters.some((name) => id.startsWith(`Functions${name}Role`)) ? 1 : 0);
      for (const { Resource } of starts) expect(resolveText(pipeline, Resource[0])).toMatch(/:stateMachine:LoadBatch$/);
    }
  });

  test("let operate alone look at the machine and at the bucket's settings, and at no queue", () => {
    const looking = ["states:DescribeStateMachine", "states:ListExecutions", ...bucketActions.inspect];
    for (const [id, statements] of policies) {
      const actions = statements.flatMap(({ Action }) => Action);
      const found = looking.filter((action) => actions.includes(action));
      expect(found, id).toEqual(id.startsWith("FunctionsOperateRole") ? looking : []);
    }
    const machine = statementsOf("Operate").find(({ Action }) => Action.includes("states:ListExecutions"));
    expect(machine?.Resource.map((resource) => resolveText(pipeline, resource))).toEqual([
      expect.stringMatching(/:stateMachine:LoadBatch$/),
    ]);
    expect(actionsOf("Operate").filter((action) => action.startsWith("sqs:"))).toEqual([]);
  });

  test("change nothing of what doctor looks at", () => {
    const writes = actionsOf("Operate").filter((action) =>
      /:(Put|Delete|Create|Update|Set|Send|Purge|Abort)/.test(action),
    );
    // Lambda's own, of which the function's code is denied the use
    expect(writes.filter((action) => !/^(ec2|xray|logs):/.test(action))).toEqual([]);
  });

  test("give the database to its users by token, and the secret to migrate alone", () => {
    expect(actionsOf("Migrate")).toContain("secretsmanager:GetSecretValue");
    expect(actionsOf("StageFragments")).toContain("rds-db:connect");
    expect(actionsOf("StageFragments")).not.toContain("secretsmanager:GetSecretValue");
    expect(actionsOf("StartLoad").some((action) => /^(rds-db|secretsmanager):/.test(action))).toBe(false);
  });

  test("with an existing database, give its secret to its users", () => {
    policies = statementsByPolicy(synthesizeApp(existingDatabase).pipeline);
    expect(actionsOf("StageFragments")).toContain("secretsmanager:GetSecretValue");
    expect(actionsOf("StageFragments").some((action) => /^(rds-db|ec2):/.test(action))).toBe(false);
    expect(actionsOf("StartLoad")).not.toContain("secretsmanager:GetSecretValue");
  });
});
