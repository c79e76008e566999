// tests/escape/mounts.test.js: folders that a sandbox sees beside its work
// folder. What is read-only stays as it is, what vanishes vanishes, and what
// is written for good gains nothing but what was written.
'use strict';

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const root = process.getuid() === 0;
const users = root
	? [{ name: 'root', owner: 12345 }, { name: 'rootless', uid: 65534,
		gid: 65534, owner: 65534 }]
	: [{ name: 'rootless', owner: process.getuid() }];

// A folder with a bit of everything that may be in one.
function fill(dir, user) {
	fs.mkdirSync(path.join(dir, '.git/hooks'), { recursive: true });
	fs.mkdirSync(path.join(dir, 'sub'));
	fs.writeFileSync(path.join(dir, 'file'), 'of the host\n');
	fs.writeFileSync(path.join(dir, 'sub/.env'), 'secret\n');
	fs.writeFileSync(path.join(dir, '.git/config'), '[core]\n');
	fs.symlinkSync('/etc/shadow', path.join(dir, 'out'));
	fs.symlinkSync('../../../../../../etc/shadow', path.join(dir, 'up'));
	spawnSync('mkfifo', [path.join(dir, 'pipe')]);
	fs.copyFileSync('/usr/bin/id', path.join(dir, 'id'));
	if (root) {
		spawnSync('chown', ['-hR', `${user.owner}:${user.owner}`, dir]);
		fs.writeFileSync(path.join(dir, 'roots'), 'of root\n');
		fs.chmodSync(path.join(dir, 'roots'), 0o600);
		spawnSync('mknod', [path.join(dir, 'disk'), 'b', '254', '0']);
		spawnSync('mknod', ['-m', '666', path.join(dir, 'null'), 'c', '1',
			'3']);
	}
	fs.chmodSync(path.join(dir, 'id'), 0o6755);
}

// What there is to know about a folder, to see that it did not change.
function look(dir) {
	return fs.readdirSync(dir, { recursive: true }).sort().map((name) => {
		const at = path.join(dir, name);
		const st = fs.lstatSync(at);

		return [name, st.mode, st.uid, st.gid, st.ino, st.isFile()
			? fs.readFileSync(at, 'latin1') : st.size].join(' ');
	});
}

