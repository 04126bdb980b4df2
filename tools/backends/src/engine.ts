import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { appendFile, mkdir, open, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** A running engine that a test may kill and start again on the same data and port. */
export interface Engine {
  /** What a service gets in its environment. Stays the same over restarts. */
  readonly url: string;
  /** Of the present process; another one after `restart`. */
  readonly pid: number;
  /** Where its output goes. */
  readonly logFile: string;
  /** Orderly; kills after 10 s. Resolves when the process has gone. */
  stop(): Promise<void>;
  /** SIGKILL. Resolves when the process has gone. */
  kill9(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. An engine that is stopped or killed needs no `resume` before. */
  suspend(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again (after stopping it, if need be). Resolves when it answers. */
  restart(): Promise<void>;
}

export interface EngineSpec {
  name: string;
  url: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
  /** Data and log folder of this engine; made if missing. */
  dir: string;
  /** Where it runs; `dir` unless said. */
  cwd?: string;
  uid?: number;
  gid?: number;
  /** The signal for an orderly end; SIGTERM unless said. */
  stopSignal?: NodeJS.Signals;
  /** Asked every 50 ms after the start, with what the present process has logged so far. */
  ready(log: string): Promise<boolean> | boolean;
  /** An early end with this in its log is tried again until the deadline (e.g. memory of a killed one not yet freed). */
  retryOn?: RegExp;
  /** Called when a process that had become ready ends without our having ended it. */
  onUnexpectedEnd?: ((how: string) => void) | undefined;
  /** Ends the first start: what has been started by then is killed. */
  signal?: AbortSignal | undefined;
  /** How long a start may take; 90 s unless said: the machine may be busy with other tests. */
  deadlineMs?: number;
}

/** @throws Error with the end of the engine's log when it ends early or is not ready in time. */
export async function startEngine(spec: EngineSpec): Promise<Engine> {
  await mkdir(spec.dir, { recursive: true });
  const logFile = path.join(spec.dir, `${spec.name}.log`);
  let running = await launch(spec, logFile, spec.signal);
  return {
    url: spec.url,
    get pid() {
      return running.pid;
    },
    logFile,
    stop: () => running.end(spec.stopSignal ?? 'SIGTERM'),
    kill9: () => running.end('SIGKILL'),
    suspend: () => signalGroup(running.pid, 'SIGSTOP'),
    resume: () => signalGroup(running.pid, 'SIGCONT'),
    async restart() {
      await running.end(spec.stopSignal ?? 'SIGTERM');
      running = await launch(spec, logFile);
    },
  };
}

interface Running {
  pid: number;
  end(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when the process has gone: how, or undefined where we had asked for it. */
  over: Promise<string | undefined>;
}

async function launch(spec: EngineSpec, logFile: string, signal?: AbortSignal): Promise<Running> {
  const deadline = Date.now() + (spec.deadlineMs ?? 90_000);
  for (;;) {
    await appendFile(logFile, '');
    const logStart = (await stat(logFile)).size;
    signal?.throwIfAborted();
    const started = spawnGuarded(spec, logFile);
    while (!started.ended() && !signal?.aborted) {
      if (await spec.ready(await readFrom(logFile, logStart))) {
        void started.over.then((how) => how && spec.onUnexpectedEnd?.(how));
        return started;
      }
      if (Date.now() > deadline) break;
      await wait(50);
    }
    const inTime = started.ended();
    await started.end('SIGKILL');
    signal?.throwIfAborted();
    const log = await readFrom(logFile, logStart);
    if (inTime && Date.now() < deadline && spec.retryOn?.test(log)) {
      await wait(200);
      continue;
    }
    const what = inTime ? `ended while starting (${inTime})` : 'did not get ready in time';
    throw new Error(`${spec.name} ${what}; its last words (${logFile}):\n${log.slice(-2_000)}`);
  }
}

/**
 * A guard that holds a pipe to us: when we die, however we die, the pipe closes and it kills the engine.
 * A line on the pipe dismisses it. It ignores the signals that a terminal sends to all its processes.
 */
const guardScript = 'trap "" INT TERM HUP; read -r _ || kill -9 "-$1"';

interface Started extends Running {
  ended(): string | undefined;
}

function spawnGuarded(spec: EngineSpec, logFile: string): Started {
  const log = openSync(logFile, 'a');
  let child: ChildProcess;
  try {
    child = spawn(spec.command, spec.args, {
      cwd: spec.cwd ?? spec.dir,
      env: { ...process.env, ...spec.env },
      stdio: ['ignore', log, log],
      // A process group of its own: Ctrl-C in the terminal is for us, we end the engines in order.
      detached: true,
      ...(spec.uid === undefined ? {} : { uid: spec.uid }),
      ...(spec.gid === undefined ? {} : { gid: spec.gid }),
    });
  } finally {
    closeSync(log);
  }
  let ended: string | undefined;
  const gone = new Promise<void>((resolve) => {
    const over = (how: string) => {
      ended ??= how;
      resolve();
    };
    child.once('exit', (code, signal) => over(`exit ${signal ?? code}`));
    child.once('error', (error) => over(error.message));
  });
  if (child.pid === undefined) {
    return { pid: 0, end: () => gone, over: gone.then(() => undefined), ended: () => ended };
  }
  const pid = child.pid;
  const guard = spawn('/bin/sh', ['-c', guardScript, 'guard', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => {});
  guard.stdin.on('error', () => {});
  // Neither holds our event loop: a finished test run may exit, and then the guard acts.
  child.unref();
  guard.unref();
  (guard.stdin as unknown as { unref(): void }).unref();
  void gone.then(() => guard.stdin.end('\n'));
  let asked = false;
  return {
    pid,
    ended: () => ended,
    over: gone.then(() => (asked ? undefined : ended)),
    async end(signal) {
      asked = true;
      if (ended === undefined) {
        signalGroup(pid, signal);
        // A suspended process would not hear of anything but SIGKILL.
        signalGroup(pid, 'SIGCONT');
      }
      // Later than what a process of ours gives its own closing.
      const killer = setTimeout(() => signalGroup(pid, 'SIGKILL'), 20_000);
      // An unreferenced child would let the process exit while we wait for it.
      child.ref();
      await gone;
      clearTimeout(killer);
    },
  };
}

/** An orderly end is asked of the engine itself, which ends its own children in order; the rest is for all of them. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  const everyone = signal === 'SIGKILL' || signal === 'SIGSTOP' || signal === 'SIGCONT';
  try {
    process.kill(everyone ? -pid : pid, signal);
  } catch {
    // Already gone.
  }
}

async function readFrom(file: string, start: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const length = Math.min(size - start, 1_000_000);
    const buffer = Buffer.alloc(Math.max(0, length));
    await handle.read(buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8');
  } finally {
    await handle.close();
  }
}

/** Whether something accepts connections there. */
export const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });

/** Whether the URL answers 2xx. */
export const answers = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    async (response) => {
      await response.arrayBuffer();
      return response.ok;
    },
    () => false,
  );
