// Folders of the host beside the work folder: by a policy, by the command
// line, and not by a request that only names them.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';

import { Daemon, Place, isRoot, policy, until } from './lib/paddock.js';

const users = isRoot
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];
const owner = { root: 12345, rootless: isRoot ? 65534 : process.getuid() };

// Three folders, a work folder and a policy that names them from beside it.
function home(user, mounts) {
	const place = new Place();

	fs.chmodSync(place.dir, 0o755);
	for (const name of ['ro', 'overlay', 'rw', 'work']) {
		fs.mkdirSync(path.join(place.dir, name));
		fs.writeFileSync(path.join(place.dir, name, 'file'), 'here\n');
	}
	fs.writeFileSync(path.join(place.dir, 'ro/.env'), 'secret\n');
	fs.mkdirSync(path.join(place.dir, 'etc'));
	fs.writeFileSync(path.join(place.dir, 'etc/policy.json'),
		JSON.stringify(policy({ sandbox: { mounts } })));
	if (isRoot) {
		spawnSync('chown', ['-R', `${owner[user.name]}`,
			...['ro', 'overlay', 'rw', 'work'].map((n) =>
				path.join(place.dir, n))]);
		if (user.uid !== undefined)
			fs.chownSync(place.dir, user.uid, user.gid);
	}
	return place;
}

const all = [
	{ from: '../ro', to: '/m/ro' },
	{ from: '../overlay', to: '/m/overlay', mode: 'overlay' },
	{ from: '../rw', to: '/m/rw', mode: 'rw', noexec: true },
];
const script = 'for d in ro overlay rw; do cat /m/$d/file; ' +
	'echo new 2>/dev/null >/m/$d/new && cat /m/$d/new; done; ' +
	'cat /m/ro/.env || echo kept';

