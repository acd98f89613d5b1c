import { describe, expect, test } from "vitest";
import { BlockedError, type LoaderError, PermanentError, parseFault, StaleFence } from "../../lib/core/errors.ts";

describe("an error of the loader gives back the text that it was made of", () => {
  test.each<readonly [string, LoaderError, string]>([
    ["plain", new PermanentError("VALUE_TYPE", "table blood: got a, expected b"), "table blood: got a, expected b"],
    ["that begins like a code", new BlockedError("DB_AUTH", "DB_TLS: no, it is not"), "DB_TLS: no, it is not"],
    ["of several lines", new BlockedError("DB_AUTH", "one\ntwo"), "one\ntwo"],
    ["that is empty", new BlockedError("DB_AUTH", ""), ""],
    ["of its own", new StaleFence("b", 3), "fence 3 of b is no longer the current one; another execution took over"],
  ])("%s", (_, error, text) => {
    expect(error.message).toBe(`${error.code}: ${text}`);
    expect(error.text).toBe(text);
    expect(error.fault).toEqual({ code: error.code, message: text });
    expect(parseFault(error.message, "OTHER")).toEqual(error.fault);
  });
});
