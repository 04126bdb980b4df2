import path from 'node:path';
import { cached, onPath, run } from '@worktide/backends';

const version = 'v4.3.1';

/** Helm: the machine's own where it is of version 4, else built with Go once, in minutes. @throws Error without Go. */
export async function helmBinary(): Promise<string> {
  const own = await onPath('helm');
  if (own && (await run(own, ['version', '--short'])).startsWith('v4')) return own;
  const folder = await cached(`helm-${version}`, async (cwd) => {
    if (!(await onPath('go'))) throw new Error('Checking the chart needs Helm 4, or Go to build it.');
    process.stderr.write(`Building Helm ${version} …\n`);
    await run('go', ['mod', 'init', 'helm'], { cwd });
    await run('go', ['get', `helm.sh/helm/v4/cmd/helm@${version}`], { cwd });
    await run('go', ['build', '-o', 'helm', 'helm.sh/helm/v4/cmd/helm'], { cwd });
  });
  return path.join(folder, 'helm');
}
