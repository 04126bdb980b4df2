import { parseArgs } from 'node:util';

export const partNames = [
  'gateway',
  'analytics',
  'writer',
  'growth',
  'end-to-end',
  'latency',
  'fresh',
  'reports',
  'exports',
  'people',
  'tasks',
  'pictures',
  'uploads',
  'timers',
  'sync',
  'shares',
  'realtime',
  'protocols',
  'dashboard',
] as const;
export type PartName = (typeof partNames)[number];

export interface Options {
  parts: readonly PartName[];
  /** Of each measured stretch of load. */
  seconds: number;
  /** Of the amounts of data. */
  scale: number;
  /** How often ours and the floor take turns. */
  rounds: number;
  /** Where the figures go as JSON. */
  json: string | undefined;
  /** Where each service's CPU profile goes; its top is printed too. Profiling costs some per cent. */
  profile: string | undefined;
}

export const usage = `npm run bench -- [${partNames.join('|')} …] [--seconds 4] [--scale 1] [--rounds 3] [--json file] [--profile folder]
Measures the services on real Kafka, PostgreSQL and ClickHouse, beside the floor under each, in one run on this machine.
Without names all parts run, which takes about ten minutes; --scale 0.1 takes a tenth of the data.`;

const positive = (name: string, text: string | undefined, fallback: number): number => {
  const value = text === undefined ? fallback : Number(text);
  if (value > 0 && value <= 1_000) return value;
  throw new Error(`--${name} ${text} is not a positive number`);
};

/** @throws Error with a sentence for the user. */
export function readOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      scale: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const unknown = positionals.filter((name) => !partNames.includes(name as PartName));
  if (unknown.length > 0) throw new Error(`there is no part ${unknown.join(', ')}`);
  return {
    parts: positionals.length === 0 ? partNames : partNames.filter((name) => positionals.includes(name)),
    seconds: positive('seconds', values.seconds, 4),
    scale: positive('scale', values.scale, 1),
    rounds: Math.ceil(positive('rounds', values.rounds, 3)),
    json: values.json,
    profile: values.profile,
  };
}
