import { pbkdf2Sync, randomBytes } from 'node:crypto';
import path from 'node:path';
import { type Certificate, joinPem } from '../certificates.ts';

export interface KafkaSecurity {
  /** Of the broker; its names are those by which clients call it. */
  certificate: Certificate;
  /** The authority (PEM) of client certificates. */
  clientAuthority: string;
  /** Of the listener with passwords: TLS, and SASL with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. */
  passwordPort: number;
  /** Of the listener with client certificates: TLS alone. */
  certificatePort: number;
  /** Names and passwords. */
  users: Readonly<Record<string, string>>;
  /** What both listeners tell clients to call the broker by; `localhost` unless said. */
  host?: string;
}

/** A value of JAAS within a value of a Java properties file: either reads backslashes. */
const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&').replaceAll('\\', '\\\\')}"`;

/** The configuration of a broker with two more listeners. The broker itself and its controller use the plain one. */
export async function securedListeners(plain: string, dir: string, security: KafkaSecurity): Promise<string> {
  const { passwordPort, certificatePort, host = 'localhost' } = security;
  const keystore = path.join(dir, 'broker.pem');
  await joinPem(security.certificate, keystore);
  const login = 'org.apache.kafka.common.security';
  const users = Object.entries(security.users).map(([name, password]) => ` user_${name}=${quoted(password)}`);
  const changed = plain
    .replace(/^(listeners=.*)$/m, `$1,PASSWORD://127.0.0.1:${passwordPort},CERTIFICATE://127.0.0.1:${certificatePort}`)
    .replace(
      /^(advertised.listeners=.*)$/m,
      `$1,PASSWORD://${host}:${passwordPort},CERTIFICATE://${host}:${certificatePort}`,
    )
    .replace(/^(listener.security.protocol.map=.*)$/m, '$1,PASSWORD:SASL_SSL,CERTIFICATE:SSL');
  return `${changed}ssl.keystore.type=PEM
ssl.keystore.location=${keystore}
ssl.truststore.type=PEM
ssl.truststore.location=${security.clientAuthority}
listener.name.certificate.ssl.client.auth=required
listener.name.password.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.password.plain.sasl.jaas.config=${login}.plain.PlainLoginModule required${users.join('')};
listener.name.password.scram-sha-256.sasl.jaas.config=${login}.scram.ScramLoginModule required;
listener.name.password.scram-sha-512.sasl.jaas.config=${login}.scram.ScramLoginModule required;
# Soon enough that a test sees clients log in anew.
connections.max.reauth.ms=12000
`;
}

/** What formatting needs so that the users are there from the start. */
export const formatArguments = ({ users }: KafkaSecurity): string[] =>
  Object.entries(users).flatMap(([name, password]) =>
    (['256', '512'] as const).flatMap((bits) => ['--add-scram', scramEntry(name, password, bits)]),
  );

/** Salted here, so that no password has to get through the tool's own syntax. */
function scramEntry(name: string, password: string, bits: '256' | '512'): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 4096, Number(bits) / 8, `sha${bits}`);
  const fields = `name="${name}",iterations=4096,salt="${salt.toString('base64')}"`;
  return `SCRAM-SHA-${bits}=[${fields},saltedpassword="${salted.toString('base64')}"]`;
}
