import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import {
  Choice,
  Condition,
  DefinitionBody,
  Errors,
  Fail,
  type IChainable,
  JsonPath,
  LogLevel,
  type Map as MapState,
  Pass,
  StateMachine,
  StateMachineType,
  Succeed,
  Wait,
  WaitTime,
} from "aws-cdk-lib/aws-stepfunctions";
import type { LambdaInvoke } from "aws-cdk-lib/aws-stepfunctions-tasks";
import { Construct } from "constructs";
import { errorNames } from "../core/errors.ts";
import { blockedWait, machineName, noticeStates, type TaskState, waitStates } from "../core/machine.ts";
import { type BlockedRounds, blockedRounds } from "./machine-blocked.ts";
import { noticeTask } from "./machine-notice.ts";
import { stageBatch } from "./machine-stage.ts";
import { answered, keepingError, loadTask, routeAnswers } from "./machine-tasks.ts";

export type LoadMachineProps = {
  /** The published version that runs each task state. */
  readonly handlers: Readonly<Record<TaskState, IFunction>>;
  /** Where notices of success and failure go. */
  readonly topic: ITopic;
  readonly logGroup: ILogGroup;
  /** How often a task is tried again after a transient fault. @default 3 */
  readonly maxRetries?: number;
};

type Tasks = Readonly<Record<Exclude<TaskState, "StageFragments">, LambdaInvoke>>;

/** The state machine LoadBatch: every state is created here or in a machine-*.ts beside this file. */
export class LoadMachine extends Construct {
  readonly stateMachine: StateMachine;

  constructor(scope: Construct, id: string, props: LoadMachineProps) {
    super(scope, id);
    this.stateMachine = new StateMachine(this, "StateMachine", {
      stateMachineName: machineName,
      stateMachineType: StateMachineType.STANDARD,
      definitionBody: DefinitionBody.fromChainable(loadBatch(this, props)),
      tracingEnabled: true,
      // Only names and times of states: inputs and outputs stay in the execution history.
      logs: { destination: props.logGroup, level: LogLevel.ALL, includeExecutionData: false },
    });
  }
}

/** Everything that the ways between the states name. */
type Parts = BlockedRounds & { readonly scope: Construct; readonly tasks: Tasks; readonly stage: MapState };

function loadBatch(scope: Construct, props: LoadMachineProps): IChainable {
  const maxRetries = props.maxRetries ?? 3;
  const tasks = createTasks(scope, props.handlers, maxRetries);
  const stage = stageBatch(scope, { handler: props.handlers.StageFragments, maxRetries });
  const parts = { scope, tasks, stage, ...blockedRounds(scope, props.topic, tasks.ValidateBatch) };
  const superseded = new Succeed(scope, "Superseded", { comment: "Another execution acts on the batch by now" });
  catchErrors(parts, superseded);
  tasks.ValidateBatch.next(afterValidate(parts));
  stage.next(tasks.CommitBatch);
  tasks.CommitBatch.next(afterCommit(parts));
  tasks.ArchiveFragments.next(afterArchive(parts));
  tasks.CloseBatch.next(afterClose(parts, props.topic));
  tasks.FailBatch.next(afterFail(parts, superseded));
  tasks.RollbackBatch.next(afterRollback(parts));
  return begin(scope).next(tasks.ValidateBatch);
}

/** In this order, since States.ALL matches every name; FailBatch is for what happens before the commit only. */
function catchErrors({ tasks, stage, countRound }: Parts, superseded: Succeed): void {
  for (const task of Object.values(tasks))
    task.addCatch(superseded, { errors: [errorNames.staleFence], ...keepingError });
  tasks.CommitBatch.addCatch(tasks.FailBatch, { errors: [errorNames.permanent], ...keepingError });
  for (const state of [...Object.values(tasks), stage])
    state.addCatch(countRound, { errors: [Errors.ALL], ...keepingError });
}

function begin(scope: Construct): Pass {
  return new Pass(scope, "Begin", {
    parameters: {
      input: JsonPath.entirePayload,
      execution: JsonPath.stringAt("$$.Execution.Id"),
      rounds: 0,
      waitSeconds: blockedWait.firstSeconds,
    },
  });
}

