import { expect, test } from "vitest";
import { openClock, openGate } from "../../bench/scale/clock.ts";

test("threads sleep in simulated time, in the order in which they wake", async () => {
  const clock = openClock();
  const told: string[] = [];
  const thread = async (name: string, seconds: number): Promise<void> => {
    await clock.sleep(seconds);
    told.push(`${name} ${clock.now()}`);
    clock.leave();
  };
  clock.begin(1, () => void thread("late", 3600));
  clock.begin(2, () => void thread("early", 10));
  clock.begin(2, () => void thread("second", 10));
  clock.leave();
  await clock.finished;
  expect(told).toEqual(["early 12", "second 12", "late 3601"]);
});

test("time stands still while a thread waits for something else", async () => {
  const clock = openClock();
  const seen: number[] = [];
  clock.begin(1, async () => {
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    seen.push(clock.now());
    clock.leave();
  });
  clock.begin(2, () => {
    seen.push(clock.now());
    clock.leave();
  });
  clock.leave();
  await clock.finished;
  expect(seen).toEqual([1, 2]);
});

test("a gate lets in as many as it has places, the others in turn, and knows how busy it was", async () => {
  const clock = openClock();
  const gate = openGate(clock, 2);
  const done: string[] = [];
  const work = async (name: string): Promise<void> => {
    await gate.enter();
    await clock.sleep(10);
    gate.exit();
    done.push(`${name} ${clock.now()}`);
    clock.leave();
  };
  for (const name of ["a", "b", "c"]) clock.begin(0, () => void work(name));
  clock.leave();
  await clock.finished;
  expect(done).toEqual(["a 10", "b 10", "c 20"]);
  // two places for ten seconds, then one of two
  expect(gate.usage()).toBe(0.75);
  expect(gate.tryEnter() && gate.tryEnter()).toBe(true);
  expect(gate.tryEnter()).toBe(false);
});

test("a thread goes on as several, and the time moves when all of them sleep", async () => {
  const clock = openClock();
  const done: number[] = [];
  clock.begin(0, () => {
    clock.fork(2);
    for (const seconds of [3, 1, 2]) {
      void clock.sleep(seconds).then(() => {
        done.push(clock.now());
        clock.leave();
      });
    }
  });
  clock.leave();
  await clock.finished;
  expect(done).toEqual([1, 2, 3]);
});
