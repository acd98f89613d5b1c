import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";
import { machineName } from "../core/machine.ts";
import { type ExecutionRecord, type LocalMachine, randomExecutionName } from "./interpreter.ts";
import { isLocalRequest } from "./local-request.ts";

/** Step Functions on one port of this machine, for clients that speak its protocol. */

export type MachineEndpoint = { readonly url: string; close(): Promise<void> };

/** An error of Step Functions, with the name by which the SDK knows it. */
class ServiceError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

const inputLimit = 256 * 1024;
const bodyLimit = 1024 * 1024;

/** Listens on 127.0.0.1 and answers the five operations below, as client-sfn sends them; port 0 is a free one. */
export async function openMachineEndpoint(machine: LocalMachine, port = 0): Promise<MachineEndpoint> {
  const server = createServer((request, response) => {
    answer(machine, request).then(
      (body) => send(response, 200, body),
      (error: unknown) => send(response, error instanceof ServiceError ? 400 : 500, toErrorBody(error)),
    );
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${bound}`, close };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(body));
}

function toErrorBody(error: unknown): object {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { __type: `com.amazonaws.swf.service.v2.model#${name}`, message };
}

async function answer(machine: LocalMachine, request: IncomingMessage): Promise<object> {
  if (!isLocalRequest(request.headers)) {
    throw new ServiceError("AccessDeniedException", "only programs of this machine are served");
  }
  const target = String(request.headers["x-amz-target"]).replace("AWSStepFunctions.", "");
  const action = actions[target];
  if (!action) throw new ServiceError("UnknownOperationException", `operation ${target} is not spoken here`);
  return action(machine, executionRequest.parse(JSON.parse((await readBody(request)) || "{}")));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimit) throw new ServiceError("SerializationException", `request is larger than ${bodyLimit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

type Action = (machine: LocalMachine, request: ExecutionRequest) => object | Promise<object>;

const actions: Readonly<Record<string, Action>> = {
  StartExecution: startExecution,
  DescribeExecution: (machine, { executionArn }) => toDescription(findExecution(machine, executionArn)),
  ListExecutions: (machine, { statusFilter }) => {
    const matching = machine.list().filter(({ status }) => statusFilter === undefined || status === statusFilter);
    return { executions: matching.reverse().map(toListItem) };
  },
  DescribeStateMachine: (machine, { stateMachineArn }) => {
    requireMachine(machine, stateMachineArn);
    return { stateMachineArn, name: machineName, status: "ACTIVE", type: "STANDARD" };
  },
  StopExecution: async (machine, { executionArn, error, cause }) => {
    const { arn } = findExecution(machine, executionArn);
    await machine.stop(arn, { error: error ?? null, cause: cause ?? null });
    return { stopDate: toSeconds(new Date()) };
  },
};

/** As in a Standard machine, name and input of a running execution give that one; any other reuse of a name fails. */
function startExecution(machine: LocalMachine, request: ExecutionRequest): object {
  const { name = randomExecutionName(), input = "{}", stateMachineArn } = request;
  requireMachine(machine, stateMachineArn);
  if (!isExecutionName(name)) throw new ServiceError("InvalidName", `Invalid Name: '${name}'`);
  if (!isInput(input)) throw new ServiceError("InvalidExecutionInput", "Invalid State Machine Execution Input");
  const existing = machine.list().find((execution) => execution.name === name);
  if (existing && (existing.status !== "RUNNING" || existing.input !== input)) {
    throw new ServiceError("ExecutionAlreadyExists", `Execution Already Exists: '${existing.arn}'`);
  }
  const { arn, startDate } = existing ?? machine.start(name, input);
  return { executionArn: arn, startDate: toSeconds(startDate) };
}

function requireMachine({ arn }: LocalMachine, asked: string | undefined): void {
  if (asked === arn) return;
  throw new ServiceError("StateMachineDoesNotExist", `State Machine Does Not Exist: '${asked}'`);
}

function isInput(text: string): boolean {
  try {
    JSON.parse(text);
    return Buffer.byteLength(text) <= inputLimit;
  } catch {
    return false;
  }
}

function findExecution(machine: LocalMachine, arn = ""): ExecutionRecord {
  const found = machine.find(arn);
  if (!found) throw new ServiceError("ExecutionDoesNotExist", `Execution Does Not Exist: '${arn}'`);
  return found;
}

function toListItem({ arn, machineArn, name, status, startDate, stopDate }: ExecutionRecord): object {
  const times = { startDate: toSeconds(startDate), ...(stopDate ? { stopDate: toSeconds(stopDate) } : {}) };
  return { executionArn: arn, stateMachineArn: machineArn, name, status, ...times };
}

function toDescription(execution: ExecutionRecord): object {
  const { input, output, error, cause } = execution;
  const outcome = Object.entries({ output, error, cause }).filter(([, value]) => value !== null);
  return { ...toListItem(execution), input, ...Object.fromEntries(outcome) };
}

function toSeconds(date: Date): number {
  return date.getTime() / 1_000;
}

/** Members of all requests that the endpoint understands; it ignores others. */
const executionRequest = z.object({
  stateMachineArn: z.string().optional(),
  executionArn: z.string().optional(),
  name: z.string().optional(),
  input: z.string().optional(),
  statusFilter: z.string().optional(),
  error: z.string().optional(),
  cause: z.string().optional(),
});

type ExecutionRequest = z.infer<typeof executionRequest>;

/** Characters that Step Functions refuses in names, including control characters. */
const forbidden = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]/u;

function isExecutionName(name: string): boolean {
  return name.length >= 1 && name.length <= 80 && !forbidden.test(name);
}
