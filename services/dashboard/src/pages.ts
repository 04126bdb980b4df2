import { randomBytes } from 'node:crypto';
import type { Service } from '@worktide/runtime';
import type { BuiltFiles } from './files.ts';

type Pages = NonNullable<Service['pages']>;

/** What `index.html` has where each answer's own nonce goes. */
export const noncePlace = '__NONCE__';

/** Names of the product that are no pages, whoever answers them: what is unknown there is 404 and no page. */
const reserved = /^\/(api|agent|assets|health|internal|metrics|objects|socket\.io|\.well-known)(\/|$)/;

/**
 * No script but ours, no style but ours or with this answer's nonce, nothing from elsewhere, and no text that becomes markup:
 * browsers that know of trusted types refuse every sink.
 */
export const contentPolicy = (nonce: string, imageOrigins: readonly string[]): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    `img-src ${["'self'", 'data:', ...imageOrigins].join(' ')}`,
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');

/**
 * Answers what the build wrote, and `index.html` for every other path that a browser goes to: each view is a link, and which
 * there are is the application's to say.
 */
export function createPages({ index, byPath }: BuiltFiles, { imageOrigins }: { imageOrigins: string[] }): Pages {
  return (req, res) => {
    const file = byPath.get(req.path);
    if (file) {
      // A name with a hash never means anything else again.
      const lasts = req.path.startsWith('/assets/');
      res.setHeader('cache-control', lasts ? 'public, max-age=31536000, immutable' : 'public, max-age=3600');
      res.setHeader('vary', 'Accept-Encoding');
      res.setHeader('content-type', file.contentType);
      const isZipped = file.gzipped !== undefined && req.acceptsEncodings('gzip') === 'gzip';
      if (isZipped) res.setHeader('content-encoding', 'gzip');
      res.end(isZipped ? file.gzipped : file.body);
      return true;
    }
    if (reserved.test(req.path) || !/\btext\/html\b/.test(req.headers.accept ?? '')) return false;
    const nonce = randomBytes(16).toString('base64');
    res.setHeader('content-security-policy', contentPolicy(nonce, imageOrigins));
    res.setHeader('permissions-policy', 'camera=(), microphone=(), geolocation=(), payment=(), usb=()');
    res.setHeader('content-type', 'text/html; charset=utf-8');
    res.end(index.replaceAll(noncePlace, nonce));
    return true;
  };
}
