// tests/escape/escape.test.js: what a hostile agent tries, and does not get.
//
// Every probe runs inside `paddock exec`, as root and as an ordinary user, and
// has to be held there. Its control runs the same program outside, where it
// has to be open: else the probe would prove nothing. PADDOCK and PROBE name
// the two programs.
'use strict';

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const probe = path.resolve(process.env.PROBE ?? 'build/tests/escape/escape-probe');
const root = process.getuid() === 0;
const secret = { PADDOCK_SECRET: 'do-not-tell' };

// Only root parks: PARKED is set where PADDOCK is escape-parked.
const users = process.env.PARKED !== undefined ? [{ name: 'root' }] : root
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];

let hostPort, hostUdpPort, hostAddress, machineBefore, server, udpServer;
const servers = [];
const abstractName = `paddock-escape-${process.pid}`;
const marker = `/var/tmp/paddock-escape-${process.pid}`;
const socketPath = `/var/tmp/paddock-escape-${process.pid}.sock`;
const sysvKey = 0x70000000 + process.pid;
const daemonFolder = fs.mkdtempSync('/var/tmp/paddock-escape-daemon-');
// What no sandbox of this kind prevents: docs/ESCAPES.md.
const knownLimitations = new Set(['memory_program', 'side_channels']);
const shmMarker = `/dev/shm/paddock-escape-${process.pid}`;

