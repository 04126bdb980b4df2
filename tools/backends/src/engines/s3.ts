import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cached } from '../cache.ts';
import { run } from '../command.ts';
import { accepts, type Engine, startEngine } from '../engine.ts';
import { findJava, findMaven } from '../java.ts';
import { freePort } from '../ports.ts';

const s3proxyVersion = '4.1.0';
const s3proxyJava = 17;

/** What a test's S3 lets in, and the bucket it has. */
export const s3Account = { key: 'worktide', secret: 'worktide-secret', bucket: 'worktide' } as const;

/** The URL that libs/object-store takes. */
export const s3Url = (host: string, port: number): string =>
  `s3://${s3Account.key}:${s3Account.secret}@${s3Account.bucket}?endpoint=http://${host}:${port}&region=us-east-1&pathStyle=true`;

// The jar holds all it needs, so what its own POM asks for is left out.
const pom = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>worktide</groupId><artifactId>s3proxy</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.gaul</groupId><artifactId>s3proxy</artifactId><version>${s3proxyVersion}</version>
      <classifier>jar-with-dependencies</classifier>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>
  </dependencies>
</project>
`;

/** Downloads s3proxy once (55 MB). */
export const prepareS3 = (): Promise<string> =>
  cached(`s3proxy-${s3proxyVersion}`, async (folder) => {
    const maven = await findMaven();
    await findJava(s3proxyJava);
    await writeFile(path.join(folder, 'pom.xml'), pom);
    const libs = path.join(folder, 'libs');
    const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
    const options = ['-q', '-B', '-ntp', '-f', path.join(folder, 'pom.xml'), copy, '-DincludeScope=runtime'];
    await run(maven, [...options, `-DoutputDirectory=${libs}`], { cwd: folder });
    await findJar(folder);
    await rm(path.join(folder, 'target'), { recursive: true, force: true });
  });

async function findJar(folder: string): Promise<string> {
  const libs = path.join(folder, 'libs');
  const jar = (await readdir(libs)).find((name) => name.startsWith('s3proxy-'));
  if (!jar) throw new Error(`no s3proxy in ${libs}`);
  return path.join(libs, jar);
}

const properties = (data: string, port: number): string => `s3proxy.endpoint=http://127.0.0.1:${port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=${s3Account.key}
s3proxy.credential=${s3Account.secret}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=${data}
`;

export interface S3Options {
  /** Data, configuration and log of this server; an existing one is continued. */
  dir: string;
  port?: number;
}

/** A real S3 server on loopback that checks signatures, its bucket made; `url` is what libs/object-store takes. */
export async function startS3(options: S3Options): Promise<Engine> {
  const { dir } = options;
  const port = options.port ?? (await freePort());
  const jar = await findJar(await prepareS3());
  const data = path.join(dir, 'data');
  // A bucket is a folder.
  await mkdir(path.join(data, s3Account.bucket), { recursive: true });
  const config = path.join(dir, 's3proxy.properties');
  await writeFile(config, properties(data, port));
  const jvm = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-DLOG_LEVEL=warn'];
  return startEngine({
    name: 's3',
    url: s3Url('127.0.0.1', port),
    command: await findJava(s3proxyJava),
    args: [...jvm, '-DJETTY_LOG_LEVEL=warn', '-jar', jar, '--properties', config],
    dir,
    ready: () => accepts(port),
  });
}
