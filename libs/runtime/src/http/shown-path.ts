/** Keys of agents wherever they stand, and what stands where clients of other systems put them, however mistyped. */
const keys = /waka(?:_|%5f)[0-9a-f]{8}-[0-9a-f-]{20,}/gi;
const inPath = /^\/agent\/[^/]*/;

/** A path as it is logged and shown: what of it may be somebody's credential is not. */
export const shownPath = (path: string): string =>
  path.startsWith('/agent/') || path.includes('waka') || path.includes('WAKA')
    ? path.replace(inPath, '/agent/hidden').replace(keys, 'hidden')
    : path;
