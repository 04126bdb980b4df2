import { fileURLToPath } from 'node:url';
import { socketVariable } from './names.ts';
import { createSupervisor, type Supervisor } from './supervisor.ts';

declare global {
  /** Jest gives setup and teardown nothing in common but the global object. */
  var worktideBackends: Supervisor | undefined;
}

/** Jest's globalSetup: workers are forked afterwards and find the socket in their environment. */
export default async function setup(): Promise<void> {
  const supervisor = await createSupervisor();
  globalThis.worktideBackends = supervisor;
  process.env[socketVariable] = supervisor.socket;
  // Of what workers and the services that they start load, each compiles only what none has before.
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../../../node_modules/.cache/node', import.meta.url));
  // Jest runs no teardown when it is interrupted.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => void supervisor.stop().finally(() => process.exit(code)));
  }
}
