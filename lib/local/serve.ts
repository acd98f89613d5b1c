import { once } from "node:events";
import { stagingPrefix } from "../core/keys.ts";
import { escapeText } from "../core/rejects.ts";
import { noticeOf } from "../core/report.ts";
import { type LocalEnvironmentOptions, type LocalEvent, openLocalEnvironment } from "./environment.ts";
import { preferPort } from "./free-port.ts";
import { guideText } from "./guide.ts";
import { type EndedExecution, watchExecutions } from "./watch-executions.ts";

type ServeOptions = {
  /** Folder that keeps everything. */
  readonly directory: string;
  readonly logLevel: NonNullable<LocalEnvironmentOptions["logLevel"]>;
  readonly write: (line: string) => void;
  readonly stop: AbortSignal;
};

/** The same at every start, so that the settings of clients stay valid; a port that is taken is replaced. */
const ports = { database: 54_329, bucket: 4_569, machine: 4_570 } as const;

/** Opens the environment, says how to reach it, and writes what happens in it until it is stopped. */
export async function serveLocal({ directory, logLevel, write, stop }: ServeOptions): Promise<void> {
  write("starting (the first time takes a little longer) ...");
  const tell = tellChanges(write);
  const watch = watchExecutions((ended) => tell(ended.batchId, endText(ended)));
  const environment = await openLocalEnvironment({
    directory,
    logLevel,
    ports: {
      database: await preferPort(ports.database),
      bucket: await preferPort(ports.bucket),
      machine: await preferPort(ports.machine),
    },
    onEvent: (event) => {
      watch.onEvent(event);
      const line = eventText(event);
      if (line) tell(null, line);
    },
  });
  watch.attach(environment);
  try {
    write(guideText(environment));
    if (!stop.aborted) await once(stop, "abort");
    write("closing ...");
  } finally {
    await environment.close();
  }
}

/** Writes a line with the time, unless it repeats the last of its batch: every sweep finds waiting batches again. */
function tellChanges(write: (line: string) => void): (batchId: string | null, text: string) => void {
  const last = new Map<string, string>();
  return (batchId, text) => {
    if (batchId !== null && last.get(batchId) === text) return;
    if (batchId !== null) last.set(batchId, text);
    write(`${new Date().toTimeString().slice(0, 8)}  ${escapeText(text)}`);
  };
}

function eventText(event: LocalEvent): string | null {
  if (event.kind === "arrival") {
    const { key, size } = event.arrival.detail.object;
    return key.startsWith(stagingPrefix) ? `arrived  ${key} (${size} bytes)` : null;
  }
  if (event.kind === "fault") return `fault    ${event.error instanceof Error ? event.error.message : event.error}`;
  return null;
}

/** One line: what became of the batch, its id, and counts or the reason. */
function endText({ batchId, outcome }: EndedExecution): string {
  if (outcome.kind === "loaded" || outcome.kind === "previewed") {
    const counts = /\((.*)\)$/.exec(noticeOf({ ...outcome.result, errors: [] }))?.[1] ?? "";
    return `${outcome.result.status.padEnd(8)} ${batchId}: ${counts}`;
  }
  return `${outcome.kind.replaceAll("_", " ").padEnd(8)} ${batchId}: ${outcome.code}: ${outcome.message}`;
}
