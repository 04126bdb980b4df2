/**
 * Text that every store takes: without U+0000 (PostgreSQL refuses it, and with it the whole transaction) and without
 * lone surrogates (not UTF-8).
 */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000');
