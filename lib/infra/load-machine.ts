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
import {
  answered,
  keepingError,
  loadTask,
  type PayloadMember,
  retryTransientFaults,
  routeAnswers,
} from "./machine-tasks.ts";

type LoadMachineProps = {
  /** The published version that runs each task state. */
  readonly handlers: Readonly<Record<TaskState, IFunction>>;
  /** Topic of notices of success, failure and blocked loads. */
  readonly topic: ITopic;
  readonly logGroup: ILogGroup;
  /** Number of times that a task is tried again after a transient fault. @default 3 */
  readonly maxRetries?: number;
};

type Tasks = Readonly<Record<Exclude<TaskState, "StageFragments">, LambdaInvoke>>;

/** The state machine LoadBatch; its tasks are made by machine-tasks.ts. */
export class LoadMachine extends Construct {
  readonly stateMachine: StateMachine;

  constructor(scope: Construct, id: string, props: LoadMachineProps) {
    super(scope, id);
    this.stateMachine = new StateMachine(this, "StateMachine", {
      stateMachineName: machineName,
      stateMachineType: StateMachineType.STANDARD,
      definitionBody: DefinitionBody.fromChainable(loadBatch(this, props)),
      tracingEnabled: true,
      // The log has names and times of states; inputs and outputs stay in the execution history.
      logs: { destination: props.logGroup, level: LogLevel.ALL, includeExecutionData: false },
    });
  }
}

/** The states that the transitions refer to. */
type Parts = BlockedRounds & { readonly scope: Construct; readonly tasks: Tasks; readonly stage: MapState };

function loadBatch(scope: Construct, props: LoadMachineProps): IChainable {
  const maxRetries = props.maxRetries ?? 3;
  const tasks = createTasks(scope, props.handlers, maxRetries);
  const stage = stageBatch(scope, props.handlers.StageFragments, maxRetries);
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

/** Adds catches, States.ALL last since it matches every name. FailBatch only handles faults before the commit. */
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
  const task = (state: keyof Tasks, ...payload: PayloadMember[]) =>
    loadTask(scope, { state, handler: handlers[state], payload, maxRetries });
  return {
    ValidateBatch: task("ValidateBatch", "input", "execution", "rounds"),
    CommitBatch: task("CommitBatch", "run", "execution", "rounds"),
    ArchiveFragments: task("ArchiveFragments", "run", "execution", "rounds"),
    CloseBatch: task("CloseBatch", "run", "execution", "rounds"),
    FailBatch: task("FailBatch", "run", "execution", "rounds", "error"),
    RollbackBatch: task("RollbackBatch", "run", "execution", "rounds"),
  };
}

function afterValidate({ scope, tasks, stage, unknownAnswer }: Parts): Choice {
  const recorded = new Succeed(scope, "Recorded", { inputPath: "$.run" });
  const atFault = new Pass(scope, "BatchAtFault", {
    comment: "FailBatch reads an error; here ValidateBatch answered it as data",
    parameters: { Error: errorNames.permanent, Cause: JsonPath.stringAt("$.run.message") },
    resultPath: "$.error",
  }).next(tasks.FailBatch);
  const turn = new Wait(scope, waitStates.line, { time: WaitTime.secondsPath("$.run.waitSeconds") });
  return routeAnswers(new Choice(scope, "Route"), "ValidateBatch", {
    stage,
    archive: tasks.ArchiveFragments,
    close: tasks.CloseBatch,
    rollback: tasks.RollbackBatch,
    fail: atFault,
    later: turn.next(tasks.ValidateBatch),
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

/** Sends a notice, except for quiet kinds, and ends the execution; a notice that cannot be sent changes no outcome. */
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
  /** Next state after a caught error. */
  readonly countRound: Pass;
  /** Next state after an answer that no choice knows: a mistake of the loader, never of the batch. */
  readonly unknownAnswer: Pass;
};

/**
 * The notice of a blocked load. The cause of a loader's error says what is wrong and what to do, without values. The
 * error is sent as a whole, because some errors of Step Functions have no cause.
 */
const message = JsonPath.format(
  "blocked: {} waits for its environment, and goes on by itself: {}",
  JsonPath.stringAt("$.execution"),
  JsonPath.jsonToString(JsonPath.objectAt("$.error")),
);

/** Waits longer each round, and goes back to `again`, which finds out what is left to do; ends after the last round. */
function blockedRounds(scope: Construct, topic: ITopic, again: IChainable): BlockedRounds {
  const gaveUp = new Fail(scope, "GaveUp", { error: errorNames.blocked, causePath: "$.error.Cause" });
  const gaveUpMute = new Fail(scope, "GaveUpWithoutCause", { error: errorNames.blocked, causePath: "$.error.Error" });
  const countRound = new Pass(scope, "CountRound", {
    comment: "Keeps what a new round needs, and drops what the tasks answered in this one",
    parameters: {
      ...roundData(JsonPath.numberAt("$.waitSeconds")),
      rounds: JsonPath.mathAdd(JsonPath.numberAt("$.rounds"), 1),
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
  const longer = new Pass(scope, "LongerWait", { parameters: roundData(JsonPath.mathAdd(now, now)) });
  const longest = new Pass(scope, "LongestWait", { parameters: roundData(blockedWait.longestSeconds) });
  wait.next(
    new Choice(scope, "WaitLength")
      .when(Condition.numberGreaterThan("$.waitSeconds", blockedWait.longestSeconds / 2), longest.next(again))
      .otherwise(longer.next(again)),
  );
  return wait;
}

/** The data that a round passes to the next one. */
function roundData(waitSeconds: number | string): Record<string, unknown> {
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
  /** Next state, whether the notice was sent or not. */
  readonly next: IChainable;
  /** @default the notice of CloseBatch: status, batch id, counts */
  readonly message?: string;
};

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

/** Most workers that one load may have at a time; ValidateBatch chooses the number. */
const mostWorkers = 40;

/**
 * The Map over a load's workers. Each iteration calls its worker until no work item is left to claim. An error ends the
 * iteration and not the Map: CommitBatch reads from the ledger how each work item ended, and throws the error for it.
 */
function stageBatch(scope: Construct, handler: IFunction, maxRetries: number): MapState {
  const map = new MapState(scope, "StageBatch", {
    itemsPath: "$.run.workers",
    itemSelector: { ...workerInput(JsonPath.numberAt("$$.Map.Item.Value")), waitSeconds: stageWait.firstSeconds },
    maxConcurrency: mostWorkers,
    resultPath: JsonPath.DISCARD,
  });
  return map.itemProcessor(workerLoop(scope, handler, maxRetries));
}

function workerLoop(scope: Construct, handler: IFunction, maxRetries: number): LambdaInvoke {
  const payload = ["run", "execution", "worker"] as const;
  const worker = loadTask(scope, { state: "StageFragments", handler, payload, maxRetries });
  // Both ends answer the worker's number alone, so that the Map's result stays small after any number of rounds.
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
