/** The framing of PostgreSQL's protocol: a type byte and an int32 length; what a client says first has no type byte. */
export type Message = {
  /** One letter; empty for the first packet of a client. */
  readonly type: string;
  readonly bytes: Buffer;
};

const typeLength = 1;
const sizeLength = 4;

/** Cuts a stream of one direction into whole messages. */
export function openFraming(side: "client" | "server"): (chunk: Buffer) => Message[] {
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

/** What a client's message asks for, in words. */
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
