// Images that the daemon opens by itself: a request names one and sends no
// descriptor, over REST and by the command line.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { docker, skip, tree } from './lib/image.js';
import { Daemon, isRoot, Place, until } from './lib/paddock.js';
import { processes } from './lib/proc.js';

const policy = (image, more = {}) => ({ policy: 1, workflow: 'w', stage: 5,
	tools: {}, sandbox: { image, ...more } });

// A daemon whose state has this image, as it:1.
async function start(source = tree()) {
	const place = new Place();
	const r = await place.cli(['image', 'import', source, '--name', 'it:1',
		'--json']);

	assert.strictEqual(r.status, 0, r.err);
	const d = await Daemon.start({ place });

	d.digest = JSON.parse(r.out).digest;
	return d;
}

async function exec(d, run, script) {
	const a = await d.post(`/v1/sandboxes/${run}/exec`,
		{ argv: ['/bin/sh', '-c', script] });
	const out = Buffer.from(a.stdout ?? '', a.encoding ?? 'utf8').toString();

	return { ...a, out };
}

const parked = (d) => processes().filter((p) =>
	p.ppid === d.supervisor && p.cmd.startsWith('paddock-init park'));

describe('an image that a request names', { skip }, () => {
	test('is opened by the daemon, by name, digest or its start', async () => {
		const d = await start(tree({ marker: 'of the image' }));
		const names = ['it:1', d.digest, d.digest.slice(0, 7 + 12)];

		for (const image of names) {
			const run = await d.post('/v1/sandboxes', { image });
			const got = await exec(d, run.run, 'cat /marker');

			assert.strictEqual(got.out, 'of the image', JSON.stringify(got));
			assert.deepStrictEqual(run.image, { digest: d.digest,
				name: image });
			await d.ask('DELETE', `/v1/sandboxes/${run.run}`);
			const closed = await d.closed(run.run);

			assert.deepStrictEqual(closed.image, run.image);
			const [opened] = await d.trace(run.run);

			assert.strictEqual(opened.kind, 'run.opened');
			assert.deepStrictEqual(opened.body.image, run.image);
		}
		const ps = await d.place.cli(['ps', '--all', '--json']);

		assert.deepStrictEqual(JSON.parse(ps.out).map((r) => r.image.digest),
			names.map(() => d.digest));
		await d.stop();
		// The same without a daemon, out of the store.
		const later = await d.place.cli(['ps', '--all', '--json']);

		assert.deepStrictEqual(
			JSON.parse(later.out).map((r) => r.image?.digest),
			names.map(() => d.digest), later.out);
	});

	test('serves a run over REST, without any descriptor', async () => {
		const d = await start();
		const run = await d.post('/v1/runs', { policy: policy('it:1'),
			argv: ['/bin/sh', '-c', 'test -e /usr && exit 9; exit 4'] });
		const end = await d.closed(run.run);

		assert.strictEqual(end.exit_status, 4);
		await d.stop();
	});

	test('serves `paddock sandbox create --image`', async () => {
		const d = await start(tree({ marker: 'x' }));
		const r = await d.place.cli(['sandbox', 'create', '--image', 'it:1']);

		assert.strictEqual(r.status, 0, r.err);
		const got = await exec(d, r.out.trim(), 'cat /marker; id -un');

		assert.strictEqual(got.out, 'xagent\n');
		await d.stop();
	});

	test('is refused when it is not there, and nothing is left', async () => {
		const d = await start();
		const rows = [
			['other', /no image is called other:latest/],
			['it:2', /no image is called it:2/],
			[`sha256:${'0'.repeat(64)}`, /no image with digest/],
			['sha256:000000000000', /no image with digest/],
			['sha256:0', /cannot begin like a digest/],
			['a..b/../c', /.*/],
		];

		for (const [image, why] of rows) {
			const a = await d.ask('POST', '/v1/sandboxes', { image });

			assert.strictEqual(a.status, 400, image);
			assert.match(JSON.stringify(a.body), why);
		}
		assert.deepStrictEqual((await d.get('/v1/runs?all=true')).runs, []);
		assert.strictEqual(d.roles().init, undefined);
		await d.stop();
		// Nothing of it is on record: there was no run.
		const none = await d.place.cli(['trace', 'show', 'last']);

		assert.notStrictEqual(none.status, 0);
	});

	test('is refused with a remedy where there are no images', async () => {
		const d = await Daemon.start();
		const a = await d.ask('POST', '/v1/sandboxes', { image: 'it' });

		assert.strictEqual(a.status, 400);
		assert.match(a.body.error.message, /paddock image import/);
		await d.stop();
	});

	test('is no way out where somebody has put links', async () => {
		const d = await start();
		const store = path.join(d.state, 'images');
		const hex = d.digest.slice(7);
		const secret = path.join(d.place.dir, 'secret');
		const index = path.join(store, 'index.json');
		const names = fs.readFileSync(index);
		const swap = async (at, target) => {
			fs.renameSync(at, `${at}.was`);
			fs.symlinkSync(target, at);
			const a = await d.ask('POST', '/v1/sandboxes',
				{ image: 'it:1' });

			assert.ok(a.status >= 400, JSON.stringify(a.body));
			assert.doesNotMatch(JSON.stringify(a.body), /secret text/);
			fs.unlinkSync(at);
			fs.renameSync(`${at}.was`, at);
		};

		fs.cpSync(path.join(store, `sha256-${hex}`), secret,
			{ recursive: true });
		fs.writeFileSync(path.join(secret, 'text'), 'secret text');
		await swap(path.join(store, `sha256-${hex}`), secret);
		await swap(path.join(store, `sha256-${hex}/rootfs`),
			path.join(secret, 'rootfs'));
		await swap(path.join(store, `sha256-${hex}/image.json`),
			path.join(secret, 'image.json'));
		await swap(index, path.join(secret, 'text'));
		await swap(store, secret);
		for (const text of ['', '{', '{"images":[{"name":"it:1",' +
			'"digest":"sha256:../../etc"}]}', '[]', '{"images":1}']) {
			fs.writeFileSync(index, text);
			const a = await d.ask('POST', '/v1/sandboxes',
				{ image: 'it:1' });

			assert.strictEqual(a.status, 400, text);
		}
		fs.writeFileSync(index, names);
		await d.post('/v1/sandboxes', { image: 'it:1' });
		await d.stop();
	});

	test('is held while a sandbox in it is there', async () => {
		const d = await start();
		const run = await d.post('/v1/sandboxes', { image: 'it:1' });
		const rm = () => d.place.cli(['image', 'rm', 'it:1']);
		const r = await rm();

		assert.strictEqual(r.status, 1);
		assert.match(r.err, /in use/);
		await d.ask('DELETE', `/v1/sandboxes/${run.run}`);
		await d.closed(run.run);
		// What is parked for it holds it no longer than its own end.
		await until(async () => (await rm()).status === 0,
			'the image given back');
		const a = await d.ask('POST', '/v1/sandboxes', { image: 'it:1' });

		assert.strictEqual(a.status, 400);
		await d.stop();
	});

	test('that was imported again serves its new files',
		{ skip: isRoot ? false : 'only root parks' }, async () => {
			const source = tree({ marker: 'same' });
			const d = await start(source);
			const once = async () => {
				const run = await d.post('/v1/sandboxes',
					{ image: 'it:1' });
				const got = await exec(d, run.run,
					'cat /marker; ls / | grep -c .');

				await d.ask('DELETE', `/v1/sandboxes/${run.run}`);
				await d.closed(run.run);
				return got.out;
			};
			const first = await once();

			await until(() => parked(d).length > 0, 'one is parked');
			await until(async () =>
				(await d.place.cli(['image', 'rm', 'it:1'])).status === 0,
			'the image given back');
			const r = await d.place.cli(['image', 'import', source,
				'--name', 'it:1']);

			assert.strictEqual(r.status, 0, r.err);
			assert.strictEqual(await once(), first);
			await d.stop();
		});
});

