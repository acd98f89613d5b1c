import { setTimeout as pause } from "node:timers/promises";

const patienceMilliseconds = 60_000;
const pauseMilliseconds = 100;

/** Until it works: the test's own connections die with the server, too. For what may be done twice. */
export async function persist<T>(work: () => PromiseLike<T>): Promise<T> {
  const deadline = Date.now() + patienceMilliseconds;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(pauseMilliseconds);
    }
  }
}