// control: who can do it outside. 'root' needs privilege there, 'user' does
// not; null: it would do harm, or nobody can. A probe
// that may takes a mount and a UTS namespace of its own first, so that where it
// is open it changes nothing of the machine. A bomb is held when its process or the whole run is ended for it.
const probes = [
	{ name: 'read_shadow', control: 'root' },
	{ name: 'read_path', args: () => marker, control: 'user' },
	{ name: 'read_path', args: () => shmMarker, control: 'user' },
	{ name: 'read_path', args: () => `/proc/${process.pid}/environ`,
		control: 'root' },
	{ name: 'read_path', args: () => '/root/.', control: 'root' },
	{ name: 'write_system', control: 'root' },
	{ name: 'link_out', args: () => marker, control: 'root' },
	{ name: 'hard_link', control: null },
	{ name: 'mounts', control: 'root' },
	{ name: 'mount_fds', control: 'root' },
	{ name: 'change_root', control: 'root' },
	{ name: 'file_handle', control: null },
	{ name: 'make_device', control: 'root' },
	{ name: 'devices', control: 'root' },
	{ name: 'sysctls', control: 'root' },
	{ name: 'kernel_secrets', control: 'root' },
	{ name: 'sysfs', control: 'user' },
	{ name: 'cgroup_files', control: 'root' },
	{ name: 'own_program', control: null },
	{ name: 'descriptors', control: null },
	{ name: 'handed_down', control: 'user', controlStdin: '/' },
	{ name: 'set_id', control: 'user' },
	{ name: 'set_id_mounts', control: 'user' },
	{ name: 'empty_argv', control: 'user', needs: () =>
		fs.existsSync('/usr/bin/passwd') },
	{ name: 'file_attributes', control: 'root' },
	{ name: 'overlay_marks', control: null },

	{ name: 'parent_environment', control: 'user' },
	{ name: 'pid_1_files', control: 'root', controlArgs: 'control' },
	{ name: 'host_process', args: () => String(process.pid),
		control: 'root' },
	{ name: 'signal_pid_1', control: 'root' },
	{ name: 'trace', control: 'user' },
	{ name: 'reach_into', control: 'user' },
	{ name: 'enter_namespaces', control: 'root' },
	{ name: 'new_namespaces', control: 'root' },
	{ name: 'keyrings', control: 'user' },
	{ name: 'system_calls', control: 'user', controlArgs: 'control' },
	{ name: 'ring', control: 'user', needs: () => sysctl(
		'kernel/io_uring_disabled', '0') === '0' },
	{ name: 'personalities', control: 'user' },
	{ name: 'type_into_terminal', control: 'user', needs: () => sysctl(
		'dev/tty/legacy_tiocsti', '1') === '1' },
	{ name: 'foreign_calls', control: 'user', controlArgs: 'control' },
	{ name: 'sysv_objects', args: () => String(sysvKey),
		control: 'user' },
	{ name: 'own_filter', control: 'root' },
	{ name: 'rights', control: 'root' },
	{ name: 'priorities', control: 'root' },
	{ name: 'clocks_and_names', control: 'root' },
	{ name: 'memory_program', control: null },
	{ name: 'side_channels', control: null },
	{ name: 'daemon_api', args: () => daemonFolder, control: 'user' },

	{ name: 'connect_to', args: () => '1.1.1.1:80', control: null },
	{ name: 'connect_to', args: () => '169.254.169.254:80',
		control: null },
	{ name: 'connect_to', args: () => '100.100.100.200:80',
		control: null },
	{ name: 'connect_to', args: () => '168.63.129.16:80',
		control: null },
	{ name: 'connect_to', args: () => `127.0.0.1:${hostPort}`,
		control: 'user' },
	{ name: 'connect_to', args: () => `${hostAddress}:${hostPort}`,
		control: 'user', needs: () => hostAddress !== undefined },
	{ name: 'udp_packet', args: () => '8.8.8.8', control: null },
	// Its own loopback takes a packet for anybody: what counts is whether
	// the host's socket on this port is the one that gets it.
	{ name: 'udp_listener', args: () => `127.0.0.1:${hostUdpPort}`,
		control: 'user' },
	{ name: 'udp_listener', args: () => `${hostAddress}:${hostUdpPort}`,
		control: 'user', needs: () => hostAddress !== undefined },
	{ name: 'families', control: 'user' },
	{ name: 'abstract_socket', args: () => abstractName,
		control: 'user' },
	{ name: 'path_socket', args: () => socketPath, control: 'user' },
	{ name: 'usual_sockets', control: null },

	{ name: 'fork_bomb', control: 'user' },
	{ name: 'thread_bomb', control: 'user' },
	{ name: 'used_memory', control: null },
	{ name: 'memory_bomb', args: () => '300', control: 'user' },
	{ name: 'memory_file', control: 'user' },
	{ name: 'shared_memory', control: 'user' },
	{ name: 'shared_zero', control: 'user' },
	{ name: 'many_holders', control: 'user' },
	{ name: 'small_maps', control: null },
	{ name: 'page_tables', control: 'user' },
	{ name: 'pipe_buffers', control: null },
	{ name: 'socket_buffers', control: Number(
		sysctl('net/core/wmem_max', '0')) >= 1 << 20 ? 'user' : null },
	{ name: 'disk_fill', args: () => '/tmp', control: 'user' },
	{ name: 'disk_fill', args: () => '.', control: 'user' },
	{ name: 'disk_fill', args: () => '/dev/shm', control: 'user' },
	{ name: 'inode_fill', args: () => '/tmp', control: null },
	{ name: 'inode_fill', args: () => '.', control: null },
	{ name: 'deep_folders', control: 'user' },
	{ name: 'sparse_file', args: () => '.', control: 'user' },
	{ name: 'reserved_space', control: 'user' },
	{ name: 'descriptor_fill', control: limit('n') > 5100 ? 'user' : null },
	{ name: 'kernel_objects', control: limit('i') > 60000 ? 'user' : null },
	{ name: 'pending_signals', control: limit('i') > 60000 ? 'user' : null },
	{ name: 'zombies', control: 'user' },
	{ name: 'core_dumps', control: 'user' },
	{ name: 'lock_memory', control: 'root' },
];

// What a process outside may have of it; a system's limit may be as low as ours.
function limit(what) {
	const text = spawnSync('bash', ['-c', `ulimit -H${what}`],
		{ encoding: 'utf8' }).stdout.trim();

	return text === 'unlimited' ? Infinity : Number(text);
}

function sysctl(name, otherwise) {
	try {
		return fs.readFileSync(`/proc/sys/${name}`, 'utf8').trim();
	} catch {
		return otherwise; // a kernel without this switch
	}
}

function folderFor(user) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'paddock-escape-'));

	fs.copyFileSync(probe, path.join(dir, 'probe'));
	fs.chmodSync(path.join(dir, 'probe'), 0o755);
	if (user.uid !== undefined)
		fs.chownSync(dir, user.uid, user.gid);
	return dir;
}

