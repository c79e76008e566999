// What a sandbox is asked for that it cannot be: limits that are none, names
// with control characters. One clear error with its place, and nothing is left.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, cli, policy } from './lib/paddock.js';

let d;

before(async () => { d = await Daemon.start(); });
after(async () => {
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

const esc = '\x1b[2J\x07\x9b';

// No byte that a terminal would act upon.
function isPlain(text) {
	// eslint-disable-next-line no-control-regex
	assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]/);
}

test('a limit that is none is refused with its place', async () => {
	const bounds = { cpu: [0.01, 1024], cpu_weight: [1, 10000],
		io_mb_per_s: [1, 1048576], memory_mb: [16, 1048576],
		disk_mb: [1, 1048576], pids: [4, 32768], inodes: [100, 100000000],
		wall_ms: [1, 604800000], output_mb: [1, 1048576] };

	for (const [name, [least, most]] of Object.entries(bounds)) {
		for (const v of [0, -1, -0.5, least - 1, most + 1, 1e300,
			'5', true, null, [5], {},
			...name === 'cpu' ? [] : [least + 0.5]]) {
			const r = await d.ask('POST', '/v1/runs', { argv: ['true'],
				policy: policy({ sandbox: { memory_mb: 1048576,
					[name]: v } }) });
			const what = `${name}: ${JSON.stringify(v)}: ` +
				JSON.stringify(r.body);

			assert.strictEqual(r.status, 400, what);
			assert.strictEqual(r.body.error.problems?.[0].path,
				`sandbox.${name}`, what);
			assert.strictEqual(r.body.error.problems.length, 1, what);
		}
	}
	// What a number says that no other number does.
	for (const v of ['18446744073709551616', '1e999', '-0', '16.0000001', '9007199254740992',
		'99999999999999999999999999999999']) {
		const text = JSON.stringify(policy({ sandbox: { memory_mb: 'HERE' } }))
			.replace('"HERE"', v);
		const file = path.join(d.place.dir, 'limits.json');

		fs.writeFileSync(file, text);
		const r = await cli(['policy', 'check', file]);

		assert.strictEqual(r.status, 1, `${v}: ${r.out}${r.err}`);
	}
	const { runs } = await d.get('/v1/runs');

	assert.deepStrictEqual(runs, []);
});

test('a limit that there is not is refused, with the one that was meant',
	async () => {
		const r = await d.ask('POST', '/v1/runs', { argv: ['true'],
			policy: policy({ sandbox: { memory: 64, pid: 5 } }) });

		assert.strictEqual(r.status, 400);
		assert.deepStrictEqual(r.body.error.problems.map((p) => p.path),
			['sandbox.memory', 'sandbox.pid']);
		assert.match(r.body.error.problems[0].text, /memory_mb/);
		assert.match(r.body.error.problems[1].text, /pids/);
	});

test('limits that do not go together are refused', async () => {
	for (const [sandbox, at] of [
		[{ memory_mb: 64, disk_mb: 64 }, 'sandbox.disk_mb'],
		[{ memory_mb: 64, disk_mb: 57 }, 'sandbox.disk_mb'],
		[{ disk_mb: 1048576 }, 'sandbox.disk_mb'],
	]) {
		const r = await d.ask('POST', '/v1/runs', { argv: ['true'],
			policy: policy({ sandbox }) });

		assert.strictEqual(r.status, 400);
		assert.strictEqual(r.body.error.problems[0].path, at);
	}
});

test('a name with control characters is refused, and never shown as it is',
	async () => {
		for (const [what, ask] of [
			['workflow', { policy: policy({ workflow: `w${esc}` }) }],
			['tenant', { policy: policy({ tenant: `t${esc}` }) }],
			['image', { policy: policy({ sandbox: { image: `i${esc}` } }),
				argv: ['true'] }],
			['a tag', { policy: policy(), tags: { [`a${esc}`]: 'b' } }],
			['a tag\'s value', { policy: policy(), tags: { a: esc } }],
			['a variable', { policy: policy(), argv: ['true'],
				env: { [`A${esc}=`]: 'b' } }],
		]) {
			const r = await d.ask('POST', '/v1/runs', ask);

			assert.strictEqual(r.status, 400, `${what}: ` +
				JSON.stringify(r.body));
			const file = path.join(d.place.dir, 'names.json');

			fs.writeFileSync(file, JSON.stringify(ask.policy));
			const c = await cli(['policy', 'check', file]);

			isPlain(c.out + c.err);
		}
	});

test('what a command is called is shown escaped', async () => {
	const file = path.join(d.place.dir, 'policy.json');
	const work = path.join(d.place.dir, `work${esc}`);

	fs.writeFileSync(file, JSON.stringify(policy()));
	fs.mkdirSync(work);
	const r = await d.place.command(['run', file, '--state', d.state, '--dir',
		work, '--', 'sh', '-c', ': >"$1"; cat -- "nothing"', 'sh', `n${esc}`],
	{ input: '' }).end();

	isPlain(r.err.replace(/[\s\S]*?(?=paddock: )/, ''));
	for (const args of [['ps', '--all'], ['trace', 'show', 'last'],
		['trace', 'ls']]) {
		const c = await d.place.cli(args);

		assert.strictEqual(c.status, 0, c.err);
		isPlain(c.out + c.err);
	}
});
