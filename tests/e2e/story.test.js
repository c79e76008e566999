// docs/STORY.md, as it stands there: a support run fails, is stepped through,
// forked where it went wrong with a mended policy and with a busy service,
// both forks are replayed, and what happened is proved somewhere else.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { cli, Daemon, isRoot, Place, scratch, top, trace, verify }
	from './lib/paddock.js';

const story = path.join(top, 'examples/story');
const place = new Place();
const work = path.join(place.dir, 'work');
const busy = { tool: 'kb.search', kind: 'rate_limit', nth: 1,
	retry_after_s: 1 };
let d, failed, good, late, bundle;

before(async () => {
	fs.cpSync(path.join(story, 'work'), work, { recursive: true });
	fs.copyFileSync(path.join(story, 'agent.py'), path.join(work, 'agent.py'));
	fs.chmodSync(work, 0o777);
	d = await Daemon.start({ place });
});
after(() => d.stop());

const start = (...args) => place.command([...args, '--state', place.state,
	'--', 'python3', 'agent.py'], { cwd: work, input: '' });
const named = (r) => Object.assign(r, { run: r.err.match(/run (r-\w+)/)?.[1] });

test('a run fails, and what it had come to was kept', async () => {
	const c = start('run', path.join(story, 'policy.json'));
	const [, run] = await c.says(/run (r-\w+)/);
	const approval = await d.approval(run);
	const kept = await place.cli(['snapshot', run]);

	assert.strictEqual(kept.status, 0, kept.err);
	await d.decide(approval, 'approve');
	failed = named(await c.end());
	assert.strictEqual(failed.status, 1);
	assert.match(failed.out, /refund\.create: 403/);
});

test('the step at which it went wrong is found', async () => {
	const found = await place.cli(['trace', 'grep', 'block', failed.run,
		'--kind', 'policy.decision', '--json']);
	const { step } = JSON.parse(found.out.trim().split('\n')[0]);
	const r = await place.command(['replay', failed.run, '--at', `${step}`,
		'--state', place.state], { input: 'q\n' }).end();

	assert.match(r.out, /refund\.create/);
	assert.match(r.out, /verdict {3}block/);
});

test('it is forked with another policy, and with a busy service', async () => {
	const fork = (...more) => start('fork', failed.run, '--at', '2',
		'--policy', path.join(story, 'fixed.json'), ...more).end();

	good = named(await fork());
	assert.strictEqual(good.status, 0, good.out + good.err);
	// It goes on from the files of that moment: the ticket was read.
	assert.ok(!good.out.includes('ticket.read'), good.out);
	late = named(await fork('--fault', JSON.stringify(busy)));
	assert.strictEqual(late.status, 0, late.out + late.err);
	assert.match(late.out, /kb\.search: 422 http_429\nkb\.search: 200/);
	const faults = (await trace(place.state, late.run)).filter((e) =>
		e.kind === 'fault.injected' || e.body?.note === 'faults.added');

	assert.deepStrictEqual(faults.map((e) => e.kind),
		['note', 'fault.injected']);
	const report = await place.cli(['trace', 'recovery', late.run,
		'--at-most', 'refund.create=1']);

	assert.strictEqual(report.status, 0, report.out + report.err);
	assert.match(report.out, /pass {2}backoff/);
	// Neither has touched what lies below, nor the other.
	assert.deepStrictEqual(fs.readdirSync(work).sort(),
		['agent.py', 'kb', 'tickets']);
	const diff = await place.cli(['diff', good.run, late.run]);

	assert.strictEqual(diff.status, 1);
	assert.match(diff.out, /kb\.search/);
	assert.ok(!diff.out.includes('refund.create'), diff.out);
});

test('both forks are replayed, strictly', async () => {
	for (const r of [good, late]) {
		const again = await start('replay', r.run, '--strict').end();

		assert.strictEqual(again.status, 0, again.err);
		assert.strictEqual(again.out, r.out);
	}
	await verify(place.state);
});

test('and proved where there is nothing but paddock', async (t) => {
	bundle = path.join(place.dir, 'late.paddock');
	const r = await place.cli(['trace', 'export', late.run, '-o', bundle]);

	assert.strictEqual(r.status, 0, r.err);
	if (!isRoot) {
		t.skip('only root may change its root directory');
		return;
	}
	const root = path.join(scratch, 'story-root');
	const libs = execFileSync('ldd', [path.join(place.dir, 'paddockd')],
		{ encoding: 'utf8' }).match(/\/\S+/g);

	for (const file of libs) {
		fs.mkdirSync(path.join(root, path.dirname(file)),
			{ recursive: true });
		fs.copyFileSync(file, path.join(root, file));
	}
	for (const name of ['paddock', 'paddockd'])
		fs.copyFileSync(path.join(place.dir, name), path.join(root, name));
	fs.mkdirSync(path.join(root, 'proc'));
	fs.copyFileSync(bundle, path.join(root, 'run.paddock'));
	const inside = (...args) => cli(['-n', '-p', '-f', '-m', '--mount-proc',
		`--root=${root}`, '/paddock', ...args], { program: 'unshare' });
	const sound = await inside('trace', 'verify', '/run.paddock');

	assert.strictEqual(sound.status, 0, sound.err);
	const told = await inside('trace', 'recovery', '/run.paddock');

	assert.match(told.out, /pass {2}backoff/);
});
