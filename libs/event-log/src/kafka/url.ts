import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { describeError } from '@worktide/runtime';
import { badUrl, notEncoded, parametersOf, prefixOf } from '../url.ts';

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

export interface KafkaSecurity {
  /** Absent: no TLS. */
  tls?: { cert?: Buffer; key?: Buffer };
  sasl?: { mechanism: (typeof mechanisms)[number]; username: string; password: string };
}

export interface KafkaAddress {
  brokers: string[];
  prefix: string;
  security: KafkaSecurity;
}

/**
 * `kafka[s]://[user:password@]host:port,host:port[?parameters]`. The scheme says whether there is TLS, which verifies
 * the broker and its name, always; authorities besides the well-known ones come from `NODE_EXTRA_CA_CERTS`. User and
 * password are percent-encoded. Parameters:
 * - `prefix`: before every topic and group name.
 * - `sasl`: `scram-sha-512` (where there is a user and nothing else is said), `scram-sha-256` or `plain`.
 * - `cert`, `key`: files (PEM) of a client certificate, read once.
 * - `passwordInClear=true` allows `plain` without TLS.
 * @throws AppError `BAD_CONFIGURATION`
 */
export function parseKafkaUrl(url: string): KafkaAddress {
  const [, scheme, authority = '', query = ''] = /^(kafkas?):\/\/([^?]*)(?:\?(.*))?$/s.exec(url) ?? [];
  const parameters = parametersOf(query, ['prefix', 'sasl', 'cert', 'key', 'passwordInClear']);
  const { user, hosts } = splitAuthority(authority);
  const brokers = hosts.replace(/\/$/, '').split(',');
  // No IPv6 address: kafkajs takes a broker apart at its first colon.
  if (!brokers.every((broker) => /^[\w.-]+:\d{1,5}$/.test(broker))) throw badUrl('a broker is host:port, or IPv4:port');
  const prefix = prefixOf(parameters);
  const sasl = saslOf(user, parameters);
  const tls = scheme === 'kafkas' ? { tls: clientCertificate(parameters) } : {};
  if (scheme === 'kafka' && (parameters.has('cert') || parameters.has('key'))) {
    throw badUrl('a client certificate needs TLS: kafkas://');
  }
  const allowed = flag(parameters, 'passwordInClear');
  if (scheme === 'kafka' && sasl?.mechanism === 'plain' && !allowed) {
    throw badUrl('sasl=plain would send the password in clear: kafkas://, or passwordInClear=true if that is meant');
  }
  return { brokers, prefix, security: { ...tls, ...(sasl ? { sasl } : {}) } };
}

function splitAuthority(authority: string): { user: string | undefined; hosts: string } {
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? undefined : authority.slice(0, at);
  if (/[@/#\s]/.test(user ?? '')) throw notEncoded();
  return { user, hosts: authority.slice(at + 1) };
}

function saslOf(user: string | undefined, parameters: Map<string, string>): KafkaSecurity['sasl'] {
  const asked = parameters.get('sasl');
  if (user === undefined) {
    if (asked !== undefined) throw badUrl('sasl needs user and password: kafkas://user:password@host:port');
    return undefined;
  }
  const colon = user.indexOf(':');
  const username = decode(user.slice(0, Math.max(0, colon)));
  const password = decode(user.slice(colon + 1));
  if (username === '' || password === '') throw badUrl('a user needs a password, and a password a user');
  const mechanism = mechanisms.find((known) => known === (asked ?? 'scram-sha-512'));
  if (!mechanism) throw badUrl(`sasl is one of ${mechanisms.join(', ')}`);
  return { mechanism, username, password };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notEncoded();
  }
}

/** Read and tried here: a file that is wrong is to be told at the start, not at every connection. */
function clientCertificate(parameters: Map<string, string>): { cert?: Buffer; key?: Buffer } {
  const files = { cert: parameters.get('cert'), key: parameters.get('key') };
  if (!files.cert && !files.key) return {};
  if (!files.cert || !files.key) throw badUrl('cert needs key, and key cert');
  const pair = { cert: readPem('cert', files.cert), key: readPem('key', files.key) };
  try {
    createSecureContext(pair);
  } catch (error) {
    throw badUrl(`cert and key cannot be used together: ${describeError(error)}`);
  }
  return pair;
}

function readPem(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw badUrl(`${name}: ${describeError(error)}`);
  }
}

function flag(parameters: Map<string, string>, name: string): boolean {
  const value = parameters.get(name) ?? 'false';
  if (value !== 'true' && value !== 'false') throw badUrl(`${name} is true or false`);
  return value === 'true';
}
