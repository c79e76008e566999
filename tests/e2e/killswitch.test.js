// The kill switch: one run, a workflow, a tenant, all; by command, by API and
// by a file; at once, also when broker and gateway hang; and on the record.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Daemon, policy, slow, until, verify, world }
	from './lib/paddock.js';
import { isAlive, processes } from './lib/proc.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

// A sandbox with a process of its own inside; its pid as we see it.
async function sandbox(by, tenant, workflow = 'w') {
	const before = new Set(processes().map((p) => p.pid));
	const run = await by.post('/v1/sandboxes', { policy: {
		policy: 1, workflow, tenant, stage: 5, tools: {} } });
	const mark = `${30000 + Math.floor(Math.random() * 1e6)}`;

	await by.post(`/v1/sandboxes/${run.run}/exec`,
		{ argv: ['sleep', mark], background: true });
	run.pid = await until(() => processes().find((p) =>
		!before.has(p.pid) && p.cmd.replaceAll('\0', ' ')
			.startsWith(`sleep ${mark}`))?.pid, 'a process inside');
	return run;
}

const gone = (run) => until(() => !isAlive(run.pid), `the end of ${run.run}`);

// What the daemon itself has on record.
function kills(by) {
	const out = execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)
for (body,) in db.execute("select body from event where kind = 12 and " +
                          "run = 'r-000000000000' order by seq"):
    print(body.decode() if isinstance(body, bytes) else body)
