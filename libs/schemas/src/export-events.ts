import { z } from 'zod';
import { id, instantMs } from './common.ts';
import { exportFormat, exportJob } from './exports.ts';

/** An export that is settled, after a commit of analytics: an export is settled once, so there is no other state of it. */
export const exportState = z.object({
  id,
  report: exportJob.shape.report,
  format: exportFormat,
  fileName: z.string(),
  status: z.enum(['ready', 'failed']),
  /** Of a failure; null where it is ready. */
  failureCode: z.string().nullable(),
  rows: z.int().min(0),
  bytes: z.int().min(0),
  settledAt: instantMs,
});
export type ExportState = z.output<typeof exportState>;

/** One record of topic `exports`. */
export const exportsRecord = z.object({ organizationId: id, userId: id, exports: z.array(exportState).min(1) });
export type ExportsRecord = z.output<typeof exportsRecord>;
