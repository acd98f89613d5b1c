import type { ITopic } from "aws-cdk-lib/aws-sns";
import {
  Choice,
  Condition,
  Fail,
  type IChainable,
  JsonPath,
  Pass,
  Wait,
  WaitTime,
} from "aws-cdk-lib/aws-stepfunctions";
import type { Construct } from "constructs";
import { errorNames } from "../core/errors.ts";
import { blockedWait, noticeStates, waitStates } from "../core/machine.ts";
import { noticeTask } from "./machine-notice.ts";

export type BlockedRounds = {
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
export function blockedRounds(scope: Construct, topic: ITopic, again: IChainable): BlockedRounds {
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