for (const user of users) {
	describe(`a policy's mounts (${user.name})`, () => {
		const options = (place) => ({ uid: user.uid, gid: user.gid,
			cwd: path.join(place.dir, 'work'), env: {
				PATH: process.env.PATH, HOME: place.dir,
				ASAN_OPTIONS: process.env.ASAN_OPTIONS } });

		test('are read, vanish or stay, and are on record', async () => {
			const place = home(user, all);
			const r = await place.command(['run', '../etc/policy.json',
				'--state', place.state, '--env', place.mark, '--',
				'sh', '-c', script], { ...options(place),
				input: '' }).end();

			assert.strictEqual(r.status, 0, r.err);
			assert.strictEqual(r.out,
				'here\nhere\nnew\nhere\nnew\nkept\n', r.err);
			assert.ok(!fs.existsSync(path.join(place.dir, 'ro/new')));
			assert.ok(!fs.existsSync(path.join(place.dir,
				'overlay/new')));
			const st = fs.statSync(path.join(place.dir, 'rw/new'));
			assert.strictEqual(st.uid, owner[user.name]);
			const t = await place.cli(['trace', 'show', 'last',
				'--json'], options(place));
			const opened = JSON.parse(t.out.split('\n')[0]);
			assert.deepStrictEqual(opened.body.mounts, [
				{ from: path.join(place.dir, 'ro'), mode: 'ro',
					to: '/m/ro' },
				{ from: path.join(place.dir, 'overlay'),
					mode: 'overlay', to: '/m/overlay' },
				{ from: path.join(place.dir, 'rw'), mode: 'rw',
					noexec: true, to: '/m/rw' },
			]);
			await place.nothingLeft([]);
		});

		for (const [how, end, status] of [
			['by itself', 'true', 0],
			['by a limit', 'sleep 60', 1],
		]) {
			test(`what is planted is on record: ended ${how}`, async () => {
				const place = home(user, all);

				if (status !== 0)
					fs.writeFileSync(path.join(place.dir,
						'etc/policy.json'), JSON.stringify(policy({
						sandbox: { mounts: all },
						budgets: { max_runtime_ms: 2000 } })));
				const r = await place.command(['run',
					'../etc/policy.json', '--state', place.state,
					'--env', place.mark, '--', 'sh', '-c',
					'mkdir -p /m/rw/.git/hooks; ' +
					`echo >/m/rw/.git/hooks/x; ${end}`],
				{ ...options(place), input: '' }).end();

				assert.strictEqual(r.status, status, r.err);
				assert.match(r.err, /1 files that other programs execute/);
				const t = await place.cli(['trace', 'show', 'last',
					'--json'], options(place));
				const records = t.out.trim().split('\n')
					.map((l) => JSON.parse(l));
				const flagged = records.filter((x) =>
					x.kind === 'sandbox.denied');

				assert.deepStrictEqual(flagged.map((x) => [x.body.wall,
					x.body.rule, x.body.about]), [['mount', 'flagged',
					'/m/rw/.git/hooks/x']]);
				assert.strictEqual(records.find((x) =>
					x.kind === 'run.closed').body.planted, 1);
				// No daemon is left: the records say it.
				const run = records[0].run;
				const said = await place.cli(['diff', run],
					options(place));

				assert.strictEqual(said.status, 0, said.err);
				assert.match(said.out, /^mount \/m\/rw from \S+: rw$/m);
				assert.match(said.out,
					/^planted \/m\/rw\/\.git\/hooks\/x$/m);
				assert.match(said.err, /the run has ended/);
				const lines = (await place.cli(['diff', run, '--json'],
					options(place))).out.trim().split('\n')
					.map((l) => JSON.parse(l));

				assert.deepStrictEqual(lines.filter((l) => l.planted),
					[{ planted: '/m/rw/.git/hooks/x' }]);
				assert.deepStrictEqual(lines.filter((l) => l.mount)
					.map((l) => l.mount), records[0].body.mounts);
				await place.nothingLeft([]);
			});
		}

		test('stand beside those of the command line', async () => {
			const place = home(user, all.slice(0, 1));
			const r = await place.command(['run', '../etc/policy.json',
				'--state', place.state, '--mount', '../rw:/m/rw:rw',
				'--mount', '../overlay:/m/overlay:overlay,noexec',
				'--', 'sh', '-c', script],
			{ ...options(place), input: '' }).end();

			assert.strictEqual(r.status, 0, r.err);
			assert.strictEqual(r.out,
				'here\nhere\nnew\nhere\nnew\nkept\n', r.err);
			assert.ok(!fs.existsSync(path.join(place.dir,
				'overlay/new')));
			assert.strictEqual(fs.statSync(path.join(place.dir,
				'rw/new')).uid, owner[user.name]);
			const t = await place.cli(['trace', 'show', 'last',
				'--json'], options(place));
			const opened = JSON.parse(t.out.split('\n')[0]);
			assert.deepStrictEqual(opened.body.mounts, [
				{ from: path.join(place.dir, 'ro'), mode: 'ro',
					to: '/m/ro' },
				{ from: path.join(place.dir, 'rw'), mode: 'rw',
					to: '/m/rw' },
				{ from: path.join(place.dir, 'overlay'),
					mode: 'overlay', noexec: true,
					to: '/m/overlay' },
			]);
			await place.nothingLeft([]);
		});

		// A socket is no folder, in a policy and on a command line.
		test('a socket is refused by its name', async () => {
			const place = home(user, [{ from: '../etc/s', to: '/m' }]);
			const server = net.createServer().listen(
				path.join(place.dir, 'etc/s'));

			await once(server, 'listening');
			const r = await place.command(['run', '../etc/policy.json',
				'--state', path.join(place.dir, 'other'), '--',
				'true'], { ...options(place), input: '' }).end();
			assert.strictEqual(r.status, 1);
			assert.match(r.err, /mounts\[0\]\.from: .*socket/);
			for (const [program, ...rest] of [['run',
				'../etc/none.json'], ['exec']]) {
				fs.writeFileSync(path.join(place.dir,
					'etc/none.json'), JSON.stringify(policy()));
				const c = await place.command([program, ...rest,
					...program === 'run' ? ['--state', path.join(
						place.dir, 'other')] : [],
					'--mount', '../etc/s:/m', '--', 'true'],
				{ ...options(place), input: '' }).end();

				assert.strictEqual(c.status, 1, c.err);
				assert.match(c.err, /--mount \.\.\/etc\/s: .*socket/);
			}
			server.close();
			assert.ok(!fs.existsSync(path.join(place.dir, 'other')));
		});

		for (const [mounts, status, message] of [
			[['../rw:/m/ro/x:rw'], 1, /\/m\/ro\/x lie in each other/],
			[['../rw:/m'], 1, /\/m\/ro and \/m lie in each other/],
			[['../rw:/n', '../overlay:/n'], 1, /lie in each other/],
			[['../rw:/etc/x'], 2, /must be/],
			[['../rw:/n:wr'], 2, /ro, overlay or rw/],
			[['../rw'], 2, /FROM:TO/],
			[['../ro/file:/n'], 1, /a file: only a folder/],
			[['../missing:/n'], 1, /--mount \.\.\/missing: No such/],
			[['../rw:.'], 2, /must be/],
			[['../rw:WORK/in'], 1, /the work folder is at/],
			[Array.from({ length: 8 }, (_, i) => `../rw:/n${i}`), 1,
				/9 mounts: at most 8/],
			[Array.from({ length: 9 }, (_, i) => `../rw:/n${i}`), 2,
				/more than 8 --mount/],
		]) {
			test(`on the command line cannot be: ${mounts[0]} ` +
				`${mounts.length}`, async () => {
				const place = home(user, all.slice(0, 1));
				const r = await place.command(['run',
					'../etc/policy.json', '--state',
					path.join(place.dir, 'other'),
					...mounts.flatMap((m) => ['--mount',
						m.replace('WORK', path.join(place.dir,
							'work'))]), '--', 'true'],
				{ ...options(place), input: '' }).end();

				assert.strictEqual(r.status, status, r.err);
				assert.match(r.err, message);
				assert.ok(!fs.existsSync(path.join(place.dir,
					'other')), 'nothing was started');
			});
		}

		for (const [from, message] of [
			['../missing', /mounts\[0\]\.from: folder \.\.\/missing: No/],
			['../ro/file', /a file: only a folder/],
			['../state', /paddock keeps its state/],
			['/', /see too much/],
		]) {
			test(`one that cannot be: ${from}`, async () => {
				const place = home(user, [{ from, to: '/m' }]);

				fs.mkdirSync(path.join(place.state, 'store'),
					{ recursive: true });
				fs.writeFileSync(path.join(place.state,
					'operator.token'), 'x');
				const r = await place.command(['run',
					'../etc/policy.json', '--state',
					path.join(place.dir, 'other'), '--', 'true'],
				{ ...options(place), input: '' }).end();

				assert.strictEqual(r.status, 1);
				assert.match(r.err, message);
				assert.ok(!fs.existsSync(path.join(place.dir,
					'other')), 'nothing was started');
			});
		}
	});
}

