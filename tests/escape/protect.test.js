// tests/escape/protect.test.js: secrets of a work folder are not read, and
// what other programs execute is not written, by whatever way it is tried.
'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const root = process.getuid() === 0;
const users = root
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];

// 'R': nobody reads it; 'W': nobody writes it; '': free.
const tree = {
	'.env': 'R', '.env.production': 'R', 'deep/er/.ENV': 'R',
	'.env.example': '', '.ssh/id_ed25519': 'R', 'keys/id_rsa': 'R',
	'.aws/credentials': 'R', 'home/.config/gcloud/token.db': 'R',
	'home/.local/share/keyrings/login.keyring': 'R', '.netrc': 'R',
	'home/.docker/config.json': 'R', '.kube/config': 'R',
	'.git/config': 'W', '.git/hooks/pre-commit': 'W', '.git/HEAD': '',
	'vendor/x/.git/config': 'W', 'vendor/x/.git/hooks/post-merge': 'W',
	'bare/HEAD': '', 'bare/objects/x': '', 'bare/refs/x': '',
	'bare/config': 'W', 'bare/hooks/update': 'W', '.bashrc': 'W',
	'home/.zshrc': 'W', '.vscode/tasks.json': 'W', '.mcp.json': 'W',
	'.claude/settings.json': 'W', '.idea/workspace.xml': 'W',
	'home/.vimrc': 'W', '.npmrc': 'W', 'src/main.c': '',
};

function make(user) {
	const dir = fs.mkdtempSync('/var/tmp/paddock-protect-');

	for (const name of Object.keys(tree)) {
		fs.mkdirSync(path.join(dir, path.dirname(name)),
			{ recursive: true });
		fs.writeFileSync(path.join(dir, name), `secret of ${name}\n`);
	}
	fs.symlinkSync('.env', path.join(dir, 'innocent'));
	fs.symlinkSync('src/main.c', path.join(dir, '.pgpass'));
	if (user.uid !== undefined)
		spawnSync('chown', ['-hR', `${user.uid}:${user.gid}`, dir]);
	return dir;
}

function exec(user, dir, options, script) {
	return spawnSync(paddock, ['exec', '--dir', dir, ...options, '--',
		'sh', '-c', script], { encoding: 'utf8', cwd: '/',
		uid: user.uid, gid: user.gid, timeout: 60000 });
}

