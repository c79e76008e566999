// What a sandbox is asked for that it cannot be: limits that are none, names
// with control characters. One clear error with its place, and nothing is left.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, cli, isRoot, policy } from './lib/paddock.js';

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
		open_files: [64, 1048576],
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

// `paddock exec` reads its limits itself.
test('on the command line each is one line that says what is wrong',
	async () => {
		const work = path.join(d.place.dir, 'exec');
		const foreign = Buffer.alloc(200);

		fs.mkdirSync(path.join(work, 'folder'), { recursive: true });
		foreign.write('\x7fELF\x02\x01\x01', 'latin1');
		foreign.writeUInt16LE(2, 16);
		foreign.writeUInt16LE(0x7777, 18); // e_machine: nobody's
		for (const [name, text] of [['foreign', foreign], ['empty', ''],
			['script', '#!/no/such\n'], ['bare', '#!']])
			fs.writeFileSync(path.join(work, name), text,
				{ mode: 0o755 });
		fs.writeFileSync(path.join(work, 'text'), 'hello');
		fs.symlinkSync('loop', path.join(work, 'loop'));
		const rows = [];

		for (const name of ['memory', 'pids', 'cpu', 'disk', 'wall',
			'output', 'open-files']) {
			for (const v of ['0', '-1', '', 'nan', 'inf', '0x10', '1e3',
				'99999999999', '18446744073709551616', `5${esc}`,
				...name === 'cpu' || name === 'wall' ? ['0.0001']
					: ['0.5']])
				rows.push([[`--${name}`, v], 'true', 2,
					`--${name}: ".*" is not a number above 0 and at ` +
					'most 4294967295']);
		}
		rows.push(
			[['--memory', '1'], 'true', 1, 'at least 8388608'],
			[['--pids', '1'], 'true', 1, 'at least 2'],
			[['--open-files', '63'], 'true', 1, 'at least 64'],
			[['--cpu', '0.009'], 'true', 1, 'at least 0.01'],
			[['--limit', '5'], 'true', 2, 'unknown option --limit'],
			[['--env', `A${esc}`], 'true', 2, 'NAME=VALUE'],
			[['--dir', `none${esc}`], 'true', 1, 'No such file'],
			[['--mount', `none${esc}:/m`], 'true', 1, 'No such file'],
			[['--mount', 'folder:/etc/x'], 'true', 2, 'must be'],
			[[], 'none', 127, 'none: No such file'],
			[[], './none', 127, 'none: No such file'],
			[[], `n${esc}`, 127, 'No such file'],
			[[], './script', 127, 'neither it nor the interpreter'],
			[[], './foreign', 126, 'no program that this machine'],
			[[], './empty', 126, 'no program that this machine'],
			[[], './text', 126, 'not marked as executable'],
			[[], './folder', 126, 'not marked as executable'],
			[[], './loop', 126, 'loop: .*link'],
		);
		const ask = async ([options, program, status, text]) => {
			const r = await d.place.command(['exec', ...options, '--',
				program], { cwd: work, input: '' }).end();
			const what = `${options} ${program}: ${r.err}`;

			assert.strictEqual(r.status, status, what);
			assert.match(r.err, new RegExp(text), what);
			assert.ok(r.err.trim().split('\n').length <=
				(status === 2 ? 2 : 1), what);
			assert.strictEqual(r.out, '');
			isPlain(r.err);
		};

		for (let i = 0; i < rows.length; i += 8)
			await Promise.all(rows.slice(i, i + 8).map(ask));
	});

// What a folder that becomes an image may hold: nothing of it has an effect on
// who imports it, nor rights for who runs in it.
test('an image of devices, set-id programs and links gives nothing of them',
	async () => {
		const from = path.join(d.place.dir, 'image');

		fs.mkdirSync(path.join(from, 'bin'), { recursive: true });
		fs.mkdirSync(path.join(from, 'dev'));
		fs.copyFileSync('/bin/busybox', path.join(from, 'bin/busybox'));
		fs.chmodSync(path.join(from, 'bin/busybox'), 0o6755);
		for (const [to, name] of [['/etc/shadow', 'shadow'],
			['../../../../../../etc/shadow', 'up'], ['/', 'root'],
			['loop', 'loop']])
			fs.symlinkSync(to, path.join(from, name));
		const made = isRoot && spawnSync('mknod', [path.join(from, 'dev/mem'),
			'c', '1', '1']).status === 0;

		spawnSync('mkfifo', [path.join(from, 'pipe')]);
		const r = await d.place.cli(['image', 'import', from, '--name',
			'bad']);

		assert.strictEqual(r.status, 0, r.err);
		assert.match(r.out, new RegExp(`${made ? 2 : 1} devices, FIFOs or ` +
			'sockets left out, 1 setuid or setgid bits removed'));
		const c = await d.place.command(['exec', '--image', 'bad', '--state',
			d.state, '--', '/bin/busybox', 'sh', '-c', 'busybox id -u; ' +
			'busybox cat /shadow /up /root/etc/shadow; busybox test -c ' +
			'/dev/mem && echo device; busybox grep CapEff ' +
			'/proc/self/status'], { input: '' }).end();

		assert.doesNotMatch(c.out, /device|^0$|root:/m, c.err);
		assert.match(c.out, /CapEff:\s+0+\n/, c.err);
	});
