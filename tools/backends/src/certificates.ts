import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { aptInstall, onPath, run } from './command.ts';

/** Files, PEM; keys are not encrypted. */
export interface Certificate {
  cert: string;
  key: string;
}

/** A certificate authority of a test's own. */
export interface Authority {
  /** Its certificate: what those who are to trust it get. */
  cert: string;
  /**
   * A certificate for servers and clients.
   * @param hosts for which it is good, e.g. `DNS:localhost`, `IP:127.0.0.1`.
   */
  issue(name: string, hosts: string[]): Promise<Certificate>;
}

/** Makes an authority in a folder, by `openssl`, which is installed if it can be. */
export async function makeAuthority(dir: string): Promise<Authority> {
  const openssl = (await onPath('openssl')) ?? (await installOpenssl());
  await mkdir(dir, { recursive: true });
  const file = (name: string): string => path.join(dir, name);
  const request = async (name: string, options: string[]): Promise<Certificate> => {
    const made = { cert: file(`${name}.pem`), key: file(`${name}.key`) };
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`];
    await run(openssl, ['req', ...kind, '-keyout', made.key, ...options]);
    return made;
  };
  const own = await request('authority', ['-x509', '-days', '2', '-out', file('authority.pem')]);
  return {
    cert: own.cert,
    async issue(name, hosts) {
      const asked = file(`${name}.csr`);
      const extensions = file(`${name}.extensions`);
      const issued = await request(name, ['-out', asked]);
      await writeFile(extensions, `subjectAltName=${hosts.join(',')}\n`);
      const by = ['-CA', own.cert, '-CAkey', own.key, '-CAcreateserial', '-days', '2', '-extfile', extensions];
      await run(openssl, ['x509', '-req', '-in', asked, ...by, '-out', issued.cert]);
      return issued;
    },
  };
}

async function installOpenssl(): Promise<string> {
  await aptInstall(['openssl'], 'Making certificates');
  return 'openssl';
}

/** Key and certificate in one file, as Kafka takes them. */
export async function joinPem({ cert, key }: Certificate, to: string): Promise<void> {
  await writeFile(to, (await readFile(key, 'utf8')) + (await readFile(cert, 'utf8')), { mode: 0o600 });
}
