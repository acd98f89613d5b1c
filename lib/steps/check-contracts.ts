import { BlockedError } from "../core/errors.ts";
import type { SweepContext } from "./sweep-context.ts";

/**
 * Whether the contracts in the bucket can be used: a new text that cannot is told within five minutes, and not only when
 * the next batch arrives, and until it is mended.
 */
export async function checkContracts({ ports }: SweepContext): Promise<void> {
  const { contracts, gauges, log } = ports;
  const faults = await contracts.current({ remember: true }).then((current) => current.faults, unusable);
  gauges.emit({ ContractsInvalid: faults.length > 0 ? 1 : 0 });
  if (faults.length > 0) log.warn("CONTRACT_INVALID: the newest contracts cannot be used", { faults });
}

/** Then not even older ones can be: whoever loads is blocked by it and says so; it is no fault of the sweep's. */
function unusable(error: unknown): readonly string[] {
  if (error instanceof BlockedError && error.code === "CONTRACT_INVALID") return [error.message];
  throw error;
}