function run(user, dir, options, command) {
	return spawnSync(paddock, ['exec', ...options, '--', ...command], {
		cwd: dir, uid: user.uid, gid: user.gid, encoding: 'utf8',
		timeout: 20000, env: { ...process.env, ...secret },
	});
}

// The one line of JSON that --json writes last.
function ending(r) {
	return JSON.parse(r.stderr.trim().split('\n').pop());
}

// The line of one probe; none when the run was ended for it.
function outcome(r) {
	const line = r.stdout.split('\n').find((l) => l.startsWith('{'));

	return line === undefined ? undefined : JSON.parse(line);
}

function outside(user, dir, what, p = {}) {
	const stdin = p.controlStdin === undefined ? 'ignore'
		: fs.openSync(p.controlStdin, 'r');
	const r = spawnSync('./probe', [what], {
		cwd: dir, uid: user.uid, gid: user.gid, encoding: 'utf8',
		timeout: 60000, env: { ...process.env, ...secret },
		stdio: [stdin, 'pipe', 'pipe'],
	});

	if (stdin !== 'ignore')
		fs.closeSync(stdin);
	return r;
}

// Processes of the whole machine whose command line has this text.
function processesWith(text) {
	return fs.readdirSync('/proc').filter((pid) => {
		if (!/^\d+$/.test(pid) || Number(pid) === process.pid)
			return false;
		try {
			return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1')
				.includes(text);
		} catch {
			return false; // it ended meanwhile
		}
	});
}

// Groups that this process made: their names carry its pid.
function cgroupsOf(pid) {
	const own = fs.readFileSync('/proc/self/cgroup', 'utf8').trim();
	let left = [];

	for (const line of own.split('\n')) {
		const [, list, group] = line.split(':');
		const dir = path.join('/sys/fs/cgroup', list, group);

		if (!fs.existsSync(dir))
			continue;
		left = left.concat(fs.readdirSync(dir)
			.filter((name) => name.startsWith('paddock-') &&
				name.split('-')[2] === String(pid)));
	}
	return left;
}

async function until(what, condition, ms = 5000) {
	const end = Date.now() + ms;

	while (!condition()) {
		assert.ok(Date.now() < end, `waited too long: ${what}`);
		await new Promise((done) => setTimeout(done, 5));
	}
}

// What a probe that is open would change first.
function machine() {
	return fs.readFileSync('/proc/self/mountinfo', 'utf8') + os.hostname();
}

before(async () => {
	machineBefore = machine();
	const address = Object.values(os.networkInterfaces()).flat()
		.find((a) => a.family === 'IPv4' && !a.internal);

	hostAddress = address?.address;
	server = net.createServer((c) => c.destroy());
	await new Promise((done) => server.listen(0, '0.0.0.0', done));
	hostPort = server.address().port;
	udpServer = dgram.createSocket('udp4');
	await new Promise((done) => udpServer.bind(0, '0.0.0.0', done));
	hostUdpPort = udpServer.address().port;
	for (const what of [`abstract_server=${abstractName}`,
		`path_server=${socketPath}`, `sysv_server=${sysvKey}`]) {
		const child = spawn(probe, [what],
			{ stdio: ['pipe', 'pipe', 'inherit'] });

		await new Promise((done) => child.stdout.once('data', done));
		servers.push(child);
	}
	fs.writeFileSync(path.join(daemonFolder, 'paddock.sock'), '');
	fs.writeFileSync(path.join(daemonFolder, 'operator.token'), 'x');
	fs.chmodSync(daemonFolder, 0o755);
	fs.writeFileSync(marker, 'host', { mode: 0o644 });
	fs.writeFileSync(shmMarker, 'host', { mode: 0o644 });
});

after(() => {
	assert.equal(machine(), machineBefore, 'the machine was changed');
	server.close();
	udpServer.close();
	for (const child of servers)
		child.stdin.end();
	fs.rmSync(daemonFolder, { recursive: true, force: true });
	fs.rmSync(marker, { force: true });
	fs.rmSync(shmMarker, { force: true });
});

const small = ['--memory', '64', '--disk', '16', '--pids', '64'];
const labelOf = (p) => [p.name, ...String(p.args ?? '').split('=>').slice(1)]
	.join('');
