import type { Producer } from '@worktide/event-log';
import { AppError, type Caller, type Metrics } from '@worktide/runtime';
import { type Codec, type PictureType, type ScreenshotRecord, topics, uploadKey } from '@worktide/schemas';
import type { Described } from './fields.ts';

export type Picture = Omit<Described, 'screenshotId'> & {
  screenshotId: string;
  contentType: PictureType;
  size: number;
};

export interface Announcer {
  /** So that a registry that is away is known before a picture is taken. @throws AppError 503. */
  prepare(): Promise<void>;
  /** Tells the log of a picture that is durable in the store; resolves when the log has it. @throws AppError 503. */
  announce(caller: Caller, picture: Picture): Promise<void>;
}

export const createAnnouncer = ({ producer, codec }: { producer: Producer; codec: Codec }): Announcer => ({
  prepare: () => codec.prepare(),
  async announce({ organizationId, userId }, { capturedAt, ...picture }) {
    await codec.prepare();
    const now = Date.now();
    const record: ScreenshotRecord = {
      organizationId,
      userId,
      ...picture,
      objectKey: uploadKey(organizationId, userId, picture.screenshotId),
      capturedAt: capturedAt ?? now,
      receivedAt: now,
    };
    const value = codec.encode(record);
    await producer.send(topics.screenshots.name, [{ key: userId, value }], organizationId);
  },
});

export interface UploadMetrics {
  accepted(way: 'form' | 'signed', size: number): void;
  refused(error: unknown): void;
}

export function createUploadMetrics(metrics: Metrics): UploadMetrics {
  const accepted = metrics.counter('worktide_uploads_accepted_total', 'Screenshots taken and on the log.', ['way']);
  const bytes = metrics.counter('worktide_uploads_bytes_total', 'Bytes of the screenshots taken.', ['way']);
  const refused = metrics.counter('worktide_uploads_refused_total', 'Uploads not taken, by code.', ['code']);
  return {
    accepted(way, size) {
      accepted.inc({ way });
      bytes.inc({ way }, size);
    },
    refused: (error) => refused.inc({ code: error instanceof AppError ? error.code : 'INTERNAL' }),
  };
}