describe('a sandbox of an image', { skip: skip || (isRoot ? false
	: 'only root parks') }, () => {
	for (const what of ['without a work folder', 'with one'])
		test(`waits ready, ${what}, and is like one built cold`, async () => {
			const d = await start(tree({ 'etc/motd': 'm' }));
			const work = path.join(d.place.dir, 'work');
			const options = what === 'with one' ? ['--dir', work] : [];
			const seen = [];

			fs.mkdirSync(work);
			fs.writeFileSync(path.join(work, 'mine'), 'text');
			for (let i = 0; i < 4; i++) {
				const before = parked(d).map((p) => p.pid);
				const r = await d.place.cli(['sandbox', 'create',
					'--image', 'it:1', ...options]);

				assert.strictEqual(r.status, 0, r.err);
				const got = await exec(d, r.out.trim(),
					'cat /etc/motd mine; pwd; ls / /tmp /run/paddock;' +
					'echo x > /new; cat /new; echo y > made; cat made;' +
					'rm /etc/motd; touch /tmp/t; grep -c . ' +
					'/proc/self/mountinfo; ls -a /tmp; id -un');

				seen.push(got.out.replaceAll(/\d{9,}/g, 'N'));
				if (i > 0)
					assert.ok(parked(d).every((p) =>
						!before.includes(p.pid)) ||
						before.some((pid) => !parked(d)
							.some((p) => p.pid === pid)),
					'one that was parked has the run');
				await d.ask('DELETE', `/v1/sandboxes/${r.out.trim()}`);
				await d.closed(r.out.trim());
				await until(() => parked(d).length > 0,
					'one is parked');
			}
			// The number of mounts differs by what is hidden below /tmp.
			const same = seen.map((s) => s.replace(/^\d+$/m, ''));

			assert.match(seen[0], /y\n/);
			assert.deepStrictEqual(same, same.map(() => same[0]));
			assert.deepStrictEqual(fs.readdirSync(work), ['mine']);
			await d.stop();
		});

	test('waits ready, though the image is full of links', async () => {
		const target = path.join(new Place().dir, 'target');
		const files = tree();
		const top = target.split('/')[1];

		fs.mkdirSync(target);
		fs.writeFileSync(path.join(target, 'marker'), 'host');
		for (const name of ['dev', 'proc', 'etc', 'run', 'tmp', 'workspace',
			'var', 'home', ...['tmp', 'home'].includes(top) ? [] : [top]])
			fs.symlinkSync(target, path.join(files, name));
		const d = await start(files);
		const work = path.join(d.place.dir, 'work');

		fs.mkdirSync(work);
		for (let i = 0; i < 4; i++) {
			const r = await d.place.cli(['sandbox', 'create', '--image',
				'it:1', '--dir', work]);

			assert.strictEqual(r.status, 0, r.err);
			const got = await exec(d, r.out.trim(),
				'for d in /dev /proc /etc /run /tmp /workspace /var . ; do ' +
				'echo bad > $d/marker; echo bad > $d/evil; done; ' +
				'test -d /proc/self && test -c /dev/null && echo whole');

			assert.match(got.out, /whole\n$/);
			assert.deepStrictEqual(fs.readdirSync(target), ['marker']);
			assert.strictEqual(fs.readFileSync(path.join(target, 'marker'),
				'utf8'), 'host');
			assert.deepStrictEqual(fs.readdirSync(work), []);
			await d.ask('DELETE', `/v1/sandboxes/${r.out.trim()}`);
			await d.closed(r.out.trim());
			await until(() => parked(d).length > 0, 'one is parked');
		}
		await d.stop();
	});

	test('of one image is never one of another', async () => {
		const d = await start(tree({ marker: 'one' }));
		const r = await d.place.cli(['image', 'import',
			tree({ marker: 'two' }), '--name', 'it:2']);

		assert.strictEqual(r.status, 0, r.err);
		for (const [image, text] of [['it:1', 'one'], ['it:2', 'two'],
			['it:1', 'one'], ['it:2', 'two']]) {
			const run = await d.post('/v1/sandboxes', { image });
			const got = await exec(d, run.run, 'cat /marker');

			assert.strictEqual(got.out, text);
			await d.ask('DELETE', `/v1/sandboxes/${run.run}`);
			await d.closed(run.run);
			await until(() => parked(d).length > 0, 'one is parked');
		}
		await d.stop();
	});
});

