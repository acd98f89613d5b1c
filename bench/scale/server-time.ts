import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks in a second, which every Linux has. */
const ticks = 100;

type Stat = { readonly parent: number; readonly own: number; readonly ended: number };

/**
 * Processor time of a process tree of two levels in seconds, those of its children that have ended included: a
 * PostgreSQL server is one process with a child for every session.
 */
export function serverTime(pid: number): number {
  const server = readStat(pid);
  if (server === null) throw new Error(`process ${pid}: got no /proc/${pid}/stat; the server's time is read on Linux`);
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat?.parent === pid);
  return server.own + server.ended + children.reduce((sum, stat) => sum + (stat?.own ?? 0), 0);
}

/** Null where the process has ended meanwhile. */
function readStat(pid: number): Stat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return null;
  }
}

/** `pid (name) state ppid ...`: the name may hold spaces, so the fields are counted from behind its bracket. */
export function parseStat(text: string): Stat {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const seconds = (index: number): number => Number(fields[index]) / ticks;
  return { parent: Number(fields[1]), own: seconds(11) + seconds(12), ended: seconds(13) + seconds(14) };
}
