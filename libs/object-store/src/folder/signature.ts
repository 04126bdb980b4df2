import { createHmac, timingSafeEqual } from 'node:crypto';
import { forbidden } from '@worktide/runtime';

/** What a signed URL of a folder lets its holder do. */
export interface Grant {
  method: 'GET' | 'PUT';
  key: string;
  /** Unix seconds. */
  expires: number;
  /** Of a PUT. */
  size?: number;
  /** Of a PUT. */
  contentType?: string;
  /** Of a GET: what it is saved as. */
  fileName?: string;
}

export interface Signer {
  /** The path and query of a URL that grants this. */
  sign(grant: Grant): string;
  /** @throws AppError 403 where the query does not grant this method on this key now. */
  verify(method: Grant['method'], key: string, query: URLSearchParams): Grant;
}

export const pathPrefix = '/objects/';

export function createSigner(secret: string): Signer {
  // A key of its own: the secret may be used for other things as well.
  const key = createHmac('sha256', secret).update('worktide: signed object URLs, version 1').digest();
  // As JSON, so that no field can run over into the next.
  const macOf = ({ method, key: object, expires, size, contentType, fileName }: Grant): Buffer =>
    createHmac('sha256', key)
      // Without a name as ever: links of the version before are good for as long as they said.
      .update(
        JSON.stringify([method, object, expires, size ?? null, contentType ?? null, ...(fileName ? [fileName] : [])]),
      )
      .digest();

  return {
    sign(grant) {
      const query = new URLSearchParams({ expires: String(grant.expires) });
      if (grant.size !== undefined) query.set('size', String(grant.size));
      if (grant.contentType !== undefined) query.set('type', grant.contentType);
      if (grant.fileName !== undefined) query.set('name', grant.fileName);
      query.set('signature', macOf(grant).toString('base64url'));
      const path = grant.key.split('/').map(encodeURIComponent).join('/');
      return `${pathPrefix}${path}?${query}`;
    },
    verify(method, object, query) {
      const [size, contentType, fileName] = [query.get('size'), query.get('type'), query.get('name')];
      const grant: Grant = {
        method,
        key: object,
        expires: Number(query.get('expires')),
        ...(size === null ? {} : { size: Number(size) }),
        ...(contentType === null ? {} : { contentType }),
        ...(fileName === null ? {} : { fileName }),
      };
      const given = Buffer.from(query.get('signature') ?? '', 'base64url');
      const expected = macOf(grant);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
        throw forbidden('This link is not valid.', 'LINK_INVALID');
      }
      if (Date.now() >= grant.expires * 1_000) throw forbidden('This link has expired.', 'LINK_EXPIRED');
      return grant;
    },
  };
}