test('a sandbox that stays has them, too, and shows them', async () => {
	const place = home(users[0], []);
	const d = await Daemon.start({ place });
	const at = (name) => path.join(place.dir, name);
	const made = await place.cli(['sandbox', 'create', '--mount',
		`${at('ro')}:/m/ro`, '--mount', `${at('rw')}:/m/rw:rw`, '--mount',
		`${at('overlay')}:/workspace:overlay,noexec`, '--json']);

	assert.strictEqual(made.status, 0, made.err);
	const { run, mounts } = JSON.parse(made.out);

	assert.deepStrictEqual(mounts.map((m) => [m.to, m.mode]),
		[['/m/ro', 'ro'], ['/m/rw', 'rw'], ['/workspace', 'overlay']]);
	const r = await place.command(['exec', '--in', run, '--state',
		place.state, '--', 'sh', '-c',
		'pwd; ls; echo x >file; echo y >/m/rw/other; cat file /m/ro/file'],
	{ input: '' }).end();

	assert.strictEqual(r.out, '/workspace\nfile\nx\nhere\n', r.err);
	assert.strictEqual(fs.readFileSync(at('overlay/file'), 'utf8'), 'here\n');
	assert.strictEqual(fs.readFileSync(at('rw/other'), 'utf8'), 'y\n');
	assert.strictEqual((await d.get(`/v1/runs/${run}`)).mounts.length, 3);
	const said = (await place.cli(['diff', run, '--dir', at('overlay')])).out;

	assert.match(said, /^mount \/m\/ro from \S+\/ro: ro$/m);
	assert.match(said, /^mount \/m\/rw from \S+\/rw: rw$/m);
	const lines = (await place.cli(['diff', run, '--dir', at('overlay'),
		'--json'])).out.trim().split('\n').map((l) => JSON.parse(l));

	assert.deepStrictEqual(lines.filter((l) => l.mount).map((l) =>
		l.mount), mounts);
	const hook = await place.command(['exec', '--in', run, '--state',
		place.state, '--', 'sh', '-c',
		'mkdir -p /m/rw/.git/hooks; echo >/m/rw/.git/hooks/x'],
	{ input: '' }).end();

	assert.strictEqual(hook.status, 0, hook.err);
	await place.cli(['sandbox', 'rm', run]);
	await d.closed(run);
	await until(() => d.get(`/v1/runs/${run}`).then((r) =>
		r.labels === undefined), 'the run in the store only');
	assert.strictEqual((await d.get(`/v1/runs/${run}`)).planted, 1);
	assert.strictEqual((await d.get(`/v1/runs/${run}`)).mounts.length, 3);
	// The same from the daemon, and without one from its store.
	const ended = (await place.cli(['diff', run, '--json'])).out.trim()
		.split('\n').map((l) => JSON.parse(l));

	assert.deepStrictEqual(ended, [...mounts.map((mount) => ({ mount })),
		{ planted: '/m/rw/.git/hooks/x' }]);
	const other = await place.cli(['diff', run, '--dir', at('overlay')]);

	assert.strictEqual(other.status, 1);
	assert.match(other.err, /--dir: the run has ended/);
	await d.stop();
	const without = (await place.cli(['diff', run, '--json'])).out.trim()
		.split('\n').map((l) => JSON.parse(l));

	assert.deepStrictEqual(without, ended);
	assert.match((await place.cli(['diff', 'r-000000000001'])).err,
		/no such run here/);
	await place.nothingLeft([d.supervisor]);
});

