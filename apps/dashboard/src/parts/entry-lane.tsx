import { type KeyboardEvent, type PointerEvent, useRef, useState } from 'react';
import { client, type Schemas } from '../api/client.ts';
import { t } from '../text/index.ts';
import { timeOf } from '../time/format.ts';
import { hueOf } from './charts.tsx';
import type { EntryDraft } from './entry-dialog.tsx';
import { useProjectNames } from './people.tsx';
import { useEntriesChanged, useNow } from './timer.tsx';
import { say, tried } from './toasts.tsx';

type TimeEntry = Schemas['TimeEntry'];
type Edge = 'startTime' | 'endTime';

const stepMs = 300_000;
const snap = (at: number): number => Math.round(at / stepMs) * stepMs;

/** Puts new times on an entry, and gives the way back. */
export async function correct(
  entry: TimeEntry,
  change: Partial<Record<Edge, string>>,
  changed: () => Promise<void>,
): Promise<boolean> {
  const path = { path: { id: entry.id } };
  let version = entry.version;
  const isDone = await tried(async () => {
    const { data } = await client.PATCH('/api/v1/time-entries/{id}', { params: path, body: { ...change, version } });
    version = data!.version;
  });
  await changed();
  if (!isDone) return false;
  const before = Object.fromEntries(Object.keys(change).map((edge) => [edge, entry[edge as Edge]]));
  say(t('The entry was corrected.'), async () => {
    await client.PATCH('/api/v1/time-entries/{id}', { params: path, body: { ...before, version } });
    await changed();
  });
  return true;
}

/**
 * Time entries of a day: drawing over empty time makes one, an end is pulled, or moved by arrow keys, five minutes at a time.
 * What a pointer does here the dialog and the table do as well.
 */
export function EntryLane({
  entries,
  from,
  to,
  zone,
  onDraft,
}: {
  entries: readonly TimeEntry[];
  from: number;
  to: number;
  zone: string;
  onDraft: (draft: EntryDraft) => void;
}) {
  const lane = useRef<HTMLDivElement>(null);
  const [drawn, setDrawn] = useState<{ from: number; to: number }>();
  const now = useNow(15_000);
  const span = to - from;
  const instantOf = (event: PointerEvent): number => {
    const box = lane.current!.getBoundingClientRect();
    return snap(from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * span);
  };
  const place = (start: number, end: number) => ({
    left: `${((Math.max(start, from) - from) / span) * 100}%`,
    width: `${Math.max(0.2, ((Math.min(end, to) - Math.max(start, from)) / span) * 100)}%`,
  });

  const begin = (event: PointerEvent): void => {
    if (event.target !== lane.current || event.button !== 0) return;
    lane.current.setPointerCapture(event.pointerId);
    const at = instantOf(event);
    setDrawn({ from: at, to: at });
  };
  const end = (): void => {
    if (drawn && drawn.from !== drawn.to) {
      onDraft({ kind: 'new', from: Math.min(drawn.from, drawn.to), to: Math.max(drawn.from, drawn.to) });
    }
    setDrawn(undefined);
  };

  return (
    <div
      ref={lane}
      data-testid="entry-lane"
      className="relative h-12 touch-pan-x rounded bg-page"
      onPointerDown={begin}
      onPointerMove={(event) => drawn && setDrawn({ ...drawn, to: instantOf(event) })}
      onPointerUp={end}
      onPointerCancel={() => setDrawn(undefined)}
    >
      {entries.map((entry) => (
        <EntryBlock key={entry.id} {...{ entry, zone, now, place, instantOf, onDraft }} />
      ))}
      {drawn && (
        <div
          className="pointer-events-none absolute inset-y-0 rounded border-2 border-dashed border-accent"
          style={place(Math.min(drawn.from, drawn.to), Math.max(drawn.from, drawn.to))}
        />
      )}
    </div>
  );
}

function EntryBlock({
  entry,
  zone,
  now,
  place,
  instantOf,
  onDraft,
}: {
  entry: TimeEntry;
  zone: string;
  now: number;
  place: (start: number, end: number) => { left: string; width: string };
  instantOf: (event: PointerEvent) => number;
  onDraft: (draft: EntryDraft) => void;
}) {
  const [moved, setMoved] = useState<Partial<Record<Edge, number>>>({});
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const changed = useEntriesChanged();
  const projectName = useProjectNames();
  const name = entry.description ?? projectName(entry.projectId);
  const start = moved.startTime ?? Date.parse(entry.startTime);
  const end = moved.endTime ?? (entry.endTime === null ? now : Date.parse(entry.endTime));

  const commit = async (all: Partial<Record<Edge, number>>): Promise<void> => {
    const change = Object.fromEntries(Object.entries(all).map(([edge, at]) => [edge, new Date(at).toISOString()]));
    if (Object.keys(change).length > 0) await correct(entry, change, changed);
    setMoved({});
  };
  const handle = (edge: Edge, label: string) => (
    <span
      role="slider"
      tabIndex={0}
      aria-label={`${label}: ${name}`}
      aria-valuenow={edge === 'startTime' ? start : end}
      aria-valuetext={timeOf(edge === 'startTime' ? start : end, zone)}
      className={`absolute inset-y-0 z-10 hidden w-1.5 @min-[2.5rem]:block cursor-ew-resize touch-none rounded bg-ink/25 ${edge === 'startTime' ? 'left-0' : 'right-0'}`}
      onPointerDown={(event) => {
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
        setMoved({ [edge]: edge === 'startTime' ? start : end });
      }}
      onPointerMove={(event) => {
        if (moved[edge] !== undefined && event.buttons === 1) setMoved({ [edge]: instantOf(event) });
      }}
      onPointerUp={() => void commit(moved)}
      onPointerCancel={() => setMoved({})}
      onKeyDown={(event: KeyboardEvent) => {
        const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
        if (!way) return;
        event.preventDefault();
        const all = { ...moved, [edge]: snap((edge === 'startTime' ? start : end) + way * stepMs) };
        setMoved(all);
        // Several presses are one change.
        clearTimeout(timer.current);
        timer.current = setTimeout(() => void commit(all), 700);
      }}
    />
  );
  return (
    <div className="@container absolute inset-y-0" style={place(start, end)}>
      <button
        type="button"
        aria-label={t('{name}, {from} to {to}', { name, from: timeOf(start, zone), to: timeOf(end, zone) })}
        onClick={() => onDraft({ kind: 'edit', entry })}
        className="absolute inset-0 cursor-pointer overflow-hidden rounded border-s-4 bg-tint px-2.5 text-start text-xs"
        style={{ borderColor: hueOf(projectName(entry.projectId)) }}
      >
        <span className="block truncate font-medium">{name}</span>
      </button>
      {handle('startTime', t('Begin'))}
      {entry.endTime !== null && handle('endTime', t('End'))}
    </div>
  );
}
