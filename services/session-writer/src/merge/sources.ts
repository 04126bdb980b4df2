/**
 * The longest unowned gap that an entry of a source bridges, in ms (docs/rules.md, Merging). A watcher of windows
 * or pages samples every few seconds; an editor reports when somebody types, at most every two minutes; an away-from-
 * keyboard watcher reports whole spans. To change a figure is to change entries: those already written keep the old
 * one until something touches them, so that goes with a replay of the log.
 */
const bridges: ReadonlyMap<string, number> = new Map([
  ['window', 30_000],
  ['web', 30_000],
  ['editor', 15 * 60_000],
  ['afk', 0],
]);

/** The source of watchers of input, whose idle time masks the other streams of its device. */
export const inputSource = 'afk';

/** A source this table does not know bridges as much as a window watcher. */
export const bridgeOf = (source: string): number => bridges.get(source) ?? 30_000;
