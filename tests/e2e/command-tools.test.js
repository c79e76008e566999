// Tools that are commands of the run's own sandbox: what an argument can become
// and what not, and everything that holds for a call.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { assertRecorded, Command, Daemon, scratch, until, verify }
	from './lib/paddock.js';

const text = { type: 'string' };
const args = (properties) => ({ type: 'object', properties,
	additionalProperties: false });
const words = { words: { type: 'array' } };

// A policy with these tools, all allowed.
function policyOf(tools, more = {}) {
	return { policy: 1, workflow: 'commands', stage: 5, tools, ...more };
}

const policy = policyOf({
	'say.words': { risk: 'read', args: args(words), exec: { command:
		['/usr/bin/printf', '[%s]', { arg: 'words' }],
	description: 'Says each word.' } },
	'say.any': { risk: 'read', args: args(words), exec: { command:
		['/usr/bin/printf', '[%s]', { arg: 'words', dash: true }] } },
	'say.more': { risk: 'read', args: args({ n: { type: 'integer' },
		loud: { type: 'boolean' } }), exec: { command: ['/usr/bin/printf',
		'[%s]', 'x', { arg: 'loud', flag: '--loud' },
		{ arg: 'n', before: '--count=' }] } },
	'say.where': { risk: 'read', exec: { command: ['/bin/sh', '-c',
		'pwd; echo "$COLOUR"; cat'], cwd: '/tmp',
	env: { COLOUR: 'red' } } },
	'json.read': { risk: 'read', args: args({ text }), exec: { command:
		['/bin/cat'], stdin: 'text', output: 'json' } },
	'json.of': { risk: 'read', args: args({ data: {} }), exec: { command:
		['/bin/cat'], stdin: 'data', output: 'json' } },
	'end.with': { risk: 'read', args: args({ how: text }), exec: { command:
		['/bin/sh', '-c', 'echo out; echo err >&2; exit "$1"', 'sh',
			{ arg: 'how' }], good: [0, 3] } },
	'end.late': { risk: 'internal_write', mode: 'allow', timeout_ms: 300,
		exec: { command: ['/bin/sleep', '86399'] } },
	'end.never': { risk: 'read', exec: { command: ['/bin/sleep', '86398'] } },
	'print.much': { risk: 'read', exec: { command: ['/usr/bin/yes'],
		output_bytes: 1000 } },
	'not.there': { risk: 'read', exec: { command: ['/usr/bin/no-such'] } },
	'only.simulated': { risk: 'read', mode: 'simulate', exec: { command:
		['/bin/true'] } },
	'log.add': { risk: 'internal_write', mode: 'allow',
		args: args({ line: text, id: text }), idempotency: 'args.id',
		redact: { args: ['$.line'] },
		exec: { command: ['/usr/bin/tee', '-a', { arg: 'line',
			before: '/tmp/log-' }], stdin: 'line' } },
	'log.read': { risk: 'read', exec: { command: ['/bin/sh', '-c',
		'cat /tmp/log-*'] } },
	'log.lost': { risk: 'internal_write', mode: 'allow', retry: { times: 1,
		base_ms: 1, repeatable: true }, exec: { command:
		['/bin/sh', '-c', 'echo tried >>/tmp/log-tries'] } },
	'ask.first': { risk: 'external_write', mode: 'approve',
		args: args({ a: text }), exec: { command: ['/bin/echo',
			{ arg: 'a' }] } },
}, { faults: { seed: 1, rules: [
	{ tool: 'log.lost', kind: 'lost_ack', nth: 1 }] } });

let d, run;

before(async () => {
	d = await Daemon.start();
	run = await d.post('/v1/sandboxes', { policy });
});
after(() => d.stop());

