import { type CloudTemplate, resolveText } from "../../../lib/infra/synthesize-machine.ts";
import { resourcesOf, type Statement } from "./synthesize.ts";

/** A small evaluator of IAM's identity policies: what a role may do, decided as IAM decides it. */

export type Role = {
  /** The logical id of the role. */
  readonly id: string;
  /** Managed policies by name, which are not looked into. */
  readonly managed: readonly string[];
  /** Whether it may: no statement denies it, and one allows it. Conditions count as met. */
  may(action: string, resource: string): boolean;
  readonly statements: readonly Statement[];
};

type Document = { readonly Statement: readonly Record<string, unknown>[] };

/** Every role of a template with the inline policies that are attached to it. */
export function rolesOf(template: CloudTemplate): Role[] {
  const attached = resourcesOf(template, "AWS::IAM::Policy").map(([, { Properties }]) => Properties ?? {});
  return resourcesOf(template, "AWS::IAM::Role").map(([id, { Properties }]) => {
    const own = ((Properties?.Policies ?? []) as { PolicyDocument: Document }[]).map((policy) => policy.PolicyDocument);
    const others = attached.filter(({ Roles }) => (Roles as { Ref?: string }[]).some(({ Ref }) => Ref === id));
    const documents = [...own, ...others.map(({ PolicyDocument }) => PolicyDocument as Document)];
    const statements = documents.flatMap(({ Statement }) => Statement.map(toStatement));
    const managed = ((Properties?.ManagedPolicyArns ?? []) as unknown[]).map((arn) => JSON.stringify(arn));
    return {
      id,
      managed,
      statements,
      may: (action, resource) => isAllowed({ template, statements }, action, resource),
    };
  });
}

function toStatement(statement: Record<string, unknown>): Statement {
  const { Effect, Action, Resource, NotAction, NotResource } = statement;
  if (NotAction || NotResource) throw new Error("policy: a negated element, which the evaluator does not know");
  return { Effect: String(Effect), Action: [Action].flat() as string[], Resource: [Resource].flat() };
}

type Policies = { readonly template: CloudTemplate; readonly statements: readonly Statement[] };

function isAllowed({ template, statements }: Policies, action: string, resource: string): boolean {
  const matching = statements.filter(
    ({ Action, Resource }) =>
      Action.some((pattern) => matches(pattern.toLowerCase(), action.toLowerCase())) &&
      Resource.some((pattern) => matches(resolveText(template, pattern), resource)),
  );
  return matching.some(({ Effect }) => Effect === "Allow") && !matching.some(({ Effect }) => Effect === "Deny");
}

/** IAM's wildcards: `*` for any text, `?` for any character. */
function matches(pattern: string, text: string): boolean {
  const escaped = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "s").test(text);
}
