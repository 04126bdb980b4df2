import { homedir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

export const usage = `npm run bridge -- --url https://worktide.example.com --key waka_… [--port 5600] [--data folder] [--origin chrome-extension://…]

Speaks ActivityWatch on 127.0.0.1, keeps what watchers send on disk, and sends it to Worktide in its own time.

  --url     where Worktide is
  --key     an agent key; better in WORKTIDE_KEY, where other users of the machine do not see it
  --port    where watchers look: 5600, or 5666 in their testing mode
  --data    the folder of the queue; ~/.worktide-bridge unless said
  --origin  a web page or extension that may send, besides ActivityWatch's own; may be given often`;

const schema = z.object({
  url: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, '')),
  key: z.string().regex(/^waka_[0-9a-f-]{36}$/i, 'is no agent key'),
  port: z.coerce.number().int().min(0).max(65_535).default(5_600),
  data: z.string().default(path.join(homedir(), '.worktide-bridge')),
  origin: z.array(z.string()).default([]),
});
export type Arguments = z.output<typeof schema>;

/** @returns what was asked for, or what is wrong with it; never repeats the key. */
export function readArguments(given: readonly string[], env: NodeJS.ProcessEnv): Arguments | string {
  try {
    const text = { type: 'string' } as const;
    const options = { url: text, key: text, port: text, data: text, origin: { ...text, multiple: true } } as const;
    const { values } = parseArgs({ args: [...given], options });
    const read = schema.safeParse({ ...values, key: values.key ?? env.WORKTIDE_KEY });
    if (read.success) return read.data;
    return read.error.issues.map(({ path: at, message }) => `--${at.join('.')}: ${message}`).join('\n');
  } catch {
    return 'There is no such argument.';
  }
}