test('who sends no descriptors names no folder of the machine', async () => {
	const d = await Daemon.start();
	const mounts = [{ from: '/var/tmp', to: '/m' }];

	for (const api of [d, d.tcp()]) {
		for (const [target, body] of [
			['/v1/sandboxes', { mounts }],
			['/v1/runs', { policy: policy({ sandbox: { mounts } }),
				argv: ['true'] }],
			['/v1/runs', { policy: policy({ sandbox: { mounts } }),
				argv: ['true'], mount_folders: ['/var/tmp'] }],
			['/v1/runs', { policy: policy(), argv: ['true'], mounts }],
			['/v1/sandboxes', { policy: policy(), mounts }],
		]) {
			const r = await api.ask('POST', target, body);

			assert.strictEqual(r.status, 400);
			assert.match(r.body.error.message, /without descriptors/);
		}
	}
	assert.deepStrictEqual((await d.get('/v1/runs')).runs, []);
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('a mount list that is wrong is refused with its place', async () => {
	const d = await Daemon.start();

	for (const [mounts, path_, text] of [
		[[{ from: '/a', to: '/etc/x' }], 'sandbox.mounts[0].to', /own/],
		[[{ from: '/a', to: '/m' }, { from: '/b', to: '/m/n' }],
			'sandbox.mounts[1]', /in each other/],
		[[{ from: '/a\nb', to: '/m' }], 'sandbox.mounts[0].from',
			/one line/],
		[[{ from: '/a', to: '/m', mode: 'wr' }],
			'sandbox.mounts[0].mode', /ro, overlay or rw/],
		[Array(9).fill({ from: '/a', to: '/m' }), 'sandbox.mounts',
			/at most 8/],
	]) {
		const r = await d.ask('POST', '/v1/sandboxes', { mounts });

		assert.strictEqual(r.status, 400);
		assert.strictEqual(r.body.error.problems[0].path, path_);
		assert.match(r.body.error.problems[0].text, text);
		const beside = await d.ask('POST', '/v1/runs',
			{ policy: policy(), argv: ['true'], mounts });

		assert.strictEqual(beside.status, 400);
		assert.deepStrictEqual(beside.body.error.problems.map((p) =>
			[p.path, p.text]), r.body.error.problems.map((p) =>
			[p.path, p.text]));
	}
	const nowhere = await d.ask('POST', '/v1/runs', { policy: policy(),
		mounts: [{ from: '/a', to: '/m' }] });

	assert.strictEqual(nowhere.status, 400);
	assert.match(nowhere.body.error.message, /needs a sandbox/);
	await d.stop();
});