`, path.join(by.state, 'store/trace.db')], { encoding: 'utf8' });

	return out.trim().split('\n').filter((l) => l !== '')
		.map((l) => JSON.parse(l).body);
}

function touch(by, name) {
	fs.closeSync(fs.openSync(path.join(by.state, name), 'w'));
}

describe('the kill switch', () => {
	test('ends what is meant, and nothing else', async () => {
		const rows = [
			[['--tenant', 'one'], [0, 1]],
			[['--workflow', 'x'], [1, 2]],
			[['--all'], [0, 1, 2, 3]],
		];

		for (const [args, hit] of rows) {
			const all = [await sandbox(d, 'one', 'w'),
				await sandbox(d, 'one', 'x'),
				await sandbox(d, 'two', 'x'),
				await sandbox(d, 'two', 'w')];
			const r = await d.place.cli(['kill', ...args]);

			assert.strictEqual(r.status, 0, r.err);
			assert.strictEqual(r.out, `killed ${hit.length}\n`);
			for (const i of hit) {
				await gone(all[i]);
				assert.strictEqual((await d.closed(all[i].run))
					.stop_reason, 'killed');
			}
			for (let i = 0; i < 4; i++) {
				if (hit.includes(i))
					continue;
				assert.ok(isAlive(all[i].pid), `${args} ${i}`);
				await d.ask('DELETE', `/v1/sandboxes/${all[i].run}`);
			}
		}
		const bad = await d.place.cli(['kill', '--all', '--tenant', 'x']);

		assert.strictEqual(bad.status, 2);
	});

	test('stops agents outside of a sandbox, too', async () => {
		const mine = await d.post('/v1/runs', { policy: policy(
			{ tenant: 'one' }), world: world() });
		const other = await d.open({ tenant: 'two' });

		await d.place.cli(['kill', '--tenant', 'one']);
		assert.strictEqual((await d.closed(mine.run)).stop_reason,
			'killed');
		assert.notStrictEqual((await d.tcp().call(mine, 'kb.search',
			{ query: 'x' })).status, 200);
		assert.strictEqual((await d.tcp().call(other, 'kb.search',
			{ query: 'x' })).status, 200);
	});

	test('by the API is for the caller\'s tenant', async () => {
		const one = await sandbox(d, 'one');
		const two = await sandbox(d, 'two');
		const t = await d.post('/v1/tokens', { tenant: 'one', actor: 'a',
			scopes: ['kill:use'] });
		const api = d.tcp(t.secret);

		assert.deepStrictEqual(await api.post('/v1/kill',
			{ what: 'tenant', name: 'two' }), { killed: 0 });
		assert.deepStrictEqual(await api.post('/v1/kill',
			{ what: 'run', name: two.run }), { killed: 0 });
		assert.ok(isAlive(two.pid));
		assert.deepStrictEqual(await api.post('/v1/kill',
			{ what: 'all' }), { killed: 1 });
		await gone(one);
		assert.ok(isAlive(two.pid));
		for (const bad of [{}, { what: 'everything' }, { what: 'tenant' },
			{ what: 'run', name: 'x' }, { what: 'all', name: 'x' }])
			assert.strictEqual((await d.ask('POST', '/v1/kill', bad))
				.status, 400, JSON.stringify(bad));
		assert.deepStrictEqual(await d.post('/v1/kill',
			{ what: 'run', name: two.run }), { killed: 1 });
		await gone(two);
		assert.ok((await d.trace(one.run)).some((e) => e.kind === 'kill'));
	});
});

describe('a file in the state directory', () => {
	test('kills within 100 ms, and holds as long as it is there',
		async () => {
			let best = Infinity;

			// Again where others have the processors.
			for (let i = 0; i < 3 || (best >= 100 * slow && i < 20);
				i++) {
				const one = await sandbox(d, 'one');
				const two = await sandbox(d, 'two');
				const from = Date.now();

				touch(d, 'kill.d/tenant-one');
				await gone(one);
				best = Math.min(best, Date.now() - from);
				assert.ok(isAlive(two.pid));
				await d.closed(one.run);
				const no = await d.ask('POST', '/v1/runs',
					{ policy: policy({ tenant: 'one' }) });

				assert.strictEqual(no.status, 503);
				assert.strictEqual(no.body.error.code, 'killed');
				assert.strictEqual((await d.ask('POST',
					'/v1/sandboxes', { policy: { policy: 1, workflow: 'w',
						tenant: 'one', tools: {} } })).status, 503);
				fs.rmSync(path.join(d.state, 'kill.d/tenant-one'));
				await until(async () => (await d.ask('POST', '/v1/runs',
					{ policy: policy({ tenant: 'one' }) })).status === 201,
				'it is lifted');
				await d.ask('DELETE', `/v1/sandboxes/${two.run}`);
			}
			assert.ok(best < 100 * slow, `${best} ms`);
		});

	test('is kill for all, and survives a restart', async () => {
		const own = await Daemon.start();
		const one = await sandbox(own, 'one');

		touch(own, 'kill');
		await gone(one);
		assert.strictEqual((await own.ask('POST', '/v1/runs',
			{ policy: policy() })).status, 503);
		await own.stop();
		const again = await Daemon.start({ place: own.place });

		assert.strictEqual((await again.ask('POST', '/v1/runs',
			{ policy: policy() })).status, 503);
		fs.rmSync(path.join(own.state, 'kill'));
		await until(async () => (await again.ask('POST', '/v1/runs',
			{ policy: policy() })).status === 201, 'it is lifted');
		await again.stop();
	});

	test('whose name means nothing kills nothing', async () => {
		const one = await sandbox(d, 'one');

		for (const name of ['tenant-', 'nobody', 'run-x', 'tenant-two'])
			touch(d, `kill.d/${name}`);
		await d.command.says(/no such thing to kill name=nobody/);
		assert.ok(isAlive(one.pid));
		for (const name of fs.readdirSync(path.join(d.state, 'kill.d')))
			fs.rmSync(path.join(d.state, 'kill.d', name));
		await d.ask('DELETE', `/v1/sandboxes/${one.run}`);
	});
});

describe('when broker and gateway hang', () => {
	async function hung(by, how) {
		const one = await sandbox(by, 'one');
		const { broker, gateway } = by.roles();

		process.kill(broker, 'SIGSTOP');
		process.kill(gateway, 'SIGSTOP');
		const from = Date.now();

		await how(by, one);
		await gone(one);
		return { one, broker, gateway, ms: Date.now() - from };
	}

	const ways = {
		'a file': (by) => touch(by, 'kill.d/tenant-one'),
		'a file for the run': (by, one) =>
			touch(by, `kill.d/${one.run}`),
		'the command': async (by) => {
			const r = await by.place.cli(['kill', '--tenant', 'one']);

			assert.strictEqual(r.out, 'killed 1\n');
		},
	};

	for (const [name, how] of Object.entries(ways))
		test(`${name} kills, and it is on record later`, async () => {
			const own = await Daemon.start();
			const { one, broker, gateway, ms } = await hung(own, how);

			assert.ok(ms < 10000 * slow, `${ms} ms`);
			process.kill(broker, 'SIGCONT');
			process.kill(gateway, 'SIGCONT');
			assert.strictEqual((await own.closed(one.run)).stop_reason,
				'killed');
			await own.stop();
			const [k] = kills(own);

			assert.strictEqual(k.sandboxes, 1);
			assert.ok(k.took_us > 0 && k.took_us < ms * 1000,
				`${k.took_us} us`);
			await verify(own.state);
		});

	test('a broker that dies meanwhile leaves the order to the next',
		async () => {
			const own = await Daemon.start();
			const { one, broker } = await hung(own,
				ways['the command']);

			process.kill(broker, 'SIGKILL');
			await until(() => kills(own).length === 1,
				'it is on record');
			assert.strictEqual((await own.closed(one.run)).status,
				'stopped');
			await own.stop();
			await verify(own.state);
		});
});
