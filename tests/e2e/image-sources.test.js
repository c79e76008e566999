// Images as people have them: a registry by the real skopeo, what skopeo
// writes, a Debian root by debootstrap; and programs in them that cannot run.
import assert from 'node:assert';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { describe, test } from 'node:test';

import { folder, skip, tree } from './lib/image.js';
import { isRoot, Place } from './lib/paddock.js';

const has = (program) => spawnSync(program, ['--version']).error === undefined;
const less = isRoot ? [] : ['--rootless'];

// An OCI layout by umoci, with a static shell, as 1.
function layout() {
	const dir = path.join(folder(), 'lay'), bundle = path.join(folder(), 'b');
	const umoci = (...args) => execFileSync('umoci', args, { stdio: 'pipe' });

	umoci('init', '--layout', dir);
	umoci('new', '--image', `${dir}:1`);
	umoci('unpack', ...less, '--image', `${dir}:1`, bundle);
	fs.cpSync(tree({ marker: 'pulled' }), path.join(bundle, 'rootfs'),
		{ recursive: true, verbatimSymlinks: true });
	umoci('repack', '--image', `${dir}:1`, bundle);
	umoci('config', '--image', `${dir}:1`, '--config.entrypoint', '/bin/cat',
		'--config.cmd', '/marker');
	return dir;
}

// What a registry answers for the layout, as distribution/spec says.
async function registry(dir) {
	const blob = (digest) => path.join(dir, 'blobs', digest.replace(':', '/'));
	const [top] = JSON.parse(fs.readFileSync(path.join(dir, 'index.json')))
		.manifests;
	const server = http.createServer((q, a) => {
		const at = q.url.split('/');
		const digest = at.at(-2) === 'manifests' ? top.digest : at.at(-1);

		if (q.url === '/v2/')
			return a.end('{}');
		if (!/^sha256:[0-9a-f]{64}$/.test(digest))
			return a.writeHead(404).end();
		const bytes = fs.readFileSync(blob(digest));

		a.writeHead(200, { 'Docker-Content-Digest': digest,
			'Content-Length': bytes.length, 'Content-Type':
				at.at(-2) === 'manifests' ? top.mediaType
					: 'application/octet-stream' });
		a.end(q.method === 'HEAD' ? undefined : bytes);
	});

	server.unref();
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	return { at: `127.0.0.1:${server.address().port}`,
		close: () => server.close() };
}

async function runs(place, name, argv = []) {
	return place.command(['exec', '--image', name, '--state', place.state,
		...argv.length > 0 ? ['--', ...argv] : []],
	{ input: '', cwd: place.dir }).end();
}

describe('with skopeo', { skip: skip || (has('skopeo') && has('umoci') ? false
	: 'skopeo or umoci is not installed') }, () => {
	test('an image comes from a registry', async () => {
		const place = new Place();
		const from = await registry(layout());
		const conf = path.join(place.dir, '.config/containers/registries.conf');

		fs.mkdirSync(path.dirname(conf), { recursive: true });

		fs.writeFileSync(conf,
			`[[registry]]\nlocation = "${from.at}"\ninsecure = true\n`);
		const c = place.command(['image', 'pull', `${from.at}/a/b:1`,
			'--name', 'it', '--state', place.state], { input: '', env: {
			...process.env, HOME: place.dir } });
		const r = await c.end(60000);

		assert.strictEqual(r.status, 0, r.err);
		assert.strictEqual((await runs(place, 'it')).out, 'pulled');
		// One that is not there leaves nothing.
		const before = fs.readdirSync(path.join(place.state, 'images')).sort();
		const none = await place.command(['image', 'pull',
			'127.0.0.1:1/none:1', '--state', place.state],
		{ input: '' }).end(60000);

		from.close();
		assert.strictEqual(none.status, 1);
		assert.match(none.err, /skopeo failed with status/);
		assert.deepStrictEqual(
			fs.readdirSync(path.join(place.state, 'images')).sort(), before);
	});

	test('what it copies to an archive or a layout is the same', async () => {
		const place = new Place();
		const dir = layout();
		const archive = path.join(place.dir, 'x.tar');
		const copy = path.join(place.dir, 'copy');

		for (const to of [`docker-archive:${archive}:it:1`, `oci:${copy}:1`])
			execFileSync('skopeo', ['copy', '--quiet', `oci:${dir}:1`, to],
				{ stdio: 'pipe' });
		for (const [source, name] of [[archive, 'a:1'], [copy, 'b:1']]) {
			const r = await place.cli(['image', 'import', source, '--name',
				name]);

			assert.strictEqual(r.status, 0, r.err);
			assert.strictEqual((await runs(place, name)).out, 'pulled');
		}
	});
});