test('an argument is one word, whatever it holds', async () => {
	const odd = ['a b', '$(id)', '`id`', ';', '&&', '*', '', '"', "'",
		'\\', '\n', '>x', 'é', 7, true, '@/etc/passwd'];
	const got = await d.call(run, 'say.words', { words: odd });

	assert.deepStrictEqual(got.body, { exit_status: 0, stderr: '',
		stdout: odd.map((w) => `[${w}]`).join('') });
	assert.strictEqual((await d.call(run, 'say.any',
		{ words: ['-n', '--help'] })).body.stdout, '[-n][--help]');
	assert.strictEqual((await d.call(run, 'say.more',
		{ n: -3, loud: true })).body.stdout, '[x][--loud][--count=-3]');
	assert.strictEqual((await d.call(run, 'say.more', { loud: false }))
		.body.stdout, '[x]');
	assert.strictEqual((await d.call(run, 'say.where')).body.stdout,
		'/tmp\nred\n');
});

test('what could be an option, or is no word, is refused', async () => {
	for (const bad of [['-n'], ['ok', '--help'], ['a\0b'], [-5], [{}],
		[['x']]]) {
		const got = await d.call(run, 'say.words', { words: bad });

		assert.strictEqual(got.status, 403, JSON.stringify(got.body));
		assert.strictEqual(got.body.code, 'invalid_arguments');
		assert.strictEqual(got.body.rule, 'tools.say.words.exec');
	}
	assert.strictEqual((await d.call(run, 'say.words',
		{ words: Array(2000).fill('x') })).body.code,
	'invalid_arguments');
});

test('how it ends is how the call ends', async () => {
	const rows = [
		['json.read', { text: ' {"b":[1,2]}\n' }, 200,
			(b) => assert.deepStrictEqual(b.value, { b: [1, 2] })],
		['json.of', { data: { z: 1, a: 'x' } }, 200,
			(b) => assert.deepStrictEqual(b.value, { a: 'x', z: 1 })],
		['json.read', { text: 'no json' }, 422,
			(b) => assert.strictEqual(b.code, 'bad_answer')],
		['end.with', { how: '3' }, 200,
			(b) => assert.deepStrictEqual(b, { exit_status: 3,
				stderr: 'err\n', stdout: 'out\n' })],
		['end.with', { how: '4' }, 422, (b) => {
			assert.strictEqual(b.code, 'exit_status');
			assert.strictEqual(b.exit_status, 4);
			assert.strictEqual(b.stderr, 'err\n');
		}],
		['end.late', {}, 422,
			(b) => assert.strictEqual(b.code, 'timeout')],
		['print.much', {}, 422,
			(b) => assert.strictEqual(b.code, 'output_limit')],
		['not.there', {}, 422,
			(b) => assert.strictEqual(b.code, 'not_started')],
		['only.simulated', {}, 403,
			(b) => assert.strictEqual(b.code, 'not_simulated')],
	];

	await Promise.all(rows.map(async ([name, given, status, look]) => {
		const got = await d.call(run, name, given);

		assert.strictEqual(got.status, status,
			`${name}: ${JSON.stringify(got.body)}`);
		look(got.body);
	}));
	// What was late is gone.
	await until(async () => !JSON.stringify(await d.get(
		`/v1/sandboxes/${run.run}/processes`)).includes('sleep'),
	'the end of what was late');
});

test('once is once, redacted is redacted, and a retry is one', async () => {
	const add = () => d.call(run, 'log.add', { line: 'hidden', id: '1' });

	assert.strictEqual((await add()).status, 200);
	assert.strictEqual((await add()).body.stdout, 'hidden');
	assert.strictEqual((await d.call(run, 'log.read')).body.stdout, 'hidden');
	assert.strictEqual((await d.call(run, 'log.lost')).status, 200);
	assert.strictEqual((await d.call(run, 'log.read')).body.stdout,
		'hiddentried\ntried\n');
});

test('what a person approves is executed, once', async () => {
	const asked = d.call(run, 'ask.first', { a: 'yes' });
	const approval = await d.approval(run.run);

	assert.strictEqual((await d.decide(approval, 'approve')).status, 200);
	assert.strictEqual((await asked).body.stdout, 'yes\n');
});

