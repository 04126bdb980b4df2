import type { Queryable } from '@worktide/postgres';
import {
  bridgeOf,
  fold,
  idleChanges,
  inputSource,
  type KeySpan,
  type Month,
  type MonthChanges,
  type Span,
  type Window,
  windowsAround,
} from '../merge/index.ts';
import type { MergeOptions } from './merge.ts';
import { readIdle, readNeighbourhoods, type StoredEntry } from './neighbours.ts';
import type { LockedStream, StreamIdentity } from './streams.ts';

/** The part of a stream's work that falls into one month. */
export interface Part {
  stream: StreamIdentity;
  locked: LockedStream;
  pings: readonly KeySpan[];
  /** Erased time, and where the mask has changed. */
  also: readonly Span[];
  /** The watcher of input of its device. */
  input: LockedStream | undefined;
  /** Pings that made it necessary, of whichever stream. */
  asked: number;
}

/** What a fold says of a part. */
export interface FoldedPart {
  part: Part;
  changes: MonthChanges<StoredEntry>;
}

type UnderMask = LockedStream & { stream: StreamIdentity };

/**
 * Folds what work there is in a month: watchers of input first, then the other streams under the mask that follows, those
 * among them that have no work but that their mask has changed. Writes nothing.
 * @param work.masked streams of the devices of watchers of input, by the watcher's id.
 * @returns undefined where more than `limit` rows are stored around the work.
 */
export async function foldMonth(
  client: Queryable,
  month: Month,
  work: { parts: readonly Part[]; masked: ReadonlyMap<number, readonly UnderMask[]> },
  options: Pick<MergeOptions, 'onRead'>,
  limit: number,
): Promise<FoldedPart[] | undefined> {
  const inputs = work.parts.filter(({ stream }) => stream.source === inputSource);
  const others = work.parts.filter(({ stream }) => stream.source !== inputSource);
  const [only, ...more] = work.parts;
  const tooMany = (): undefined => {
    if (only && more.length === 0) options.onRead?.(only.stream, limit, only.pings.length);
    return undefined;
  };

  const foldedInputs = await foldParts(client, month, inputs, undefined, options, limit);
  if (!foldedInputs) return tooMany();
  const changed = new Map(foldedInputs.map(({ part, changes }) => [part.locked.id, changes]));
  const under = withMasked(others, foldedInputs, work.masked);
  const idle = await idleOver(client, month, under, changed, limit);
  if (!idle) return tooMany();
  const folded = await foldParts(client, month, under, idle, options, limit);
  return folded ? [...foldedInputs, ...folded] : tooMany();
}

/** The parts, and where idle time has changed those of the other streams of its device. */
function withMasked(
  parts: readonly Part[],
  inputs: readonly FoldedPart[],
  masked: ReadonlyMap<number, readonly UnderMask[]>,
): Part[] {
  const byId = new Map(parts.map((part) => [part.locked.id, part]));
  for (const { part: input, changes } of inputs) {
    const spans = idleChanges(changes);
    if (spans.length === 0) continue;
    for (const { stream, ...locked } of masked.get(input.locked.id) ?? []) {
      const { pings = [], also = [], asked = 0 } = byId.get(locked.id) ?? {};
      byId.set(locked.id, {
        stream,
        locked,
        pings,
        also: [...also, ...spans],
        input: input.locked,
        asked: asked + input.pings.length,
      });
    }
  }
  return [...byId.values()];
}

const windowsOf = ({ stream, pings, also }: Part): Window[] =>
  windowsAround(
    [...pings, ...also].sort((a, b) => a.start - b.start),
    bridgeOf(stream.source),
  );

/** Idle time of the watchers of input around each part that has one, as it is after their changes. */
async function idleOver(
  client: Queryable,
  month: Month,
  parts: readonly Part[],
  changed: ReadonlyMap<number, MonthChanges<StoredEntry>>,
  limit: number,
): Promise<Map<Part, Span[]> | undefined> {
  const under = parts.flatMap((part) =>
    part.input ? [{ part, inputId: part.input.id, windows: windowsOf(part) }] : [],
  );
  if (under.length === 0) return new Map();
  const stored = await readIdle(client, month, under, limit);
  return stored && new Map(under.map(({ part, inputId }, i) => [part, idleAfter(stored[i]!, changed.get(inputId))]));
}

function idleAfter(stored: readonly Span[], changes: MonthChanges<StoredEntry> | undefined): Span[] {
  if (!changes) return [...stored];
  const byStart = new Map(stored.map((span) => [span.start, span]));
  for (const { start } of changes.removed) byStart.delete(start);
  for (const { was } of changes.changed) byStart.delete(was.start);
  for (const now of [...changes.changed.map((each) => each.now), ...changes.added]) {
    if (now.key.state === 'idle') byStart.set(now.start, now);
  }
  return [...byStart.values()].sort((a, b) => a.start - b.start);
}

async function foldParts(
  client: Queryable,
  month: Month,
  unsorted: readonly Part[],
  idle: ReadonlyMap<Part, Span[]> | undefined,
  { onRead }: Pick<MergeOptions, 'onRead'>,
  limit: number,
): Promise<FoldedPart[] | undefined> {
  if (unsorted.length === 0) return [];
  // As the indexes have them: neighbours share pages.
  const parts = [...unsorted].sort((a, b) => a.locked.id - b.locked.id);
  const wanted = parts.map((part) => ({
    stream: part.stream,
    streamId: part.locked.id,
    windows: windowsOf(part),
    underMask: part.input !== undefined,
  }));
  const states = await readNeighbourhoods(client, month, wanted, limit);
  return states?.map((state, i) => {
    const part = parts[i]!;
    onRead?.(part.stream, state.entries.length + state.gaps.length, part.asked);
    const mask = part.input && { windows: wanted[i]!.windows, idle: idle?.get(part) ?? [] };
    return { part, changes: fold(mask ? { ...state, mask } : state, part.pings, bridgeOf(part.stream.source)) };
  });
}
