import { Duration } from "aws-cdk-lib";
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
  Map as MapState,
  Pass,
  StateMachine,
  StateMachineType,
  Succeed,
  TaskInput,
  Timeout,
  Wait,
  WaitTime,
} from "aws-cdk-lib/aws-stepfunctions";
import { type LambdaInvoke, SnsPublish } from "aws-cdk-lib/aws-stepfunctions-tasks";
import { Construct } from "constructs";
import { blockedWait, stageWait } from "../core/durations.ts";
import { errorNames } from "../core/errors.ts";
import { kinds, runKind } from "../core/kinds.ts";
import { machineName, noticeStates, type TaskState, waitStates } from "../core/machine.ts";
import { answered, keepingError, loadTask, retryTransientFaults, routeAnswers } from "./machine-tasks.ts";

type LoadMachineProps = {
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

const quietKinds = runKind.options.filter((kind) => !kinds[kind].notifies);

/** A lost notice changes no outcome, and some kinds give none. */
function afterClose({ scope, tasks, unknownAnswer }: Parts, topic: ITopic): Choice {
  const loaded = new Succeed(scope, "Loaded", { inputPath: "$.close.result" });
  const failed = new Fail(scope, "BatchFailed", {
    errorPath: "$.close.result.code",
    causePath: "$.close.result.message",
  });
  const closed = answered("CloseBatch", "closed");
  const failure = Condition.stringEquals("$.close.result.status", "failed");
  const again = answered("CloseBatch", "again");
  const choice = new Choice(scope, "Closed").when(
    again,
    noticeTask(scope, noticeStates.soFar, { topic, next: tasks.ValidateBatch }),
  );
  for (const kind of quietKinds) {
    const quiet = Condition.stringEquals("$.run.kind", kind);
    choice.when(Condition.and(closed, quiet, failure), failed).when(Condition.and(closed, quiet), loaded);
  }
  return choice
    .when(Condition.and(closed, failure), noticeTask(scope, noticeStates.failure, { topic, next: failed }))
    .when(closed, noticeTask(scope, noticeStates.success, { topic, next: loaded }))
    .otherwise(unknownAnswer);
}

type BlockedRounds = {
  /** Where a caught error goes. */
  readonly countRound: Pass;
  /** Where an answer that no choice knows goes: the loader's own mistake, never the batch's. */
  readonly unknownAnswer: Pass;
};

/**
 * Errors of the loader say in their cause what is wrong and what to do; they hold no values. As a whole, because some of
 * Step Functions' own errors have no cause.
 */
const message = JsonPath.format(
  "blocked: {} waits for its environment, and goes on by itself: {}",
  JsonPath.stringAt("$.execution"),
  JsonPath.jsonToString(JsonPath.objectAt("$.error")),
);

/** Waits, longer each round, and lets `again` find out what is left to do; gives up when the rounds are used up. */
function blockedRounds(scope: Construct, topic: ITopic, again: IChainable): BlockedRounds {
  const gaveUp = new Fail(scope, "GaveUp", { error: errorNames.blocked, causePath: "$.error.Cause" });
  const gaveUpMute = new Fail(scope, "GaveUpWithoutCause", { error: errorNames.blocked, causePath: "$.error.Error" });
  const countRound = new Pass(scope, "CountRound", {
    comment: "Keeps what a new round needs, and drops what the tasks answered in this one",
    parameters: {
      input: JsonPath.objectAt("$.input"),
      execution: JsonPath.stringAt("$.execution"),
      rounds: JsonPath.mathAdd(JsonPath.numberAt("$.rounds"), 1),
      waitSeconds: JsonPath.numberAt("$.waitSeconds"),
      error: JsonPath.objectAt("$.error"),
    },
  });
  const wait = waitLonger(scope, again);
  const isLast = Condition.numberGreaterThanEquals("$.rounds", blockedWait.rounds);
  countRound.next(
    new Choice(scope, "RoundsLeft")
      .when(
        Condition.numberEquals("$.rounds", 1),
        noticeTask(scope, noticeStates.blocked, { topic, next: wait, message }),
      )
      .when(Condition.and(isLast, Condition.isPresent("$.error.Cause")), gaveUp)
      .when(isLast, gaveUpMute)
      .otherwise(wait),
  );
  return { countRound, unknownAnswer: unknownAnswer(scope, countRound) };
}

function waitLonger(scope: Construct, again: IChainable): Wait {
  const wait = new Wait(scope, waitStates.blocked, { time: WaitTime.secondsPath("$.waitSeconds") });
  const now = JsonPath.numberAt("$.waitSeconds");
  const longer = new Pass(scope, "LongerWait", { parameters: nextRound(JsonPath.mathAdd(now, now)) });
  const longest = new Pass(scope, "LongestWait", { parameters: nextRound(blockedWait.longestSeconds) });
  wait.next(
    new Choice(scope, "WaitLength")
      .when(Condition.numberGreaterThan("$.waitSeconds", blockedWait.longestSeconds / 2), longest.next(again))
      .otherwise(longer.next(again)),
  );
  return wait;
}

function nextRound(waitSeconds: number | string): Record<string, unknown> {
  return {
    input: JsonPath.objectAt("$.input"),
    execution: JsonPath.stringAt("$.execution"),
    rounds: JsonPath.numberAt("$.rounds"),
    waitSeconds,
  };
}

function unknownAnswer(scope: Construct, countRound: Pass): Pass {
  const error = {
    Error: errorNames.blocked,
    Cause: "LOADER_BUG: a task gave an answer that the machine does not know",
  };
  const pass = new Pass(scope, "UnknownAnswer", { parameters: error, resultPath: "$.error" });
  pass.next(countRound);
  return pass;
}

const snsFaults = ["SNS.InternalErrorException", "SNS.ThrottledException", "SNS.SdkClientException", Errors.TIMEOUT];

type NoticeProps = {
  readonly topic: ITopic;
  /** Where to go on, sent or not. */
  readonly next: IChainable;
  /** @default what CloseBatch wrote: status, batch id, counts */
  readonly message?: string;
};

/** Sends a text; whether that succeeds changes no outcome. */
function noticeTask(scope: Construct, state: string, props: NoticeProps): SnsPublish {
  const { topic, next, message = JsonPath.stringAt("$.close.result.notice") } = props;
  const notice = new SnsPublish(scope, state, {
    topic,
    message: TaskInput.fromText(message),
    resultPath: JsonPath.DISCARD,
    taskTimeout: Timeout.duration(Duration.seconds(30)),
  });
  retryTransientFaults(notice, snsFaults, 3);
  notice.addCatch(next, { errors: [Errors.ALL], resultPath: JsonPath.DISCARD });
  notice.next(next);
  return notice;
}

/** The most workers that one load may have at a time. ValidateBatch chooses how many there are. */
const mostWorkers = 40;

type StageProps = {
  readonly handler: IFunction;
  readonly maxRetries: number;
};

/**
 * The Map over a load's workers. Each iteration calls its worker until nothing is left to claim. Errors end the
 * iteration and not the Map: CommitBatch reads from the ledger how each work item ended, and throws what is right.
 */
function stageBatch(scope: Construct, props: StageProps): MapState {
  const map = new MapState(scope, "StageBatch", {
    itemsPath: "$.run.workers",
    itemSelector: { ...workerInput(JsonPath.numberAt("$$.Map.Item.Value")), waitSeconds: stageWait.firstSeconds },
    maxConcurrency: mostWorkers,
    resultPath: JsonPath.DISCARD,
  });
  return map.itemProcessor(workerLoop(scope, props));
}

function workerLoop(scope: Construct, props: StageProps): LambdaInvoke {
  const worker = loadTask(scope, {
    state: "StageFragments",
    handler: props.handler,
    payload: ["run", "execution", "worker"],
    maxRetries: props.maxRetries,
  });
  // Both ends answer the number alone, so that the Map's result stays small however many rounds there were.
  const ended = new Pass(scope, "WorkerEnded", { outputPath: "$.worker" });
  const stopped = new Pass(scope, "WorkerStopped", { outputPath: "$.worker" });
  worker.addCatch(stopped, { errors: [Errors.ALL], ...keepingError });
  worker.next(afterStage(scope, worker, ended));
  return worker;
}

function afterStage(scope: Construct, worker: LambdaInvoke, ended: Pass): Choice {
  const wait = answered("StageFragments", "wait");
  const waitedLong = Condition.numberGreaterThanEquals("$.waitSeconds", stageWait.longestSeconds);
  const doubled = new Pass(scope, "LengthenStageWait", {
    parameters: {
      ...workerInput(JsonPath.numberAt("$.worker")),
      waitSeconds: JsonPath.mathAdd(JsonPath.numberAt("$.waitSeconds"), JsonPath.numberAt("$.waitSeconds")),
    },
  });
  const later = new Wait(scope, waitStates.stage, { time: WaitTime.secondsPath("$.waitSeconds") });
  const muchLater = new Wait(scope, waitStates.stageLong, {
    time: WaitTime.duration(Duration.seconds(stageWait.longestSeconds)),
  });
  later.next(doubled).next(worker);
  muchLater.next(worker);
  return new Choice(scope, "Staged")
    .when(answered("StageFragments", "more"), worker)
    .when(Condition.and(wait, waitedLong), muchLater)
    .when(wait, later)
    .when(answered("StageFragments", "done"), ended);
}

function workerInput(worker: number): Record<string, unknown> {
  return { run: JsonPath.objectAt("$.run"), execution: JsonPath.stringAt("$.execution"), worker };
}
