/**
 * The states of the machine LoadBatch that run a Lambda, each with the name of its handler file: the state
 * `StageFragments` runs `functions/stage-fragments.ts`.
 */
export const taskStates = {
  ValidateBatch: "validate-batch",
  StageFragments: "stage-fragments",
  CommitBatch: "commit-batch",
  ArchiveFragments: "archive-fragments",
  CloseBatch: "close-batch",
  FailBatch: "fail-batch",
  RollbackBatch: "rollback-batch",
} as const;

export type TaskState = keyof typeof taskStates;

/** The handlers outside the machine. */
export const otherFunctions = ["start-load", "sweep", "operate", "migrate"] as const;

export const machineName = "LoadBatch";

/** The answers of each task in its member `next`; the machine's choices match these and no other text. */
export const answers = {
  ValidateBatch: [
    "stage",
    "archive",
    "close",
    "rollback",
    "fail",
    "later",
    "wait",
    "busy",
    "already_processed",
    "refused",
  ],
  StageFragments: ["done", "more", "wait"],
  CommitBatch: ["committed", "compared", "previewed", "restage", "replan"],
  ArchiveFragments: ["more", "done"],
  CloseBatch: ["closed", "again"],
  FailBatch: ["archive", "close", "end"],
  RollbackBatch: ["close"],
} as const;

export type Answer<State extends TaskState> = (typeof answers)[State][number];

/** The namespace of the metrics in CloudWatch. */
export const metricsNamespace = "TableLoader";
/** The service's name in logs, metrics (their dimension `service`) and traces. */
export const serviceName = "table-loader";

/**
 * The machine's SNS tasks, which run no handler: a local environment overrides them. `soFar` tells of a load that is
 * done while the execution looks at objects that arrived meanwhile.
 */
export const noticeStates = {
  success: "NotifySuccess",
  soFar: "NotifySoFar",
  failure: "NotifyFailure",
  blocked: "NotifyBlocked",
} as const;

/** The machine's Wait states; a local environment may shorten them. */
export const waitStates = {
  stage: "StageLater",
  stageLong: "StageMuchLater",
  blocked: "BlockedWait",
  line: "WaitInLine",
} as const;
