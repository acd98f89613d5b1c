/**
 * Every number of seconds, minutes, hours or days that two places must agree on. What one file alone needs stays there.
 * test/core/durations.test.ts holds the relations between them, and test/docs.test.ts the texts that name them.
 */

// A load: Lambda < task < lease.

/** Time of an invocation of a load's functions, Lambda's own longest. Every step ends its work before it. */
export const lambdaTimeoutSeconds = 900;
/** Time that the machine waits for a task: longer than the invocation, so that it sees how that ended. */
export const taskTimeoutSeconds = 930;
/** Default of LEASE_SECONDS: longer than a task and than the wait of a blocked load, which both go on afterwards. */
export const leaseSeconds = 960;
/** Default of TRANSACTION_TIMEOUT: all statements of a commit together, within an invocation of CommitBatch. */
export const transactionTimeoutSeconds = 300;

// Kept back before an invocation ends. The simulation of bench/scale keeps the same.

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
/** Age of the last checkpoint from which a blocked load counts for nobody's turn; more than a worker needs for one. */
export const quietLoadSeconds = 60;
/**
 * Age of the last sign of life from which a load is STALLED. The view public.loader_status has the same number (a
 * migration, which cannot read it from here), and the alarm StalledLoads says it.
 */
export const stallMinutes = 5;

// Waits of the machine

/** Rounds of a load that its environment blocks: the wait doubles from the first to the longest. */
export const blockedWait = { firstSeconds: 30, longestSeconds: 600, rounds: 200 } as const;
/** Wait of a worker without a free work item: it doubles, so that long waits cost few history events. */
export const stageWait = { firstSeconds: 5, longestSeconds: 60 } as const;
/** Time that a worker stays for the others before the machine waits, and how often it looks meanwhile. */
export const stagePatience = { seconds: 5, lookMilliseconds: 250 } as const;
/** Waits before a task that Lambda refused (too many at a time) is tried again; the machine adds full jitter. */
export const throttledWait = { firstSeconds: 1, growth: 1.5, longestSeconds: 30 } as const;

// Turns

/** Longest time between two questions of a batch whether it is its turn. */
export const longestTurnPauseSeconds = 30;
/** Time in which batches that arrive together all get in line, so that the order is that of their approvals. */
export const turnSettleSeconds = 5;
/** Time that a place in line is kept without a question: more than the longest pause with its retries. */
export const turnPlaceSeconds = 180;
/** Time in line after which an execution ends, before it runs out of events; the next sweep starts another one. */
export const longestTurnWaitSeconds = 12 * 3600;

// Arrivals

/** Time of an invocation of start-load. */
export const startLoadTimeoutSeconds = 30;
/** Time until a message that start-load gave back comes again. AWS asks for six times the function's own at least. */
export const arrivalVisibilityMinutes = 6;

// The sweep

/**
 * Time between two sweeps, which is also the period of alarms and dashboard: the sweep emits what they look at. Texts of
 * doctor, dashboard and docs name it.
 */
export const sweepIntervalMinutes = 5;
/** Time of one sweep, also of its function: less than its lease and than the interval. */
export const sweepTimeoutSeconds = 240;
/** Time after which the lease of a sweep that was killed ends, in time for the next one. */
export const sweepLeaseSeconds = 300;
/** Silence that doctor reports: one sweep may fail. */
export const sweepSilenceMinutes = 2 * sweepIntervalMinutes;
/** Silence that raises the alarm SilentSweep. */
export const sweepAlarmMinutes = 3 * sweepIntervalMinutes;
/** Time between two sweeps of a local environment. */
export const localSweepSeconds = 30;

// What the sweep and doctor look for

/** Age at which the sweep drops a plan without a batch; a younger one may just be in the making. */
export const orphanMinutes = 10;
/** Age at which doctor reports such a plan: four sweeps have had their chance by then. */
export const leftoverMinutes = orphanMinutes + 4 * sweepIntervalMinutes;
/** Age at which a waiting batch is a warning in the sweep's log, and a finding of doctor. */
export const waitingNoticeHours = 24;
/** Age at which a running execution is a finding of doctor. */
export const longExecutionHours = 24;
/** Time over which doctor counts the batches that only the sweep started. */
export const missedEventsHours = 1;
/** Time idle in a transaction from which doctor reports a session: the server ends one sooner by itself. */
export const stuckSessionMinutes = 1;

// Doctor: answer < check < diagnosis < function

/** Time that doctor gives the database, the bucket or another service for one answer. */
export const doctorAnswerSeconds = 4;
/** Time of one check; a little more than an answer, so that the answer's own fault comes first. */
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
/** Time that a statement waits for somebody's lock. */
export const lockWaitSeconds = 20;
/** Time after which the server ends the session of a client that is gone: docs promise a minute, doctor counts on it. */
export const deadClientSeconds = 45;
/** Time that a local environment waits at its end for a handler in the middle of its work. */
export const localCloseSeconds = 10;

// How long things are kept

/** Default of UNDO_RETENTION_DAYS: undo images, which the sweep deletes. */
export const undoRetentionDays = 90;
/** Default of AUDIT_RETENTION_DAYS: audit rows and the sweep's own records, which the sweep deletes. */
export const auditRetentionDays = 365;
/** Life of a preview's report in the bucket. */
export const previewDays = 7;
/** Life of a copy in parts that was never ended; doctor reports an older one. */
export const unfinishedUploadDays = 1;
/** Life of the version below the delete marker of a fragment that was loaded. */
export const stagedVersionDays = 30;
/** Life of what somebody overwrote or deleted in the archive of loaded fragments. */
export const loadedVersionDays = 365;
/** Life of what somebody overwrote or deleted in the archive of failed fragments. */
export const failedVersionDays = 90;
/** Age at which archived objects move to a cheaper class. */
export const archiveTierDays = 90;
