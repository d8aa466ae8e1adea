// The JavaScript client against the cluster that KUBECONFIG names.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromFile(process.env.KUBECONFIG);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'default';

const deployment = (name, image) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'web', image }] } },
  },
});

async function eventually(what, ask) {
  let last;
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
    last = await ask();
    if (last === true) return;
  }
  assert.fail(`${what}: ${JSON.stringify(last)}`);
}

test('what is made can be read, changed and deleted', async () => {
  const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'web', labels: { a: 'b' } }, data: { n: '1' } } });
  assert.ok(made.metadata.uid);
  assert.ok(made.metadata.creationTimestamp instanceof Date);
  const read = await core.readNamespacedConfigMap({ namespace, name: 'web' });
  assert.deepEqual(read, made);
  read.data.n = '2';
  const changed = await core.replaceNamespacedConfigMap({ namespace, name: 'web', body: read });
  assert.notEqual(changed.metadata.resourceVersion, made.metadata.resourceVersion);
  await assert.rejects(core.replaceNamespacedConfigMap({ namespace, name: 'web', body: read }), (e) => e.code === 409 && JSON.parse(e.body).reason === 'Conflict');
  const list = await core.listNamespacedConfigMap({ namespace, labelSelector: 'a=b' });
  assert.deepEqual(list.items.map((m) => m.data), [{ n: '2' }]);
  await core.deleteNamespacedConfigMap({ namespace, name: 'web' });
  await assert.rejects(core.readNamespacedConfigMap({ namespace, name: 'web' }), (e) => e.code === 404 && JSON.parse(e.body).message === 'configmaps "web" not found');
});

test('lists come in pages', async () => {
  for (let i = 0; i < 5; i++) {
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: `page-${i}`, labels: { page: 'yes' } } } });
  }
  const names = [];
  let _continue;
  do {
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'page', limit: 2, _continue });
    names.push(...page.items.map((m) => m.metadata.name));
    _continue = page.metadata._continue;
  } while (_continue);
  assert.deepEqual(names, [0, 1, 2, 3, 4].map((i) => `page-${i}`));
  const gone = await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'page' });
  assert.ok(gone.kind);
});

test('a deployment is applied, patched, scaled and runs', async () => {
  const objects = k8s.KubernetesObjectApi.makeApiClient(config);
  const apply = (body) => objects.patch(body, undefined, undefined, 'node', true, k8s.PatchStrategy.ServerSideApply);
  const first = await apply(deployment('web', 'nginx:1'));
  assert.equal(first.metadata.managedFields[0].operation, 'Apply');
  await eventually('two replicas', async () => {
    const { status } = await apps.readNamespacedDeployment({ namespace, name: 'web' });
    return status.availableReplicas === 2 || status;
  });
  await apps.patchNamespacedDeployment(
    { namespace, name: 'web', body: [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'nginx:2' }] },
    k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch),
  );
  await assert.rejects(
    objects.patch(deployment('web', 'nginx:3'), undefined, undefined, 'other', false, k8s.PatchStrategy.ServerSideApply),
    (e) => e.code === 409,
  );
  const scaled = await apps.patchNamespacedDeploymentScale(
    { namespace, name: 'web', body: { spec: { replicas: 1 } } },
    k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
  );
  assert.equal(scaled.kind, 'Scale');
  await eventually('one replica of the new image', async () => {
    const pods = await core.listNamespacedPod({ namespace, labelSelector: 'app=web' });
    const images = pods.items.map((p) => `${p.status.phase} ${p.spec.containers[0].image}`);
    return images.join() === 'Running nginx:2' || images;
  });
  await apps.deleteNamespacedDeployment({ namespace, name: 'web', propagationPolicy: 'Foreground' });
  await eventually('no pods', async () => {
    const pods = await core.listNamespacedPod({ namespace, labelSelector: 'app=web' });
    return pods.items.length === 0 || pods.items.length;
  });
});

test('an informer tells what is, and what happens', async () => {
  const body = (name) => ({ metadata: { name, labels: { informer: 'yes' } } });
  await core.createNamespacedConfigMap({ namespace, body: body('before') });
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace, labelSelector: 'informer=yes' }), 'informer=yes');
  const told = [];
  for (const verb of ['add', 'update', 'delete']) informer.on(verb, (o) => told.push(`${verb} ${o.metadata.name}`));
  const failed = new Promise((_, reject) => informer.on('error', reject));
  await informer.start();
  await core.createNamespacedConfigMap({ namespace, body: body('after') });
  await core.patchNamespacedConfigMap({ namespace, name: 'before', body: { data: { a: '1' } } }, k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
  await core.deleteNamespacedConfigMap({ namespace, name: 'before' });
  const want = ['add before', 'add after', 'update before', 'delete before'];
  await Promise.race([failed, eventually('what is told', async () => told.length >= want.length || told)]);
  assert.deepEqual(told, want);
  assert.deepEqual(informer.list().map((o) => o.metadata.name), ['after']);
  await informer.stop();
});

test('a watch ends when it is asked to', async () => {
  const watch = new k8s.Watch(config);
  await eventually('what is told within a second', async () => {
    let done;
    const ended = new Promise((resolve) => (done = resolve));
    const seen = [];
    await watch.watch('/api/v1/namespaces', { timeoutSeconds: 1 }, (type, o) => seen.push(`${type} ${o.metadata.name}`), done);
    await ended;
    return seen.includes('ADDED default') || seen;
  });
});
