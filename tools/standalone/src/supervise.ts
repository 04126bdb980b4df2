import type { Engine } from '@worktide/backends';
import { AppError, type Lifecycle, type Logger, sleep } from '@worktide/runtime';
import type { Disk } from './disk.ts';

/** More crashes than this within the window are no accident: the whole ends with a message instead of a loop. */
const maxCrashes = 3;
const windowMs = 5 * 60_000;

/**
 * Starts an engine as a child that is restarted on the same data when it dies, and ended with us.
 * The services notice a crash as an outage: they pause and go on by themselves.
 * A full disk makes an engine end, and end again: it is started when there is room, and its ends are not counted.
 */
export async function supervise(
  name: string,
  start: (onUnexpectedEnd: (how: string) => void) => Promise<Engine>,
  { lifecycle, log, disk }: { lifecycle: Lifecycle; log: Logger; disk: Pick<Disk, 'roomForEngine'> },
): Promise<Engine> {
  let crashes: number[] = [];
  let engine: Engine | undefined;

  async function recover(how: string): Promise<void> {
    if (lifecycle.signal.aborted || !engine) return;
    if (await disk.roomForEngine()) log.warn({ engine: name }, `${name} waited for room on the disk`);
    else if (isOneTooMany(how)) return;
    await startAgain(how);
  }

  /** Whether that was one crash more than can be accidents; then all ends. */
  function isOneTooMany(how: string): boolean {
    const now = Date.now();
    crashes = [...crashes.filter((at) => now - at < windowMs), now];
    if (crashes.length > maxCrashes) {
      lifecycle.fail(
        new AppError('ENGINE_CRASHED', `${name} ended ${crashes.length} times (${how}); see ${engine?.logFile}.`),
      );
      return true;
    }
    return false;
  }

  async function startAgain(how: string): Promise<void> {
    if (lifecycle.signal.aborted || !engine) return;
    log.error({ engine: name, how }, `${name} ended (${how}); starting it again`);
    try {
      await sleep(200);
      await engine.restart();
      log.info({ engine: name }, `${name} is back`);
    } catch (error) {
      if (await disk.roomForEngine()) return startAgain(how);
      if (!lifecycle.signal.aborted) {
        lifecycle.fail(new AppError('ENGINE_CRASHED', `${name} does not start again.`, { cause: error }));
      }
    }
  }

  engine = await start((how) => void recover(how));
  lifecycle.onClose(name, () => engine.stop());
  return engine;
}