describe('what an image says of itself', { skip }, () => {
	const config = { Env: ['COLOR=green', 'HTTP_PROXY=http://evil/',
		'PADDOCK_MCP_URL=x', '1X=2'], WorkingDir: '/srv/app',
	User: 'web:web', Entrypoint: ['/bin/sh', '-c'],
	Cmd: ['echo $PWD $COLOR $HOME $HTTP_PROXY; id -un; exit 5'] };
	const files = { 'srv/app/x': '', 'etc/passwd':
		'root:x:0:0:r:/root:/bin/sh\nweb:x:7:7:W:/home/web:/bin/sh\n',
	'home/web/.keep': '' };
	const made = () => docker(config, files).dir;
	const says = '/srv/app green /home/web http://127.0.0.1:3128\nweb\n';

	test('is done in a run that gives no command', async () => {
		const d = await start(made());
		const r = await d.place.cli(['run', '--quiet',
			...await (async () => {
				const file = path.join(d.place.dir, 'p.json');

				fs.writeFileSync(file, JSON.stringify(policy('it:1')));
				return [file];
			})()], { cwd: d.place.dir });

		assert.strictEqual(r.status, 5, r.err);
		assert.strictEqual(r.out, says);
		const run = await d.post('/v1/runs', { policy: policy('it:1'),
			argv: [] });

		assert.strictEqual((await d.closed(run.run)).exit_status, 5);
		await d.stop();
	});

	test('is done by paddock exec --image', async () => {
		const d = await start(made());
		const r = await d.place.command(['exec', '--image', 'it:1',
			'--state', d.state], { input: '', cwd: d.place.dir }).end();

		assert.strictEqual(r.status, 5, r.err);
		assert.match(r.out, /^\/srv\/app green \/home\/web .*\nweb\n$/);
		await d.stop();
	});

	test('stands behind what the request says', async () => {
		const d = await start(made());
		const run = await d.post('/v1/sandboxes', { image: 'it:1',
			env: { COLOR: 'red', HOME: '/' } });
		const got = await exec(d, run.run, 'echo $PWD $COLOR $HOME');

		assert.strictEqual(got.out, '/srv/app red /\n');
		await d.stop();
	});

	test('may be blocked by the policy', async () => {
		const d = await start(made());
		const a = await d.ask('POST', '/v1/runs', { argv: [],
			policy: policy('it:1', { commands: { block: ['sh'] } }) });

		assert.strictEqual(a.status, 403, JSON.stringify(a.body));
		assert.match(a.body.error.code, /command_blocked/);
		await d.stop();
	});

	test('has no command where it names none', async () => {
		const d = await start(docker({}).dir);
		const a = await d.ask('POST', '/v1/runs', { argv: [],
			policy: policy('it:1') });

		assert.strictEqual(a.status, 400);
		assert.match(a.body.error.message, /names no command/);
		await d.stop();
	});
});
