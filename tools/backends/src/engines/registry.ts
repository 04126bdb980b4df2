import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cached } from '../cache.ts';
import { run } from '../command.ts';
import { answers, type Engine, startEngine } from '../engine.ts';
import { findJava, findMaven } from '../java.ts';
import { freePort } from '../ports.ts';

const registryVersion = '3.3.3';
/** Apicurio Registry 3 is compiled for Java 21. */
const registryJava = 21;

const pom = (target: string): string => `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>worktide</groupId><artifactId>registry</artifactId><version>1</version><packaging>pom</packaging>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
    <configuration><artifactItems><artifactItem>
      <groupId>io.apicurio</groupId><artifactId>apicurio-registry-app</artifactId><version>${registryVersion}</version>
      <classifier>all</classifier><type>tar.gz</type><outputDirectory>${target}</outputDirectory>
    </artifactItem></artifactItems></configuration>
  </plugin></plugins></build>
</project>
`;

/** Downloads the Apicurio registry once. */
export const prepareRegistry = (): Promise<string> =>
  cached(`apicurio-registry-${registryVersion}`, async (folder) => {
    const maven = await findMaven();
    await findJava(registryJava);
    await writeFile(path.join(folder, 'pom.xml'), pom(path.join(folder, 'app')));
    const unpack = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack';
    await run(maven, ['-q', '-B', '-ntp', '-f', path.join(folder, 'pom.xml'), unpack], { cwd: folder });
    await findJar(folder);
    // Maven's bookkeeping, of no use after the move.
    await rm(path.join(folder, 'target'), { recursive: true, force: true });
  });

async function findJar(folder: string): Promise<string> {
  const app = path.join(folder, 'app');
  const jar = (await readdir(app)).find((name) => name === 'quarkus-run.jar' || name.endsWith('-runner.jar'));
  if (!jar) throw new Error(`no runnable jar in ${app}`);
  return path.join(app, jar);
}

export interface RegistryOptions {
  /** Data and log of this registry; an existing one is continued. */
  dir: string;
  port?: number;
}

/** A real schema registry on loopback, its data in a file; `url` is its Confluent API. */
export async function startRegistry(options: RegistryOptions): Promise<Engine> {
  const { dir } = options;
  const port = options.port ?? (await freePort());
  const jar = await findJar(await prepareRegistry());
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  return startEngine({
    name: 'registry',
    url,
    command: await findJava(registryJava),
    args: [
      '-Xms128m',
      '-Xmx512m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Dquarkus.http.host=127.0.0.1',
      `-Dquarkus.http.port=${port}`,
      '-Dquarkus.management.host=127.0.0.1',
      `-Dquarkus.management.port=${await freePort()}`,
      '-Dapicurio.storage.kind=sql',
      '-Dapicurio.storage.sql.kind=h2',
      `-Dapicurio.datasource.url=jdbc:h2:file:${path.join(dir, 'data')}`,
      '-jar',
      jar,
    ],
    dir,
    ready: () => answers(`${url}/subjects`),
  });
}