for (const user of users) {
	describe(`mounts (${user.name})`, () => {
		let dir, work;

		before(() => {
			dir = fs.mkdtempSync('/var/tmp/paddock-mounts-');
			fs.chmodSync(dir, 0o755);
			work = path.join(dir, 'work');
			for (const name of ['ro', 'overlay', 'rw', 'work']) {
				fs.mkdirSync(path.join(dir, name));
				if (name !== 'work')
					fill(path.join(dir, name), user);
			}
			if (root)
				fs.chownSync(work, user.owner, user.owner);
		});
		after(() => fs.rmSync(dir, { recursive: true }));

		const args = (mounts, options, script) => ['exec', '--dir', work,
			...mounts.flatMap((m) => ['--mount', m]), ...options, '--',
			'sh', '-c', script];
		const how = { encoding: 'utf8', uid: user.uid, gid: user.gid,
			timeout: 60000 };
		const exec = (mounts, script, options = []) => spawnSync(paddock,
			args(mounts, options, script), { ...how, cwd: dir });
		const all = ['ro:/m/ro', 'overlay:/m/overlay:overlay',
			'rw:/m/rw:rw'];

		test('each mode does what it says, and no more', () => {
			const before = ['ro', 'overlay'].map((n) =>
				look(path.join(dir, n)));
			const r = exec(all, 'for d in ro overlay rw; do ' +
				'echo new 2>/dev/null >/m/$d/new && cat /m/$d/new; ' +
				'cat /m/$d/file; rm /m/$d/file 2>/dev/null && ' +
				'echo gone; done');

			assert.equal(r.stdout, 'of the host\nnew\nof the host\n' +
				'gone\nnew\nof the host\ngone\n', r.stderr);
			assert.deepEqual(['ro', 'overlay'].map((n) =>
				look(path.join(dir, n))), before);
			const st = fs.statSync(path.join(dir, 'rw/new'));
			assert.equal(st.uid, user.owner);
			assert.equal(fs.existsSync(path.join(dir, 'rw/file')), false);
			fs.rmSync(path.join(dir, 'rw/new'));
			fs.copyFileSync(path.join(dir, 'ro/file'),
				path.join(dir, 'rw/file'));
			if (root)
				fs.chownSync(path.join(dir, 'rw/file'), user.owner,
					user.owner);
		});

		for (const options of [[], ['--fake-root']]) {
			test(`nothing makes read-only writable ${options}`, () => {
				const before = look(path.join(dir, 'ro'));
				const r = exec(['ro:/m/ro'],
					'cd /m/ro; exec 2>&1; ' +
					'mount -o remount,rw /m/ro && echo OPEN; ' +
					'mount -o remount,bind,rw /m/ro && echo OPEN; ' +
					'umount /m/ro && echo OPEN; ' +
					'mount --bind /m/ro /tmp && echo OPEN; ' +
					'chmod 777 file && echo OPEN; ' +
					'touch file && echo OPEN; ' +
					'ln file /tmp/l && echo OPEN; ' +
					'mv file other && echo OPEN; ' +
					'mkdir x && echo OPEN; ' +
					'truncate -s 0 file && echo OPEN; ' +
					'(echo x >> file) && echo OPEN; ' +
					'(echo x >> /proc/self/cwd/file) && echo OPEN; ' +
					'exec 7<file; (echo x >/proc/self/fd/7) && ' +
					'echo OPEN; true', options);

				assert.ok(!r.stdout.includes('OPEN'), r.stdout);
				assert.equal(r.status, 0, r.stdout + r.stderr);
				assert.deepEqual(look(path.join(dir, 'ro')), before);
			});
		}

		test('a link leads nowhere but inside', () => {
			const r = exec(all, 'cat /m/*/out /m/*/up; ' +
				'ln -s /etc/shadow /m/rw/mine; cat /m/rw/mine; ' +
				'rm /m/rw/mine; ls /m/ro/..');

			assert.equal(r.stdout, 'overlay\nro\nrw\n', r.stderr);
		});

		test('secrets are not read, nor is written what others run', () => {
			const r = exec(all, 'cat /m/*/sub/.env; for d in /m/*; do ' +
				'echo x >>$d/.git/config && echo OPEN; ' +
				'mv $d/.git/config $d/c && echo OPEN; ' +
				'mv $d/sub/.env $d/e && echo OPEN; done');

			assert.equal(r.stdout, '', r.stderr);
			assert.equal(fs.readFileSync(path.join(dir,
				'rw/.git/config'), 'utf8'), '[core]\n');
		});

		// What the host would execute afterwards, and how it comes to be
		// there. The control is the last row: work that plants nothing.
		for (const [what, script, told] of [
			['a repository', 'git init -q . && git config user.name x',
				['.git/config']],
			['a hook', 'mkdir -p .git/hooks; echo evil ' +
				'>.git/hooks/pre-commit', ['.git/hooks/pre-commit']],
			['a folder that is renamed', 'mkdir -p x/hooks; ' +
				'echo evil >x/hooks/h; mv x .git', ['.git/hooks/h']],
			['one that was there, renamed', 'mv tree .git',
				['.git/hooks/old']],
			['a folder that comes from another one', 'mkdir -p ' +
				'sub/x/hooks; echo evil >sub/x/hooks/h; python3 -c ' +
				'"import os; os.rename(\'sub/x\', \'.git\')"',
				['.git/hooks/h']],
			['a hard link from another folder', 'echo evil >sub/e; ' +
				'python3 -c "import os; os.link(\'sub/e\', ' +
				'\'.bashrc\')"', ['.bashrc']],
			['a repository that is put in its place',
				'mv deep away; mkdir -p deep/.git; ' +
				'echo evil >deep/.git/config', ['deep/.git/config']],
			['a bare one of any name', 'mkdir -p r/objects r/refs ' +
				'r/hooks; echo x >r/HEAD; echo evil >r/hooks/h',
			['r/hooks/h']],
			['a link', 'ln -s sub .vscode', ['.vscode']],
			['a link where a folder belongs', 'ln -s sub/x .git',
				['.git']],
			['a hard link', 'echo evil >e; ln e .bashrc',
				['.bashrc']],
			['another name of what is there', 'echo evil >>alias',
				['.profile']],
			['a deep folder, and letters', 'mkdir -p a/b/c/.GIT/Hooks; ' +
				'echo >a/b/c/.GIT/Hooks/x', ['a/b/c/.GIT/Hooks/x']],
			['a key', 'mkdir .ssh; echo >.ssh/authorized_keys',
				['.ssh/authorized_keys']],
			['a name with control characters', 'mkdir .vscode; ' +
				'echo >".vscode/a$(printf "\\033")b"',
			['.vscode/a\\u001bb']],
			['more folders than anybody looks through',
				'i=0; while [ $i -lt 140 ]; do mkdir d && cd d || ' +
				'exit 1; i=$((i+1)); done; mkdir .git',
				[/: over 128 folders below each other/]],
			['nothing', 'echo fine >file; mkdir -p s/t; mv s u; ' +
				'echo evil >>.profile; cat .profile >/dev/null', []],
		]) {
			test(`planted by ${what}`, () => {
				const at = path.join(dir, 'plant');
				const own = ['', 'tree', 'tree/hooks', 'tree/hooks/old',
					'deep', 'deep/.git', 'deep/.git/config', 'sub',
					'.profile'];

				fs.mkdirSync(path.join(at, 'tree/hooks'),
					{ recursive: true });
				fs.mkdirSync(path.join(at, 'deep/.git'),
					{ recursive: true });
				fs.mkdirSync(path.join(at, 'sub'));
				for (const f of ['tree/hooks/old', 'deep/.git/config',
					'.profile'])
					fs.writeFileSync(path.join(at, f), 'old\n');
				fs.linkSync(path.join(at, '.profile'),
					path.join(at, 'alias'));
				if (root) {
					for (const f of own)
						fs.chownSync(path.join(at, f), user.owner,
							user.owner);
				}
				const r = exec(['plant:/m:rw'],
					`cd /m && export HOME=/tmp && ${script}`);
				const again = told[0] instanceof RegExp ? undefined
					: exec(['plant:/m:rw'], 'true', ['--json']);

				fs.rmSync(at, { recursive: true });
				for (const t of told) {
					assert.match(r.stderr, t instanceof RegExp ? t
						: new RegExp(`planted: /m/${t.replace(
							/[.\\]/g, '\\$&')}\n`));
				}
				assert.equal(/other programs execute are new/
					.test(r.stderr), told.length > 0, r.stderr);
				// A second run begins with what is there by now.
				if (again !== undefined)
					assert.match(again.stderr, /"planted":0/);
			});
		}

		test('the end and --explain name them', () => {
			const given = ['ro:/m/ro', 'overlay:/m/ov:overlay,noexec',
				`${dir}/./rw:/m/rw:rw`];
			const named = [['ro', '/m/ro', 'ro'],
				['overlay', '/m/ov', 'overlay', true],
				['rw', '/m/rw', 'rw']];
			const r = exec(given, 'true', ['--json']);
			const end = JSON.parse(r.stderr.trim().split('\n').pop());

			assert.deepEqual(end.mounts, named.map(([from, to, mode,
				noexec]) => ({ from: path.join(dir, from), mode,
				...noexec ? { noexec } : {}, to })), r.stderr);
			const told = exec(given, 'true', ['--explain']);
			for (const [from, to, mode, noexec] of named)
				assert.ok(told.stderr.includes(`paddock: mount ${to} (` +
					`${mode}${noexec ? ', noexec' : ''}) from ` +
					`${path.join(dir, from)}\n`), told.stderr);
			// None is said of a sandbox without any.
			const none = exec([], 'true', ['--json', '--explain']);
			assert.equal('mounts' in JSON.parse(none.stderr.trim()
				.split('\n').pop()), false, none.stderr);
		});

		test('a set-user-id program in it is any program', () => {
			const r = exec(all, 'id -u; for d in /m/*; do $d/id -u; done');
			const ids = new Set(r.stdout.trim().split('\n'));

			assert.equal(ids.size, 1, r.stdout + r.stderr);
			assert.equal(r.stdout.trim().split('\n').length, 4);
		});

		test('none can be made where it counts', () => {
			const r = exec(all, 'cd /m/rw; cp /usr/bin/id mine && ' +
				'chmod u+s mine && echo OPEN; chmod g+s mine && ' +
				'echo OPEN; chmod u+s id && echo OPEN; rm mine',
			['--fake-root']);

			assert.equal(r.stdout, '', r.stderr);
			assert.equal(fs.statSync(path.join(dir, 'rw')).mode & 0o6000,
				0);
		});

		test('noexec keeps programs from being started', () => {
			const r = exec(['ro:/m/ro:ro,noexec',
				'overlay:/m/ov:overlay,noexec', 'rw:/m/rw:rw,noexec'],
			'for d in /m/*; do $d/id && echo OPEN; done; ' +
				'cp /usr/bin/id /m/rw/mine; /m/rw/mine && echo OPEN; ' +
				'rm /m/rw/mine');

			assert.equal(r.stdout, '', r.stderr);
			assert.match(r.stderr, /Permission denied/);
		});

		test('a device in it is none', { skip: !root }, () => {
			const r = exec(all, 'for d in /m/*; do cat $d/disk && ' +
				'echo OPEN; echo x >$d/null && echo OPEN; ' +
				'mknod $d/mine c 1 3 && echo OPEN; done');

			assert.equal(r.stdout, '', r.stderr);
		});

		test('a file of root is not gained', { skip: !root }, () => {
			const was = look(path.join(dir, 'rw'));
			const r = exec(all, 'for d in /m/*; do cat $d/roots && ' +
				'echo OPEN; chmod 777 $d/roots && echo OPEN; ' +
				'chown $(id -u) $d/roots && echo OPEN; ' +
				'echo x >>$d/roots && echo OPEN; done; true',
			['--fake-root']);

			assert.ok(!r.stdout.includes('of root'), r.stdout);
			// Without a shifted owner this would be chown's success.
			assert.deepEqual(look(path.join(dir, 'rw')), was, r.stderr);
		});

		test('a folder of root is not for writing', { skip: !root ||
			user.uid !== undefined }, () => {
			const r = exec(['.:/m:rw'], 'true');

			assert.equal(r.status, 1);
			assert.match(r.stderr, /at \/m: a folder of root.*overlay/);
		});

		// The control: outside the same client reaches all of them.
		test('no socket in it is reached, early or late', async () => {
			const client = 'import socket,sys\n' +
				'for d in sys.argv[1:]:\n' +
				'  try:\n' +
				'    s = socket.socket(socket.AF_UNIX)\n' +
				'    s.connect(d); print("OPEN", d)\n' +
				'  except OSError as e: print("no", d)\n';
			const servers = [];
			const serve = (at) => new Promise((done) => {
				const s = net.createServer((c) => c.end());

				servers.push(s);
				s.listen(at, () => { fs.chmodSync(at, 0o777); done(); });
			});

			for (const d of ['ro', 'overlay', 'rw'])
				await serve(path.join(dir, d, 'early'));
			// Runs beside us: the servers are ours.
			const child = spawn(paddock, args(all, [], 'echo ready; ' +
				'read go; python3 -c "$1" /m/*/early /m/*/late; ' +
				'exit 0').concat('-', client), { ...how, cwd: dir });
			let out = '', err = '';

			child.stderr.on('data', (s) => { err += s; });
			await new Promise((done) => {
				child.stdout.on('data', (s) => {
					out += s;
					if (out.includes('ready'))
						done();
				});
				child.on('close', done);
			});
			for (const d of ['ro', 'overlay', 'rw'])
				await serve(path.join(dir, d, 'late'));
			child.stdin.end('go\n');
			await new Promise((done) => child.on('close', done));
			const here = spawn('python3', ['-c', client,
				path.join(dir, 'rw/early'), path.join(dir, 'ro/late')]);
			let open = '';

			here.stdout.on('data', (s) => { open += s; });
			await new Promise((done) => here.on('close', done));
			for (const s of servers)
				s.close();
			assert.equal(open.match(/OPEN/g)?.length, 2, open);
			assert.equal(out.match(/^no /gm)?.length, 6, out + err);
			assert.ok(!out.includes('OPEN'), out);
		});

		test('a pipe in it is not the one outside', () => {
			const fd = fs.openSync(path.join(dir, 'ro/pipe'),
				fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
			const more = fs.openSync(path.join(dir, 'rw/pipe'),
				fs.constants.O_RDWR | fs.constants.O_NONBLOCK);

			exec(all, 'for d in ro overlay rw; do ' +
				'timeout 1 sh -c "echo x 1<>/m/$d/pipe"; done');
			for (const p of [fd, more])
				assert.throws(() => fs.readSync(p, Buffer.alloc(8)),
					{ code: 'EAGAIN' });
			fs.closeSync(fd);
			fs.closeSync(more);
		});

		test('where paddock keeps its state is no folder to see', () => {
			const state = path.join(dir, 'state');

			fs.mkdirSync(path.join(state, 'store'), { recursive: true });
			fs.writeFileSync(path.join(state, 'operator.token'), 't0ken');
			for (const from of ['state', 'state/store']) {
				for (const mode of ['ro', 'overlay', 'rw']) {
					const r = exec([`${from}:/m:${mode}`], 'true');

					assert.equal(r.status, 1);
					assert.match(r.stderr, /keeps its state/);
				}
			}
			if (root)
				fs.chownSync(dir, user.owner, user.owner);
			for (const mode of ['ro', 'overlay', 'rw']) {
				const r = exec([`${dir}:/m:${mode}`],
					'cat /m/state/operator.token; ls /m/state');

				assert.equal(r.stdout, '', r.stderr);
				assert.match(r.stderr, /denied/);
			}
			fs.rmSync(state, { recursive: true });
		});

		// What is wrong, in one line, and what to do.
		for (const [mounts, status, message] of [
			[['missing:/m'], 1, /missing: No such file/],
			[['ro/file:/m'], 1, /ro\/file: a file: only a folder/],
			[['ro/pipe:/m'], 1, /a pipe: only a folder/],
			[['/dev/null:/m'], 1, /a device: only a folder/],
			[['/:/m'], 1, /see too much/],
			[['/proc/self:/m'], 1, /files of yours/],
			[['ro:m'], 2, /inside must be an absolute path/],
			[['ro:/m/../etc'], 2, /without \. and \.\./],
			[['ro:/m\nx'], 2, /control characters/],
			[['ro:/proc/x'], 2, /nothing of its own/],
			[['ro:/run/paddock'], 2, /nothing of its own/],
			[['ro:/dev'], 2, /nothing of its own/],
			[['ro:/'], 2, /an absolute path/],
			[['ro:/tmp'], 2, /does not have itself/],
			[['ro:/m:wr'], 2, /unknown mode wr: expected ro/],
			[['ro:/m:rw,suid'], 2, /unknown mode rw,suid/],
			[['ro'], 2, /expected FROM:TO/],
			[[':/m'], 2, /expected FROM:TO/],
			[['ro:/m', 'rw:/m'], 1, /at \/m and \/m lie in each other/],
			[['ro:/m', 'rw:/m/x'], 1, /at \/m and \/m\/x lie in/],
			[['ro:/m/x', 'rw:/m'], 1, /at \/m\/x and \/m lie in/],
			[['ro:/workspace'], 1, /the work folder is at .*beside that/],
			[['ro:/workspace/x'], 1, /the work folder is at .*beside that/],
			[Array(9).fill('ro:/m'), 2, /too many folders/],
		]) {
			test(`refused: ${JSON.stringify(mounts.slice(0, 2))}`, () => {
				const r = exec(mounts, 'echo started');

				assert.equal(r.stdout, '');
				assert.equal(r.status, status, r.stderr);
				assert.match(r.stderr, message);
				assert.ok(r.stderr.split('\n').length <= 3, r.stderr);
			});
		}

		test('it is not the name that counts, but what was opened', () => {
			const at = path.join(dir, 'ro');
			const stop = path.join(dir, 'stop');
			// Swaps the folder for a link to /etc again and again.
			const racer = spawn('sh', ['-c', 'while [ ! -e "$1" ]; do ' +
				'mv ro away; ln -s /etc ro; rm ro; mv away ro; done',
			'-', stop], { cwd: dir });
			let good = 0;

			for (let i = 0; i < 30; i++) {
				const r = exec(['ro:/m'], 'cat /m/shadow /m/passwd; ' +
					'cat /m/file');

				assert.ok(r.stdout === '' ||
					r.stdout === 'of the host\n', r.stdout);
				good += r.stdout !== '';
			}
			fs.writeFileSync(stop, '');
			return new Promise((done) => racer.on('close', () => {
				fs.rmSync(stop);
				assert.ok(fs.existsSync(at));
				done();
			}));
		});
	});
}
