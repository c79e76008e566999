// The walls that a policy sets up around a run's files, output and user, and
// what the record says of them.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, cli, policy, scratch, until } from './lib/paddock.js';

let d, n = 0;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

function folder(files) {
	const dir = fs.mkdtempSync(path.join(scratch, 'walls-'));

	for (const [name, text] of Object.entries(files)) {
		fs.mkdirSync(path.dirname(path.join(dir, name)),
			{ recursive: true });
		fs.writeFileSync(path.join(dir, name), text);
	}
	return dir;
}

// Runs a script; again and again, so that parked sandboxes are used as well.
async function run(sandbox, dir, script, options = []) {
	const file = path.join(scratch, `walls-${++n}.json`);

	fs.writeFileSync(file, JSON.stringify({ ...policy(), sandbox }));
	const r = await cli(['run', file, '--state', d.state, '--dir', dir,
		...options, '--', '/bin/sh', '-c', script]);
	const id = r.err.match(/run (r-\w+)/)?.[1];
	const events = id === undefined ? [] : await d.trace(id);

	// The notice may come in the middle of a line of the command's.
	return { ...r, id, events,
		err: r.err.replace(/paddock: run r-\w+ \(trace: .*\)\n/, ''),
		denied: events.filter((e) => e.kind === 'sandbox.denied'),
		closed: events.find((e) => e.kind === 'run.closed')?.body };
}

test('a secret is not read and a hook not written, cold and parked',
	async () => {
		for (let i = 0; i < 3; i++) {
			const dir = folder({ '.env': 'KEY', 'a/.env': 'KEY',
				'.git/config': 'c', '.git/hooks/x': 'h', f: 'f' });
			const r = await run({}, dir, 'cat f .env a/.env; ' +
				'echo x > .git/config; echo x > .git/hooks/y; ' +
				'mv a b; cat b/.env');

			assert.strictEqual(r.out, 'f', r.err);
			assert.match(r.err, /Permission denied/);
			assert.match(r.err, /Read-only file system/);
		}
	});

test('sandbox.protect opens and closes by name', async () => {
	const dir = folder({ '.env': 'KEY\n', 'k.pem': 'P\n', Makefile: 'm\n' });
	const r = await run({ protect: { allow_read: ['.env'],
		deny_read: ['*.pem'], deny_write: ['/Makefile'] } }, dir,
	'cat .env k.pem; echo x > Makefile; mkdir d; echo y > d/Makefile');

	assert.strictEqual(r.out, 'KEY\n', r.err);
	assert.match(r.err, /k\.pem: Permission denied/);
	assert.match(r.err, /Makefile: Read-only/);
});

test('a wrong pattern in a policy is one problem with its place', async () => {
	const file = path.join(scratch, 'bad-pattern.json');

	for (const bad of ['../x', 'a//b', '', 'a\n']) {
		fs.writeFileSync(file, JSON.stringify({ ...policy(),
			sandbox: { protect: { deny_read: [bad] } } }));
		const r = await cli(['policy', 'check', file]);

		assert.strictEqual(r.status, 1);
		assert.match(r.out + r.err, /sandbox\.protect\.deny_read/);
	}
});

test('--write-back leaves out what others execute, and records each',
	async () => {
		const dir = folder({ f: 'old', gone: 'x' });
		const r = await run({}, dir, 'echo new > f; rm gone; ' +
			'mkdir -p v/.git/hooks; echo e > v/.git/hooks/pre-push; ' +
			'echo e > .mcp.json; mkfifo p', ['--write-back']);

		assert.strictEqual(fs.readFileSync(path.join(dir, 'f'), 'utf8'),
			'new\n', r.err);
		assert.deepStrictEqual(fs.readdirSync(dir).sort(), ['f', 'v']);
		assert.deepStrictEqual(fs.readdirSync(path.join(dir, 'v/.git')),
			[]);
		assert.deepStrictEqual(r.denied.map((e) => [e.body.about,
			e.body.wall, e.body.rule]).sort(), [
			['.mcp.json', 'write_back', 'protected'],
			['p', 'write_back', 'special'],
			['v/.git/hooks', 'write_back', 'protected']]);
		assert.strictEqual(r.closed.left_out, 3);
	});

test('flagged files are written, and told', async () => {
	const dir = folder({});
	const r = await run({ protect: { mode: 'flag' } }, dir,
		'echo e > .bashrc', ['--write-back']);

	assert.deepStrictEqual(fs.readdirSync(dir), ['.bashrc']);
	assert.strictEqual(r.denied[0].body.rule, 'flagged');
	assert.strictEqual(r.closed.left_out, 0);
});

test('what a limit has stopped is not written back', async () => {
	const dir = folder({});
	const r = await run({ wall_ms: 1000 }, dir, 'echo x > f; sleep 60',
		['--write-back']);

	assert.deepStrictEqual(fs.readdirSync(dir), []);
	assert.strictEqual(r.closed.stop_reason, 'wall_time_exceeded');
	assert.strictEqual(r.denied[0].body.rule, 'failed');
});

