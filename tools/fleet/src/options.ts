import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/** Where the services are; one origin unless they are reached apart. */
export interface Origins {
  auth: string;
  /** Agents are spread over these, request by request. */
  ingest: readonly string[];
  usage: string;
  reports: string;
  screenshots: string;
  /** Sockets and presence. */
  realtime: string;
  /** What speaks ActivityWatch and WakaTime. */
  protocols: string;
}

export interface FleetOptions {
  /** `http://host:port` of the whole product. */
  url: string;
  /** Where a service is not behind `url`, e.g. several gateways of a cluster without an ingress. */
  origins?: Partial<Origins>;
  /** Lawful agents, each one device of one user. */
  agents: number;
  /** Users, each the admin of an organisation of their own; half the agents unless said. */
  users?: number;
  /** How long new pings are made. */
  seconds: number;
  /** Each lawful agent stops after about so many pings, whatever time is left. */
  pingsPerAgent?: number;
  /** Pings a second of all lawful agents together; 10 per agent unless said. */
  rate?: number;
  /** Of the lawful agents, how many speak ActivityWatch, and as many WakaTime; 0 unless said. */
  foreign?: number;
  /** Agents that send what must be refused; 0 unless said. */
  hostile?: number;
  /**
   * Others try to take what belongs to all (memory, places, time of the databases), at a bounded rate, for the last two
   * thirds of the run; what lawful agents and people wait is told for before and after.
   */
  siege?: boolean;
  /** Screenshots that each agent sends, broken ones where it is hostile; 0 unless said. */
  screenshots?: number;
  /** Time entries that each user keeps, by timer, by hand and offline, with input counts; 0 unless said. */
  timers?: number;
  /** Sockets that watch the users, and must be told what the lists say; 0 unless said. */
  watchers?: number;
  /** Days back that the agents' work lies in; 3 unless said. At most 80. */
  days?: number;
  seed?: number;
  /** Makes addresses and ids of this run its own. */
  runId?: string;
  /** "Now" of the simulated time, epoch ms. */
  now?: number;
  /** Agent keys to use instead of registering. */
  keys?: readonly string[];
  /** Seconds for the last requests to be acknowledged, and again for the results to become equal. */
  settle?: number;
  maxSockets?: number;
  requestTimeoutMs?: number;
  /** An agent waits no longer than this before it tries again, whatever it is asked to; as asked unless said. */
  maxWaitMs?: number;
  /** Aborting stops making pings; what was sent is still settled and judged. */
  signal?: AbortSignal;
  /** One line of progress or of the verdict; silent unless said. */
  print?: (line: string) => void;
}

export const usage = `Usage: npm run fleet -- --url http://127.0.0.1:8080 [options]

  --url <origin>          the product (required)
  --agents <n>            lawful agents (200)
  --users <n>             users they belong to, each with an organisation (agents / 2)
  --seconds <n>           how long they send (30)
  --pings <n>             each agent stops after about n pings
  --rate <n>              pings a second, all agents together (10 per agent)
  --foreign <n>           lawful agents that speak ActivityWatch, and as many WakaTime (a tenth of them)
  --hostile <n>           agents that send what must be refused (0); with them comes a siege
  --no-siege              hostile agents alone, nobody who tries to take what belongs to all
  --screenshots <n>       screenshots of each agent, hostile ones send broken files (0)
  --timers <n>            time entries of each user, with input counts and alerts (0)
  --watchers <n>          sockets that must be told what the lists say in the end (0)
  --days <n>              days of work back from now (3)
  --seed <n>              the same seed makes the same agents (1)
  --run-id <text>         part of addresses and ids (random)
  --now <ISO instant>     "now" of the simulated time (now)
  --keys <file>           agent keys, one a line, instead of registering; their users must have no usage yet
  --settle <n>            seconds to wait for equal results (60)
  --sockets <n>           connections per origin (256)
  --ingest-url <a,b,…> --auth-url --usage-url --reports-url --screenshots-url --realtime-url --protocols-url    services that are reached apart
  --json                  the summary as one line of JSON at the end
  --help

Exit status: 0 verdict equal, 1 different, 2 bad arguments.`;

