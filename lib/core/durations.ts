/**
 * Durations that two places must agree on; one that a single file needs stays there. test/core/durations.test.ts checks
 * the relations between them, and test/docs.test.ts the texts that name them.
 */

// A load: Lambda < task < lease.

/** Time of an invocation of a load's functions, the longest that Lambda allows. Every step ends its work before. */
export const lambdaTimeoutSeconds = 900;
/** Time that the machine waits for a task: longer than the invocation, so that it learns how that ended. */
export const taskTimeoutSeconds = 930;
/** Default of LEASE_SECONDS: longer than a task and than the wait of a blocked load, which both go on afterwards. */
export const leaseSeconds = 960;
/** Default of TRANSACTION_TIMEOUT: all statements of a commit together, within an invocation of CommitBatch. */
export const transactionTimeoutSeconds = 300;

// Time kept back before an invocation ends. The simulation of bench/scale keeps the same.

/** Time that a worker keeps for the end of its slice. */
export const stageReserveSeconds = 15;
/** Time that CommitBatch keeps, so that its transaction ends before the Lambda is killed. */
export const commitReserveSeconds = 30;
/** Time that ArchiveFragments keeps for the objects that it has begun to move. */
export const archiveReserveSeconds = 20;

// Progress of a load

/** Longest time between two checkpoints of a worker, which renew the lease: what a crash can cost. */
export const sliceSeconds = 30;
/** Time that a slice aims at, well below the longest, so that a slow database costs little when a worker dies. */
export const sliceTargetSeconds = 20;
/** Age of the last checkpoint from which a blocked load counts for no turn: more than a worker needs for one. */
export const quietLoadSeconds = 60;
/**
 * Age of the last progress from which a load is STALLED. The view public.loader_status has the same number, in a
 * migration, which cannot read it from here, and the alarm StalledLoads names it.
 */
export const stallMinutes = 5;

// Waits of the machine

/** Rounds of a load that its environment blocks: the wait doubles from the first to the longest. */
export const blockedWait = { firstSeconds: 30, longestSeconds: 600, rounds: 200 } as const;
/** Wait of a worker without a free work item: it doubles, so that long waits cost few history events. */
export const stageWait = { firstSeconds: 5, longestSeconds: 60 } as const;
/** Time that a worker waits for the others before the machine waits, and the pause between two looks meanwhile. */
export const stagePatience = { seconds: 5, lookMilliseconds: 250 } as const;
/** Waits before a task that Lambda throttled is tried again; the machine adds full jitter. */
export const throttledWait = { firstSeconds: 1, growth: 1.5, longestSeconds: 30 } as const;

// Turns

/** Longest time between two questions of a batch for its turn. */
export const longestTurnPauseSeconds = 30;
/** Time in which batches that arrive together all get a place, so that the order is that of their approvals. */
export const turnSettleSeconds = 5;
/** Time that a place is kept without a question: more than the longest pause with its retries. */
export const turnPlaceSeconds = 180;
/** Wait for a turn after which an execution ends, before it runs out of events; the next sweep starts another one. */
export const longestTurnWaitSeconds = 12 * 3600;

// Arrivals

/** Time of an invocation of start-load. */
export const startLoadTimeoutSeconds = 30;
/** Time until a message that start-load gave back comes again. AWS asks for at least six times the function's own. */
export const arrivalVisibilityMinutes = 6;

// The sweep

/**
 * Time between two sweeps, which is also the period of alarms and dashboard: the sweep emits what they read. Texts of
 * doctor, dashboard and docs name it.
 */
export const sweepIntervalMinutes = 5;
/** Time of one sweep, also of its function: less than its lease and than the interval. */
export const sweepTimeoutSeconds = 240;
/** Lease of a sweep: if it was killed, the lease ends in time for the next one. */
export const sweepLeaseSeconds = 300;
/** Silence that doctor reports: one sweep may fail. */
export const sweepSilenceMinutes = 2 * sweepIntervalMinutes;
/** Silence that raises the alarm SilentSweep. */
export const sweepAlarmMinutes = 3 * sweepIntervalMinutes;
/** Time between two sweeps of a local environment. */
export const localSweepSeconds = 30;

// Limits of the sweep and doctor

/** Age at which the sweep drops a plan without a batch; a younger one may still be being written. */
export const orphanMinutes = 10;
/** Age at which doctor reports such a plan: four sweeps should have dropped it by then. */
export const leftoverMinutes = orphanMinutes + 4 * sweepIntervalMinutes;
/** Age at which a waiting batch is a warning in the sweep's log, and a finding of doctor. */
export const waitingNoticeHours = 24;
/** Age at which a running execution is a finding of doctor. */
export const longExecutionHours = 24;
/** Period over which doctor counts the batches that only the sweep started. */
export const missedEventsHours = 1;
/** Idle time in a transaction from which doctor reports a session: the server should have ended it before. */
export const stuckSessionMinutes = 1;

// Doctor: answer < check < diagnosis < function

/** Time that doctor gives the database, the bucket or another service for one answer. */
export const doctorAnswerSeconds = 4;
/** Time of one check: a little more than for an answer, so that the fault of the answer comes first. */
export const doctorCheckSeconds = 6;
/** Time of all checks of the function together. */
export const doctorSeconds = 40;
/** Time of an invocation of operate, which runs the diagnosis. */
export const operateTimeoutSeconds = 60;

// Patience

/** Time of a transaction without a limit of its own. Doctor reports a role whose limits are shorter. */
export const plainTransactionSeconds = 60;
/** Time beyond its own limit after which a transaction is given up: the server should have ended it by then. */
export const transactionGraceSeconds = 15;
/** Time without an answer after which a COPY is given up. */
export const copyStallSeconds = 30;
/** Time until a new connection is ready. */
export const openConnectionSeconds = 15;
/** Time that a statement waits for the lock of another session. */
export const lockWaitSeconds = 20;
/** Time after which the server ends the session of a client that is gone: docs promise a minute, doctor expects it. */
export const deadClientSeconds = 45;
/** Time that a local environment waits at its end for handlers at work. */
export const localCloseSeconds = 10;

// Retention

/** Default of UNDO_RETENTION_DAYS: undo images, which the sweep deletes. */
export const undoRetentionDays = 90;
/** Default of AUDIT_RETENTION_DAYS: audit rows and the sweep's own records, which the sweep deletes. */
export const auditRetentionDays = 365;
/** Retention of a preview's report in the bucket. */
export const previewDays = 7;
/** Retention of an unfinished copy in parts; doctor reports an older one. */
export const unfinishedUploadDays = 1;
/** Retention of the version below the delete marker of a fragment that was loaded. */
export const stagedVersionDays = 30;
/** Retention of versions that were overwritten or deleted in the archive of loaded fragments. */
export const loadedVersionDays = 365;
/** Retention of versions that were overwritten or deleted in the archive of failed fragments. */
export const failedVersionDays = 90;
/** Age at which archived objects move to a cheaper storage class. */
export const archiveTierDays = 90;
