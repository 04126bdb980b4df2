import { realpath, statfs } from 'node:fs/promises';
import path from 'node:path';
import {
  type AppError,
  freeBytes,
  type Lifecycle,
  type Logger,
  type Metrics,
  type Service,
  sleep,
  storageFull,
} from '@worktide/runtime';

export interface Disk {
  /** Bytes that the embedded log and object store leave free: half of what is kept from people. */
  floorBytes: number;
  /** @throws AppError 503 `STORAGE_FULL` while less than the reserve is free. */
  requireRoom(): void;
  /** Resolves when an engine has the room to start; answers whether it had to wait for that. */
  roomForEngine(): Promise<boolean>;
}

const everyMs = 1_000;
/** What PostgreSQL needs to start after a crash: two segments of its write-ahead log, and some. */
const engineBytes = 48 * 1024 * 1024;

/** 2 % of the disk, but 200 MB at least and 2 GB at most. */
async function defaultReserve(folder: string): Promise<number> {
  const { blocks, bsize } = await statfs(folder);
  return Math.round(Math.min(2e9, Math.max(2e8, (blocks * bsize) / 50)));
}

/**
 * Watches the disk of a data folder. It gets full in steps: below the reserve people and agents are refused what is
 * stored; below half of it (the floor) the services' consumers wait as well. So no engine meets the end of the disk by
 * what we write, and what was taken is worked off as far as there is room.
 * @param reserveBytes 2 % of the disk, within bounds, unless said.
 */
export async function watchDisk(
  folder: string,
  reserveBytes: number | undefined,
  { lifecycle, log, metrics }: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Disk> {
  const reserve = reserveBytes ?? (await defaultReserve(folder));
  const floorBytes = Math.floor(reserve / 2);
  const gauge = metrics.gauge('worktide_disk_free_bytes', 'Bytes free on the disk of the data folder.');
  metrics.gauge('worktide_disk_reserve_bytes', 'Below so many free bytes nothing more is taken.').set(reserve);
  let shortage: AppError | undefined;

  async function free(): Promise<number> {
    // As root PostgreSQL's data may live on another disk, behind a link.
    const engine = await realpath(path.join(folder, 'postgres/data')).catch(() => folder);
    const all = await Promise.all([folder, engine].map((each) => freeBytes(each)));
    return Math.min(...all);
  }

  async function look(): Promise<void> {
    const bytes = await free().catch(() => undefined);
    // Who cannot be asked is not known to be full.
    if (bytes === undefined) return;
    gauge.set(bytes);
    const before = shortage;
    const text = `${Math.floor(bytes / 1e6)} MB are free, ${Math.ceil(reserve / 1e6)} MB are to stay so`;
    shortage = bytes < reserve ? storageFull(new Error(text)) : undefined;
    if (shortage && !before) log.error(`The disk is full: ${text} (WORKTIDE_MIN_FREE_BYTES). Nothing more is stored.`);
    if (!shortage && before) log.warn('There is room on the disk again.');
  }

  await look();
  lifecycle.every('disk', { everyMs, first: 'later' }, look);

  return {
    floorBytes,
    requireRoom() {
      if (shortage) throw shortage;
    },
    async roomForEngine() {
      let waited = false;
      for (; !lifecycle.signal.aborted; waited = true) {
        if ((await free().catch(() => engineBytes)) >= engineBytes) break;
        await sleep(everyMs, lifecycle.signal);
      }
      return waited;
    },
  };
}

/** They store next to nothing, and without them nobody could look or make room. */
const alwaysTaken = new Set(['login', 'refresh', 'logout', 'logoutAll']);

/** Whether an operation would store something for whoever calls from outside. */
const stores = ({ method, access, operationId }: { method: string; access: string; operationId: string }): boolean =>
  method !== 'get' && method !== 'delete' && access !== 'internal' && !alwaysTaken.has(operationId);

/** The service, refusing what would be stored while there is no room; it reads and deletes on. */
export function refuseWithoutRoom(service: Service, { requireRoom }: Pick<Disk, 'requireRoom'>): Service {
  return {
    ...service,
    routes: service.routes.map((route) =>
      stores(route)
        ? {
            ...route,
            handler: (context) => {
              requireRoom();
              return route.handler(context);
            },
          }
        : route,
    ),
    rawRoutes: (service.rawRoutes ?? []).map((raw) =>
      stores(raw.spec)
        ? {
            ...raw,
            handle: async (...args) => {
              requireRoom();
              await raw.handle(...args);
            },
          }
        : raw,
    ),
  };
}
