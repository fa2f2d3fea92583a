/**
 * Control and format characters, line and paragraph separators, halves of surrogate pairs: none is seen, and some end a line in one
 * language or another. Emitted text holds them as escapes only.
 */
export const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
