/**
 * An exchange is what a sandbox asks of the world and the whole answer to it: a statement up to ReadyForQuery, all data
 * of a COPY, one HTTP request. Whatever happens between two of them has no effect outside of the process, so that a
 * death before and after every one of them is a death at every place that matters.
 */
export type Exchange = {
  /** 1 for the first one since the last `reset`. */
  readonly number: number;
  readonly link: "database" | "bucket";
  /** The function that runs in the sandbox; null before its first invocation. */
  readonly by: string | null;
  /** The statement, or method and path. */
  readonly text: string;
};

/** What becomes of an exchange: `before` it is never forwarded, `after` its answer is never relayed. */
export type Act =
  | "kill-before"
  | "kill-after"
  | "reset-before"
  | "reset-after"
  /** Never forwarded, and nothing said: as if the network had swallowed it. */
  | "hold"
  /** Runs to its end before the exchange is forwarded. */
  | (() => Promise<void>);

export type Rule = {
  readonly when: (exchange: Exchange) => boolean;
  readonly act: Act;
  /** How often it acts. @default 1 */
  readonly times?: number;
};

export type Exchanges = {
  /** All since the last `reset`, in their order. */
  readonly seen: readonly Exchange[];
  /** Adds a rule; answers the exchange on which it acts first. */
  on(rule: Rule): Promise<Exchange>;
  /** Counts an exchange, and says what becomes of it; null: nothing special. */
  begin(exchange: Omit<Exchange, "number">): Act | null;
  /** Forgets the rules and what was seen. */
  reset(): void;
};

type Armed = { readonly rule: Rule; left: number; readonly acted: (exchange: Exchange) => void };

export function openExchanges(): Exchanges {
  const seen: Exchange[] = [];
  const armed = new Set<Armed>();
  return {
    seen,
    on(rule) {
      const { promise, resolve } = Promise.withResolvers<Exchange>();
      armed.add({ rule, left: rule.times ?? 1, acted: resolve });
      return promise;
    },
    begin(begun) {
      const exchange = { ...begun, number: seen.length + 1 };
      seen.push(exchange);
      const taken = [...armed].find(({ rule }) => rule.when(exchange));
      if (!taken) return null;
      taken.left -= 1;
      if (taken.left <= 0) armed.delete(taken);
      taken.acted(exchange);
      return taken.rule.act;
    },
    reset() {
      seen.length = 0;
      armed.clear();
    },
  };
}
