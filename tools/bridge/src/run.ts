import { readArguments, usage } from './arguments.ts';
import { sendQueue } from './send.ts';
import { listen } from './server.ts';
import { openStore } from './store.ts';

interface Io {
  out(line: string): void;
  err(line: string): void;
}

/** Runs the bridge until it is told to stop. @returns the exit code: 0, 78 for wrong arguments, 1 where it cannot begin. */
export async function runBridge(given: readonly string[], env: NodeJS.ProcessEnv, { out, err }: Io): Promise<number> {
  const asked = readArguments(given, env);
  if (typeof asked === 'string') {
    err(`${asked}\n\n${usage}`);
    return 78;
  }
  try {
    const store = openStore(asked.data);
    const stopping = new AbortController();
    const { server, port } = await listen({ store, port: asked.port, origins: asked.origin, err }).catch(
      (error: unknown) => {
        store.close();
        throw error;
      },
    );
    out(`ActivityWatch is spoken at http://127.0.0.1:${port}; ${store.waiting()} pings wait for ${asked.url}.`);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
    await sendQueue({ store, url: asked.url, key: asked.key, out, err }, stopping.signal);
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    store.close();
    return 0;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') err('The port is taken: ActivityWatch itself may be running.');
    else err(`The bridge cannot begin: ${(error as Error).message}`);
    return 1;
  }
}
