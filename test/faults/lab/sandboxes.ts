import { functionSizes } from "../../../lib/infra/capacity.ts";
import type { FunctionName, LoadFunction } from "../../../lib/local/lambda.ts";
import type { OpenNetwork } from "./links.ts";
import { type Exit, InvocationFault, openSandbox, type Sandbox } from "./sandbox.ts";
import type { Order } from "./sandbox-child.ts";

type SandboxesOptions = {
  readonly network: OpenNetwork;
  /** The settings of the deployed functions, but for the addresses of database and bucket. */
  readonly variables: Readonly<Record<string, string>>;
  /** JSON of the bucket's limits. */
  readonly limits: string;
  /** Seconds after which a function is killed, where it is earlier than it was told. */
  readonly timeLimits: Readonly<Partial<Record<FunctionName, number>>>;
};

/** How a sandbox ended. */
export type Death = Exit & { readonly name: FunctionName | null; readonly output: string };

/** From now on, whoever waits for a sandbox that died is kept waiting until `release`. */
type HeldDeaths = {
  /** The first death since then. */
  readonly first: Promise<Death>;
  release(): void;
};

export type Sandboxes = {
  readonly load: LoadFunction;
  invoke(name: FunctionName, event: unknown): Promise<unknown>;
  /** Gives an order to the next invocation, or the next ones until one obeys: that one is answered. */
  order(order: Partial<Order> & Pick<Order, "point">): Promise<Sandbox>;
  holdDeaths(): HeldDeaths;
  /** The sandboxes that work right now; those that are dead and held are left out. */
  working(): Sandbox[];
  /** All that ended, by order or by themselves; those that `close` ends are left out. */
  readonly deaths: readonly Death[];
  /** For a test that has ordered them. */
  forgetDeaths(): void;
  /** What all sandboxes wrote to stdout and stderr so far. */
  output(): string;
  close(): Promise<void>;
};

type Pool = SandboxesOptions & {
  readonly idle: Map<FunctionName, Sandbox[]>;
  readonly working: Set<Sandbox>;
  readonly all: Set<Sandbox>;
  readonly deaths: Death[];
  /** Started ahead: a sandbox becomes a function's with its first invocation. */
  spare: Promise<Sandbox> | null;
  order: Order | null;
  obey: (sandbox: Sandbox) => void;
  orderedTo: Sandbox | null;
  held: Promise<void>;
  onDeath: (death: Death) => void;
  closing: boolean;
};

/** Lambda, as far as it runs functions: warm sandboxes are used again, one invocation at a time each. */
export function openSandboxes(options: SandboxesOptions): Sandboxes {
  const pool: Pool = {
    ...options,
    idle: new Map(),
    working: new Set(),
    all: new Set(),
    deaths: [],
    spare: null,
    order: null,
    obey: () => undefined,
    orderedTo: null,
    held: Promise.resolve(),
    onDeath: () => undefined,
    closing: false,
  };
  pool.spare = startSandbox(pool);
  return {
    load: async (name) => ({ name, handler: (event) => invoke(pool, name, event) }),
    invoke: (name, event) => invoke(pool, name, event),
    order: ({ point, time = 1, signal = "SIGKILL" }) => {
      const { promise, resolve } = Promise.withResolvers<Sandbox>();
      pool.order = { point, time, signal };
      pool.obey = (sandbox) => {
        pool.order = null;
        pool.obey = () => undefined;
        resolve(sandbox);
      };
      return promise;
    },
    holdDeaths: () => holdDeaths(pool),
    working: () => [...pool.working].filter((sandbox) => sandbox.isAlive()),
    deaths: pool.deaths,
    forgetDeaths: () => {
      pool.deaths.length = 0;
    },
    output: () => [...pool.all].map((sandbox) => sandbox.output()).join(""),
    close: () => closePool(pool),
  };
}

async function invoke(pool: Pool, name: FunctionName, event: unknown): Promise<unknown> {
  const { connections, timeoutSeconds } = functionSizes[name];
  const busy = [...pool.working].filter((sandbox) => sandbox.name() === name).length;
  if (connections !== null && busy >= connections) {
    throw new InvocationFault("Lambda.TooManyRequestsException", "Rate Exceeded.");
  }
  const sandbox = takeIdle(pool, name) ?? (await takeSpare(pool));
  const order = pool.orderedTo === null ? pool.order : null;
  if (order) pool.orderedTo = sandbox;
  if (order?.signal === "SIGSTOP") void sandbox.stopped().then(() => pool.obey(sandbox));
  pool.working.add(sandbox);
  try {
    const invocation = { name, event, timeLimitSeconds: timeoutSeconds, order };
    return await sandbox.invoke(invocation, pool.timeLimits[name] ?? timeoutSeconds);
  } catch (error) {
    if (!sandbox.isAlive()) await pool.held;
    throw error;
  } finally {
    pool.working.delete(sandbox);
    if (pool.orderedTo === sandbox) pool.orderedTo = null;
    if (sandbox.isAlive() && sandbox.isFree()) pool.idle.set(name, [...(pool.idle.get(name) ?? []), sandbox]);
  }
}

function takeIdle(pool: Pool, name: FunctionName): Sandbox | undefined {
  const alive = (pool.idle.get(name) ?? []).filter((sandbox) => sandbox.isAlive());
  const taken = alive.pop();
  pool.idle.set(name, alive);
  return taken;
}

async function takeSpare(pool: Pool): Promise<Sandbox> {
  const sandbox = pool.spare ?? startSandbox(pool);
  pool.spare = startSandbox(pool);
  // whoever needs it gets the error
  pool.spare.catch(() => undefined);
  return sandbox;
}

async function startSandbox(pool: Pool): Promise<Sandbox> {
  let started: Sandbox | null = null;
  const owner = { name: () => started?.name() ?? null, kill: () => started?.signal("SIGKILL") };
  const links = await pool.network.openLinks(owner);
  const variables = {
    ...pool.variables,
    DB_PORT: String(links.databasePort),
    LOCAL_ENDPOINT: `http://127.0.0.1:${links.bucketPort}`,
  };
  const sandbox = await openSandbox({ variables, limits: pool.limits });
  started = sandbox;
  pool.all.add(sandbox);
  void sandbox.exited.then(async (exit) => {
    // an order is obeyed once
    if (pool.orderedTo === sandbox) {
      pool.orderedTo = null;
      pool.obey(sandbox);
    }
    if (!pool.closing) {
      const death = { ...exit, name: sandbox.name(), output: sandbox.output() };
      pool.deaths.push(death);
      pool.onDeath(death);
    }
    await links.close();
  });
  return sandbox;
}

function holdDeaths(pool: Pool): HeldDeaths {
  const [held, first] = [Promise.withResolvers<void>(), Promise.withResolvers<Death>()];
  pool.held = held.promise;
  pool.onDeath = first.resolve;
  const release = (): void => {
    pool.onDeath = () => undefined;
    pool.held = Promise.resolve();
    held.resolve();
  };
  return { first: first.promise, release };
}

async function closePool(pool: Pool): Promise<void> {
  pool.closing = true;
  await pool.spare?.catch(() => undefined);
  for (const sandbox of pool.all) sandbox.signal("SIGKILL");
  await Promise.all([...pool.all].map(({ exited }) => exited));
}
