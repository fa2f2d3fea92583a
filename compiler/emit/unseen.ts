/**
 * Control and format characters, line and paragraph separators, halves of surrogate pairs, characters for private use: none is seen
 * (or by all alike), and some end a line in one language or another. Emitted text holds them as escapes only.
 */
export const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