// Whoever runs the tests without a network has no Debian to fetch.
const mirror = 'http://deb.debian.org/debian';
const reachable = isRoot && has('debootstrap') && await new Promise((done) => {
	http.get(`${mirror}/dists/bookworm/InRelease`, { timeout: 5000 }, (a) => {
		a.destroy();
		done(a.statusCode === 200);
	}).on('error', () => done(false)).on('timeout', () => done(false));
});

test('a root by debootstrap is an image', { skip: reachable ? false
	: 'not root, no debootstrap, or no mirror is reachable' }, async () => {
	const place = new Place();
	const root = path.join(folder(), 'root');
	const made = spawn('debootstrap', ['--variant=minbase', 'bookworm', root,
		mirror], { stdio: 'ignore' });

	assert.strictEqual(await new Promise((done) =>
		made.on('exit', done)), 0);
	const c = place.command(['image', 'import', root, '--name', 'debian',
		'--state', place.state, '--json'], { input: '' });
	const r = await c.end(120000);

	assert.strictEqual(r.status, 0, r.err);
	const counts = JSON.parse(r.out);

	assert.ok(counts.files > 5000 && counts.setid > 0 && counts.special > 0,
		r.out);
	const got = await runs(place, 'debian', ['/bin/bash', '-c',
		'. /etc/os-release && echo $VERSION_CODENAME && perl -e "print 6*7" &&' +
		'dpkg -l | grep -c ^ii && find / -xdev -perm /6000 | grep -c . ;' +
		'echo x > /etc/new && apt-get --version | head -1']);

	assert.match(got.out, /^bookworm\n42[1-9]\d\d?\n0\napt /, got.err);
	assert.ok(!fs.existsSync('/etc/new'));
});

describe('a program that cannot run', { skip }, () => {
	const foreign = fs.existsSync('/bin/busybox')
		? Buffer.from(fs.readFileSync('/bin/busybox')) : Buffer.alloc(64);

	foreign.writeUInt16LE(0x7777, 18); // e_machine: nobody's
	const rows = [
		['is missing', 'none', {}, 127, /none: /],
		['is for another machine', '/bin/foreign',
			{ 'bin/foreign': foreign }, 126, /foreign: .*[Ee]xec format/],
		['is cut off', '/bin/cut', { 'bin/cut': foreign.subarray(0, 40) },
			126, /cut: /],
		['is not executable', '/bin/plain', { 'bin/plain': '#!/bin/sh\n' },
			126, /plain: .*[Pp]ermission/],
		['is a directory', '/bin', {}, 126, /bin: .*[Pp]ermission/],
		['has an interpreter that is missing', '/bin/script',
			{ 'bin/script': '#!/no/such\n' }, 127, /script: /],
		// There it is the sandbox's own file, and no program.
		['is a link that leads out', '/bin/out', {}, 126, /out: .*[Pp]erm/],
	];

	for (const [what, program, files, status, why] of rows)
		test(`since it ${what}, gives one clear error`, async () => {
			const place = new Place();
			const dir = tree(files);

			for (const name of ['foreign', 'cut', 'script'])
				if (files[`bin/${name}`] !== undefined)
					fs.chmodSync(path.join(dir, 'bin', name), 0o755);
			fs.symlinkSync(`${'../'.repeat(12)}etc/hostname`,
				path.join(dir, 'bin/out'));
			if (program !== '/bin/out')
				fs.unlinkSync(path.join(dir, 'bin/out'));
			const r = await place.cli(['image', 'import', dir, '--name', 'it']);

			assert.strictEqual(r.status, 0, r.err);
			const got = await runs(place, 'it', [program]);

			assert.strictEqual(got.status, status, got.err);
			assert.match(got.err, why);
			assert.strictEqual(got.err.trim().split('\n').length, 1, got.err);
			assert.strictEqual(got.out, '');
		});
});
