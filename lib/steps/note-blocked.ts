import type { Fault } from "../core/errors.ts";
import type { Claims, Plans } from "../core/ports.ts";
import type { Run } from "../core/run.ts";

export type BlockedPorts = {
  readonly claims: Pick<Claims, "noteBlocked">;
  readonly plans: Pick<Plans, "emptyStaging">;
};

/** Notes why a load does not move; where the disk is full, what it has staged makes room, and is staged again later. */
export async function noteBlocked(
  { claims, plans }: BlockedPorts,
  { run, execution }: { readonly run: Run; readonly execution: string },
  fault: Fault,
): Promise<void> {
  try {
    await claims.noteBlocked(execution, fault);
  } finally {
    if (fault.code === "DB_DISK_FULL" && run.kind === "load") await plans.emptyStaging(run);
  }
}
