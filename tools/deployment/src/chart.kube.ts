import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from '@worktide/backends';
import { parseAllDocuments } from 'yaml';
import { helmBinary } from './helm.ts';
import { deployFolder, readTable } from './table.ts';

/** `npm run kube`: the chart, by Helm itself. */

// biome-ignore lint/suspicious/noExplicitAny: objects of Kubernetes, as they are written.
type Manifest = any;

const chart = fileURLToPath(new URL('helm/worktide', deployFolder));
const exampleFolder = path.join(chart, 'examples');
const examples = readdirSync(exampleFolder);
const table = readTable();
let helm: string;
let folder: string;
beforeAll(async () => {
  helm = await helmBinary();
  folder = await mkdtemp(path.join(tmpdir(), 'chart-'));
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const example = (name: string): string => path.join(exampleFolder, name);
const minimal = ['-f', example('minimal.yaml')];
/** All that it prints: what it says besides goes elsewhere. */
const template = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)(helm, ['template', 'worktide', chart, '-n', 'worktide', ...args], { maxBuffer: 2 ** 26 }))
    .stdout;
async function render(...args: string[]): Promise<Manifest[]> {
  const documents = parseAllDocuments(await template(...args)).map((document) => document.toJS());
  return documents.filter((document) => document !== null);
}
const ofKind = (manifests: Manifest[], kind: string): Manifest[] => manifests.filter((one) => one.kind === kind);
const refusal = (...args: string[]): Promise<string> =>
  template(...args).then(
    () => 'it was not refused',
    (error: Error) => error.message,
  );
const deploymentOf = (manifests: Manifest[], service: string): Manifest =>
  ofKind(manifests, 'Deployment').find(({ metadata }) => metadata.name === `worktide-${service}`);
const podsOf = (manifests: Manifest[]): Manifest[] =>
  manifests.flatMap((one) => (one.kind === 'Pod' ? [one.spec] : one.spec?.template ? [one.spec.template.spec] : []));

test('it is lawful as it is and with every example, and says the same twice', async () => {
  for (const name of examples) {
    await run(helm, ['lint', '--strict', chart, '-f', example(name)]);
    const once = await template('-f', example(name));
    expect(once).toBe(await template('-f', example(name)));
  }
}, 120_000);

test('what it cannot do without, and what it does not know, is refused by name', async () => {
  expect(await refusal()).toMatch(/existingSecret is required.*make-secrets\.sh/);
  expect(await refusal('--set', 'existingSecret=x')).toMatch(/publicUrl is required/);
  expect(await refusal(...minimal, '--set', 'services.ingest-gateway.replcas=2')).toMatch(/replcas/);
  expect(await refusal(...minimal, '--set', 'servces.auth.replicas=2')).toMatch(/servces/);
  expect(await refusal(...minimal, '--set', 'defaults.replicas=two')).toMatch(/replicas/);
  expect(await refusal(...minimal, '--set', 'keda.enabled=true')).toMatch(/keda\.bootstrapServers is required/);
  const keda = ['--set', 'keda.enabled=true,keda.bootstrapServers=kafka:9092'];
  expect(await refusal(...minimal, ...keda, '--set', 'keda.maxReplicas=13')).toMatch(/at most 12/);
  expect(await refusal(...minimal, ...keda, '--set', 'services.analytics.autoscaling.enabled=true')).toMatch(/both/);
  expect(await refusal(...minimal, '--set', 'networkPolicy.enabled=true')).toMatch(/ingressFrom is required/);
  expect(await refusal(...minimal, '--set', 'eventLog.replication=2,eventLog.minInsync=2')).toMatch(/must be greater/);
  expect(await refusal(...minimal, '--set', 'ingress.enabled=true')).toMatch(/ingress\.host is required/);
}, 120_000);

test('another chart may have it as a part, with what belongs to all charts', async () => {
  const umbrella = path.join(folder, 'umbrella');
  await mkdir(path.join(umbrella, 'charts'), { recursive: true });
  await writeFile(path.join(umbrella, 'Chart.yaml'), 'apiVersion: v2\nname: umbrella\nversion: 1.0.0\n');
  await writeFile(
    path.join(umbrella, 'values.yaml'),
    'global: { foo: 1 }\nworktide: { enabled: true, existingSecret: x, publicUrl: "https://x.example" }\n',
  );
  await symlink(chart, path.join(umbrella, 'charts', 'worktide'));
  expect(await run(helm, ['template', 'all', umbrella])).toContain('kind: Deployment');
});

