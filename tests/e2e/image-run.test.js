// Sandboxes whose root is an image: what they see, and that neither the image
// nor the host changes, whatever the image is made of.
import assert from 'node:assert';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { busybox, folder, skip } from './lib/image.js';
import { Command, Daemon, isRoot, paddock, until } from './lib/paddock.js';

const nobody = { uid: 65534, gid: 65534 };
// Every name below dir, with what is there.
function snapshot(dir, all = {}) {
	for (const name of fs.readdirSync(dir).sort()) {
		const at = path.join(dir, name);
		const st = fs.lstatSync(at);

		if (st.isDirectory())
			snapshot(at, all);
		all[at] = [st.mode, st.uid, st.ino, st.mtimeMs,
			st.isFile() ? fs.readFileSync(at, 'latin1') :
				st.isSymbolicLink() ? fs.readlinkSync(at) : ''];
	}
	return all;
}

// A state directory with one image, and a work folder.
class Place {
	constructor(user = {}) {
		this.user = user;
		this.dir = folder(user);
		this.state = path.join(this.dir, 'state');
		this.work = path.join(this.dir, 'work');
		this.files = path.join(this.dir, 'files');
		for (const d of [this.work, this.files])
			this.make(d);
	}

	make(dir) {
		fs.mkdirSync(dir, { recursive: true });
		if (this.user.uid !== undefined)
			fs.chownSync(dir, this.user.uid, this.user.gid);
	}

	options() {
		return { ...this.user, cwd: this.work, encoding: 'utf8',
			input: '', timeout: 60000, env: { PATH: process.env.PATH,
				PADDOCK_STATE: this.state,
				ASAN_OPTIONS: process.env.ASAN_OPTIONS } };
	}

	run(...args) {
		return spawnSync(paddock, args, this.options());
	}

	import(source = this.files) {
		const r = this.run('image', 'import', source, '--name', 'it');

		assert.strictEqual(r.status, 0, r.stderr);
		return this;
	}

	// A directory with a shell in it; change(files) adds what it likes.
	static of(change, user) {
		const place = new Place(user);

		place.make(path.join(place.files, 'bin'));
		fs.copyFileSync(busybox, path.join(place.files, 'bin/busybox'));
		change?.(place.files, place);
		return place.import();
	}

	exec(script, ...options) {
		return this.run('exec', '--image', 'it', ...options, '--',
			'/bin/busybox', 'sh', '-c', script);
	}

	ok(script, ...options) {
		const r = this.exec(script, ...options);

		assert.strictEqual(r.status, 0, r.stderr);
		return r.stdout;
	}

	images() {
		return snapshot(path.join(this.state, 'images'));
	}
}

const users = isRoot ? [['root', {}], ['an ordinary user', nobody]]
	: [['an ordinary user', {}]];

