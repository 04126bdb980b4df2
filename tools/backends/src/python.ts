import { cached } from './cache.ts';
import { aptInstall, onPath, run } from './command.ts';

/** A `python3` that has pip, installed if it can be. @param purpose what wants it, for who reads why it is not there. */
export async function findPython(purpose: string): Promise<string> {
  const python = (await onPath('python3')) ?? 'python3';
  const hasPip = await run(python, ['-m', 'pip', '--version']).then(
    () => true,
    () => false,
  );
  if (!hasPip) await aptInstall(['python3', 'python3-pip'], purpose);
  return python;
}

/**
 * Packages of PyPI, kept in the cache beside what they need.
 * @param requirement one, with its version, e.g. `aw-client==0.5.15`.
 * @returns the interpreter, and the folder for its `PYTHONPATH`.
 */
export async function pythonPackage(requirement: string): Promise<{ python: string; folder: string }> {
  const purpose = `${requirement} from PyPI`;
  const python = await findPython(purpose);
  const folder = await cached(`python-${requirement.replace('==', '-')}`, async (target) => {
    await run(python, ['-m', 'pip', 'install', '--quiet', '--no-compile', '--target', target, requirement]);
  });
  return { python, folder };
}
