import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { Express, RequestHandler } from 'express';
import { notFound } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { sendJson } from './errors.ts';
import { hasBearer } from './handler.ts';
import { type Readiness, withoutCauses } from './health.ts';
import { agentsPage, openApiDocument } from './openapi.ts';
import type { Service } from './route.ts';

/**
 * What one port shows: everything, or only what may be reached from outside, or only what may not (internal routes,
 * metrics without a token, the causes in `/health/ready`, and the keys that other services verify tokens with).
 */
export type Face = 'whole' | 'public' | 'internal';

/** `/health/*` and `/metrics`. */
export function mountHealth(
  app: Express,
  face: Face,
  options: {
    metrics: Metrics;
    metricsToken: string | undefined;
    readiness: () => Promise<Readiness>;
    stopping: AbortSignal;
  },
): void {
  const { metrics, metricsToken, readiness, stopping } = options;
  app.get('/health/live', (_req, res) => sendJson(res, 200, { status: 'live' }));
  const ready: RequestHandler = async (_req, res) => {
    const whole = await readiness();
    const answer = face === 'internal' ? whole : withoutCauses(whole);
    const isReady = answer.status === 'ready' && !stopping.aborted;
    sendJson(res, isReady ? 200 : 503, stopping.aborted ? { ...answer, status: 'stopping' } : answer);
  };
  // The other names are those that balancers ask for by themselves.
  for (const path of ['/health/ready', '/health', '/api/health']) app.get(path, ready);
  if (face === 'public') return;
  app.get('/metrics', async (req, res) => {
    // Its counters tell which addresses have accounts, and who is busy. Not 401: that would tell that there are some.
    if (face === 'whole' && !hasBearer(req.headers.authorization, metricsToken)) throw notFound(noPath);
    const { contentType, text } = await metrics.render();
    res.type(contentType).send(text);
  });
}

export const noPath = 'There is no such path.';

/** `/api/docs` and the document that it shows. */
export function mountDocs(app: Express, services: readonly Service[]): void {
  const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Worktide API</title>
<link rel="stylesheet" href="/api/docs/assets/swagger-ui.css"></head><body><div id="ui"></div>
<script src="/api/docs/assets/swagger-ui-bundle.js"></script><script src="/api/docs/start.js"></script></body></html>`;
  const start = `SwaggerUIBundle({ url: '/api/docs/openapi.json', dom_id: '#ui', validatorUrl: null });`;
  let document: unknown;
  app.get('/api/docs/openapi.json', (_req, res) => {
    document ??= openApiDocument(services);
    sendJson(res, 200, document);
  });
  app.get('/api/docs/start.js', (_req, res) => void res.type('application/javascript').send(start));
  app.get(agentsPage, (_req, res) => {
    res.type('text/markdown').send(readFileSync(new URL('../../../../docs/agents.md', import.meta.url)));
  });
  for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    app.get(`/api/docs/assets/${file}`, (_req, res) => {
      res.type(file.endsWith('.css') ? 'text/css' : 'application/javascript').send(readFileSync(`${assets}/${file}`));
    });
  }
  app.get('/api/docs', (_req, res) => void res.type('text/html').send(page));
}
