import { useSyncExternalStore } from 'react';
import { t } from '../text/index.ts';
import { Button } from './controls.tsx';
import { sentenceOf } from './states.tsx';

interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'bad';
  undo?: () => Promise<unknown>;
}

let toasts: readonly Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();
/** Long enough to be read and reached by keyboard. */
const shownMs = 12_000;

function set(all: readonly Toast[]): void {
  toasts = all;
  for (const listener of listeners) listener();
}

const drop = (id: number): void => set(toasts.filter((one) => one.id !== id));

/** Says what was done, with a way back where there is one. */
export function say(text: string, undo?: () => Promise<unknown>): void {
  add({ text, tone: 'plain', ...(undo ? { undo } : {}) });
}

export const sayFailure = (error: unknown): void => add({ text: sentenceOf(error), tone: 'bad' });

function add(toast: Omit<Toast, 'id'>): void {
  const id = next++;
  set([...toasts.slice(-2), { id, ...toast }]);
  setTimeout(() => drop(id), shownMs);
}

/** Does it, and says so where it fails. @returns whether it was done. */
export async function tried(act: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await act();
    if (done) say(done);
    return true;
  } catch (error) {
    sayFailure(error);
    return false;
  }
}

export function Toasts() {
  const all = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <section
      aria-live="polite"
      aria-label={t('Messages')}
      className="no-print fixed inset-x-3 bottom-3 z-50 flex flex-col items-center gap-2 sm:items-end"
    >
      {all.map(({ id, text, tone, undo }) => (
        <div
          key={id}
          className={`box flex max-w-md items-center gap-3 bg-raised px-4 py-2 shadow-lg ${tone === 'bad' ? 'border-bad text-bad' : ''}`}
        >
          <span className="min-w-0 break-words">{text}</span>
          {undo && (
            <Button
              small
              onPress={() => {
                drop(id);
                void tried(undo, t('Undone.'));
              }}
            >
              {t('Undo')}
            </Button>
          )}
          <Button small look="quiet" aria-label={t('Close')} onPress={() => drop(id)}>
            <span aria-hidden="true">✕</span>
          </Button>
        </div>
      ))}
    </section>
  );
}