for (const user of users) {
	describe(`protected files (${user.name})`, () => {
		let dir;

		before(() => { dir = make(user); });
		after(() => fs.rmSync(dir, { recursive: true }));

		test('every secret is there and cannot be read', () => {
			const r = exec(user, dir, [], Object.keys(tree).map((n) =>
				`cat '${n}' >/dev/null 2>&1 && echo '${n}'`)
				.join('; '));
			const readable = r.stdout.trim().split('\n').sort();

			assert.deepEqual(readable, Object.keys(tree)
				.filter((n) => tree[n] !== 'R').sort(), r.stderr);
		});

		test('nothing that others execute can be written', () => {
			const r = exec(user, dir, [], Object.keys(tree).map((n) =>
				`(echo x >> '${n}') 2>/dev/null && echo '${n}'`)
				.join('; '));
			const written = r.stdout.trim().split('\n').sort();

			assert.deepEqual(written, Object.keys(tree)
				.filter((n) => tree[n] === '').sort(), r.stderr);
		});

		// A line for each way: what it prints must not hold the secret.
		for (const [what, script] of [
			['a link to it', 'cat innocent'],
			['a new link to it', 'ln -s .env l; cat l'],
			['a link that is itself called so', 'cat .pgpass'],
			['a hard link', 'ln .env h; cat h'],
			['another name', 'mv .env e; cat e'],
			['another name of the folder above',
				'mv deep shallow; cat shallow/er/.ENV'],
			['another name two folders above',
				'mv home h; cat h/.config/gcloud/token.db ' +
				'h/.local/share/keyrings/login.keyring'],
			['removing it and looking below', 'rm -f .env; cat .env'],
			['other rights', 'chmod 777 .env .ssh; cat .env ' +
				'.ssh/id_ed25519'],
			['a copy of everything', 'cp -r . /tmp/all; cd /tmp/all; ' +
				'cat .env .netrc .ssh/* keys/id_rsa'],
			['an archive of everything', 'tar cf /tmp/t . ; cat /tmp/t'],
			['exchanging the folder', 'mkdir new; ' +
				'mv -T --exchange new deep; cat deep/er/.ENV'],
			['a path through /proc',
				'cat /proc/self/cwd/.env /proc/1/root/$PWD/.env'],
			['a path with dots', 'cat ./src/../.env .//.env'],
		]) {
			test(`a secret is not found by ${what}`, () => {
				const r = exec(user, dir, [], script);

				for (const n of Object.keys(tree)) {
					if (tree[n] === 'R')
						assert.ok(!r.stdout.includes(
							`secret of ${n}\n`), n);
				}
				if (what.includes('itself'))
					assert.ok(!r.stdout.includes('secret'));
			});
		}

		test('a repository is not made hostile by renaming it', () => {
			const r = exec(user, dir, [], 'mv .git g; ' +
				'echo evil >> g/config; echo evil > g/hooks/h; ' +
				'mv vendor v; echo evil >> v/x/.git/config; ' +
				'ln vendor/x/.git/config l && echo evil >> l; ' +
				'mkdir e; mv -T --exchange e .git/hooks; ' +
				'mv e .git/hooks/e; rm -rf .git/hooks; ' +
				'python3 -c "import os\nfor a, b in ((\'g\', \'src/g\'), ' +
				'(\'v\', \'src/v\'), (\'src\', \'bare/src\'), ' +
				'(\'.env\', \'src/e\')):\n try: os.rename(a, b)\n ' +
				'except OSError: pass"; for d in . src bare/src; do ' +
				'echo evil >> $d/g/config; echo evil >> ' +
				'$d/v/x/.git/config; done; ' +
				'cat .git/config .git/hooks/* vendor/x/.git/config');

			assert.ok(!r.stdout.includes('evil'), r.stdout);
		});

		test('names are opened by the option that names them', () => {
			const r = exec(user, dir, ['--allow-read', '.env',
				'--allow-write', '.git/config', '--deny-read', '*.c',
				'--deny-write', '/bare'],
			'cat .env; echo ok > .git/config && cat .git/config; ' +
				'cat src/main.c .netrc; echo x > bare/HEAD; ' +
				'echo x > .git/hooks/pre-commit');

			assert.equal(r.stdout, 'secret of .env\nok\n', r.stderr);
			assert.match(r.stderr, /main\.c: Permission denied/);
			assert.match(r.stderr, /bare\/HEAD: Read-only/);
		});

		test('--protect=flag lets them be written, and not read', () => {
			const r = exec(user, dir, ['--protect=flag'],
				'echo x > .bashrc && cat .bashrc; cat .env');

			assert.equal(r.stdout, 'x\n', r.stderr);
		});

		test('a wrong pattern is refused and named', () => {
			for (const bad of ['', '../x', 'a//b', 'a\nb', '.']) {
				const r = exec(user, dir, ['--deny-read', bad], 'true');

				assert.equal(r.status, 2, r.stdout);
				assert.match(r.stderr, /pattern/);
			}
		});

		// What is written back, told by where it must not arrive.
		const hostile = [
			['.git/hooks/pre-commit', 'a hook'],
			['vendor/new/.git/hooks/post-checkout', 'a nested hook'],
			['vendor/new/.GIT/config', 'another case'],
			['.vscode/tasks.json', 'a task'],
			['.cursor/mcp.json', 'a folder that was not there'],
			['.zshenv', 'a start-up file that was not there'],
			['.ssh/authorized_keys', 'a key'],
		];

		test('--write-back leaves out what others execute, and says so',
			() => {
				const old = Object.fromEntries(Object.keys(tree)
					.filter((n) => tree[n] !== '')
					.map((n) => [n, fs.readFileSync(
						path.join(dir, n), 'utf8')]));
				const r = exec(user, dir, ['--write-back'],
					'mv .git was; mkdir -p .git/hooks vendor/new; ' +
					hostile.map(([n]) => `mkdir -p "$(dirname ${n})";` +
						`echo evil > ${n}`).join('; ') +
					'; ln -s src .codex; echo gitdir: src > src/.git; ' +
					'mkdir -p r/hooks r/objects r/refs; ' +
					'echo x > r/HEAD; echo x > r/config; ' +
					'mkfifo src/pipe; echo fine > src/fine');

				assert.equal(r.status, 1, r.stderr);
				for (const n of Object.keys(old))
					assert.equal(fs.readFileSync(path.join(dir, n),
						'utf8'), old[n], n);
				for (const [n, why] of hostile) {
					if (old[n] === undefined)
						assert.ok(!fs.existsSync(path.join(dir, n)),
							why);
				}
				for (const n of ['.codex', 'src/.git', 'r/HEAD',
					'r/config', 'r/hooks', 'src/pipe'])
					assert.ok(!fs.existsSync(path.join(dir, n)), n);
				assert.match(r.stderr, /not written back: r\/HEAD/);
				assert.match(r.stderr, /src\/pipe \(a socket, pipe/);
				assert.equal(fs.readFileSync(path.join(dir,
					'src/fine'), 'utf8'), 'fine\n');
			});

		test('--write-back writes all else, with its mode and holes',
			() => {
				fs.mkdirSync(path.join(dir, 'old/x'),
					{ recursive: true });
				fs.writeFileSync(path.join(dir, 'old/x/y'), '');
				if (user.uid !== undefined)
					spawnSync('chown', ['-R', `${user.uid}:${user.gid}`,
						path.join(dir, 'old')]);
				const r = exec(user, dir, ['--write-back',
					'--allow-write', '.bashrc'],
				'rm -r old; echo file > old; mkdir -p d/e; ' +
					'echo x > d/e/f; chmod 750 d/e; chmod 755 d/e/f; ' +
					'ln -s d/e/f l; truncate -s 64M big; ' +
					'echo end >> big; echo mine > .bashrc');
				const st = fs.statSync(path.join(dir, 'd/e/f'));
				const big = fs.statSync(path.join(dir, 'big'));

				assert.equal(r.status, 0, r.stderr);
				assert.equal(fs.readFileSync(path.join(dir, 'old'),
					'utf8'), 'file\n');
				assert.equal(st.mode & 0o7777, 0o755);
				assert.equal(fs.statSync(path.join(dir, 'd/e'))
					.mode & 0o7777, 0o750);
				assert.equal(st.uid, fs.statSync(dir).uid);
				assert.equal(fs.readlinkSync(path.join(dir, 'l')),
					'd/e/f');
				assert.equal(big.size, 64 * 1024 * 1024 + 4);
				assert.ok(big.blocks * 512 < 1024 * 1024);
				assert.equal(fs.readFileSync(path.join(dir, '.bashrc'),
					'utf8'), 'mine\n');
			});

		// 51
		test('a socket in the folder cannot be reached, written back ' +
			'or not', async () => {
			const server = net.createServer(() => {
				assert.fail('somebody inside connected');
			});
			const name = path.join(dir, 'agent.sock');

			await new Promise((done) => server.listen(name, done));
			fs.chmodSync(name, 0o777);
			if (user.uid !== undefined)
				fs.chownSync(name, user.uid, user.gid);
			for (const options of [[], ['--write-back']]) {
				const r = exec(user, dir, options,
					'python3 -c \'import socket; s = socket.socket(' +
					'socket.AF_UNIX); s.connect("agent.sock"); ' +
					'print("in")\'');

				assert.equal(r.stdout, '');
				assert.match(r.stderr, /refused|denied/i);
			}
			await new Promise((done) => server.close(done));
		});
	});
}
