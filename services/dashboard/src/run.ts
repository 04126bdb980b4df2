import type { Lifecycle, Logger, Metrics, Service } from '@worktide/runtime';
import type { Config } from './config.ts';
import { readFiles } from './files.ts';
import { createPages } from './pages.ts';

export const serviceName = 'dashboard';

/**
 * The pages of the web application. It has no state, no engine and no secret: whoever has these pages has what anybody on
 * the internet may have.
 * @throws AppError `DASHBOARD_NOT_BUILT` where the folder has no pages.
 */
export async function run(
  config: Config,
  _deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const files = await readFiles(config.DASHBOARD_FILES);
  return {
    name: serviceName,
    routes: [],
    pages: createPages(files, { imageOrigins: config.DASHBOARD_IMAGE_ORIGINS }),
    checks: {},
  };
}
