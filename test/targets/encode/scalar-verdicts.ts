import { ExactNumber, type JsonValue } from "../../../lib/core/json.ts";
import { moodLabels } from "./column-types.ts";
import { accepts, refuses, underOptions, type Verdict } from "./verdict.ts";

const exact = (text: string) => new ExactNumber(text);
const [, , hardLabel] = moodLabels;
const loneSurrogate = "a\ud800b";
const someUuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

function nestedArrays(depth: number): JsonValue {
  let value: JsonValue = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

const booleans: readonly Verdict[] = [
  ...accepts("boolean", [
    [true, "true", "t"],
    [false, "false", "f"],
    ["t", "true", "t"],
    ["T", "true", "t"],
    ["YES", "true", "t"],
    ["1", "true", "t"],
    [1, "true", "t"],
    [0, "false", "f"],
    ["No", "false", "f"],
    ["f", "false", "f"],
    ["FALSE", "false", "f"],
  ]),
  ...refuses("boolean", "VALUE_TYPE", [
    "on",
    "off",
    "tru",
    "oui",
    "",
    " t",
    "y",
    2,
    -1,
    0.5,
    exact("1e0"),
    [],
    [true],
    {},
  ]),
  ...underOptions(
    { trueValues: ["Oui", "1"], falseValues: ["non", "2"] },
    accepts("boolean", [
      ["OUI", "true", "t"],
      ["non", "false", "f"],
      [1, "true", "t"],
      [2, "false", "f"],
      [true, "true", "t"],
    ]),
    refuses("boolean", "VALUE_TYPE", ["true", "yes", 0, "0"]),
  ),
];

const texts: readonly Verdict[] = [
  ...accepts("text", [
    ["", ""],
    ["1", "1"],
    ["0", "0"],
    ["true", "true"],
    ["null", "null"],
    ["None", "None"],
    ["-", "-"],
    ["NA", "NA"],
    [" padded ", " padded "],
    ["tab\tnew\nline\\.", "tab\tnew\nline\\."],
    ["naïve 😀 e\u0301", "naïve 😀 e\u0301"],
    [true, "true"],
    [false, "false"],
    [1.5, "1.5"],
    [1e-7, "0.0000001"],
    [-0, "-0"],
    [exact("1.10"), "1.10"],
    [exact("1e2"), "1e2"],
    [exact("12345678901234567890"), "12345678901234567890"],
  ]),
  ...refuses("text", "VALUE_TYPE", [{}, { a: 1 }, [], ["a"]]),
  ...refuses("text", "VALUE_ENCODING", ["\u0000", "a\u0000b", loneSurrogate, "\udc00", "\ud800"]),
  ...accepts("varchar(3)", [
    ["abc", "abc"],
    ["😀😀😀", "😀😀😀"],
    ["", ""],
    [123, "123"],
    ["a  ", "a  "],
  ]),
  ...refuses("varchar(3)", "VALUE_TOO_LONG", ["abcd", "abc ", "😀😀😀😀", 1234, "e\u0301e\u0301"]),
  ...refuses("varchar(3)", "VALUE_ENCODING", ["\u0000", loneSurrogate]),
  ...refuses("varchar(3)", "VALUE_TYPE", [{}, []]),
  ...accepts("varchar", [["no limit", "no limit"]]),
  ...accepts("character(3)", [
    ["abc", "abc"],
    ["a", "a", "a  "],
    ["a ", "a ", "a  "],
    ["", "", "   "],
    [12, "12", "12 "],
    ["😀", "😀", "😀  "],
    ["😀😀😀", "😀😀😀"],
  ]),
  ...refuses("character(3)", "VALUE_TOO_LONG", ["abcd", "abc ", true, "😀😀😀😀"]),
  ...refuses("character(3)", "VALUE_TYPE", [["a"], {}]),
  ...refuses("character(3)", "VALUE_ENCODING", ["\u0000"]),
  ...accepts("citext", [
    ["Abc", "Abc"],
    ["", ""],
    [" x ", " x "],
    [1, "1"],
    [true, "true"],
    [exact("1.10"), "1.10"],
    ["naïve 😀", "naïve 😀"],
    ["NULL", "NULL"],
  ]),
  ...refuses("citext", "VALUE_TYPE", [{}, ["a"]]),
  ...refuses("citext", "VALUE_ENCODING", ["a\u0000", loneSurrogate]),
  ...accepts("mood", [
    ["ok", "ok"],
    [hardLabel, hardLabel],
    ["NULL", "NULL"],
    [1, "1"],
  ]),
  ...refuses("mood", "VALUE_ENUM", ["OK", "ok ", " ok", "", "happy", "o", 2, true, "\u0000"]),
  ...refuses("mood", "VALUE_TYPE", [["ok"], {}]),
];

const identifiers: readonly Verdict[] = [
  ...accepts("uuid", [
    [someUuid, someUuid],
    [someUuid.toUpperCase(), someUuid],
    [`{${someUuid}}`, someUuid],
    [someUuid.replaceAll("-", ""), someUuid],
    [`{${someUuid.replaceAll("-", "").toUpperCase()}}`, someUuid],
  ]),
  ...refuses("uuid", "VALUE_TYPE", [
    "",
    "abc",
    `${someUuid}0`,
    someUuid.slice(1),
    `{${someUuid}`,
    `${someUuid}}`,
    ` ${someUuid}`,
    someUuid.replace("e", "g"),
    "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
    `urn:uuid:${someUuid}`,
    1,
    true,
    [],
    {},
  ]),
  ...accepts("bit(3)", [
    ["101", "101"],
    ["000", "000"],
  ]),
  ...refuses("bit(3)", "VALUE_TYPE", ["10", "", "1", "102", "b101", "x5", "0x5", " 101", "1 1", 101, true, [], {}]),
  ...refuses("bit(3)", "VALUE_TOO_LONG", ["1010"]),
  ...accepts("bit varying(3)", [
    ["101", "101"],
    ["10", "10"],
    ["", ""],
  ]),
  ...refuses("bit varying(3)", "VALUE_TOO_LONG", ["1010", "0000"]),
  ...refuses("bit varying(3)", "VALUE_TYPE", ["2", "x5", "b1", "B1", " 1", "1 ", 1, true, []]),
  ...accepts("bit varying", [["10".repeat(100), "10".repeat(100)]]),
  ...accepts("bytea", [
    ["", "\\x"],
    ["00ff", "\\x00ff"],
    ["\\xDEADbeef", "\\xDEADbeef", "\\xdeadbeef"],
  ]),
  ...refuses("bytea", "VALUE_TYPE", ["abc", "xyz0", "0x00", "\\x0", "00 ff", "\\\\x00", "3q2+7w==", 12, true, [], {}]),
  ...underOptions(
    { byteaEncoding: "base64" },
    accepts("bytea", [
      ["", "\\x"],
      ["3q2+7w==", "\\xdeadbeef"],
      ["AAAA", "\\x000000"],
    ]),
    refuses("bytea", "VALUE_TYPE", ["3q2-7w==", "3q2+7w", "3q2+7x==", "3q2+\n7w==", "\\xdeadbeef", "abc", 1, []]),
  ),
];

const jsonTexts: readonly Verdict[] = [
  ...accepts("jsonb", [
    ["abc", '"abc"'],
    ["", '""'],
    ["{}", '"{}"'],
    [1, "1"],
    [true, "true"],
    [[], "[]"],
    [{}, "{}"],
    [{ a: [1, exact("1.10"), null, "x"] }, '{"a":[1,1.10,null,"x"]}', '{"a": [1, 1.10, null, "x"]}'],
    [exact("12345678901234567890.5"), "12345678901234567890.5"],
    [exact("9007199254740993"), "9007199254740993"],
    ["\\u0000", '"\\\\u0000"'],
    ["😀", '"😀"'],
    [nestedArrays(500), `${"[".repeat(500)}1${"]".repeat(500)}`],
  ]),
  ...refuses("jsonb", "VALUE_ENCODING", [
    "\u0000",
    { "\u0000": 1 },
    { a: ["x\u0000"] },
    loneSurrogate,
    { [loneSurrogate]: 1 },
  ]),
  ...refuses("jsonb", "VALUE_RANGE", [
    exact("1e131072"),
    [exact("1e-16384")],
    exact("1e1000000000"),
    nestedArrays(501),
    nestedArrays(100_000),
  ]),
  ...accepts("json", [
    [{ b: 1, a: exact("1E2") }, '{"b":1,"a":1E2}'],
    [exact("1e1000000000"), "1e1000000000"],
  ]),
  ...accepts("json", [
    ["{}", '"{}"'],
    ["", '""'],
    [1.5, "1.5"],
    [-0, "-0"],
    [true, "true"],
    [[], "[]"],
    [[{}, null], "[{},null]"],
    [{ "": { a: "\t" } }, '{"":{"a":"\\t"}}'],
  ]),
  ...refuses("json", "VALUE_ENCODING", ["\u0000", [loneSurrogate], { a: { "\u0000": 1 } }]),
  ...refuses("json", "VALUE_RANGE", [nestedArrays(501)]),
];

const arrays: readonly Verdict[] = [
  ...accepts("integer[]", [
    [[], "{}"],
    [[1, null, "2", exact("1e2")], "{1,NULL,2,100}"],
    [[null], "{NULL}"],
    [
      [
        [1, 2],
        [3, null],
      ],
      "{{1,2},{3,NULL}}",
    ],
    [[[[[[[1]]]]]], "{{{{{{1}}}}}}"],
  ]),
  ...refuses("integer[]", "VALUE_TYPE", [
    1,
    "{1,2}",
    "1",
    true,
    {},
    [[1], 2],
    [1, [2]],
    [[1, 2], [3]],
    [[1], null],
    [null, [1]],
    [[]],
    [[], []],
    [[1], []],
    [1.5],
    [{}],
    ["a"],
  ]),
  ...refuses("integer[]", "VALUE_RANGE", [[1, 2147483648], [[[[[[[1]]]]]]]]),
  ...accepts("text[]", [
    [["a", null, "NULL", "null", ""], '{a,NULL,"NULL","null",""}'],
    [["a,b", "{c}", 'd"e', "f\\g"], '{"a,b","{c}","d\\"e","f\\\\g"}'],
    [[" x ", "new\nline", "ü", "it's"], '{" x ","new\nline","ü","it\'s"}', '{" x ","new\nline",ü,it\'s}'],
    [[1, true, exact("1.10")], "{1,true,1.10}"],
  ]),
  ...refuses("text[]", "VALUE_ENCODING", [["ok", "\u0000"]]),
  ...refuses("text[]", "VALUE_TYPE", [[{}]]),
  ...refuses("varchar(2)[]", "VALUE_TOO_LONG", [["abc"]]),
  ...accepts("mood[]", [[["ok", hardLabel], '{ok,"a, {b} \\"c\\" \\\\d"}']]),
  ...refuses("mood[]", "VALUE_ENUM", [["okay"]]),
  ...accepts("jsonb[]", [
    [
      [{ a: 1 }, [1, 2], null, "x"],
      '{"{\\"a\\":1}","[1,2]",NULL,"\\"x\\""}',
      '{"{\\"a\\": 1}","[1, 2]",NULL,"\\"x\\""}',
    ],
  ]),
  ...accepts("numeric(6,2)[]", [[["1.10", 2], "{1.10,2}", "{1.10,2.00}"]]),
  ...accepts("timestamptz[]", [[["2024-01-05 10:00"], '{"2024-01-05 10:00+00:00"}', '{"2024-01-05 10:00:00+00"}']]),
  ...accepts("bytea[]", [[["00ff"], '{"\\\\x00ff"}']]),
  ...accepts("boolean[]", [[["yes", false], "{true,false}", "{t,f}"]]),
];

export const scalarVerdicts: readonly Verdict[] = [...booleans, ...texts, ...identifiers, ...jsonTexts, ...arrays];