const nameOf = (p, argument) => argument === undefined
	? p.name : `${p.name}=${argument}`;

function isHeld(t, p, user, dir, options) {
	if (p.needs !== undefined && !p.needs())
		return t.skip('not on this machine');
	const r = run(user, dir, [...options, '--json'],
		['./probe', nameOf(p, p.args?.())]);
	const got = outcome(r);

	assert.doesNotMatch(r.stderr, /escape-parked:/);
	if (got === undefined) {
		assert.equal(r.status, 137, r.stderr);
		assert.match(r.stderr, /paddock: stopped: memory_exceeded \(limit 64 MiB/);
		return undefined;
	}
	assert.equal(got.probe, p.name);
	assert.notEqual(got.outcome, 'open', r.stdout);
	if (got.outcome === 'known_limitation')
		assert.ok(knownLimitations.has(p.name));
	else if (got.outcome !== 'held')
		return t.skip(got.detail);
	return undefined;
}

// The root is an image that holds nothing: all that is inside comes from us.
// It may be written, and what is written vanishes: tests/e2e/image-run.test.js.
// None is parked.
for (const user of process.env.PARKED === undefined ? users : []) {
	describe(`as ${user.name}, in an image`, () => {
		const image = [];
		let dir;

		before(() => {
			dir = folderFor(user);
			const state = path.join(dir, 'state');
			const files = path.join(dir, 'files');

			fs.mkdirSync(files);
			fs.writeFileSync(path.join(files, 'file'), '');
			fs.chmodSync(files, 0o755);
			image.push('--image', 'empty', '--state', state);
			const r = spawnSync(paddock, ['image', 'import', files,
				'--name', 'empty', '--state', state],
			{ uid: user.uid, gid: user.gid, encoding: 'utf8' });

			assert.equal(r.status, 0, r.stderr);
		});
		after(() => fs.rmSync(dir, { recursive: true, force: true }));

		for (const p of probes.filter((q) => q.name !== 'write_system'))
			test(`${labelOf(p)} is held`, (t) => isHeld(t, p, user,
				dir, [...image, ...small]));
	});
}

for (const user of users) {
	describe(`as ${user.name}`, () => {
		let dir;

		before(() => { dir = folderFor(user); });
		after(() => fs.rmSync(dir, { recursive: true, force: true }));

		for (const p of probes) {
			const label = labelOf(p);
			const named = (argument) => nameOf(p, argument);

			test(`${label} is held`, (t) => isHeld(t, p, user,
				dir, small));

			if (p.control === null ||
			    (p.control === 'root' && user.name !== 'root'))
				continue;
			test(`control: ${label} is open outside`, (t) => {
				if (p.needs !== undefined && !p.needs())
					return t.skip('not on this machine');
				const r = outside(user, dir, named(
					p.controlArgs ?? p.args?.()), p);

				assert.equal(outcome(r)?.outcome, 'open',
					r.stdout + r.stderr);
				assert.equal(r.status, 1);
				return undefined;
			});
		}

		test('a signal to all reaches nobody outside', async () => {
			const child = spawn('sleep', ['60'],
				{ uid: user.uid, gid: user.gid });
			let ended = false;

			child.on('exit', () => { ended = true; });
			await new Promise((done) => child.on('spawn', done));
			const r = run(user, dir, [],
				['sh', '-c', 'kill -KILL -1; echo on']);

			assert.match(r.stdout, /on/, r.stderr);
			await new Promise((done) => setImmediate(done));
			assert.equal(ended, false);
			assert.equal(child.kill('SIGKILL'), true);
			await until('it ends', () => ended);
		});

		test('every wall that has to stand does', () => {
			const r = run(user, dir, ['--json'], ['/bin/true']);
			const walls = new Set(ending(r).walls);
			const all = ['mount_ns', 'pid_ns', 'net_ns', 'ipc_ns',
				'uts_ns', 'caps', 'no_new_privs', 'seccomp',
				'rlimits', 'disk', 'overlay',
				user.name === 'root' ? 'private_uid' : 'user_ns'];

			assert.equal(r.status, 0, r.stderr);
			for (const wall of all)
				assert.ok(walls.has(wall), wall);
		});

		test('what is written to the folder vanishes', () => {
			fs.writeFileSync(path.join(dir, 'kept'), 'old');
			if (user.uid !== undefined)
				fs.chownSync(path.join(dir, 'kept'), user.uid,
					user.gid);
			const r = run(user, dir, [], ['sh', '-c',
				'echo new > kept && mkdir d && rm probe && ' +
				'cat kept && ls']);

			assert.equal(r.stdout, 'new\nd\nkept\n', r.stderr);
			assert.equal(fs.readFileSync(path.join(dir, 'kept'),
				'utf8'), 'old');
			assert.deepEqual(fs.readdirSync(dir).sort(),
				['kept', 'probe']);
		});

		test('with --write-back it stays, and has the folder\'s owner', () => {
			const r = run(user, dir, ['--write-back'], ['sh', '-c',
				'echo new > made && echo more >> kept']);
			const st = fs.statSync(path.join(dir, 'made'));

			assert.equal(r.status, 0, r.stderr);
			assert.equal(st.uid, fs.statSync(dir).uid);
			assert.equal(fs.readFileSync(path.join(dir, 'kept'),
				'utf8'), 'oldmore\n');
			fs.rmSync(path.join(dir, 'made'));
		});

		test('a file that others own and keep to themselves stays theirs',
			{ skip: root ? false : 'needs root to make one' }, () => {
				const file = path.join(dir, 'theirs');

				fs.writeFileSync(file, 'x', { mode: 0o600 });
				fs.chownSync(file, 12345, 12345);
				const r = run(user, dir, [],
					['./probe', 'private_file=theirs']);

				assert.equal(outcome(r)?.outcome, 'held',
					r.stdout + r.stderr);
				fs.rmSync(file);
			});

		test('a link to a file of the host shows the sandbox\'s own', () => {
			fs.rmSync(path.join(dir, 'link'), { force: true });
			fs.symlinkSync(marker, path.join(dir, 'link'));
			const r = run(user, dir, [], ['cat', 'link']);

			fs.rmSync(path.join(dir, 'link'));
			assert.notEqual(r.status, 0);
			assert.doesNotMatch(r.stdout, /host/);
		});

		test('nothing survives the end', () => {
			const mark = `orphan-${process.pid}-${user.name}`;
			const r = run(user, dir, [],
				['./probe', `orphan=${mark}`]);

			assert.match(r.stdout, /left behind/);
			assert.deepEqual(processesWith(mark), []);
		});

		test('a directory as standard input is refused', () => {
			const fd = fs.openSync('/', 'r');
			const r = spawnSync(paddock, ['exec', '--', '/bin/true'], {
				cwd: dir, uid: user.uid, gid: user.gid,
				encoding: 'utf8', stdio: [fd, 'pipe', 'pipe'],
			});

			fs.closeSync(fd);
			assert.equal(r.status, 1);
			assert.match(r.stderr, /would lead out/);
		});

		test('the wall clock ends it, with its reason', () => {
			const r = run(user, dir, ['--wall', '0.2', '--json'],
				['sh', '-c', 'trap "" TERM INT; sleep 60']);

			assert.equal(r.status, 137);
			assert.match(r.stderr, /paddock: stopped: wall_time_exceeded \(limit 0.2 s\)/);
			assert.ok(ending(r).wall_us < 2000000, r.stderr);
		});

		test('what was killed has used what it used', () => {
			const r = run(user, dir, ['--wall', '1', '--json'],
				['sh', '-c', 'while :; do :; done & while :; do :; done']);
			const { cpu_us: cpu, limit } = ending(r);

			assert.equal(limit, 'wall_time_exceeded');
			// On a busy machine a second of waiting is little work.
			assert.ok(cpu >= 20000, r.stderr);
		});

		test('a full disk is told with its figures', () => {
			const r = run(user, dir, ['--memory', '64', '--disk', '8',
				'--json'], ['sh', '-c', 'for i in 1 2 3; do ' +
				'head -c 4000000 /dev/zero >/tmp/$i; done']);

			assert.notEqual(r.status, 0);
			assert.match(r.stderr, /limit: no room for files \(limit 8 MiB and \d+ files, [78] MiB/);
			assert.equal(ending(r).disk_full, true);
			assert.equal(ending(r).limit, 'none');
		});

		test('SIGTERM reaches the command', async () => {
			const child = spawn(paddock, ['exec', '--', 'sh', '-c',
				'trap "echo got; exit 5" TERM; echo on; ' +
				'while :; do sleep 0.01; done'],
			{ cwd: dir, uid: user.uid, gid: user.gid });
			let out = '';

			child.stdout.on('data', (d) => { out += d; });
			await until('the command runs', () => out.includes('on'));
			child.kill('SIGTERM');
			const code = await new Promise((done) =>
				child.on('close', done));

			assert.equal(code, 5);
			assert.match(out, /got/);
		});

		test('SIGKILL of paddock leaves no process and no cgroup', async () => {
			const mark = `kill-${process.pid}-${user.name}`;
			const child = spawn(paddock, ['exec', '--', 'sh', '-c',
				`echo on; while :; do sleep 0.01; done # ${mark}`],
			{ cwd: dir, uid: user.uid, gid: user.gid });
			let out = '';

			child.stdout.on('data', (d) => { out += d; });
			await until('the command runs', () => out.includes('on'));
			child.kill('SIGKILL');
			await until('all processes end',
				() => processesWith(mark).length === 0);
			await until('no cgroup is left', () => {
				run(user, dir, [], ['/bin/true']); // sweeps
				return cgroupsOf(child.pid).length === 0;
			});
		});
	});
}

describe('errors', () => {
	const user = users[users.length - 1];
	let dir;

	before(() => { dir = folderFor(user); });
	after(() => fs.rmSync(dir, { recursive: true, force: true }));

	const rows = [
		{ args: [], status: 2, text: /no command/ },
		{ args: ['--'], status: 2, text: /no command/ },
		{ args: ['--nonsense', '--', 'true'], status: 2,
			text: /unknown/ },
		{ args: ['--memory', 'much', '--', 'true'], status: 2,
			text: /--memory: "much" is not a number above 0/ },
		{ args: ['--memory', '0', '--', 'true'], status: 2,
			text: /not a number above 0/ },
		{ args: ['--memory', '-5', '--', 'true'], status: 2,
			text: /not a number above 0/ },
		{ args: ['--memory', '99999999999999999999', '--', 'true'],
			status: 2, text: /not a number above 0/ },
		{ args: ['--memory', '1', '--', 'true'], status: 1,
			text: /at least/ },
		{ args: ['--memory', '64', '--disk', '64', '--', 'true'],
			status: 1, text: /disk limit/ },
		{ args: ['--wall', '1.2345', '--', 'true'], status: 2,
			text: /three decimals/ },
		{ args: ['--env', 'NOVALUE', '--', 'true'], status: 2,
			text: /expected NAME=VALUE/ },
		{ args: ['--dir', '/nonexistent', '--', 'true'], status: 1,
			text: /work folder \/nonexistent: No such file/ },
		{ args: ['--dir', '/', '--', 'true'], status: 1,
			text: /would see too much/ },
		{ args: ['--dir', '/proc/self', '--', 'true'], status: 1,
			text: /choose a folder/ },
		{ args: ['--', 'no-such-program'], status: 127,
			text: /no-such-program: No such file/ },
		{ args: ['--', '/etc/passwd'], status: 126,
			text: /Permission denied/ },
		{ args: ['--help'], status: 0, text: /^$/ },
	];

	for (const row of rows) {
		test(`exec ${row.args.join(' ')} gives ${row.status}`, () => {
			const r = spawnSync(paddock, ['exec', ...row.args], {
				cwd: dir, uid: user.uid, gid: user.gid,
				encoding: 'utf8',
			});

			assert.equal(r.status, row.status, r.stderr);
			assert.match(r.stderr, row.text);
		});
	}

	test('the environment is the given one', () => {
		const r = run(user, dir, ['--env', 'A=1', '--env', 'HOME=/x'],
			['env']);
		const lines = r.stdout.split('\n');

		assert.ok(lines.includes('A=1'));
		assert.ok(lines.includes('HOME=/x'));
		assert.doesNotMatch(r.stdout, /PADDOCK_SECRET/);
	});
});
