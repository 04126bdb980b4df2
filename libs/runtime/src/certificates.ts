import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { describeError } from './errors.ts';

/**
 * What is wrong with whom this process trusts. Node reads `NODE_EXTRA_CA_CERTS` itself, once, before any of our code,
 * and goes on without it where it cannot; then every connection fails later, for a reason that names no file.
 */
export function trustProblems(env: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  const file = env.NODE_EXTRA_CA_CERTS;
  const problem = file === undefined ? undefined : authoritiesProblem(file);
  if (problem) problems.push(`NODE_EXTRA_CA_CERTS: ${problem}`);
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
    problems.push('NODE_TLS_REJECT_UNAUTHORIZED: 0 trusts anybody; name an authority in NODE_EXTRA_CA_CERTS instead');
  }
  return problems;
}

function authoritiesProblem(file: string): string | undefined {
  let wanted: string[];
  try {
    const blocks = readFileSync(file, 'utf8').match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
    wanted = blocks.map((pem) => new X509Certificate(pem).fingerprint256);
  } catch (error) {
    return describeError(error);
  }
  if (wanted.length === 0) return 'there is no certificate (PEM) in the file';
  const trusted = new Set(getCACertificates('extra').map((pem) => new X509Certificate(pem).fingerprint256));
  return wanted.every((one) => trusted.has(one))
    ? undefined
    : 'was not read when the process began: it has to be in its environment by then, and the program without privileges of its file';
}
