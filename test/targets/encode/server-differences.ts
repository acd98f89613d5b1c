import { timeDifferences } from "./time-differences.ts";
import { type Difference, differs, varies } from "./verdict.ts";

const numbers: readonly Difference[] = [
  ...differs("smallint", "a whole number has several spellings in JSON; the server takes one", [["1e2", null]]),
  ...differs("smallint", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    ["+1", "1"],
    [" 1", "1"],
    ["0x1F", "31"],
    ["1_0", "10"],
    ["0b1", "1"],
    ["0o7", "7"],
  ]),
  ...differs("oid", "a whole number has several spellings in JSON; the server takes one", [["1.0", null]]),
  ...differs("oid", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    ["-1", "4294967295"],
    [" 1", "1"],
    ["+1", "1"],
    ["0x1F", "31"],
  ]),
  ...differs("integer", "a whole number has several spellings in JSON; the server takes one", [
    ["1.0", null],
    ["1e2", null],
    ["1.5e1", null],
    ["100e-2", null],
    ["-0e5", null],
    ["0e1000000000", null],
  ]),
  ...differs("integer", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    [" 1", "1"],
    ["1 ", "1"],
    ["+1", "1"],
    ["1_000", "1000"],
    ["0x1F", "31"],
    ["1\n", "1"],
  ]),
  ...differs("bigint", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    [" 1", "1"],
    ["1 ", "1"],
    ["+1", "1"],
    ["1_000", "1000"],
    ["0x1F", "31"],
  ]),
  ...differs("numeric(6,2)", "the server refuses an absurd exponent even of a zero", [["0e9999999999", null]]),
  ...differs("numeric(6,2)", "the server rounds", [
    ["1.005", "1.01"],
    ["1e-3", "0.00"],
    ["1e-1000000000", "0.00"],
  ]),
  ...differs("numeric(6,2)", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    [" 1", "1.00"],
    ["+1", "1.00"],
    ["1_000", "1000.00"],
    ["0x1F", "31.00"],
    ["1.", "1.00"],
    [".5", "0.50"],
  ]),
  ...differs("numeric(6,2)", "endless values and NaN have to be opted into", [["NaN", "NaN"]]),
  ...differs("numeric(2,4)", "the server rounds", [["0.00001", "0.0000"]]),
  ...differs("numeric(3,-2)", "the server rounds", [
    ["150", "200"],
    ["1", "0"],
    ["0.1", "0"],
  ]),
  ...differs("numeric", "the server refuses an absurd exponent even of a zero", [["0e9999999999", null]]),
  ...differs("numeric", "endless values and NaN have to be opted into", [
    ["NaN", "NaN"],
    ["Infinity", "Infinity"],
    ["-Infinity", "-Infinity"],
  ]),
  ...differs("numeric", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    [" 1", "1"],
    ["+1", "1"],
    ["1_000", "1000"],
    ["0x1F", "31"],
    ["1.", "1"],
    [".5", "0.5"],
  ]),
  ...differs("real", "the server rounds", [
    ["37007.313", "37007.312"],
    ["223974200", "2.2397421e+08"],
    ["16777217", "1.6777216e+07"],
    ["9007199254740993", "9.007199e+15"],
    ["123456.789", "123456.79"],
    ["0.123456789012", "0.12345679"],
  ]),
  ...differs("real", "endless values and NaN have to be opted into", [
    ["NaN", "NaN"],
    ["Infinity", "Infinity"],
    ["inf", "Infinity"],
  ]),
  ...differs("real", "the server trims, and takes signs, digit groups, other bases and half-written numbers", [
    [" 1", "1"],
    ["+1", "1"],
    ["0x1F", "31"],
    [".5", "0.5"],
    ["1.", "1"],
  ]),
  ...differs("double precision", "the server rounds", [
    ["9007199254740993", "9.007199254740992e+15"],
    ["0.10000000000000001", "0.1"],
    ["12345678901234567890", "1.2345678901234567e+19"],
  ]),
  ...differs("double precision", "endless values and NaN have to be opted into", [
    ["NaN", "NaN"],
    ["Infinity", "Infinity"],
    ["-inf", "-Infinity"],
  ]),
  ...differs(
    "double precision",
    "the server trims, and takes signs, digit groups, other bases and half-written numbers",
    [
      [" 1", "1"],
      ["1 ", "1"],
      ["+1", "1"],
      ["0x1p3", "8"],
      [".5", "0.5"],
      ["1.", "1"],
    ],
  ),
];

