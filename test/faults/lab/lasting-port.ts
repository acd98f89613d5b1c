import { randomInt } from "node:crypto";
import { preferPort } from "../../../lib/local/free-port.ts";

/** Below the ports that systems take for outgoing connections (from 32768 on Linux, from 49152 elsewhere). */
const first = 20_000;
const end = 32_000;

/** Never given out twice: who has one may be about to come back to it. */
const given = new Set<number>();

/** A port that is still free when somebody who gave it up for a while wants it again: no connection is given it. */
export async function findLastingPort(): Promise<number> {
  for (;;) {
    const wanted = randomInt(first, end);
    if (given.has(wanted)) continue;
    given.add(wanted);
    if ((await preferPort(wanted)) === wanted) return wanted;
  }
}
