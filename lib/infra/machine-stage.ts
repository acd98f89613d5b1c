import { Duration } from "aws-cdk-lib";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import {
  Choice,
  Condition,
  Errors,
  JsonPath,
  Map as MapState,
  Pass,
  Wait,
  WaitTime,
} from "aws-cdk-lib/aws-stepfunctions";
import type { LambdaInvoke } from "aws-cdk-lib/aws-stepfunctions-tasks";
import type { Construct } from "constructs";
import { stageWait, waitStates } from "../core/machine.ts";
import { answered, keepingError, loadTask } from "./machine-tasks.ts";

/** The most workers that one load may have at a time. ValidateBatch chooses how many there are. */
export const mostWorkers = 40;

export type StageProps = {
  readonly handler: IFunction;
  readonly maxRetries: number;
};

/**
 * The Map over a load's workers. Each iteration calls its worker until nothing is left to claim. Errors end the
 * iteration and not the Map: CommitBatch reads from the ledger how each work item ended, and throws what is right.
 */
export function stageBatch(scope: Construct, props: StageProps): MapState {
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
