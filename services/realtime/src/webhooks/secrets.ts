import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { AppError } from '@worktide/runtime';

/** Keeps secrets of webhooks as they lie in the database. */
export interface Secrets {
  /** @param of whose it is: sealed for one webhook it opens for no other. */
  seal(secret: string, of: string): string;
  /** @throws AppError `WEBHOOK_SECRET_SEALED` where none of the keys opens it. */
  open(sealed: string, of: string): string;
}

const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;

/**
 * @param keys any texts; the first seals, all of them open. None: secrets are kept as they are, for whoever can read the
 *   database to read.
 */
export function createSecrets(keys: readonly string[]): Secrets {
  const known = keys.map((key) => hash('sha256', key, 'buffer'));

  function unseal(key: Buffer, bytes: Buffer, of: string): string | undefined {
    const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, ivBytes));
    decipher.setAAD(Buffer.from(of));
    decipher.setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()]).toString();
    } catch {
      return undefined;
    }
  }

  return {
    seal(secret, of) {
      const [key] = known;
      if (!key) return `plain:${secret}`;
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv(algorithm, key, iv);
      cipher.setAAD(Buffer.from(of));
      const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return `sealed:${Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64')}`;
    },
    open(sealed, of) {
      const at = sealed.indexOf(':');
      const rest = sealed.slice(at + 1);
      if (sealed.slice(0, at) === 'plain') return rest;
      for (const key of known) {
        const secret = unseal(key, Buffer.from(rest, 'base64'), of);
        if (secret !== undefined) return secret;
      }
      throw new AppError('WEBHOOK_SECRET_SEALED', 'The secret of a webhook cannot be read at the moment.');
    },
  };
}
