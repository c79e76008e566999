// tests/escape/host.test.js: attempts that need somebody outside: who races
// with the builder of a sandbox, looks into it, or looks at what it leaves.
//
// docs/ESCAPES.md names each test by its number. SOAK=N makes N sandboxes in
// the races instead of a few.
'use strict';

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const probe = path.resolve(process.env.PROBE ??
	'build/tests/escape/escape-probe');
const root = process.getuid() === 0;
const soak = Number(process.env.SOAK ?? 100);
const users = root
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];
const groups = fs.existsSync('/sys/fs/cgroup') && root;

function exec(user, dir, options, command) {
	return spawnSync(paddock, ['exec', ...options, '--', ...command], {
		cwd: dir, uid: user.uid, gid: user.gid, encoding: 'utf8',
		timeout: 30000, maxBuffer: 1 << 28,
	});
}

async function until(what, condition, ms = 5000) {
	const end = Date.now() + ms;

	while (!condition()) {
		assert.ok(Date.now() < end, `waited too long: ${what}`);
		await new Promise((done) => setTimeout(done, 5));
	}
}

// A command that runs inside until it is told to end.
function start(user, dir, options, script) {
	const child = spawn(paddock, ['exec', ...options, '--', 'sh', '-c',
		script], { cwd: dir, uid: user.uid, gid: user.gid });
	const held = { child, out: '', err: '',
		ended: new Promise((done) => child.on('close', done)) };

	child.stdout.on('data', (d) => { held.out += d; });
	child.stderr.on('data', (d) => { held.err += d; });
	return held;
}

// Every sysctl that can be read and stands still, as text.
function sysctls() {
	const still = ['kernel/core_pattern', 'kernel/hostname',
		'kernel/modprobe', 'kernel/randomize_va_space',
		'vm/overcommit_memory', 'fs/suid_dumpable',
		'net/ipv4/ip_forward'];

	return still.map((name) => {
		try {
			return `${name}=${fs.readFileSync(
				`/proc/sys/${name}`, 'utf8')}`;
		} catch {
			return name; // not on this kernel
		}
	}).join('');
}