describe('what is made', () => {
  test('every service is there, and every container is bound', async () => {
    for (const name of examples) {
      const manifests = await render('-f', example(name));
      const deployments = ofKind(manifests, 'Deployment').map(({ metadata }) => metadata.name);
      expect(deployments.sort()).toEqual(
        Object.keys(table.services)
          .map((service) => `worktide-${service}`)
          .sort(),
      );
      const pods = podsOf(manifests);
      expect(pods.length).toBe(deployments.length + 2);
      for (const pod of pods) {
        expect(pod.automountServiceAccountToken).toBe(name === 'managed.yaml' && pod.serviceAccountName !== undefined);
        expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
        const user = name === 'openshift.yaml' ? undefined : 1000;
        expect(pod.securityContext.runAsUser).toBe(user);
        expect(pod.securityContext.fsGroup).toBe(user);
        for (const container of pod.containers) {
          expect(container.securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          });
          expect(container.resources.limits.memory).toBeDefined();
          expect(container.image).not.toMatch(/:latest|bitnami|minio/);
        }
      }
      for (const { spec } of ofKind(manifests, 'Deployment').map((one) => one.spec.template)) {
        const [{ lifecycle }] = spec.containers;
        expect(spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(lifecycle.preStop.sleep.seconds + 20);
      }
    }
  }, 120_000);

  test('no secret stands in it: each is read from the Secret that exists, or from where it is said to be', async () => {
    const manifests = await render(
      '-f',
      example('operators.yaml'),
      '--set',
      'secretKeys.CLICKHOUSE_URL.secret=clickhouse,secretKeys.CLICKHOUSE_URL.key=uri',
    );
    expect(ofKind(manifests, 'Secret')).toEqual([]);
    const places = new Map<string, string>();
    for (const pod of podsOf(manifests)) {
      for (const { name, value, valueFrom } of pod.containers[0].env) {
        if (valueFrom) places.set(name, `${valueFrom.secretKeyRef.name}/${valueFrom.secretKeyRef.key}`);
        else
          expect(name).not.toMatch(
            /TOKEN|KEY$|PASSWORD|^(ADMIN_|\w+_POSTGRES_)|^(POSTGRES|CLICKHOUSE|EVENT_LOG|KEY_VALUE|OBJECT_STORE)_URL$/,
          );
        if (value !== undefined) expect(typeof value).toBe('string');
      }
    }
    expect(
      deploymentOf(manifests, 'dashboard').spec.template.spec.containers[0].env.map(({ name }: Manifest) => name),
    ).toEqual(['LOG_LEVEL', 'TRUSTED_PROXIES', 'DRAIN_SECONDS']);
    expect(places.get('ADMIN_POSTGRES_URL')).toBe('postgres-superuser/uri');
    expect(places.get('CLICKHOUSE_URL')).toBe('clickhouse/uri');
    expect(places.get('INTERNAL_TOKEN')).toBe('worktide/INTERNAL_TOKEN');
  });

  test('the script that makes secrets makes all that is asked for', async () => {
    const script = fileURLToPath(new URL('make-secrets.sh', deployFolder));
    const env = {
      POSTGRES: 'a:b@db:5432/worktide',
      CLICKHOUSE: 'http://c:8123/worktide',
      EVENT_LOG: 'kafka://k:9092',
      KEY_VALUE: 'redis://r:6379',
      OBJECT_STORE: 's3://b?region=x',
    };
    const made = new Set(
      (await run('sh', [script, 'kubernetes'], { env })).split('\n').map((line) => line.split('=', 1)[0]),
    );
    for (const pod of podsOf(await render(...minimal))) {
      for (const { valueFrom } of pod.containers[0].env)
        if (valueFrom) expect([...made]).toContain(valueFrom.secretKeyRef.key);
    }
  });

  test('the job before everything else uses nothing of the chart', async () => {
    const manifests = await render('-f', example('production.yaml'));
    const [job] = ofKind(manifests, 'Job');
    expect(job.metadata.annotations['helm.sh/hook']).toBe('pre-install,pre-upgrade');
    const others = ['Secret', 'ConfigMap']
      .flatMap((kind) => ofKind(manifests, kind))
      .map(({ metadata }) => metadata.name);
    const pod = job.spec.template.spec;
    expect(pod.serviceAccountName).toBeUndefined();
    const used = [
      ...pod.containers[0].env.flatMap(({ valueFrom }: Manifest) => valueFrom?.secretKeyRef.name ?? []),
      ...pod.volumes.flatMap(({ secret, configMap }: Manifest) => secret?.secretName ?? configMap?.name ?? []),
    ];
    for (const name of used) expect(others).not.toContain(name);
    expect(ofKind(await render(...minimal, '--set', 'migrations.mode=none'), 'Job')).toEqual([]);
    const nameOf = async (tag: string): Promise<string> =>
      ofKind(await render(...minimal, '--set-string', `migrations.mode=job,image.tag=${tag}`), 'Job')[0].metadata.name;
    expect(await nameOf('1')).not.toBe(await nameOf('2'));
  });

  test('who scales says how many replicas there are, and nobody else', async () => {
    const plain = await render(...minimal);
    for (const one of ofKind(plain, 'Deployment')) expect(one.spec.replicas).toBe(2);
    const manifests = await render('-f', example('production.yaml'));
    for (const [name, { scale, lag }] of Object.entries(table.services)) {
      const scaled = ofKind(manifests, 'ScaledObject').find(({ metadata }) => metadata.name === `worktide-${name}`);
      const hpa = ofKind(manifests, 'HorizontalPodAutoscaler').find(
        ({ metadata }) => metadata.name === `worktide-${name}`,
      );
      expect(Boolean(scaled)).toBe(scale === 'lag');
      expect(Boolean(hpa)).toBe(['ingest-gateway', 'auth', 'realtime'].includes(name));
      const { replicas } = deploymentOf(manifests, name).spec;
      expect(replicas).toBe(scaled || hpa ? undefined : 2);
      if (!scaled) continue;
      expect(scaled.spec.minReplicaCount).toBeGreaterThanOrEqual(1);
      expect(
        scaled.spec.triggers.map(({ metadata }: Manifest) => `${metadata.consumerGroup} ${metadata.topic}`),
      ).toEqual(lag.map(({ group, topic }) => `${group} ${topic}`));
    }
    for (const { spec } of ofKind(manifests, 'PodDisruptionBudget')) {
      expect(spec).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' });
    }
  });

  test('digest before tag; a mirror and its secrets reach the job as well', async () => {
    const images = (manifests: Manifest[]) => [
      ...new Set(podsOf(manifests).map(({ containers }) => containers[0].image)),
    ];
    expect(images(await render('-f', example('production.yaml'), '--set-string', 'image.tag=9'))).toEqual([
      `registry.example.com/worktide@sha256:${'0'.repeat(64)}`,
    ]);
    const mirrored = await render('-f', example('air-gapped.yaml'));
    expect(images(mirrored)).toEqual(['mirror.intern:5000/worktide:0.1.0']);
    for (const pod of podsOf(mirrored)) expect(pod.imagePullSecrets).toEqual([{ name: 'mirror' }]);
    const reach = podsOf(mirrored).filter(({ volumes }) => volumes);
    expect(reach).toHaveLength(Object.keys(table.services).length + 1);
    for (const { volumes } of reach) expect(volumes[1].secret.secretName).toBe('company-ca');
  });

  test('only public paths are led in, in the order of the table', async () => {
    const [ingress] = ofKind(await render('-f', example('openshift.yaml')), 'Ingress');
    const paths = ingress.spec.rules[0].http.paths.map(
      ({ path: at, backend }: Manifest) => `${at} ${backend.service.name} ${backend.service.port.name}`,
    );
    expect(paths).toEqual(table.routes.map(({ prefix, service }) => `${prefix} worktide-${service} http`));
    const routes = ofKind(await render('-f', example('production.yaml')), 'HTTPRoute');
    const led = routes.flatMap(({ spec }) =>
      spec.rules.map(({ matches, backendRefs }: Manifest) => `${matches[0].path.value} ${backendRefs[0].name}`),
    );
    expect(led.sort()).toEqual(table.routes.map(({ prefix, service }) => `${prefix} worktide-${service}`).sort());
    for (const { spec } of routes) expect(spec.rules.length).toBeLessThanOrEqual(16);
  });

  test('policies let each service reach its engines and no others', async () => {
    const policies = ofKind(await render('-f', example('production.yaml')), 'NetworkPolicy');
    expect(policies).toHaveLength(Object.keys(table.services).length);
    const portsOf = (service: string): number[] =>
      policies
        .find(({ metadata }) => metadata.name === `worktide-${service}`)
        .spec.egress.flatMap(({ ports }: Manifest) => ports.map(({ port }: Manifest) => port));
    expect(portsOf('screenshot-processor')).not.toContain(8123);
    expect(portsOf('analytics')).toContain(8123);
    expect(portsOf('ingest-gateway')).not.toContain(5432);
    // Names alone: it asks nobody.
    expect(portsOf('dashboard')).toEqual([53, 53]);
    for (const name of Object.keys(table.services).filter((one) => !table.services[one]!.plain))
      expect(portsOf(name)).toEqual(expect.arrayContaining([53, 9092, 6379]));
  });

  test('what the operator of Prometheus knows is made when it is asked for, and annotations otherwise', async () => {
    const plain = await render(...minimal);
    expect(plain.filter(({ apiVersion }) => apiVersion.startsWith('monitoring'))).toEqual([]);
    expect(deploymentOf(plain, 'auth').spec.template.metadata.annotations['prometheus.io/port']).toBe('9090');
    const manifests = await render('-f', example('production.yaml'));
    expect(ofKind(manifests, 'ServiceMonitor')).toHaveLength(1);
    const [rule] = ofKind(manifests, 'PrometheusRule');
    expect(rule.spec.groups[0].rules.length).toBeGreaterThan(20);
    const boards = ofKind(manifests, 'ConfigMap');
    expect(boards.length).toBeGreaterThan(5);
    for (const { data, metadata } of boards) {
      expect(metadata.labels.grafana_dashboard).toBe('1');
      JSON.parse(Object.values(data)[0] as string);
    }
  });
});