const others: readonly Difference[] = [
  ...differs("boolean", "the words come from the contract", [
    ["on", "t"],
    ["off", "f"],
    ["tru", "t"],
    [" t", "t"],
    ["y", "t"],
    ["OUI", null],
    ["non", null],
    ["2", null],
    ["true", "t"],
    ["yes", "t"],
    ["0", "f"],
  ]),
  ...differs("varchar(3)", "the server cuts spaces off", [["abc ", "abc"]]),
  ...differs("character(3)", "the server cuts spaces off", [["abc ", "abc"]]),
  ...differs("uuid", "hyphens in other places are a typing error", [
    ["a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ]),
  ...differs("bit(3)", "the server takes a prefix b or x", [["b101", "101"]]),
  ...differs("bit(3)", "a JSON number has lost its leading zeros", [["101", "101"]]),
  ...differs("bit varying(3)", "the server takes a prefix b or x", [
    ["b1", "1"],
    ["B1", "1"],
  ]),
  ...differs("bit varying(3)", "a JSON number has lost its leading zeros", [["1", "1"]]),
  ...differs("bytea", "the server takes any text as raw bytes; the contract says how they are encoded", [
    ["00ff", "\\x30306666"],
    ["abc", "\\x616263"],
    ["xyz0", "\\x78797a30"],
    ["0x00", "\\x30783030"],
    ["00 ff", "\\x3030206666"],
    ["\\\\x00", "\\x5c783030"],
    ["3q2+7w==", "\\x3371322b37773d3d"],
    ["12", "\\x3132"],
    ["true", "\\x74727565"],
    ["AAAA", "\\x41414141"],
    ["3q2-7w==", "\\x3371322d37773d3d"],
    ["3q2+7w", "\\x3371322b3777"],
    ["3q2+7x==", "\\x3371322b37783d3d"],
    ["3q2+\n7w==", "\\x3371322b0a37773d3d"],
    ["\\xdeadbeef", "\\xdeadbeef"],
    ["1", "\\x31"],
  ]),
  ...differs("json", "a JSON string is a string, not JSON text", [
    ["{}", "{}"],
    ["", null],
  ]),
  ...differs("jsonb", "a JSON string is a string, not JSON text", [
    ["abc", null],
    ["", null],
    ["{}", "{}"],
    ["\\u0000", null],
    ["😀", null],
  ]),
  ...differs("integer[]", "an array is a JSON array, never its text", [["{1,2}", "{1,2}"]]),
  ...differs("inet", "the server completes short addresses, and others read 010 as 8", [
    ["010.1.2.3", "10.1.2.3"],
    ["10.1.2.3.", "10.1.2.3"],
    ["10.1.2.3/08", "10.1.2.3/8"],
  ]),
  ...differs("cidr", "the server completes short addresses, and others read 010 as 8", [
    ["10.1", "10.1.0.0/16"],
    ["10/8", "10.0.0.0/8"],
    ["10", "10.0.0.0/8"],
  ]),
  ...differs("macaddr", "the server trims, and takes further spellings", [
    ["8:0:2b:1:2:3", "08:00:2b:01:02:03"],
    ["08002b:010203", "08:00:2b:01:02:03"],
    [" 08:00:2b:01:02:03", "08:00:2b:01:02:03"],
    ["08:00:2b:01:02:03 ", "08:00:2b:01:02:03"],
  ]),
  ...differs("macaddr8", "the server makes eight bytes of six", [
    ["08:00:2b:01:02:03", "08:00:2b:ff:fe:01:02:03"],
    ["08002b010203", "08:00:2b:ff:fe:01:02:03"],
  ]),
  ...differs("macaddr8", "the server trims, and takes further spellings", [
    ["08002b:0102030405", "08:00:2b:01:02:03:04:05"],
    [" 08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:05"],
  ]),
];

const ranges: readonly Difference[] = [
  ...differs("int4range", "a whole number has several spellings in JSON; the server takes one", [
    ['["1","2.0")', null],
  ]),
  ...differs("int4range", "the server trims, and takes other spellings of brackets, words and numbers", [
    [" [1,10)", "[1,10)"],
    ["[1,10) ", "[1,10)"],
    ["[ 1,10)", "[1,10)"],
    ["[1, 10)", "[1,10)"],
    ["EMPTY", "empty"],
    ["[+1,2)", "[1,2)"],
    ["[1_0,20)", "[10,20)"],
    ["[0x1,2)", "[1,2)"],
    ['[1"0",20)', "[10,20)"],
  ]),
  ...differs("daterange", "the server reads words, most of them as the time of the load", [
    ["[today,tomorrow)", varies],
  ]),
  ...differs("daterange", "the server guesses at order and spelling", [["[01/02/2024,)", "[2024-01-02,)"]]),
  ...differs("daterange", "endless values and NaN have to be opted into", [
    ["[2024-01-01,infinity)", "[2024-01-01,infinity)"],
  ]),
  ...differs("numrange", "endless values and NaN have to be opted into", [
    ["[NaN,)", "[NaN,)"],
    ["[1,Infinity)", "[1,Infinity)"],
  ]),
  ...differs("numrange", "the server trims, and takes other spellings of brackets, words and numbers", [
    ["[1 ,2)", "[1,2)"],
  ]),
  ...differs("tsrange", "the server drops time or offset without a word", [
    ["[2024-01-05 10:00Z,)", '["2024-01-05 10:00:00",)'],
  ]),
  ...differs("tsrange", "the server reads words, most of them as the time of the load", [["[now,)", varies]]),
  ...differs("tsrange", "the server cuts or rounds", [
    ["[2024-01-05 10:00:00.1234567,)", '["2024-01-05 10:00:00.123457",)'],
  ]),
  ...differs("tstzrange", "zone names mean several offsets, and the server picks one (IST is +02)", [
    ["[2024-01-05 10:00 IST,)", '["2024-01-05 08:00:00+00",)'],
  ]),
  ...differs("tstzrange", "the contract's zone counts, not the session's", [
    ["[2024-01-05 10:00,)", '["2024-01-05 10:00:00+00",)'],
    ["[2024-03-10 02:30,)", '["2024-03-10 02:30:00+00",)'],
  ]),
  ...differs("floatrange", "the server rounds", [["[0.10000000000000001,)", "[0.1,)"]]),
  ...differs("int4multirange", "the server trims", [
    ["{[1,3) ,[5,9)}", "{[1,3),[5,9)}"],
    ["{ }", "{}"],
  ]),
];

/** Every example that the server would read in another way than its conversion; all others mean the same to both. */
export const serverDifferences: readonly Difference[] = [...numbers, ...others, ...ranges, ...timeDifferences];
