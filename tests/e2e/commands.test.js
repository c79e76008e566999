// sandbox.commands: which programs may be started, by what they are.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, test } from 'node:test';

import { Command, Daemon, policy } from './lib/paddock.js';

let d;

before(async () => { d = await Daemon.start(); });
after(async () => {
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

async function make(commands) {
	const r = await d.post('/v1/sandboxes',
		{ policy: policy({ sandbox: { commands } }) });
	const at = `/v1/sandboxes/${r.run}`;

	return { run: r.run, ask: (argv, more = {}) => d.ask('POST', `${at}/exec`,
		{ argv, ...more }) };
}

async function runs(s, argv, more) {
	const a = await s.ask(argv, more);

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	assert.strictEqual(a.body.exit_status, 0, a.body.stderr);
	return a.body.stdout;
}

async function refused(s, argv, says = /the policy is against it/, more) {
	const a = await s.ask(argv, more);

	assert.ok(a.status >= 400, JSON.stringify(a.body));
	assert.match(JSON.stringify(a.body), says);
}

const digest = (file) => `sha256:${crypto.createHash('sha256')
	.update(fs.readFileSync(file)).digest('hex')}`;

test('a blocked program is blocked under every name that it can be given',
	async () => {
		const s = await make({ block: ['env', '/usr/bin/id'] });

		await runs(s, ['sh', '-c', `
cp /usr/bin/env copy; ln -s /usr/bin/env link; cp /usr/bin/id who
printf '#!/usr/bin/env\\n' >script; printf '#!./copy\\n' >odd
chmod +x script odd; cp /usr/bin/true fine; cp copy longer; echo >>longer`]);
		await refused(s, ['env'], /command_blocked/);
		for (const name of ['./copy', './link', './who', './script', './odd',
			'/usr/../bin/./../../workspace/copy'])
			await refused(s, [name]);
		await refused(s, ['copy'], /the policy is against it/,
			{ env: { PATH: '/workspace' } });
		await runs(s, ['./fine']);
		await runs(s, ['python3', '-c', '']);
		// Another program, though not by much: that is what a list of
		// what is blocked cannot know.
		await runs(s, ['./longer']);
		const told = (await d.trace(s.run)).filter((e) =>
			/the policy is against it/.test(e.body?.error ?? ''));

		const programs = (await d.trace(s.run)).map((e) => e.body?.program);

		assert.ok(programs.includes('/workspace/fine'), `${programs}`);
		assert.ok(programs.includes(fs.realpathSync('/usr/bin/python3')));
		assert.ok(told.length >= 7);
		assert.match(told[0].body.error, /copy is env of sandbox\.commands/);
	});

test('what is allowed is that program, wherever the PATH leads', async () => {
	const s = await make({ allow: ['sh', 'cat', '/usr/bin/true',
		'mkdir', 'cp'] });

	await runs(s, ['sh', '-c', 'mkdir bin; cp /usr/bin/id bin/cat']);
	assert.strictEqual(await runs(s, ['cat', '/dev/null']), '');
	await refused(s, ['cat'], /cat is none of sandbox\.commands\.allow/,
		{ env: { PATH: '/workspace/bin' } });
	await runs(s, ['/usr/bin/true']);
	await refused(s, ['true'], /command_blocked/);
	await refused(s, ['./bin/cat'], /command_blocked/);
});

test('a digest allows one program and no other', async () => {
	const s = await make({ allow: ['sh', 'cp',
		digest('/usr/bin/id')] });

	await runs(s, ['sh', '-c',
		'cp /usr/bin/id mine; cp mine other; echo >>other']);
	assert.match(await runs(s, ['./mine']), /uid=/);
	assert.match(await runs(s, ['id']), /uid=/);
	await refused(s, ['./other']);
	await refused(s, ['true']);
});

test('an entry may say which file and which bytes', async () => {
	const of = (file) => digest(file).slice(7);
	const id = { path: '/usr/bin/id', sha256: of('/usr/bin/id') };
	const s = await make({ allow: ['sh', id,
		{ path: '/usr/bin/env', sha256: of('/usr/bin/id') }] });

	assert.match(await runs(s, ['id']), /uid=/);
	assert.match(await runs(s, ['sh', '-c', 'id']), /uid=/);
	await refused(s, ['env']); // it has other bytes
	const b = await make({ block: [id,
		{ path: '/usr/bin/env', sha256: of('/usr/bin/id') }] });

	await refused(b, ['id']);
	await runs(b, ['env']);
	for (const [entry, why] of [
		[{ path: '/usr/bin/id' }, /sha256` is missing/],
		[{ path: 'id', sha256: id.sha256 }, /absolute path/],
		[{ path: '/usr/bin/id', sha256: 'ab' }, /64 digits/],
		[{ ...id, args: [] }, /args/],
	]) {
		const a = await d.ask('POST', '/v1/sandboxes', { policy: policy({
			sandbox: { commands: { allow: ['sh', entry] } } }) });

		assert.strictEqual(a.status, 400);
		assert.match(JSON.stringify(a.body), why);
	}
});

test('the rules are nowhere in what a command sees', async () => {
	const s = await make({ block: ['id'] });
	const seen = await runs(s, ['python3', '-c',
		'import os; print(sorted(os.environ), open("/proc/self/environ")'
		+ '.read())']);

	assert.ok(!seen.includes('=commands'), seen);
	assert.match(seen, /PATH/);
});

test('the command of a run is judged, too', async () => {
	const file = `${d.state}/commands.json`;

	fs.writeFileSync(file, JSON.stringify(policy({ sandbox: { commands: {
		block: ['id'] } } })));
	fs.mkdirSync(`${d.state}/work`);
	fs.copyFileSync('/usr/bin/id', `${d.state}/work/copy`);
	fs.chmodSync(`${d.state}/work/copy`, 0o755);
	const r = await d.place.cli(['run', file, '--', './copy'],
		{ cwd: `${d.state}/work` });

	assert.notStrictEqual(r.status, 0);
	assert.match(r.err + r.out, /command_blocked/);
});

test('a program that is exchanged while it is judged is not executed',
	async () => {
		const s = await make({ block: ['id'] });

		await runs(s, ['sh', '-c', 'cp /usr/bin/id bad; cp /usr/bin/true ok;'
			+ ' cp ok x']);
		const swap = s.ask(['sh', '-c', 'i=0; while [ $i -lt 400 ]; do'
			+ ' cp ok y; mv y x; cp bad y; mv y x; i=$((i+1)); done']);
		let ran = 0;

		for (let i = 0; i < 60; i++) {
			const a = await s.ask(['./x']);

			if (a.status !== 200)
				continue;
			ran++;
			assert.doesNotMatch(a.body.stdout, /uid=/);
		}
		await swap;
		assert.ok(ran > 0);
	});

test('a later command may print as much as the policy says', async () => {
	const r = await d.post('/v1/sandboxes',
		{ policy: policy({ sandbox: { output_mb: 1 } }) });
	const at = `/v1/sandboxes/${r.run}/exec`;
	const a = await d.post(at, { argv: ['sh', '-c', 'yes; true'] });

	assert.strictEqual(a.signal, 9);
	assert.strictEqual(a.stop.reason, 'output_limit');
	assert.strictEqual(a.stop.limit_bytes, 1 << 20);
	assert.ok(a.stop.used_bytes > 1 << 20);
	assert.ok(a.stdout.length + a.dropped_bytes <= 1 << 20);
	// Both streams together, and what is below is not touched.
	const b = await d.post(at, { argv: ['sh', '-c',
		'head -c 600000 /dev/zero >&2; head -c 600000 /dev/zero'] });

	assert.strictEqual(b.stop.reason, 'output_limit');
	const c = await d.post(at, { argv: ['head', '-c', '1048576',
		'/dev/zero'] });

	assert.strictEqual(c.exit_status, 0);
	assert.strictEqual(c.stop, undefined);
	const cli = await new Command(['exec', '--in', r.run, '--state', d.state,
		'--', 'yes'], { program: d.place.paddock, input: '' }).end();

	assert.strictEqual(cli.status, 137);
	assert.match(cli.err, /output_limit/);
	const ends = (await d.trace(r.run)).filter((e) =>
		e.body?.note === 'command.finished');

	assert.deepStrictEqual(ends.map((e) => e.body.reason),
		['output_limit', 'output_limit', undefined, 'output_limit']);
});

// In place, and closed again at once: the descriptor stays the same one, and
// the kernel sees no writer when it executes.
test('a program that is overwritten while it is judged is not executed',
	async () => {
		const python = fs.realpathSync('/usr/bin/python3');
		const s = await make({ allow: ['sh', 'cp', 'touch',
			'python3', digest(python)] });

		await runs(s, ['sh', '-c', `cp ${python} mine`]);
		assert.match(await runs(s, ['./mine', '--version']), /^Python/);
		assert.ok((await s.ask(['python3', '-c', `
import os, time
good, other = (open(f, 'rb').read() for f in ('${python}', '/usr/bin/id'))
def put(data):
    try:
        with open('mine', 'rb+') as f: f.write(data)
    except OSError: pass
while not os.path.exists('done'):
    put(other); time.sleep(0.002); put(good[:len(other)]); time.sleep(0.015)
`], { background: true })).status < 300);

		for (let i = 0; i < 60; i++) {
			const a = await s.ask(['./mine', '--version']);

			if (a.status === 200 && a.body.exit_status === 0)
				assert.match(a.body.stdout, /^Python/);
		}
		await runs(s, ['sh', '-c', 'touch done']);
	});