for (const [name, user] of users)
	describe(`an image as root directory, as ${name}`, { skip }, () => {
		test('mounts are seen in it, each by its mode', () => {
			// Where the mounts go the image has links, files, nothing.
			const p = Place.of((files) => {
				fs.symlinkSync('/etc', path.join(files, 'm'));
				fs.writeFileSync(path.join(files, 'f'), 'a file');
			}, user);
			const before = p.images();

			for (const d of ['ro', 'overlay', 'rw']) {
				const at = path.join(p.dir, d);

				p.make(at);
				fs.writeFileSync(path.join(at, 'x'), 'host\n');
				fs.writeFileSync(path.join(at, '.env'), 'secret\n');
				const owner = isRoot ? user.uid ?? 12345
					: process.getuid();
				if (isRoot)
					for (const f of ['.', 'x', '.env'])
						fs.chownSync(path.join(at, f), owner, owner);
			}
			const r = p.exec('for d in /m/ro /f/overlay /new/rw; do ' +
				'cat $d/x; (echo new >$d/y) 2>/dev/null && cat $d/y; ' +
				'cat $d/.env 2>/dev/null; done; ' +
				'mkdir -p /new/rw/.git/hooks; echo >/new/rw/.git/hooks/h',
			'--mount', `${p.dir}/ro:/m/ro`,
			'--mount', `${p.dir}/overlay:/f/overlay:overlay`,
			'--mount', `${p.dir}/rw:/new/rw:rw`);

			assert.strictEqual(r.stdout, 'host\nhost\nnew\nhost\nnew\n',
				r.stderr);
			assert.strictEqual(r.status, 0, r.stderr);
			assert.match(r.stderr, /planted: \/new\/rw\/\.git\/hooks\/h/);
			assert.deepStrictEqual(p.images(), before);
			assert.deepStrictEqual(['ro', 'overlay', 'rw'].map((d) =>
				fs.existsSync(path.join(p.dir, d, 'y'))),
			[false, false, true]);
			assert.ok(!fs.existsSync('/etc/ro'));
		});

		test('a mount that would cover what the sandbox has is refused',
			() => {
				const p = Place.of(undefined, user);

				for (const [to, says] of [['/dev/x', /of its own/],
					['/run/paddock', /of its own/], ['/proc', /of its own/],
					[`${p.work}/in`, /beside that/],
					['/a\tb', /control characters/]]) {
					const r = p.exec('echo started', '--mount',
						`${p.work}:${to}`);

					assert.ok(r.status === 1 || r.status === 2, r.stderr);
					assert.strictEqual(r.stdout, '');
					assert.match(r.stderr, says);
				}
			});

		test('can be written everywhere, and keeps nothing', () => {
			const p = Place.of(undefined, user);
			const before = p.images();
			const etc = snapshot('/etc/ssl');
			const out = p.ok('id -un; echo x > /etc/x; cat /etc/x;' +
				'echo y > /new; mkdir /opt; rm /bin/busybox;' +
				'echo z > file; echo $PWD');

			assert.strictEqual(out, `agent\nx\n${p.work}\n`);
			assert.deepStrictEqual(p.images(), before);
			assert.deepStrictEqual(fs.readdirSync(p.work), []);
			assert.deepStrictEqual(snapshot('/etc/ssl'), etc);
			assert.ok(!fs.existsSync('/new') && !fs.existsSync('/etc/x'));
		});

		test('holds nothing of the host, above it or below', () => {
			const p = Place.of(undefined, user);
			const out = p.ok('stat -c %d:%i / /.. /../..;' +
				'ls /; cut -d" " -f5 /proc/self/mountinfo');
			const [a, b, c, ...rest] = out.trim().split('\n');
			const names = ['bin', 'dev', 'etc', 'proc', 'run', 'tmp'];

			assert.ok(a === b && b === c, out);
			for (const line of rest.filter((l) => !l.startsWith('/')))
				assert.ok(names.includes(line), out);
			for (const line of rest.filter((l) => l.startsWith('/')))
				assert.match(line, new RegExp(`^/((dev|proc|run/paddock)(/.*)?|tmp|${
					p.work.slice(1)})?$`));
		});

		test('has what the sandbox needs, though it has none of it', () => {
			const p = Place.of(undefined, user);

			p.ok('echo a > /dev/null; head -c 4 /dev/urandom > /tmp/r;' +
				'echo b > /dev/shm/b; test -d /proc/self;' +
				'/run/paddock/paddock version > /tmp/v; test -s /tmp/v;' +
				'test -s /etc/hosts; test -e /etc/resolv.conf');
			assert.notStrictEqual(p.exec('echo > /run/paddock/x').status, 0);
			assert.notStrictEqual(p.exec('echo > /dev/x').status, 0);
		});

		test('its accounts stand beside the one of the sandbox', () => {
			const p = Place.of((files) => {
				fs.mkdirSync(path.join(files, 'etc'));
				fs.writeFileSync(path.join(files, 'etc/passwd'),
					'root:x:0:0:root:/root:/bin/sh\nweb:x:7:7::/:\n');
				fs.symlinkSync('/etc/passwd',
					path.join(files, 'etc/group'));
			}, user);
			const out = p.ok('id -un; cat /etc/passwd /etc/group');

			assert.match(out, /^agent\nagent:x:\d+:\d+:[^]*web:x:7/);
			assert.strictEqual(out.match(/web:x:7/g).length, 2,
				'a link is followed within the image');
		});

		// Where a link of the image leads, the host has a marker.
		const targets = (dir) => [`${dir}/target`,
			`${'../'.repeat(20)}${dir.slice(1)}/target`, '/etc',
			'/proc/1/root', '..', '/proc/self/fd/0', 'nowhere'];

		for (const place of ['dev', 'proc', 'tmp', 'etc', 'run', 'var',
			'etc/passwd', 'etc/hosts', 'etc/resolv.conf', 'dev/null',
			'run/paddock', 'proc/self', 'tmp/x', 'home', 'workspace'])
			test(`/${place} may be a link anywhere, and leads nowhere`, () => {
				for (const [i] of targets('/').entries()) {
					const p = Place.of((files, at) => {
						const target = path.join(at.dir, 'target');

						at.make(target);
						fs.writeFileSync(path.join(target, 'marker'),
							'host');
						fs.mkdirSync(path.dirname(
							path.join(files, place)),
						{ recursive: true });
						fs.symlinkSync(targets(at.dir)[i],
							path.join(files, place));
					}, user);
					const before = snapshot(path.join(p.dir, 'target'));
					const image = p.images();
					const r = p.exec(`echo bad > /${place}/evil;` +
						`echo bad > /${place}/marker;` +
						`cat /${place}/marker; echo in;` +
						'test -d /proc/self && test -c /dev/null' +
						'&& test -s /etc/hosts && echo whole');

					assert.match(r.stdout, /in\nwhole\n$/, r.stderr);
					assert.doesNotMatch(r.stdout, /host\n?in/);
					assert.deepStrictEqual(snapshot(
						path.join(p.dir, 'target')), before);
					assert.deepStrictEqual(p.images(), image);
					assert.ok(!fs.existsSync('/etc/evil'));
				}
			});

		test('a work folder is where it is, whatever the image has there',
			() => {
				const p = Place.of((files, at) => {
					const top = at.work.split('/')[1];

					if (top !== 'tmp')
						fs.symlinkSync('/etc', path.join(files, top));
				}, user);

				fs.writeFileSync(path.join(p.work, 'mine'), 'text');
				assert.strictEqual(p.ok('cat mine'), 'text');
			});

		test('files where directories are needed give way', () => {
			const p = Place.of((files) => {
				for (const n of ['dev', 'proc', 'tmp', 'etc', 'run'])
					fs.writeFileSync(path.join(files, n), 'file');
			}, user);

			p.ok('test -d /dev/pts && test -d /proc/self && test -d /tmp ' +
				'&& test -s /etc/passwd && test -f /run/paddock/paddock');
		});

		test('the disk limit counts what is written anywhere', () => {
			const p = Place.of(undefined, user);
			const r = p.exec('head -c 20000000 /dev/zero > /big; echo $?;' +
				'test $(stat -c %s /big) -le 8388608', '--disk', '8');

			assert.strictEqual(r.status, 0, r.stderr);
			assert.match(r.stderr, /No space left|I\/O error/);
		});

		test('an image that is not there is named', () => {
			const r = new Place(user).exec('true');

			assert.strictEqual(r.status, 1);
			assert.match(r.stderr, /^paddock: [^\n]*it[^\n]*\n$/);
		});

		test('is not removed while it is used', async () => {
			const p = Place.of(undefined, user);
			const c = spawn(paddock, ['exec', '--image', 'it', '--',
				'/bin/busybox', 'sh', '-c', 'echo up; read x'],
			{ ...p.options(), stdio: ['pipe', 'pipe', 'inherit'] });
			const ended = new Promise((done) => c.on('close', done));

			await new Promise((done) => c.stdout.once('data', done));
			const r = p.run('image', 'rm', 'it');

			assert.strictEqual(r.status, 1);
			assert.match(r.stderr, /in use/);
			c.stdin.end('\n');
			await ended;
			assert.strictEqual(p.run('image', 'rm', 'it').status, 0);
		});

		test('runs under a policy, and is held while it does', async () => {
			const p = Place.of(undefined, user);
			const policy = path.join(p.work, 'policy.json');

			fs.writeFileSync(policy, JSON.stringify({ policy: 1,
				workflow: 'w', stage: 5, tools: {},
				sandbox: { image: 'it' } }));
			const c = new Command(['run', policy, '--quiet', '--',
				'/bin/busybox', 'sh', '-c',
				'echo x > /etc/x; ls /; echo up; read x; exit 3'],
			{ ...p.options(), input: undefined });

			await c.says(/up/, 60000);
			assert.match(c.out, /^bin\ndev\netc\n/);
			assert.strictEqual(p.run('image', 'rm', 'it').status, 1);
			c.child.stdin.end('\n');
			assert.strictEqual((await c.end()).status, 3);
			await until(() => p.run('image', 'rm', 'it').status === 0,
				'the image given back');
		});

		test('has the mounts of its policy, each by its mode', async () => {
			const p = Place.of(undefined, user);
			const policy = path.join(p.work, 'policy.json');

			for (const d of ['ro', 'overlay', 'rw']) {
				const at = path.join(p.dir, d);
				const owner = isRoot ? user.uid ?? 12345
					: process.getuid();

				p.make(at);
				fs.writeFileSync(path.join(at, 'x'), 'host\n');
				if (isRoot)
					for (const f of ['.', 'x'])
						fs.chownSync(path.join(at, f), owner, owner);
			}
			fs.writeFileSync(policy, JSON.stringify({ policy: 1,
				workflow: 'w', stage: 5, tools: {}, sandbox: {
					image: 'it', mounts: [
						{ from: '../ro', to: '/m/ro' },
						{ from: '../overlay', to: '/m/overlay',
							mode: 'overlay' },
						{ from: '../rw', to: '/new/rw', mode: 'rw' },
					] } }));
			const r = await new Command(['run', policy, '--quiet', '--',
				'/bin/busybox', 'sh', '-c',
				'for d in /m/ro /m/overlay /new/rw; do cat $d/x; ' +
				'(echo new >$d/y) 2>/dev/null && cat $d/y; done'],
			{ ...p.options(), input: '' }).end();

			assert.strictEqual(r.out, 'host\nhost\nnew\nhost\nnew\n',
				r.err);
			assert.strictEqual(r.status, 0, r.err);
			assert.deepStrictEqual(['ro', 'overlay', 'rw'].map((d) =>
				fs.existsSync(path.join(p.dir, d, 'y'))),
			[false, false, true]);
		});
	});

