import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fold, type KeySpan } from './fold.ts';
import type { UsageKey } from './key.ts';
import { idleChanges } from './mask.ts';
import { paintedEntries, shownEntries } from './oracle.ts';
import type { Span } from './paint.ts';
import { apply, empty, key, neighbourhood, ping, type State } from './testing.ts';

const size = 160;
const to = size + 100;
const keys: UsageKey[] = [key('A'), key('A', 'a.example'), key('\u{1f600}'), key('A', null, 'idle')];
const inputKeys: UsageKey[] = [key('afk'), key('afk', null, 'idle'), key('other', null, 'idle')];

/** A device with a watcher of input and another stream, as a store would have them. */
interface Device {
  input: State;
  other: State;
}
type Event = { input: KeySpan } | { other: KeySpan } | { erase: Span };

const idleOf = ({ entries }: State): Span[] => entries.filter(({ key: k }) => k.state === 'idle');

/** Everything of a batch in one step, as a transaction does it. */
function deliver(device: Device, batch: readonly Event[], bridge: number): Device {
  const erased = batch.flatMap((event) => ('erase' in event ? [event.erase] : []));
  const withErased = (state: State): State => ({
    ...state,
    erased: [...state.erased, ...erased].sort((a, b) => a.start - b.start),
  });
  const inputPings = batch.flatMap((event) => ('input' in event ? [event.input] : []));
  const before = withErased(device.input);
  const changes = fold(neighbourhood(before, [...inputPings, ...erased], 0), inputPings, 0);
  const input = apply(before, changes);
  const pings = batch.flatMap((event) => ('other' in event ? [event.other] : []));
  const changed = [...pings, ...erased, ...idleChanges(changes)];
  const other = withErased(device.other);
  if (changed.length === 0) return { input, other };
  return { input, other: apply(other, fold(neighbourhood(other, changed, bridge, idleOf(input)), pings, bridge)) };
}

const anySpan = fc.tuple(
  fc.integer({ min: 0, max: size }),
  fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 90 })),
);
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(anySpan, fc.constantFrom(...keys)).map(([[s, l], k]) => ({ other: ping(s, s + l, k) })),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(anySpan, fc.constantFrom(...inputKeys)).map(([[s, l], k]) => ({ input: ping(s, s + l, k) })),
  },
  { weight: 1, arbitrary: anySpan.map(([s, l]) => ({ erase: { start: s, end: s + 1 + (l % 20) } })) },
);
const anyDelivery = fc
  .record({ events: fc.array(anyEvent, { maxLength: 24 }), bridge: fc.constantFrom(0, 1, 3, 10, 40) })
  .chain((given) => {
    const again =
      given.events.length === 0 ? fc.constant([]) : fc.array(fc.constantFrom(...given.events), { maxLength: 10 });
    const order = fc.tuple(
      fc.shuffledSubarray(given.events, { minLength: given.events.length }),
      again,
      fc.infiniteStream(fc.integer({ min: 1, max: 8 })),
    );
    return fc.record({ given: fc.constant(given), first: order, second: order });
  });

const facts = ({ entries, gaps }: { entries: readonly KeySpan[]; gaps: readonly Span[] }) => ({
  entries: entries.map(({ start, end, key: k }) => [start, end, k.state, k.app, k.host, k.masked === true]),
  gaps: gaps.map(({ start, end }) => [start, end]),
});

describe('a stream under the mask of its device', () => {
  test('any order, batching and repetition gives what a painter of milliseconds sees', () => {
    fc.assert(
      fc.property(anyDelivery, ({ given: { events, bridge }, first, second }) => {
        const erased = events.flatMap((event) => ('erase' in event ? [event.erase] : []));
        const inputPings = events.flatMap((event) => ('input' in event ? [event.input] : []));
        const pings = events.flatMap((event) => ('other' in event ? [event.other] : []));
        const input = paintedEntries(0, to, inputPings, erased, 0);
        const other = shownEntries(
          paintedEntries(0, to, pings, erased, bridge),
          input.entries.filter(({ key: k }) => k.state === 'idle'),
        );
        for (const [once, again, sizes] of [first, second]) {
          const left = [...once, ...again];
          let device: Device = { input: empty(), other: empty() };
          while (left.length > 0) device = deliver(device, left.splice(0, sizes.next().value as number), bridge);
          expect(facts(device.input)).toEqual(facts(input));
          expect(facts(device.other)).toEqual(facts(other));
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('is idle where nobody was there, and active again where that is taken back', () => {
    const minute = 60_000;
    const bridge = 30_000;
    let device: Device = { input: empty(), other: empty() };
    const send = (...events: Event[]): void => {
      device = deliver(device, events, bridge);
    };
    const shown = () =>
      device.other.entries.map(({ start, end, key: k }) => [start / minute, end / minute, k.masked === true]);
    send({ other: ping(0, 60 * minute, key('Chat')) });
    expect(shown()).toEqual([[0, 60, false]]);
    send({ input: ping(20 * minute, 50 * minute, key('afk', null, 'idle')) });
    expect(shown()).toEqual([
      [0, 20, false],
      [20, 50, true],
      [50, 60, false],
    ]);
    // Somebody who was there after all: active goes before idle.
    send({ input: ping(30 * minute, 40 * minute, key('afk')) });
    expect(shown()).toEqual([
      [0, 20, false],
      [20, 30, true],
      [30, 40, false],
      [40, 50, true],
      [50, 60, false],
    ]);
    send({ input: ping(0, 60 * minute, key('afk')) });
    expect(shown()).toEqual([[0, 60, false]]);
  });

  test('what its pings say is idle stays so, and is not masked', () => {
    const device = deliver(
      { input: empty(), other: empty() },
      [{ input: ping(0, 100, key('afk', null, 'idle')) }, { other: ping(0, 50, key('A', null, 'idle')) }],
      0,
    );
    expect(device.other.entries).toEqual([{ start: 0, end: 50, key: key('A', null, 'idle') }]);
  });
});
