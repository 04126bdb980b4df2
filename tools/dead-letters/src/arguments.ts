import { parseArgs } from 'node:util';

export const usage = `usage:
  npm run dead-letters -- list [--topic pings] [--organization id] [--user id] [--from 0] [--limit 50]
      what could not be processed, with reason and origin, oldest first
  npm run dead-letters -- replay --topic pings --offset 12
      puts one dead letter back onto its topic, whether or not it was before
  npm run dead-letters -- replay --topic pings --all
      puts back all that --all has not put back yet
  npm run dead-letters -- replay --topic pings --user id   (or --organization id)
      puts back all there are of one user or organization, whether or not they were before

The log is EVENT_LOG_URL, or that of npm start in WORKTIDE_DATA (default ./data).`;

/** Whose dead letters are meant; everybody's where nothing is said. */
export interface Whose {
  organization?: string;
  user?: string;
}

export type Command =
  | { name: 'list'; topic?: string; whose: Whose; from: number; limit: number }
  | { name: 'replay'; topic: string; offset: number }
  | { name: 'replay'; topic: string; whose: Whose }
  | { name: 'replay'; topic: string; all: true };

/** @throws Error with a sentence about the first thing that is wrong. */
export function parseCommand(argv: string[]): Command {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      topic: { type: 'string' },
      from: { type: 'string' },
      limit: { type: 'string' },
      offset: { type: 'string' },
      all: { type: 'boolean' },
      organization: { type: 'string' },
      user: { type: 'string' },
    },
  });
  const [name, ...more] = positionals;
  if (more.length > 0) throw new Error(`unexpected ${more[0]}`);
  const { topic, from, limit, offset, all, organization, user } = values;
  const whose: Whose = {
    ...(organization === undefined ? {} : { organization: uuid('organization', organization) }),
    ...(user === undefined ? {} : { user: uuid('user', user) }),
  };
  const ofSomebody = Object.keys(whose).length > 0 ? true : undefined;
  if (name === 'list') {
    forbid({ offset, all }, name);
    const common = {
      name,
      whose,
      from: whole('from', from ?? '0', 0),
      limit: whole('limit', limit ?? '50', 1),
    } as const;
    return topic === undefined ? common : { ...common, topic };
  }
  if (name === 'replay') {
    forbid({ from, limit }, name);
    if (topic === undefined) throw new Error('replay needs --topic');
    if ([offset, all, ofSomebody].filter((given) => given !== undefined).length !== 1) {
      throw new Error('replay needs either --offset, --all, or whose');
    }
    if (ofSomebody) return { name, topic, whose };
    return offset === undefined ? { name, topic, all: true } : { name, topic, offset: whole('offset', offset, 0) };
  }
  throw new Error(name === undefined ? 'say list or replay' : `unknown command ${name}`);
}

function forbid(options: Record<string, unknown>, command: string): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) throw new Error(`--${name} means nothing to ${command}`);
  }
}

function uuid(name: string, text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new Error(`--${name} is a UUID`);
  return text.toLowerCase();
}

/** Listing holds what it lists in memory: a thousand records at a time is what a person can use. */
const maxWhole = { limit: 1_000, from: Number.MAX_SAFE_INTEGER, offset: Number.MAX_SAFE_INTEGER };

function whole(name: keyof typeof maxWhole, text: string, least: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= maxWhole[name])) {
    throw new Error(`--${name} is a whole number from ${least} to ${maxWhole[name]}`);
  }
  return value;
}
