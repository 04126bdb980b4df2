import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { run } from '@worktide/backends';
import { parse } from 'yaml';
import { deployFolder, readTable } from './table.ts';

interface ComposeService {
  image: string;
  command?: string[] | string;
  profiles?: string[];
  restart?: string;
  mem_limit?: string;
  logging?: { options: Record<string, string> };
  healthcheck?: { test?: string[]; interval?: string; disable?: boolean };
  environment?: Record<string, string | number>;
  ports?: string[];
  volumes?: string[];
  read_only?: boolean;
  cap_drop?: string[];
  depends_on?: Record<string, { condition: string }>;
}

const text = readFileSync(new URL('../docker-compose.yml', deployFolder), 'utf8');
const compose: { services: Record<string, ComposeService>; volumes: Record<string, unknown> } = parse(text, {
  merge: true,
});
const table = readTable();
const all = Object.entries(compose.services);
const ours = Object.keys(table.services).map((name) => [name, compose.services[name]!] as const);

test('every service is there, with what the table says that it is given', () => {
  for (const [name, service] of ours) {
    const given = table.services[name]!;
    expect(service.command).toEqual([`services/${name}/src/main.ts`]);
    const environment = Object.keys(service.environment!);
    if (given.plain) {
      expect(JSON.stringify(service.environment)).not.toMatch(/TOKEN|SECRET|PASSWORD|_URL/);
      continue;
    }
    const wanted = [
      ...given.secret,
      ...(given.postgres ? ['POSTGRES_URL'] : []),
      'EVENT_LOG_URL',
      'KEY_VALUE_URL',
      'INTERNAL_TOKEN',
    ];
    expect(environment).toEqual(expect.arrayContaining(wanted));
    if (given.postgres)
      expect(service.environment!.POSTGRES_URL).toContain(`${name.toUpperCase().replaceAll('-', '_')}_POSTGRES_URL`);
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
    expect(service.depends_on!.prepare!.condition).toBe('service_completed_successfully');
  }
});

test('all are bounded, watched and started again', () => {
  for (const [name, service] of all) {
    expect(`${name} ${service.mem_limit ?? 'no limit'}`).not.toContain('no limit');
    expect(`${name} ${service.logging?.options['max-size']}`).toBe(`${name} 10m`);
    expect(`${name} ${service.restart}`).toBe(`${name} ${name === 'prepare' ? 'on-failure:5' : 'unless-stopped'}`);
    expect(service.image).not.toMatch(/latest|bitnami|minio\/minio/);
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(':');
      if (!source!.startsWith('.')) expect(Object.keys(compose.volumes)).toContain(source);
    }
    if (service.profiles || name === 'prepare' || table.services[name]) continue;
    expect(`${name} ${service.healthcheck!.interval}`).toBe(`${name} 30s`);
    expect(service.healthcheck!.test!.join(' ')).not.toContain('localhost');
  }
});

test('one port is open, on this server alone unless said', () => {
  const open = all.filter(([, { ports, profiles }]) => ports && !profiles);
  expect(open.map(([name]) => name)).toEqual(['ingress']);
  expect(open[0]![1].ports![0]).toMatch(/^\$\{WORKTIDE_LISTEN:-127\.0\.0\.1:8080\}:8080$/);
});

test('no secret has a default, and what is missing says how it is made', async () => {
  const made = await run('sh', [fileURLToPath(new URL('make-secrets.sh', deployFolder))]);
  const secrets = made.split('\n').flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? []);
  expect(secrets.length).toBeGreaterThan(15);
  for (const name of secrets) {
    const uses = [...text.matchAll(new RegExp(`\\$\\{${name}([^}]*)\\}`, 'g'))].map(([, rest]) => rest!);
    expect(`${name}: ${uses.length > 0}`).toBe(`${name}: true`);
    const hint = ':?is missing. Make the secrets first, with deploy/make-secrets.sh > .env';
    expect(uses).toContain(hint);
    for (const rest of uses) expect(['', hint]).toContain(rest);
  }
  expect(text).not.toMatch(/changeme|PASSWORD[:=] *[a-z0-9]/i);
});
