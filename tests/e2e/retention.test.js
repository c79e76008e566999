// What is kept of a tenant's content: by level, until its age, and never less
// than something refers to.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, policy, scratch, until, verify } from './lib/paddock.js';

const MARK = 'marker-4711-of-alice';
const DAY = 86400;

let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

// Records of the daemon's own that say so of a run.
function removals(id) {
	const out = execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)
print(db.execute("select count(*) from event where kind = 13 and " +
                 "cast(body as text) like ?",
                 ['%content_removed%"of":"' + sys.argv[2] + '"%']).fetchone()[0])
`, path.join(d.state, 'store/trace.db'), id], { encoding: 'utf8' });

	return Number(out);
}

// A run of a tenant's that has asked for MARK.
async function run(tenant) {
	const r = await d.open({}, { policy: policy({ tenant }) });
	const a = await d.tcp().call(r, 'kb.search', { query: MARK });

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	return r.run;
}

async function close(id) {
	await d.post(`/v1/runs/${id}/stop`, {});
	await d.closed(id);
}

const rule = (tenant, keep, after_s) => d.post('/v1/retention',
	{ tenant, keep, ...after_s && { after_s } });

const asked = async (id) => (await d.trace(id))
	.find((e) => e.kind === 'tool.proposed').tool.args;

async function blob(id) {
	const { h } = await asked(id);

	return d.place.cli(['trace', 'blob', id, h]);
}

test('a rule is set, listed and taken away; nonsense is refused', async () => {
	const all = async () => (await d.get('/v1/retention')).rules;

	for (const bad of [{}, { tenant: 'a', keep: 'most' }, { keep: 'raw' },
		{ tenant: 'a/b', keep: 'raw' },
		{ tenant: 'a', keep: 'raw', after_s: -1 },
		{ tenant: 'a', keep: 'raw', after_s: 1e12 },
		{ tenant: 'a', keep: 'raw', until: 'noon' }]) {
		const a = await d.ask('POST', '/v1/retention', bad);

		assert.strictEqual(a.status, 400, JSON.stringify(bad));
	}
	const set = await d.place.cli(['trace', 'retain', 'b', '--keep', 'hash',
		'--after', '30d']);

	assert.strictEqual(set.status, 0, set.err);
	assert.match(set.out, /^b: kept hash, removed 30 days after/);
	assert.deepStrictEqual(await all(),
		[{ after_s: 30 * DAY, keep: 'hash', tenant: 'b' }]);
	assert.strictEqual((await d.place.cli(['trace', 'retain', 'b', '--keep',
		'raw', '--after', 'soon'])).status, 2);
	await rule('b', 'raw');
	assert.deepStrictEqual(await all(), []);
});

test('a run\'s own token, and a tenant\'s, cannot change what is kept',
	async () => {
		const r = await d.open();
		const made = await d.post('/v1/tokens', { tenant: 'acme',
			actor: 'admin', roles: ['operator'] });

		for (const token of [r.token, made.token]) {
			assert.ok(token);
			const a = await d.tcp(token).ask('POST', '/v1/retention',
				{ tenant: '*', keep: 'raw' });

			assert.ok([401, 403].includes(a.status),
				JSON.stringify(a.body));
		}
		await close(r.run);
	});

test('hash keeps no content, redacted its form, and nobody shares any',
	async () => {
		await rule('hashed', 'hash');
		await rule('formed', 'redacted');
		await rule('aged', 'raw', 30 * DAY);
		const ids = {};

		for (const t of ['hashed', 'formed', 'aged', 'plain']) {
			ids[t] = await run(t);
			await close(ids[t]);
		}
		const refs = {};

		for (const t of Object.keys(ids))
			refs[t] = await asked(ids[t]);
		assert.strictEqual(new Set(Object.values(refs).map((r) => r.h))
			.size, 4);
		assert.strictEqual(refs.hashed.kept, 'hash');
		assert.strictEqual(refs.formed.kept, 'redacted');
		assert.strictEqual(refs.aged.kept, 'raw');
		for (const t of ['hashed', 'formed', 'aged'])
			assert.strictEqual(refs[t].preview, undefined);
		assert.notStrictEqual((await blob(ids.hashed)).status, 0);
		assert.strictEqual((await blob(ids.formed)).out,
			'{"query":"[redacted]"}');
		assert.strictEqual((await blob(ids.aged)).out,
			`{"query":"${MARK}"}`);
		// The same call in two runs of a tenant is one to a comparison.
		const other = await run('aged');

		await close(other);
		const diff = await d.place.cli(['diff', ids.aged, other, '--json']);

		assert.strictEqual(diff.status, 0, diff.out);
		await verify(d.state);
	});

test('content goes at its age, unless a snapshot needs its run', async () => {
	const gone = await run('brief'), kept = await run('brief');
	const taken = await d.post(`/v1/runs/${kept}/snapshots`, {});

	await close(gone);
	await close(kept);
	// Before the rule content is shared: nothing of it is this run's alone.
	await rule('brief', 'raw', 30 * DAY);
	const fresh = await run('brief'), held = await run('brief');

	await d.post(`/v1/runs/${held}/snapshots`, {});
	await close(fresh);
	await close(held);
	const file = path.join(scratch, 'before.paddock');
	const done = await d.place.cli(['trace', 'export', fresh, '-o', file]);

	assert.strictEqual(done.status, 0, done.err);
	await until(async () => {
		await rule('brief', 'raw', 1);
		return /removed by retention at 20/.test((await blob(fresh)).err);
	}, 'the end of its content');
	const v = await verify(d.state);

	assert.ok(v.removed > 0);
	const said = await d.place.cli(['trace', 'verify', fresh]);

	assert.match(said.out, /were removed by retention, the last at 20/);
	// An older export has it, a newer one says that it has not.
	assert.strictEqual((await d.place.cli(['trace', 'blob', file,
		(await asked(fresh)).h])).out, `{"query":"${MARK}"}`);
	const late = path.join(scratch, 'after.paddock');

	await d.place.cli(['trace', 'export', fresh, '-o', late]);
	assert.match((await d.place.cli(['trace', 'verify', late])).out,
		/removed by retention at 20/);
	for (const id of [held, kept])
		assert.strictEqual((await blob(id)).out, `{"query":"${MARK}"}`);
	// Without its snapshot it goes, too.
	assert.strictEqual((await d.ask('DELETE',
		`/v1/runs/${kept}/snapshots?snapshot=${taken.snapshot}`))
		.status, 200);
	for (const s of (await d.get(`/v1/runs/${held}/snapshots`)).snapshots)
		assert.strictEqual((await d.ask('DELETE',
			`/v1/runs/${held}/snapshots?snapshot=${s.snapshot}`))
			.status, 200);
	await until(async () => {
		await rule('brief', 'raw', 1);
		return /removed by retention at 20/.test((await blob(held)).err);
	}, 'the end of that, too');
	await verify(d.state);
});

test('what was kept before its rule goes with `trace gc`, if nobody else has it',
	async () => {
		const early = await run('late'), other = await run('else');

		await close(early);
		await close(other);
		let r = await d.place.cli(['trace', 'gc']);

		assert.strictEqual(r.status, 1);
		assert.match(r.err, /in use by process/);
		await rule('*', 'raw', 1);
		for (const id of [early, other])
			await until(async () => {
				await rule('*', 'raw', 1);
				return removals(id) > 0;
			}, `the record of ${id}`);
		await d.stop();
		r = await d.place.cli(['trace', 'gc', '--json']);
		assert.strictEqual(r.status, 0, r.err);
		assert.ok(JSON.parse(r.out).contents > 0, r.out);
		const v = await verify(d.state);

		assert.ok(v.removed >= 4);
	});