describe('an image of one\'s own making', { skip }, () => {
	// Sends a request with these directories as image and lock.
	const client = `
import json, os, socket, sys
policy = {"policy": 1, "workflow": "w", "stage": 5, "tools": {},
    "sandbox": {"image": "it"}}
body = json.dumps({"policy": policy, "argv": ["/bin/cat", "/marker"]}).encode()
fds = [0, 1, 2]
for name in sys.argv[2:]:
    fds.append(os.open(name, os.O_PATH))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
socket.send_fds(s, [b"POST /v1/runs HTTP/1.1\\r\\nHost: x\\r\\n"
    b"Content-Type: application/json\\r\\nConnection: close\\r\\n"
    + (b"Paddock-Descriptors: %d\\r\\n" % len(fds))
    + b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body], fds)
s.settimeout(30)
while True:
    part = s.recv(65536)
    if not part:
        break
    os.write(1, part)
`;
	const ask = (d, ...names) => spawnSync('python3', ['-c', client,
		path.join(d.state, 'paddock.sock'), ...names],
	{ encoding: 'utf8', timeout: 60000 });

	test('is no image to the daemon, whoever asks', async () => {
		const d = await Daemon.start();
		const fake = folder();
		const deep = path.join(fake, `images/sha256-${'0'.repeat(64)}/rootfs`);

		fs.mkdirSync(deep, { recursive: true });
		fs.writeFileSync(path.join(deep, 'marker'), 'secret');
		for (const dir of ['/', '/etc', deep]) {
			const r = ask(d, dir, '/etc/hostname');

			// What comes along is a folder to mount, if the policy says
			// so: it never is an image.
			assert.match(r.stdout, /there are no images/, r.stderr);
			assert.doesNotMatch(r.stdout, /secret/);
		}
		assert.match(ask(d, deep).stdout, /there are no images/);
		await d.stop();
	});
});