function createTasks(scope: Construct, handlers: LoadMachineProps["handlers"], maxRetries: number): Tasks {
  const onRun = (state: Exclude<TaskState, "StageFragments" | "ValidateBatch" | "FailBatch">) =>
    loadTask(scope, { state, handler: handlers[state], payload: ["run", "execution", "rounds"], maxRetries });
  return {
    ValidateBatch: loadTask(scope, {
      state: "ValidateBatch",
      handler: handlers.ValidateBatch,
      payload: ["input", "execution", "rounds"],
      maxRetries,
    }),
    CommitBatch: onRun("CommitBatch"),
    ArchiveFragments: onRun("ArchiveFragments"),
    CloseBatch: onRun("CloseBatch"),
    FailBatch: loadTask(scope, {
      state: "FailBatch",
      handler: handlers.FailBatch,
      payload: ["run", "execution", "rounds", "error"],
      maxRetries,
    }),
    RollbackBatch: onRun("RollbackBatch"),
  };
}

function afterValidate({ scope, tasks, stage, unknownAnswer }: Parts): Choice {
  const recorded = new Succeed(scope, "Recorded", { inputPath: "$.run" });
  const atFault = new Pass(scope, "BatchAtFault", {
    comment: "FailBatch reads an error; here ValidateBatch answered it as data",
    parameters: { Error: errorNames.permanent, Cause: JsonPath.stringAt("$.run.message") },
    resultPath: "$.error",
  }).next(tasks.FailBatch);
  const inLine = new Wait(scope, waitStates.line, { time: WaitTime.secondsPath("$.run.waitSeconds") });
  return routeAnswers(new Choice(scope, "Route"), "ValidateBatch", {
    stage,
    archive: tasks.ArchiveFragments,
    close: tasks.CloseBatch,
    rollback: tasks.RollbackBatch,
    fail: atFault,
    later: inLine.next(tasks.ValidateBatch),
    wait: recorded,
    busy: recorded,
    already_processed: recorded,
    refused: new Fail(scope, "Refused", { errorPath: "$.run.code", causePath: "$.run.message" }),
  }).otherwise(unknownAnswer);
}

function afterCommit({ scope, tasks, stage, unknownAnswer }: Parts): Choice {
  return routeAnswers(new Choice(scope, "Committed"), "CommitBatch", {
    committed: tasks.ArchiveFragments,
    compared: tasks.ArchiveFragments,
    previewed: tasks.CloseBatch,
    restage: stage,
    replan: tasks.ValidateBatch,
  }).otherwise(unknownAnswer);
}

function afterArchive({ scope, tasks, unknownAnswer }: Parts): Choice {
  return routeAnswers(new Choice(scope, "Archived"), "ArchiveFragments", {
    more: tasks.ArchiveFragments,
    done: tasks.CloseBatch,
  }).otherwise(unknownAnswer);
}

function afterFail({ scope, tasks, unknownAnswer }: Parts, superseded: Succeed): Choice {
  return routeAnswers(new Choice(scope, "Failed"), "FailBatch", {
    archive: tasks.ArchiveFragments,
    close: tasks.CloseBatch,
    end: superseded,
  }).otherwise(unknownAnswer);
}

function afterRollback({ scope, tasks, unknownAnswer }: Parts): Choice {
  const ways = { close: tasks.CloseBatch };
  return routeAnswers(new Choice(scope, "RolledBack"), "RollbackBatch", ways).otherwise(unknownAnswer);
}

/** A lost notice changes no outcome, and a preview gives none. */
function afterClose({ scope, tasks, unknownAnswer }: Parts, topic: ITopic): Choice {
  const loaded = new Succeed(scope, "Loaded", { inputPath: "$.close.result" });
  const failed = new Fail(scope, "BatchFailed", {
    errorPath: "$.close.result.code",
    causePath: "$.close.result.message",
  });
  const closed = answered("CloseBatch", "closed");
  const preview = Condition.stringEquals("$.run.kind", "preview");
  const failure = Condition.stringEquals("$.close.result.status", "failed");
  const again = answered("CloseBatch", "again");
  return new Choice(scope, "Closed")
    .when(again, noticeTask(scope, noticeStates.soFar, { topic, next: tasks.ValidateBatch }))
    .when(Condition.and(closed, preview, failure), failed)
    .when(Condition.and(closed, preview), loaded)
    .when(Condition.and(closed, failure), noticeTask(scope, noticeStates.failure, { topic, next: failed }))
    .when(closed, noticeTask(scope, noticeStates.success, { topic, next: loaded }))
    .otherwise(unknownAnswer);
}