for (const user of users) {
	describe(`as ${user.name}`, () => {
		let dir;

		before(() => {
			dir = fs.mkdtempSync('/var/tmp/paddock-host-');
			fs.copyFileSync(probe, path.join(dir, 'probe'));
			fs.chmodSync(path.join(dir, 'probe'), 0o755);
			fs.chmodSync(dir, 0o755);
			if (user.uid !== undefined)
				fs.chownSync(dir, user.uid, user.gid);
		});
		after(() => fs.rmSync(dir, { recursive: true, force: true }));

		// 17
		test('a folder that is a link at its end is not followed later',
			() => {
				const link = path.join(dir, 'link');

				fs.symlinkSync('/etc', link);
				const r = exec(user, dir, ['--dir', link],
					['ls']);

				fs.rmSync(link);
				assert.equal(r.status, 1);
				assert.match(r.stderr, /would see too much/);
			});

		// 18
		test('a folder that turns into a link while sandboxes are made ' +
			'leads nowhere', async () => {
			const place = path.join(dir, 'place');
			const real = path.join(dir, 'real');
			const secret = path.join(dir, 'secret');
			const stop = path.join(dir, 'stop');
			const sysctlsBefore = sysctls();

			for (const d of [real, secret]) {
				fs.mkdirSync(d);
				if (user.uid !== undefined)
					fs.chownSync(d, user.uid, user.gid);
			}
			fs.writeFileSync(path.join(secret, 'marker'), 'host');
			const swapper = spawn('sh', ['-c',
				'while [ ! -e "$3" ]; do mv "$1" "$2" && ' +
				'ln -s "$4" "$1"; rm -f "$1"; mv "$2" "$1"; done',
				'swap', place, `${place}.away`, stop, secret],
			{ stdio: 'ignore' });

			fs.renameSync(real, place);
			let made = 0, saw = 0;

			for (let i = 0; i < soak; i++) {
				const r = exec(user, dir, ['--write-back',
					'--dir', place],
				['sh', '-c', 'pwd; ls; echo x >written']);

				if (r.status === 0)
					made++;
				/* To follow the link at the start is what the
				 * caller asked for, and then that is the
				 * folder's name; never under the other's. */
				const [name, ...rest] = r.stdout.split('\n');

				if (name === place && rest.includes('marker'))
					saw++;
			}
			fs.writeFileSync(stop, '');
			await new Promise((done) => swapper.on('exit', done));
			assert.equal(saw, 0, `of ${made} sandboxes`);
			assert.ok(made > 0);
			assert.equal(fs.readFileSync(path.join(secret,
				'marker'), 'utf8'), 'host');
			assert.equal(sysctls(), sysctlsBefore);
		});

		// 22
		test('nothing of an earlier run is found', () => {
			const mark = `left-behind-${process.pid}`;
			const find = `grep -rl ${mark} /tmp /dev/shm . ; true`;
			const write = `for d in /tmp /dev/shm .; do ` +
				`yes ${mark} | head -c 4000000 >$d/left; done`;
			const first = exec(user, dir, [], ['sh', '-c',
				`${write}; ${find}`]);
			const second = exec(user, dir, [], ['sh', '-c', find]);

			assert.equal(first.stdout.trim().split('\n').length, 3,
				first.stderr);
			assert.equal(second.stdout, '');
		});

		// 23
		test('another sandbox\'s files are not there', async () => {
			const other = start(user, dir, [],
				'echo secret >/tmp/of-another; ' +
				'echo secret >/dev/shm/of-another; echo on; ' +
				'read -r line');

			await until('it runs', () => other.out.includes('on'));
			const r = exec(user, dir, [], ['sh', '-c',
				'cat /tmp/of-another /dev/shm/of-another ' +
				'/proc/*/root/tmp/of-another; ls /proc']);

			assert.doesNotMatch(r.stdout, /secret/);
			other.child.stdin.end('\n');
			await other.ended;
		});

		// 56
		test('a port inside is not reachable from outside', async () => {
			const port = 20000 + process.pid % 20000;
			const inside = start(user, dir, [], 'python3 -c "' +
				'import socket, sys; s = socket.socket(); ' +
				`s.bind(('0.0.0.0', ${port})); s.listen(); ` +
				'print(\'on\', flush=True); sys.stdin.read(1)"');

			await until('it listens', () => inside.out.includes('on') ||
				inside.err !== '');
			assert.match(inside.out, /on/, inside.err);
			const reached = await new Promise((done) => {
				const s = net.connect(port, '127.0.0.1');

				s.on('connect', () => { s.destroy(); done(true); });
				s.on('error', () => done(false));
			});

			inside.child.stdin.end('x');
			await inside.ended;
			assert.equal(reached, false);
		});

		// 63
		test('a tenth of a processor is all it gets', {
			skip: groups && user.name === 'root' ? false
				: 'needs a group of processes',
		}, () => {
			const r = exec(user, dir, ['--cpu', '0.1', '--wall', '1',
				'--json'], ['sh', '-c',
				'for i in 1 2 3 4; do while :; do :; done & done; ' +
				'wait']);
			const end = JSON.parse(r.stderr.trim().split('\n').pop());

			assert.equal(end.limit, 'wall_time_exceeded');
			assert.ok(end.cpu_us < 300000, `${end.cpu_us} us`);
		});

		test('one processor is all it gets, and it stays there', () => {
			const r = exec(user, dir, ['--cpu', '1', '--wall', '1',
				'--json'], ['sh', '-c',
				'for i in 1 2 3 4; do while :; do :; done & done; ' +
				'python3 -c "import os; ' +
				'os.sched_setaffinity(0, range(os.cpu_count()))"; ' +
				'wait']);
			const end = JSON.parse(r.stderr.trim().split('\n').pop());

			assert.equal(end.limit, 'wall_time_exceeded');
			assert.ok(end.walls.includes('cpu') ||
				end.walls.includes('cpu_set'));
			assert.ok(end.cpu_us < 1250000, `${end.cpu_us} us`);
			if (!end.walls.includes('cpu'))
				assert.match(r.stderr, /PermissionError/);
		});

		// 67
		test('a flood on standard output does not grow paddock',
			async () => {
				const flood = start(user, dir, [],
					'head -c 200000000 /dev/zero; echo done >&2');
				let most = 0;

				// Nobody keeps what comes, and nobody hurries.
				flood.child.stdout.removeAllListeners('data');
				flood.child.stdout.on('data', () => {
					const status = `/proc/${flood.child.pid}/status`;

					if (!fs.existsSync(status))
						return;
					const rss = /VmRSS:\s*(\d+)/.exec(
						fs.readFileSync(status, 'utf8'));

					most = Math.max(most, Number(rss?.[1] ?? 0));
				});
				assert.equal(await flood.ended, 0);
				assert.match(flood.err, /done/);
				assert.ok(most > 0 && most < 8192, `${most} KiB`);
			});

		// 75
		test('a folder that is exchanged for another one is refused or ' +
			'the one that was named', () => {
			const a = path.join(dir, 'a');
			const b = path.join(dir, 'b');

			fs.mkdirSync(a);
			fs.writeFileSync(path.join(a, 'of-a'), '');
			fs.renameSync(a, b);
			fs.mkdirSync(a);
			fs.writeFileSync(path.join(a, 'new'), '');
			const r = exec(user, dir, ['--dir', a], ['ls']);

			assert.equal(r.status, 0, r.stderr);
			assert.equal(r.stdout, 'new\n');
			fs.rmSync(a, { recursive: true });
			fs.rmSync(b, { recursive: true });
		});

		// 39, 40
		test('explained calls stay refused, and are told', () => {
			const r = exec(user, dir, ['--explain', '--json'],
				['./probe', 'mounts', 'system_calls', 'families',
					'new_namespaces', 'set_id', 'make_device']);
			const told = r.stderr.split('\n')
				.filter((l) => l.startsWith('{"denied":'))
				.map((l) => JSON.parse(l).denied);

			assert.equal(r.status, 0, r.stdout + r.stderr);
			for (const line of r.stdout.trim().split('\n'))
				assert.equal(JSON.parse(line).outcome, 'held',
					line);
			const mount = told.find((d) => d.call === 'mount');

			assert.equal(mount.path, '/tmp');
			assert.equal(mount.comm, 'probe');
			assert.equal(mount.wall, 'seccomp');
			assert.equal(mount.rule, 'call');
			assert.equal(mount.errno, 1);
			assert.ok(told.some((d) => d.call === 'bpf'));
			assert.ok(told.some((d) => d.call === 'socket' &&
				d.rule === 'argument' &&
				d.argument === '0x28' && d.errno === 97));
			assert.ok(told.some((d) => d.call === 'mknod' &&
				d.path === 'probe-node'));
		});

		test('explained calls stay refused for who hides', () => {
			const r = exec(user, dir, ['--explain'], ['python3', '-c',
				'import ctypes\n' +
				'c = ctypes.CDLL(None, use_errno=True)\n' +
				'c.prctl(4, 0, 0, 0, 0)\n' +
				'print(c.mount(b"x", b"/tmp", b"tmpfs", 0, 0), ' +
				'ctypes.get_errno())']);

			assert.equal(r.stdout, '-1 1\n', r.stderr);
			assert.match(r.stderr, /denied: pid \d+ \(python3\): mount/);
		});

		test('after a hundred, explained calls are only counted', () => {
			const r = exec(user, dir, ['--explain'], ['python3', '-c',
				'import ctypes\n' +
				'c = ctypes.CDLL(None)\n' +
				'for i in range(1000): c.umount(b"/\\x1b[31m")']);

			assert.equal(r.stderr.match(/umount2/g).length, 100);
			assert.match(r.stderr, /1000 calls in all/);
			assert.doesNotMatch(r.stderr, /\x1b/);
			assert.match(r.stderr, /\\u001b/);
		});

		test('when nobody explains any more, calls stay refused',
			async () => {
				const held = start(user, dir, ['--explain'],
					'echo on; read -r line; mount -t tmpfs x /tmp; ' +
					'echo $? >&2');

				await until('it runs', () => held.out.includes('on'));
				held.child.kill('SIGKILL');
				await held.ended;
				assert.doesNotMatch(held.err, /^0$/m);
			});
	});
}
