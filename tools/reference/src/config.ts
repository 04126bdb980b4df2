import { readFileSync } from 'node:fs';
import path from 'node:path';
import { configSchema as agentProtocols } from '@worktide/agent-protocols';
import { configSchema as analytics } from '@worktide/analytics';
import { configSchema as auth } from '@worktide/auth';
import { configSchema as dashboard } from '@worktide/dashboard';
import { configSchema as ingestGateway } from '@worktide/ingest-gateway';
import { environment as prepare } from '@worktide/prepare';
import { configSchema as realtime } from '@worktide/realtime';
import { configSchema as screenshotProcessor } from '@worktide/screenshot-processor';
import { configSchema as sessionWriter } from '@worktide/session-writer';
import { configSchema as standalone } from '@worktide/standalone';
import { configSchema as workspace } from '@worktide/workspace';
import type { z } from 'zod';
import { root } from './tree.ts';

export interface VariableEntry {
  name: string;
  /** What it is where it is not set, and whose that is: `8081`, `required`, or nothing. */
  defaults: Map<string, string[]>;
  /** What it is for, and to whom; mostly one. */
  texts: Map<string, string[]>;
  readers: string[];
}

/** Schemas of the environment, each with the files whose comments describe its variables. */
const shared = ['libs/runtime/src/http/config.ts', 'libs/event-log/src/config.ts', 'libs/service/src/ping-quota.ts'];
const own = (folder: string): string[] => [`${folder}/src/config.ts`, ...shared];
const readers: Record<string, { shape: Readonly<Record<string, z.core.$ZodType>>; files: string[] }> = {
  auth: { shape: auth.shape, files: own('services/auth') },
  'ingest-gateway': { shape: ingestGateway.shape, files: own('services/ingest-gateway') },
  'session-writer': { shape: sessionWriter.shape, files: own('services/session-writer') },
  workspace: { shape: workspace.shape, files: own('services/workspace') },
  'screenshot-processor': { shape: screenshotProcessor.shape, files: own('services/screenshot-processor') },
  analytics: { shape: analytics.shape, files: own('services/analytics') },
  realtime: { shape: realtime.shape, files: own('services/realtime') },
  'agent-protocols': { shape: agentProtocols.shape, files: own('services/agent-protocols') },
  dashboard: { shape: dashboard.shape, files: ['services/dashboard/src/config.ts', 'libs/runtime/src/http/config.ts'] },
  'npm start': { shape: standalone.shape, files: own('tools/standalone') },
  'prepare:engines': { shape: prepare.shape, files: own('tools/prepare') },
};

export const services = Object.keys(readers).filter((reader) => !['npm start', 'prepare:engines'].includes(reader));

/** Every variable that the product reads, by name. */
export function variables(): VariableEntry[] {
  const found = new Map<string, VariableEntry>();
  for (const [reader, { shape, files }] of Object.entries(readers)) {
    const sources = files.map((file) => readFileSync(path.join(root, file), 'utf8'));
    for (const [name, schema] of Object.entries(shape)) {
      const entry: VariableEntry = found.get(name) ?? { name, defaults: new Map(), texts: new Map(), readers: [] };
      found.set(name, entry);
      entry.readers.push(reader);
      add(entry.defaults, defaultOf(schema), reader);
      const text = (schema as z.ZodType).description ?? commentOver(name, sources);
      // Who says nothing means what the others say.
      if (text !== undefined) add(entry.texts, text, reader);
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function add(map: Map<string, string[]>, value: string, reader: string): void {
  map.set(value, [...(map.get(value) ?? []), reader]);
}

/** `required`, nothing, or the default as it would be set. */
export function defaultOf(schema: z.core.$ZodType): string {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === 'default') return String(def.defaultValue);
  if (def.type === 'optional') return '';
  return def.type === 'pipe' ? defaultOf(def.in as z.core.$ZodType) : 'required';
}

/** The comment that stands directly over a variable in the first source that has one. */
export function commentOver(name: string, sources: readonly string[]): string | undefined {
  const over = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*${name}:`);
  for (const source of sources) {
    const [, comment] = over.exec(source) ?? [];
    if (comment !== undefined)
      return comment
        .replaceAll(/^\s*\*/gm, '')
        .replaceAll(/\s+/g, ' ')
        .trim();
  }
  return undefined;
}
