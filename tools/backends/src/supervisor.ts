import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { dockerAnswers, startContainer } from './containers.ts';
import { type BackendName, backendNames, variableOf } from './names.ts';
import { startNative } from './native.ts';
import { isRunning } from './processes.ts';

/** What the supervisor has started: an engine or a container. */
export interface Running {
  url: string;
  stop(): Promise<void>;
}

export interface Supervisor {
  /** Starts the engine at the first call; later calls get the same URL, or the same error. */
  url(name: BackendName): Promise<string>;
  /** Ends what was started and removes its data. */
  stop(): Promise<void>;
  /** The Unix socket on which test workers ask, `GET /<name>`. */
  readonly socket: string;
}

const prefix = 'worktide-backends-';

/** Data of runs that were killed: the guards end their engines, but nobody removed the folders. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const owner = Number(name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : Number.NaN);
    if (Number.isNaN(owner) || isRunning(owner)) continue;
    // Another user's is not ours to remove, and may not be.
    await rm(path.join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}

/** Real engines on demand: a URL in the environment, else a container, else a process of this machine. */
export async function createSupervisor(): Promise<Supervisor> {
  await removeLeftovers();
  const root = await mkdtemp(path.join(tmpdir(), `${prefix}${process.pid}-`));
  // PostgreSQL runs as another user and has to get through to its own folder.
  await chmod(root, 0o711);
  const started = new Map<BackendName, Promise<Running>>();
  let docker: Promise<boolean> | undefined;
  let stopping: Promise<void> | undefined;

  async function start(name: BackendName): Promise<Running> {
    const given = process.env[variableOf(name)];
    if (given) return { url: given, stop: async () => {} };
    docker ??= dockerAnswers();
    return (await docker) ? startContainer(name) : startNative(name, root);
  }

  const ask = (name: BackendName): Promise<Running> => {
    if (stopping) return Promise.reject(new Error('the backends are being stopped'));
    let running = started.get(name);
    if (!running) {
      running = start(name);
      started.set(name, running);
    }
    return running;
  };

  const socket = path.join(root, 'supervisor.sock');
  const server = createServer((request, response) => {
    const name = backendNames.find((known) => request.url === `/${known}`);
    const answer = (status: number, text: string) => response.writeHead(status, { connection: 'close' }).end(text);
    if (!name) return void answer(404, `there is no backend ${request.url}`);
    ask(name).then(
      (running) => answer(200, running.url),
      (error: unknown) => answer(500, error instanceof Error ? error.message : String(error)),
    );
  });
  // A first start may download for minutes.
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  await chmod(socket, 0o600);
  server.unref();

  async function stopAll(): Promise<void> {
    server.close();
    server.closeAllConnections();
    const outcomes = await Promise.allSettled(started.values());
    const running = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const stopped = await Promise.allSettled(running.map((one) => one.stop()));
    await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    const failed = stopped.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }

  return {
    socket,
    url: async (name) => (await ask(name)).url,
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
  };
}
