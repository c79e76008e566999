// What Landlock refuses is told like what other walls refuse, where the
// kernel's auditing is on; where it is not, that is said. scripts/test-audit
// switches it on: a test that everybody runs does not change the machine.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Daemon, Place, cli, isRoot, policy, scratch, until } from './lib/paddock.js';

const finding = async () => JSON.parse((await cli(['doctor', '--json'])).out)
	.findings.find((f) => f.name === 'landlock denials');
const on = isRoot && (await finding()).state === 'ok';

// Outside the sandbox, and handed to it open: what it opens once more by its
// name of /proc is not below its root.
const outside = path.join(scratch, 'a "host" file\n.txt');

fs.writeFileSync(outside, 'host', { mode: 0o666 });
const reopen = 'cat /proc/self/fd/0';

function explained(script) {
	const place = new Place();
	const stdin = fs.openSync(outside, 'r');
	const r = spawnSync(place.paddock, ['exec', '--explain', '--json', '--',
		'/bin/sh', '-c', script], { cwd: place.dir, encoding: 'utf8',
		stdio: [stdin, 'pipe', 'pipe'] });

	fs.closeSync(stdin);
	return { ...r, denied: r.stderr.split('\n')
		.filter((l) => l.startsWith('{"denied"'))
		.map((l) => JSON.parse(l).denied) };
}

if (process.env.PADDOCK_AUDIT === 'on')
	test('auditing is on, and can be heard', async () => {
		assert.strictEqual((await finding()).state, 'ok');
	});

test('doctor says whether denials of Landlock are told, and how', async () => {
	const f = await finding();

	assert.ok(['ok', 'info'].includes(f.state), JSON.stringify(f));
	if (f.state === 'info')
		assert.match(f.effect, /Landlock/);
	if (f.state === 'info' && isRoot)
		assert.match(f.remedy, /auditctl -e 1|Linux 6\.15|outside/);
});

test('an access that is refused stays refused, told or not', () => {
	const r = explained(reopen);

	assert.strictEqual(r.stdout, '', r.stderr);
	assert.match(r.stderr, /Permission denied/);
	if (!on)
		assert.deepStrictEqual(r.denied, []);
});

describe('with auditing on', { skip: on ? false
	: 'this machine does not audit: scripts/test-audit' }, () => {
	let d;

	before(async () => { d = await Daemon.start(); });
	after(async () => {
		await d.stop();
		await d.place.nothingLeft([d.supervisor]);
	});

	test('exec --explain tells who was refused what, by which wall', () => {
		const r = explained(reopen);
		const [denied] = r.denied;

		assert.strictEqual(denied?.wall, 'landlock_fs', r.stderr);
		assert.strictEqual(denied.rule, 'fs.read_file');
		assert.match(denied.call, /^open(at)?$/);
		assert.strictEqual(denied.comm, 'cat');
		assert.strictEqual(denied.errno, 13);
		assert.ok(denied.pid > 1);
		assert.ok(denied.path.endsWith('/a "host" file\n.txt'),
			denied.path);
	});

	test('and not more often than a person reads', () => {
		const r = explained('i=0; while [ $i -lt 300 ]; do ' +
			'(exec < /proc/self/fd/0) 2>/dev/null; i=$((i+1)); done');

		assert.ok(r.denied.length > 0 && r.denied.length <= 100,
			`${r.denied.length}`);
	});

	test('a domain that a program makes for itself tells nothing', () => {
		const r = explained(`python3 -c '
import ctypes, os, struct
libc = ctypes.CDLL(None)
attr = ctypes.create_string_buffer(struct.pack("=Q", 4)) # read a file
fd = libc.syscall(444, attr, 8, 0)
assert fd >= 0
assert libc.syscall(446, fd, 2) == 0, "logs programs executed later"
os.execvp("cat", ["cat", "/etc/hostname"])
'`);

		assert.match(r.stderr, /denied/);
		assert.deepStrictEqual(r.denied.filter((e) =>
			e.wall.startsWith('landlock')), [], r.stderr);
	});

	test('a run has them on record when its policy says so', async () => {
		const file = path.join(scratch, 'audit.json');

		fs.writeFileSync(file, JSON.stringify({ ...policy(),
			sandbox: { explain: true } }));
		// Cold, and of those that wait ready.
		for (let i = 0; i < 2; i++) {
			const stdin = fs.openSync(outside, 'r');
			const r = spawnSync(d.place.paddock, ['run', file, '--state',
				d.state, '--', '/bin/sh', '-c', reopen],
			{ encoding: 'utf8', stdio: [stdin, 'pipe', 'pipe'] });
			const id = r.stderr.match(/run (r-\w+)/)?.[1];

			fs.closeSync(stdin);
			const denied = await until(async () => (await d.trace(id))
				.find((e) => e.kind === 'sandbox.denied'),
			`its record: ${r.stderr}`);

			assert.strictEqual(denied.body.wall, 'landlock_fs');
			assert.strictEqual(denied.body.rule, 'fs.read_file');
			assert.strictEqual(denied.body.comm, 'cat');
			assert.ok(denied.body.about.endsWith('.txt'));
		}
	});

	test('whoever reads holds nothing', async () => {
		const file = path.join(scratch, 'audit-long.json');

		fs.writeFileSync(file, JSON.stringify({ ...policy(),
			sandbox: { explain: true } }));
		const c = d.place.command(['run', file, '--state', d.state, '--',
			'/bin/sh', '-c', 'echo up; read x'], {});

		await c.says(/up/);
		const [reader] = await until(() => {
			const all = d.place.processes().filter((p) =>
				p.cmd.startsWith('paddock-audit'));

			return all.length > 0 && all;
		}, 'the reader');
		const status = fs.readFileSync(`/proc/${reader.pid}/status`, 'utf8');

		for (const set of ['Inh', 'Prm', 'Eff', 'Amb'])
			assert.match(status, new RegExp(`Cap${set}:\\s+0+\n`));
		assert.match(status, /Uid:\s+1878982\d+\s/);
		assert.match(status, /Seccomp:\s+2/);
		assert.match(status, /NoNewPrivs:\s+1/);
		c.child.stdin.end();
		await c.end();
	});
});
