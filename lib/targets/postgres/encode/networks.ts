import { ValueReject } from "../../../core/rejects.ts";
import type { Conversion } from "./conversion.ts";

const form = /^([\da-fA-F:.]{2,45})(?:\/(0|[1-9]\d{0,2}))?$/;
/** Four parts without leading zeros: the server reads 10.1 as 10.0.0.1 or 10.1.0.0/16, and some programs 010 as 8. */
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const hexGroup = /^[\da-fA-F]{1,4}$/;
const ipv6Groups = 8;

export function networkConversion(type: "inet" | "cidr"): Conversion {
  const host = type === "cidr" ? ", without bits behind the length" : "";
  const notAddress = new ValueReject(
    "VALUE_TYPE",
    `${type}: a complete IPv4 or IPv6 address, with or without /length${host}`,
  );
  return {
    exact: true,
    convert: (value) => {
      const match = typeof value === "string" ? form.exec(value) : null;
      if (match === null) return notAddress;
      const address = match[1] as string;
      const groups = groupsOf(address);
      if (groups === null) return notAddress;
      const bits = groups.length * 16;
      const length = match[2] === undefined ? bits : Number(match[2]);
      if (length > bits || (type === "cidr" && !isNetwork(groups, length))) return notAddress;
      const text = groups.length === ipv6Groups ? groups.map((group) => group.toString(16)).join(":") : address;
      return match[2] === undefined ? text : `${text}/${match[2]}`;
    },
  };
}

/** The groups of 16 bits of an address, two for IPv4 and eight for IPv6; null if it is invalid. */
function groupsOf(address: string): number[] | null {
  if (ipv4.test(address)) return ipv4Groups(address);
  const [head = "", tail, more] = address.split("::");
  if (more !== undefined) return null;
  const [left, right] = [partGroups(head), partGroups(tail ?? "")];
  if (left === null || right === null) return null;
  if (tail === undefined) return left.length === ipv6Groups ? left : null;
  const missing = ipv6Groups - left.length - right.length;
  // Only the end of an IPv6 address may be written as IPv4, so not what stands before the gap.
  return missing < 1 || head.includes(".") ? null : [...left, ...new Array<number>(missing).fill(0), ...right];
}

function ipv4Groups(address: string): number[] {
  const [a, b, c, d] = address.split(".").map(Number) as [number, number, number, number];
  return [a * 256 + b, c * 256 + d];
}

function partGroups(part: string): number[] | null {
  if (part === "") return [];
  const pieces = part.split(":");
  const last = pieces.at(-1) as string;
  const embedded = ipv4.test(last) ? ipv4Groups(last) : null;
  const plain = embedded === null ? pieces : pieces.slice(0, -1);
  if (!plain.every((piece) => hexGroup.test(piece))) return null;
  return [...plain.map((piece) => Number.parseInt(piece, 16)), ...(embedded ?? [])];
}

function isNetwork(groups: readonly number[], length: number): boolean {
  return groups.every((group, index) => {
    const kept = Math.min(Math.max(length - index * 16, 0), 16);
    return (group & (0xffff >> kept)) === 0;
  });
}

const pairs = { macaddr: 6, macaddr8: 8 } as const;

/** Takes pairs of hexadecimal digits with one kind of separator or none, or quads with points; writes colons. */
export function macAddressConversion(type: keyof typeof pairs): Conversion {
  const count = pairs[type];
  const form = new RegExp(
    `^(?:[\\da-f]{2}([:-])(?:[\\da-f]{2}\\1){${count - 2}}[\\da-f]{2}` +
      `|(?:[\\da-f]{4}\\.){${count / 2 - 1}}[\\da-f]{4}|[\\da-f]{${2 * count}})$`,
    "i",
  );
  const notHardwareAddress = new ValueReject(
    "VALUE_TYPE",
    `${type}: ${count} pairs of hexadecimal digits, such as 08:00:2b:01:02:03`,
  );
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string" || !form.test(value)) return notHardwareAddress;
      const digits = value.toLowerCase().replaceAll(/[:.-]/g, "");
      return (digits.match(/../g) as string[]).join(":");
    },
  };
}
