import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A child process that runs a file of bench/ and speaks JSON messages. */
export type Child<Message> = {
  /** Its first message. */
  readonly hello: Message;
  /** Sends a message and waits for the answer. */
  ask(message: object): Promise<Message>;
  /** Lets it end, and waits until it has. */
  close(): Promise<void>;
};

type ChildOptions = {
  /** File of bench/ that it runs. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Flags of Node. @default none */
  readonly flags?: readonly string[];
  /** True if nobody reads its stderr. @default false */
  readonly quiet?: boolean;
};

/** @throws Error if it ends before it has answered */
export async function openChild<Message>(options: ChildOptions): Promise<Child<Message>> {
  const { file, args, env = {}, flags = [], quiet = false } = options;
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [...args], {
    execArgv: [...flags],
    env: { PATH: process.env.PATH ?? "", TMPDIR: process.env.TMPDIR ?? "", ...env },
    stdio: ["ignore", "ignore", quiet ? "ignore" : "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  return {
    hello: await answerOf<Message>(child, file),
    ask: (message) => {
      const answer = answerOf<Message>(child, file);
      child.send(message);
      return answer;
    },
    close: async () => {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}

function answerOf<Message>(child: ChildProcess, file: string): Promise<Message> {
  const { promise, resolve, reject } = Promise.withResolvers<Message>();
  const onExit = (code: number | null, signal: string | null): void =>
    reject(new Error(`bench/${file} ended with ${code ?? signal} before it answered`));
  child.once("exit", onExit);
  child.once("message", (message) => {
    child.off("exit", onExit);
    resolve(message as Message);
  });
  return promise;
}
