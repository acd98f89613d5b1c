import type { Act, Exchanges } from "./exchanges.ts";
import type { Tap, TapEnds } from "./tcp-relay.ts";

/** Messages of the server before the end of an exchange, which the client may need in order to go on. */
const onTheWay = new Set(["R", "S", "K", "N", "1", "2", "t", "T", "n"]);
/** ReadyForQuery and CopyInResponse: now it is the client's turn. */
const ends = new Set(["Z", "G"]);
const copyData = new Set(["d", "c", "f"]);

type Conversation = TapEnds & {
  readonly exchanges: Exchanges;
  /** Undefined between two exchanges. */
  act: Act | null | undefined;
  /** Messages that wait until a rule's function has ended. */
  waiting: Buffer[] | null;
  copying: boolean;
};

/** Watches one connection to the database, and applies the rules to its exchanges. */
export function tapPostgres(tapped: TapEnds, exchanges: Exchanges): Tap {
  const conversation: Conversation = { ...tapped, exchanges, act: undefined, waiting: null, copying: false };
  const [fromClient, fromServer] = [openFraming("client"), openFraming("server")];
  return {
    fromClient: (chunk) => {
      for (const message of fromClient(chunk)) takeRequest(conversation, message);
    },
    fromServer: (chunk) => {
      for (const message of fromServer(chunk)) takeAnswer(conversation, message);
    },
  };
}

function takeRequest(conversation: Conversation, message: Message): void {
  if (conversation.act === undefined && begins(conversation, message)) begin(conversation, message);
  const { act, waiting } = conversation;
  if (act === "kill-before" || act === "reset-before" || act === "hold") return;
  if (waiting) waiting.push(message.bytes);
  else conversation.toServer(message.bytes);
}

/** Neither Terminate nor the rest of a COPY that the server has refused gets an answer. */
function begins({ copying }: Conversation, { type }: Message): boolean {
  return type !== "X" && (copying || !copyData.has(type));
}

function begin(conversation: Conversation, message: Message): void {
  const { exchanges, owner, cut } = conversation;
  const act = exchanges.begin({ link: "database", by: owner.name(), text: textOf(message) });
  conversation.act = act;
  if (act === "kill-before") owner.kill();
  if (act === "reset-before") cut();
  if (typeof act === "function") void holdDuring(conversation, act);
}

async function holdDuring(conversation: Conversation, work: () => Promise<void>): Promise<void> {
  const waiting: Buffer[] = [];
  conversation.waiting = waiting;
  await work();
  conversation.waiting = null;
  for (const bytes of waiting) conversation.toServer(bytes);
}

function takeAnswer(conversation: Conversation, { type, bytes }: Message): void {
  const { act, owner, cut, toClient } = conversation;
  const isEnd = ends.has(type);
  if (act === "kill-after" || act === "reset-after") {
    if (onTheWay.has(type)) toClient(bytes);
    if (isEnd && act === "kill-after") owner.kill();
    if (isEnd && act === "reset-after") cut();
    return;
  }
  toClient(bytes);
  if (!isEnd) return;
  conversation.act = undefined;
  conversation.copying = type === "G";
}

/** The framing of PostgreSQL's protocol: a type byte and an int32 length; the first message of a client has no type byte. */
export type Message = {
  /** One letter; empty for the first packet of a client. */
  readonly type: string;
  readonly bytes: Buffer;
};

const typeLength = 1;
const sizeLength = 4;

/** Cuts a stream of one direction into whole messages. */
function openFraming(side: "client" | "server"): (chunk: Buffer) => Message[] {
  let rest: Buffer = Buffer.alloc(0);
  let untyped = side === "client";
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const head = untyped ? 0 : typeLength;
      if (rest.length < head + sizeLength) return messages;
      const end = head + rest.readInt32BE(head);
      if (rest.length < end) return messages;
      messages.push({ type: untyped ? "" : String.fromCharCode(rest[0] ?? 0), bytes: rest.subarray(0, end) });
      rest = rest.subarray(end);
      untyped = false;
    }
  };
}

/** The request in a client's message, in words. */
export function textOf({ type, bytes }: Message): string {
  if (type === "") return "startup";
  if (type === "Q") return toText(bytes.subarray(typeLength + sizeLength));
  if (type === "d" || type === "c") return "copy data";
  if (type !== "P") return `message ${type}`;
  const statement = bytes.subarray(typeLength + sizeLength);
  return toText(statement.subarray(statement.indexOf(0) + 1));
}

function toText(bytes: Buffer): string {
  return bytes.subarray(0, bytes.indexOf(0)).toString("utf8").replaceAll(/\s+/g, " ").trim();
}
