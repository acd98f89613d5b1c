import { z } from "zod";
import { taskHandler } from "../lib/aws/task-handler.ts";
import { emitCounts } from "../lib/aws/telemetry.ts";
import { metricNames } from "../lib/core/states.ts";
import { type SweepPorts, sweep } from "../lib/steps/sweep.ts";
import { openStarter } from "../lib/wiring.ts";

async function sweepAndCount(ports: SweepPorts) {
  const answer = await sweep(ports);
  if (answer.ran) {
    emitCounts({ [metricNames.stalledLoads]: answer.stalled, [metricNames.blockedLoads]: answer.blocked });
  }
  return answer;
}

/** The schedule's event says nothing that the sweep needs. */
export const handler = taskHandler({
  name: "Sweep",
  request: z.unknown(),
  open: openStarter,
  step: sweepAndCount,
});
