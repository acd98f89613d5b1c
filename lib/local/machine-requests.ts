import { z } from "zod";

/** The members of all requests that the endpoint understands; what it does not know it leaves unread. */
const executionRequest = z.object({
  stateMachineArn: z.string().optional(),
  executionArn: z.string().optional(),
  name: z.string().optional(),
  input: z.string().optional(),
  statusFilter: z.string().optional(),
  error: z.string().optional(),
  cause: z.string().optional(),
});

export type ExecutionRequest = z.infer<typeof executionRequest>;

export function parseRequest(text: string): ExecutionRequest {
  return executionRequest.parse(JSON.parse(text === "" ? "{}" : text));
}

/** What Step Functions refuses in names, control characters among it. */
const forbidden = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]/u;

/** 1 to 80 characters, without white space, brackets, wildcards and the like. */
export function isExecutionName(name: string): boolean {
  return name.length >= 1 && name.length <= 80 && !forbidden.test(name);
}
