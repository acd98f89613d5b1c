import { setTimeout as pause } from "node:timers/promises";

const pauseMilliseconds = 250;
/** Far more than anything here takes on two cores; what takes longer hangs. */
const longestSeconds = 180;

/**
 * Asks again and again until there is an answer.
 *
 * @param what in the message, with what was seen last
 * @param ask null or undefined: not yet
 */
export async function until<Answer>(
  what: string,
  ask: () => Promise<Answer | null | undefined | false>,
  describe: () => Promise<unknown> = async () => "",
): Promise<Answer> {
  const deadline = Date.now() + longestSeconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) {
      const seen = JSON.stringify(await describe());
      throw new Error(`${what}: expected within ${longestSeconds} s, got ${seen}; see the emulator's log`);
    }
    await pause(pauseMilliseconds);
  }
}
