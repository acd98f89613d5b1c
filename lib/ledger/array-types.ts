/**
 * The arrays that the loader sends and receives, by the numbers of their types. The driver would ask every new
 * connection for the arrays of the whole catalog, and nobody could catch the error of that question.
 */

type Element = string | number | null;

function toArrayText(elements: readonly Element[]): string {
  const texts = elements.map((value) => (value === null ? "null" : `"${String(value).replaceAll(/[\\"]/g, "\\$&")}"`));
  return `{${texts.join(",")}}`;
}

const elementPattern = /"((?:[^"\\]|\\.)*)"|[^,{}]+/gs;

/** Of one dimension. */
function parseArrayText(text: string): (string | null)[] {
  return Array.from(text.matchAll(elementPattern), ([bare, quoted]) => {
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
    return bare === "NULL" ? null : bare;
  });
}

const arrayType = (oid: number, parse: (text: string) => Element[]) => ({
  to: oid,
  from: [oid],
  parse,
  serialize: toArrayText,
});

const toNumber = (text: string | null): number | null => (text === null ? null : Number(text));

export const arrayTypes = {
  texts: arrayType(1009, parseArrayText),
  names: arrayType(1003, parseArrayText),
  int2s: arrayType(1005, (text) => parseArrayText(text).map(toNumber)),
  int4s: arrayType(1007, (text) => parseArrayText(text).map(toNumber)),
  int8s: arrayType(1016, (text) => parseArrayText(text).map(toNumber)),
};
