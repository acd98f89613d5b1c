/**
 * JSON as tokens: three integers each, in the order of the bytes. Whoever wants to know something of a record reads its
 * tokens instead of walking its bytes again.
 *
 *     kind, start, end
 *
 * Start and end are those of a string's content without its quotes, of a scalar, or of the bracket. An object or array
 * ends in an `endToken` of its own.
 */
export const tokenSize = 3;

export const stringToken = 1;
/** A number without an exponent. */
export const numberToken = 2;
export const booleanToken = 3;
/** A string with escapes of one character, such as `\n`. */
export const escapedToken = 4;
export const nullToken = 5;
/** A string with escapes by number, such as `\u00e4`. */
export const unicodeToken = 6;
export const exponentToken = 7;
export const objectToken = 8;
export const arrayToken = 9;
export const endToken = 10;
/** Added to the kind of a string that names a member. */
export const nameToken = 16;