test('more output than may be stops the run, with the figure', async () => {
	for (let i = 0; i < 3; i++) {
		const r = await run({ output_mb: 1 }, folder({}), 'yes');

		assert.strictEqual(r.out.length, 1024 * 1024);
		assert.strictEqual(r.closed.stop_reason, 'output_limit');
		assert.strictEqual(r.closed.stop.limit_bytes, 1024 * 1024);
	}
});

test('refused calls are on the record when the policy says so', async () => {
	for (let i = 0; i < 3; i++) {
		const r = await run({ explain: true }, folder({}),
			'mount -t tmpfs none /tmp; unshare -U true; true');
		const mount = r.denied.find((e) => e.body.call === 'mount');
		const text = (await cli(['trace', 'show', r.id, '--state',
			d.state])).out;

		assert.ok(mount !== undefined, r.err);
		assert.strictEqual(mount.body.about, '/tmp');
		assert.strictEqual(mount.body.comm, 'mount');
		assert.strictEqual(mount.body.errno, 1);
		assert.strictEqual(mount.body.wall, 'seccomp');
		assert.ok(r.denied.some((e) => e.body.call === 'unshare'));
		assert.match(text, /denied: mount \/tmp by seccomp, for mount/);
	}
	const r = await run({}, folder({}), 'mount -t tmpfs none /tmp; true');

	assert.deepStrictEqual(r.denied, []);
});

test('user 0 inside is nobody outside', async () => {
	for (let i = 0; i < 3; i++) {
		const r = await run({ user: 'root' }, folder({ f: 'x' }),
			'id -u; chown 12:34 f && echo owned; cat /proc/self/uid_map');

		assert.match(r.out, /^0\nowned\n\s+0\s+[1-9]\d*\s+1\n$/, r.err);
	}
});

test('the pressure of a run is in its record, where it can be read',
	{ skip: !fs.existsSync('/proc/pressure/cpu') && 'no PSI here' },
	async () => {
		const { pressure } = (await run({}, folder({}), 'true')).closed;

		for (const what of ['cpu', 'io', 'memory'])
			assert.ok(pressure[what] >= 0 && pressure[what] <= 100);
		assert.match(pressure.of, /^(machine|sandbox)$/);
	});

test('the walls that stand are on record, while it runs and afterwards',
	async () => {
		for (let i = 0; i < 3; i++) {
			const r = await run({ required: ['landlock_fs', 'disk',
				'memory', 'cpu', 'pids'] }, folder({}), 'true');
			const { walls } = r.closed;
			const shown = await d.get(`/v1/runs/${r.id}`);

			assert.strictEqual(r.status, 0, r.err);
			for (const wall of ['mount_ns', 'pid_ns', 'net_ns', 'caps',
				'no_new_privs', 'seccomp', 'landlock_fs', 'disk'])
				assert.ok(walls.includes(wall), `${wall}: ${walls}`);
			assert.deepStrictEqual(shown.walls, walls);
			await until(() => d.get(`/v1/runs/${r.id}`).then((x) =>
				x.labels === undefined), 'the run in the store only');
			assert.deepStrictEqual((await d.get(`/v1/runs/${r.id}`))
				.walls, walls);
		}
	});

test('a run that requires a wall which does not stand is refused', async () => {
	// Nothing is judged without lists of commands. Not even its beginning
	// is executed, however late the caller looks.
	for (let i = 0; i < 10; i++) {
		const without = await run({ required: ['commands'] },
			folder({}), 'echo ran');

		assert.strictEqual(without.status, 1);
		assert.strictEqual(without.out, '');
		assert.match(without.err, /requires the wall commands, which /);
	}
	const { body } = await until(async () => (await d.trace('last'))
		.find((e) => e.kind === 'run.closed'), 'its end');

	assert.strictEqual(body.status, 'failed');
	assert.strictEqual(body.walls, undefined);
	const with_list = await run({ required: ['commands'],
		commands: { block: ['nc'] } }, folder({}), 'echo ran');

	assert.strictEqual(with_list.out, 'ran\n', with_list.err);
	assert.ok(with_list.closed.walls.includes('commands'));
});

test('a wall that there is not is a problem of the policy', async () => {
	const file = path.join(scratch, 'bad-wall.json');

	fs.writeFileSync(file, JSON.stringify({ ...policy(),
		sandbox: { required: ['disk', 'landlock_f'] } }));
	const r = await cli(['policy', 'check', file]);

	assert.strictEqual(r.status, 1);
	assert.match(r.out + r.err, new RegExp('sandbox\\.required\\[1\\]: no ' +
		'wall is called "landlock_f": did you mean "landlock_fs"'));
});
