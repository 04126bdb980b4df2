import type { WirePing } from '../oracle/ledger.ts';
import type { Random } from '../random.ts';
import type { Worker } from './worker.ts';

/** What the answer to a request must be; anything temporary (503, 429, nothing) is asked again instead. */
export type Expected =
  /** 202, with exactly these items refused, and exactly these of the others warned of, each for this code. */
  | { status: 202; rejected: ReadonlyMap<number, string>; warnings?: ReadonlyMap<number, string> }
  /** A refusal of the whole: this status and one of these codes. */
  | { status: number; codes: readonly string[] }
  /** All of it is taken, in the words of another system. */
  | { status: number; protocol: 'activitywatch' | 'wakatime'; or?: number };

/** One `POST /api/v1/pings` (or what `path` says), as bytes, with what the items in it are. */
export interface PingRequest {
  /** Of another protocol. */
  path?: string;
  body: string | Buffer;
  contentType: string | undefined;
  /** By index in the request; those that are not pings at all are `undefined`. */
  items: readonly (WirePing | undefined)[];
  expected: Expected;
  /** Instead of the agent's own credential. */
  authorization?: string | null;
  /** What a hostile agent calls it. */
  attack?: string;
}

/** What an agent sends: the next requests of the script, or none for now. */
export interface Script {
  next(): PingRequest[];
  /** What was held back, when the run ends. */
  rest(): PingRequest[];
}

const nothingRejected: ReadonlyMap<number, string> = new Map();

/** The same pings as one request: single, array or NDJSON. */
export function pingRequest(pings: readonly WirePing[], random: Random): PingRequest {
  const common = { items: pings, expected: { status: 202, rejected: nothingRejected } } as const;
  if (pings.length === 1 && random.chance(0.7)) {
    return { ...common, body: JSON.stringify(pings[0]), contentType: 'application/json' };
  }
  if (random.chance(0.25)) {
    const lines = pings.map((ping) => JSON.stringify(ping)).join('\n');
    return { ...common, body: random.chance(0.5) ? `${lines}\n` : lines, contentType: 'application/x-ndjson' };
  }
  return { ...common, body: JSON.stringify(pings), contentType: 'application/json' };
}

/** docs/rules.md, Limits: at most 1,000 pings a request. */
const maxPingsPerRequest = 1000;

function batches(pings: readonly WirePing[], random: Random): PingRequest[] {
  const requests: PingRequest[] = [];
  for (let i = 0; i < pings.length; ) {
    const size = random.int(1, Math.min(maxPingsPerRequest, 250));
    requests.push(pingRequest(pings.slice(i, i + size), random));
    i += size;
  }
  return requests;
}

/**
 * How a lawful agent uploads what its worker saw: mostly at once; sometimes offline for a while and then everything
 * in any order; single pings much later; the same ping twice in a request, the same request twice.
 */
export function createUploads(worker: Worker, random: Random): Script {
  let offlineActivities = 0;
  let stored: WirePing[] = [];
  let late: WirePing[] = [];

  function upload(pings: readonly WirePing[]): PingRequest[] {
    if (pings.length === 0) return [];
    if (pings.length > 20) return batches(pings, random);
    if (random.chance(0.05)) return random.shuffled(pings).map((ping) => pingRequest([ping], random));
    if (random.chance(0.05)) return [pingRequest(random.shuffled([...pings, ...pings]), random)];
    return [pingRequest(pings, random)];
  }

  function take(pings: WirePing[]): PingRequest[] {
    const requests = upload(pings);
    // An agent that has lost its mark of what was sent sends it once more.
    return random.chance(0.05) ? [...requests, ...random.shuffled(requests)] : requests;
  }

  function takeStored(): PingRequest[] {
    const pings = random.chance(0.7) ? random.shuffled(stored) : stored;
    stored = [];
    return take(pings);
  }

  function takeLate(): PingRequest[] {
    const pings = random.shuffled(late);
    late = [];
    return take(pings);
  }

  return {
    next() {
      const seen = worker.nextActivity();
      const onTime = seen.filter((ping) => {
        if (!random.chance(0.04)) return true;
        late.push(ping);
        return false;
      });
      if (offlineActivities > 0) {
        stored.push(...onTime);
        return --offlineActivities === 0 ? takeStored() : [];
      }
      if (random.chance(0.01)) offlineActivities = random.int(3, 60);
      const requests = take(onTime);
      return random.chance(0.05) ? [...requests, ...takeLate()] : requests;
    },
    rest: () => [...takeStored(), ...takeLate()],
  };
}