export class UsageError extends Error {}

export interface CommandLine {
  help: boolean;
  json: boolean;
  options: FleetOptions;
}

function origin(text: string, name: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new UsageError(`--${name} is not an http(s) URL`);
  return url.origin;
}

/** Whole numbers only: "3x" and "" are mistakes, not 3 and 0. */
function whole(text: string | undefined, name: string, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`--${name} must be a whole number from ${min} to ${max}`);
  return value;
}

function readKeys(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--keys ${file} cannot be read: ${(error as Error).message}`);
  }
  const keys = text.split('\n').map((line) => line.trim());
  const given = keys.filter((line) => line !== '' && !line.startsWith('#'));
  if (given.length === 0) throw new UsageError(`--keys ${file} names no key`);
  return given;
}

/** Values that were given; absent ones stay absent instead of undefined. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined)) as never;
}

/** @throws UsageError with the one thing that is wrong. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const text = { type: 'string' } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        url: text,
        agents: text,
        users: text,
        seconds: text,
        pings: text,
        rate: text,
        foreign: text,
        hostile: text,
        screenshots: text,
        timers: text,
        watchers: text,
        days: text,
        seed: text,
        'run-id': text,
        now: text,
        keys: text,
        settle: text,
        sockets: text,
        'ingest-url': text,
        'auth-url': text,
        'usage-url': text,
        'reports-url': text,
        'screenshots-url': text,
        'realtime-url': text,
        'protocols-url': text,
        'no-siege': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return { help: true, json: false, options: { url: '', agents: 0, seconds: 0 } };
  const given = (name: string): string | undefined => values[name] as string | undefined;
  const number = (name: string, min: number, max: number) => whole(given(name), name, min, max);
  const at = (name: string): string | undefined => {
    const value = given(name);
    return value === undefined ? undefined : origin(value, name);
  };
  if (given('url') === undefined) throw new UsageError('--url is required');
  const now = given('now') === undefined ? undefined : Date.parse(given('now')!);
  if (Number.isNaN(now)) throw new UsageError('--now is not an instant');
  const runId = given('run-id');
  if (runId !== undefined && !/^[a-z0-9-]{1,32}$/.test(runId)) throw new UsageError('--run-id takes a-z, 0-9 and -');

  const keys = given('keys');
  const ingest = given('ingest-url')?.split(',');
  return {
    help: false,
    json: values.json === true,
    options: {
      url: at('url')!,
      agents: number('agents', 1, 100_000) ?? 200,
      foreign: number('foreign', 0, 100_000) ?? Math.floor((number('agents', 1, 100_000) ?? 200) / 10),
      seconds: number('seconds', 1, 86_400) ?? 30,
      siege: (number('hostile', 0, 10_000) ?? 0) > 0 && values['no-siege'] !== true && given('keys') === undefined,
      ...defined({
        origins: defined({
          auth: at('auth-url'),
          ingest: ingest?.map((each) => origin(each, 'ingest-url')),
          usage: at('usage-url'),
          reports: at('reports-url'),
          screenshots: at('screenshots-url'),
          realtime: at('realtime-url'),
          protocols: at('protocols-url'),
        }),
        users: number('users', 1, 100_000),
        pingsPerAgent: number('pings', 1, 10_000_000),
        rate: number('rate', 1, 10_000_000),
        hostile: number('hostile', 0, 10_000),
        screenshots: number('screenshots', 0, 10_000),
        timers: number('timers', 0, 1_000),
        watchers: number('watchers', 0, 10_000),
        days: number('days', 1, 80),
        seed: number('seed', 0, Number.MAX_SAFE_INTEGER),
        runId,
        now,
        keys: keys === undefined ? undefined : readKeys(keys),
        settle: number('settle', 1, 86_400),
        maxSockets: number('sockets', 1, 10_000),
      }),
    },
  };
}
