import type { Act, Exchanges } from "./exchanges.ts";
import { type Message, openFraming, textOf } from "./postgres-messages.ts";
import type { Tap, TapEnds } from "./tcp-relay.ts";

/** What the server says on the way to the end of an exchange, and the client may need in order to go on. */
const onTheWay = new Set(["R", "S", "K", "N", "1", "2", "t", "T", "n"]);
/** ReadyForQuery, and CopyInResponse: now it is the client's turn. */
const ends = new Set(["Z", "G"]);
const copyData = new Set(["d", "c", "f"]);

type Conversation = TapEnds & {
  readonly exchanges: Exchanges;
  /** Undefined between two exchanges. */
  act: Act | null | undefined;
  /** What waits until a rule's function has ended. */
  waiting: Buffer[] | null;
  copying: boolean;
};

/** Watches one connection to the database, and does to its exchanges what the rules say. */
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