describe('what an image says of its command', { skip }, () => {
	function built(t) {
		if (spawnSync('umoci', ['--version']).error)
			return t.skip('umoci is not installed');
		const p = new Place();
		const lay = path.join(p.dir, 'lay'), tree = path.join(p.dir, 'tree');
		const less = isRoot ? [] : ['--rootless'];
		const umoci = (...args) => execFileSync('umoci', args,
			{ stdio: 'pipe' });

		umoci('init', '--layout', lay);
		umoci('new', '--image', `${lay}:1`);
		umoci('unpack', ...less, '--image', `${lay}:1`, tree);
		fs.mkdirSync(path.join(tree, 'rootfs/srv'));
		fs.copyFileSync(busybox, path.join(tree, 'rootfs/busybox'));
		umoci('repack', '--image', `${lay}:1`, tree);
		umoci('config', '--image', `${lay}:1`,
			'--config.workingdir', '/srv',
			'--config.env', 'COLOR=green', '--config.env', 'SIZE=1',
			'--config.entrypoint', '/busybox',
			'--config.entrypoint', 'sh', '--config.entrypoint', '-c',
			'--config.cmd', 'echo $PWD $COLOR $SIZE');
		return p.import(lay);
	}

	test('is done when no command is given', (t) => {
		const p = built(t);
		const r = p?.run('exec', '--image', 'it', '--env', 'SIZE=2');

		if (r === undefined)
			return;
		assert.strictEqual(r.status, 0, r.stderr);
		assert.strictEqual(r.stdout, '/srv green 2\n');
	});

	test('a command of one\'s own runs in the work folder', (t) => {
		const p = built(t);
		const r = p?.run('exec', '--image=it', '--', '/busybox', 'sh', '-c',
			'echo $PWD $COLOR');

		if (r === undefined)
			return;
		assert.strictEqual(r.stdout, `${p.work} green\n`);
	});

	test('a policy with an image needs no command', (t) => {
		const p = built(t);

		if (p === undefined)
			return;
		const policy = path.join(p.work, 'policy.json');

		fs.writeFileSync(policy, JSON.stringify({ policy: 1,
			workflow: 'w', stage: 5, tools: {},
			sandbox: { image: 'it' } }));
		const r = p.run('run', policy, '--quiet', '--env', 'SIZE=3');

		assert.strictEqual(r.status, 0, r.stderr);
		assert.match(r.stdout, / green 3\n$/);
	});

	test('an image without one says so', () => {
		const r = Place.of().run('exec', '--image', 'it');

		assert.strictEqual(r.status, 2);
		assert.match(r.stderr, /names no command/);
	});
});