test('all of it is on the record, and the run is labelled', async () => {
	const mine = (all, tool) => all.filter((e) => e.tool?.name === tool);
	const notes = (all, note, tool) => all.filter((e) => e.kind === 'note' &&
		e.body.note === note && (!tool || e.body.by === `tool:${tool}`));

	await d.post(`/v1/runs/${run.run}/stop`, {});
	await d.closed(run.run);
	const all = await d.trace(run.run);
	const end = mine(all, 'say.words').find((e) =>
		e.kind === 'tool.finished');
	const label = mine(all, 'ask.first').find((e) =>
		e.kind === 'policy.decision');

	assertRecorded(all);
	assert.strictEqual(end.res.origin, 'sandbox');
	assert.deepStrictEqual(notes(all, 'command.started', 'ask.first')
		.map((e) => e.body.argv), [['/bin/echo', 'yes']]);
	assert.deepStrictEqual(notes(all, 'command.started', 'log.add')
		.map((e) => e.body.argv[2]), ['/tmp/log-[redacted]']);
	assert.strictEqual(notes(all, 'command.started', 'log.lost').length, 2);
	assert.strictEqual(notes(all, 'command.started').length,
		notes(all, 'command.finished').length);
	assert.ok(label.body.labels.includes('untrusted:say.words'));
	assert.match(JSON.stringify(mine(all, 'log.add')[0]), /redacted/);
	await verify(d.state);
});

test('an agent inside lists what it may call, and calls it', async () => {
	const file = path.join(scratch, 'inside.json');

	fs.writeFileSync(file, JSON.stringify(policyOf({
		'say.words': policy.tools['say.words'],
		'kept.back': { risk: 'read', mode: 'block', exec: { command:
			['/bin/true'] } },
	})));
	const r = await new Command(['run', file, '--state', d.state, '--env',
		d.place.mark, '--', process.execPath, '-e', `
		const at = process.env.PADDOCK_MCP_URL.replace(/\\/mcp$/, '');
		const list = await (await fetch(at + '/v1/tools')).json();
		const got = await (await fetch(at + '/v1/calls', { method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ name: 'say.words',
				arguments: { words: ['hi'] } }) })).json();
		console.log(JSON.stringify({ list, got }));`, '--input-type=module'],
	{ input: '' }).end();

	assert.strictEqual(r.status, 0, r.out + r.err);
	const { list, got } = JSON.parse(r.out);

	assert.deepStrictEqual(list.tools.find((t) => t.name === 'say.words'), {
		name: 'say.words', description: 'Says each word.',
		inputSchema: args(words) });
	assert.ok(!list.tools.some((t) => t.name === 'kept.back'));
	assert.strictEqual(got.stdout, '[hi]');
});

test('a run without a sandbox has no such tools', async () => {
	const outside = await d.post('/v1/runs', { policy });
	const got = await d.call(outside, 'say.words', { words: [] });

	assert.strictEqual(got.status, 403);
	assert.strictEqual(got.body.code, 'no_sandbox');
	assert.ok(!JSON.stringify(await d.get(`/v1/runs/${outside.run}/tools`))
		.includes('say.words'));
	await d.post(`/v1/runs/${outside.run}/stop`, {});
});

test('a gateway that is killed leaves no command, and no call without an end',
	async () => {
		const r = await d.post('/v1/sandboxes', { policy });
		const lost = d.call(r, 'end.never').catch((e) => e);

		await d.event(r.run, (e) => e.kind === 'note' &&
			e.body.note === 'command.started', 'its command');
		process.kill(d.roles().gateway, 'SIGKILL');
		await lost;
		const end = await until(async () => (await d.trace(r.run)).find((e) =>
			e.kind === 'tool.finished'), 'the end of the call');

		assert.strictEqual(end.res.status, 'unknown');
		await until(async () => !JSON.stringify(await d.get(
			`/v1/sandboxes/${r.run}/processes`).catch(() => 'sleep'))
			.includes('sleep'), 'the end of the command');
		await d.post(`/v1/runs/${r.run}/stop`, {});
		await d.closed(r.run);
		await verify(d.state);
	});
