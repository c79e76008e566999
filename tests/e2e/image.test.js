// paddock image: what becomes an image, what is refused, and what is left.
import assert from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { isRoot, paddock, scratch } from './lib/paddock.js';

const sha = (b) => createHash('sha256').update(b).digest('hex');
const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];
let count = 0;

function folder() {
	const dir = path.join(scratch, `image-${++count}`);

	fs.mkdirSync(dir);
	return dir;
}

// One state directory, and the command on it.
class Images {
	constructor() {
		this.state = path.join(folder(), 'state');
	}

	run(args, env = {}) {
		return spawnSync(paddock, ['image', ...args], { encoding: 'utf8',
			env: { ...process.env, ...env,
				PADDOCK_STATE: this.state } });
	}

	ok(...args) {
		const r = this.run(args);

		assert.strictEqual(r.status, 0, r.stderr);
		return r.stdout;
	}

	// Refused with this text; nothing of it is left.
	refused(args, text, env) {
		const before = this.files();
		const r = this.run(args, env);

		assert.strictEqual(r.status, 1, r.stdout);
		assert.match(r.stderr, text);
		assert.match(r.stderr, /^paddock: [^\n]*\n$/,
			'one line, and nothing raw');
		assert.deepStrictEqual(this.files(), before);
	}

	files() {
		const dir = path.join(this.state, 'images');

		return fs.existsSync(dir) ? fs.readdirSync(dir)
			.filter((f) => f !== 'lock').sort() : [];
	}

	ls() {
		return this.ok('ls', '--json').split('\n').filter(Boolean)
			.map((l) => JSON.parse(l));
	}

	rootfs(digest) {
		return path.join(this.state, 'images',
			digest.replace(':', '-'), 'rootfs');
	}
}

// ustar, by hand.
function tar(entries) {
	const blocks = [];

	for (const { name, data = '', type = '0', link = '', mode = 0o644,
		size } of entries) {
		const body = Buffer.from(data);
		const h = Buffer.alloc(512);
		const octal = (v, n) => v.toString(8).padStart(n - 1, '0');

		h.write(name, 0, 100);
		h.write(octal(mode, 8), 100);
		h.write(octal(0, 8), 108);
		h.write(octal(0, 8), 116);
		h.write(octal(size ?? body.length, 12), 124);
		h.write(octal(1700000000, 12), 136);
		h.fill(' ', 148, 156);
		h.write(type, 156);
		h.write(link, 157, 100);
		h.write('ustar\x0000', 257, 'latin1');
		h.write(octal(h.reduce((a, b) => a + b, 0), 7) + '\0', 148);
		blocks.push(h, body,
			Buffer.alloc((512 - body.length % 512) % 512));
	}
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function put(dir, file, data) {
	const at = path.join(dir, file);

	fs.mkdirSync(path.dirname(at), { recursive: true });
	fs.writeFileSync(at, data);
}

const config = (layers, changes = {}) => JSON.stringify({
	architecture: arch, os: 'linux',
	config: { Env: ['A=b'], Cmd: ['sh'] },
	rootfs: { type: 'layers',
		diff_ids: layers.map((l) => `sha256:${sha(l)}`) },
	...changes });

const type = 'application/vnd.oci.image.';

// An OCI layout; change() may lie in any of its parts.
function layout(layers, change = {}) {
	const dir = folder();
	const blob = (data, mediaType) => {
		const d = { mediaType, digest: `sha256:${sha(data)}`,
			size: Buffer.byteLength(data) };

		put(dir, `blobs/sha256/${sha(data)}`, data);
		return d;
	};
	const manifest = { schemaVersion: 2,
		config: blob(config(layers, change.config),
			`${type}config.v1+json`),
		layers: layers.map((l) => blob(gzipSync(l),
			`${type}layer.v1.tar+gzip`)) };

	change.manifest?.(manifest, dir);
	const index = { schemaVersion: 2, manifests: [
		{ ...blob(JSON.stringify(manifest), `${type}manifest.v1+json`),
			...change.descriptor }] };

	change.index?.(index, blob);
	put(dir, 'oci-layout', '{"imageLayoutVersion":"1.0.0"}');
	put(dir, 'index.json', JSON.stringify(index));
	return dir;
}

function dockerArchive(layers) {
	const c = config(layers);

	return tar([
		...layers.map((l, i) => ({ name: `${i}/layer.tar`, data: l })),
		{ name: `${sha(c)}.json`, data: c },
		{ name: 'manifest.json', data: JSON.stringify([{
			Config: `${sha(c)}.json`, RepoTags: ['app:1'],
			Layers: layers.map((_, i) => `${i}/layer.tar`) }]) },
	]);
}

const two = [tar([{ name: 'a', data: 'lower' }, { name: 'b', data: 'b' }]),
	tar([{ name: 'a', data: 'upper' }, { name: '.wh.b' }])];

describe('import', () => {
	test('a directory becomes an image, and the same one twice', () => {
		const i = new Images();
		const dir = folder();

		put(dir, 'etc/motd', 'hello\n');
		put(dir, 'bin/tool', '#!/bin/sh\n');
		fs.chmodSync(path.join(dir, 'bin/tool'), 0o4755);
		fs.symlinkSync('/etc/passwd', path.join(dir, 'link'));
		fs.linkSync(path.join(dir, 'etc/motd'), path.join(dir, 'hard'));
		execFileSync('mkfifo', [path.join(dir, 'fifo')]);
		const line = i.ok('import', dir, '--name', 'base:1');

		assert.match(line, /^base:1 sha256:[0-9a-f]{64}, 6 files, 16 bytes; 1 devices, FIFOs or sockets left out, 1 setuid or setgid bits removed\n$/);
		const [image] = i.ls();
		const root = i.rootfs(image.digest);

		assert.strictEqual(fs.readlinkSync(path.join(root, 'link')),
			'/etc/passwd');
		assert.strictEqual(fs.statSync(path.join(root, 'hard')).nlink, 2);
		assert.strictEqual(
			fs.statSync(path.join(root, 'bin/tool')).mode & 0o7777,
			0o755);
		if (isRoot)
			assert.notStrictEqual(fs.statSync(root).uid, 0);
		assert.match(i.ok('import', dir, '--name', 'again'),
			/^again:latest sha256:.* was there already\n$/);
		assert.deepStrictEqual(i.ls().map((x) => x.name).sort(),
			['again:latest', 'base:1']);
		assert.match(i.ok('rm', 'base:1'), /^removed the name of /);
		assert.match(i.ok('rm', image.digest.slice(0, 19)), /^removed sha/);
		assert.deepStrictEqual(i.files(), ['index.json']);
	});

	test('layers are applied in order, from a layout and from its tar',
		() => {
			const i = new Images();
			const dir = layout(two);

			i.ok('import', dir, '--name', 'x');
			const [x] = i.ls();

			assert.strictEqual(fs.readFileSync(
				path.join(i.rootfs(x.digest), 'a'), 'utf8'), 'upper');
			assert.deepStrictEqual(
				fs.readdirSync(i.rootfs(x.digest)), ['a']);
			assert.deepStrictEqual(x.config, { env: ['A=b'],
				entrypoint: [], cmd: ['sh'], workdir: '/', user: '',
				account: '', home: '' });
			const other = new Images();
			const file = path.join(folder(), 'x.tar');

			execFileSync('tar', ['cf', file, '-C', dir, '.']);
			other.ok('import', file);
			assert.strictEqual(other.ls()[0].digest, x.digest);
			assert.strictEqual(other.ls()[0].name, 'x:latest');
		});

	test('what docker save writes becomes an image', () => {
		const i = new Images();
		const file = path.join(folder(), 'app.tar');

		fs.writeFileSync(file, dockerArchive(two));
		i.ok('import', file);
		const [x] = i.ls();

		assert.strictEqual(x.name, 'app:1');
		assert.strictEqual(x.digest, `sha256:${sha(config(two))}`);
		assert.deepStrictEqual(fs.readdirSync(i.rootfs(x.digest)), ['a']);
	});

	test('an image that umoci has built becomes one', (t) => {
		if (spawnSync('umoci', ['--version']).error)
			return t.skip('umoci is not installed');
		const i = new Images();
		const dir = path.join(folder(), 'lay');
		const bundle = path.join(folder(), 'bundle');
		const umoci = (...args) => execFileSync('umoci', args,
			{ stdio: 'pipe' });
		// Only root may keep owners.
		const less = isRoot ? [] : ['--rootless'];

		umoci('init', '--layout', dir);
		umoci('new', '--image', `${dir}:1`);
		umoci('unpack', ...less, '--image', `${dir}:1`, bundle);
		put(bundle, 'rootfs/etc/one', '1');
		put(bundle, 'rootfs/etc/two', '2');
		umoci('repack', '--image', `${dir}:1`, bundle);
		fs.rmSync(bundle, { recursive: true });
		umoci('unpack', ...less, '--image', `${dir}:1`, bundle);
		fs.rmSync(path.join(bundle, 'rootfs/etc/one'));
		if (fs.existsSync('/bin/busybox'))
			fs.copyFileSync('/bin/busybox',
				path.join(bundle, 'rootfs/busybox'));
		umoci('repack', '--image', `${dir}:1`, bundle);
		umoci('config', '--image', `${dir}:1`, '--config.workingdir',
			'/etc', '--config.entrypoint', '/busybox');
		assert.match(i.ok('import', dir), /^lay:1 sha256/);
		const [x] = i.ls();

		assert.deepStrictEqual(
			fs.readdirSync(path.join(i.rootfs(x.digest), 'etc')),
			['two']);
		assert.strictEqual(x.config.workdir, '/etc');
		assert.deepStrictEqual(x.config.entrypoint, ['/busybox']);
	});

	test('the index chooses this machine, wherever it stands', () => {
		const i = new Images();
		const dir = layout(two, { index: (index, blob) => {
			const ours = index.manifests[0];
			const foreign = { ...ours, digest: `sha256:${'0'.repeat(64)}`,
				platform: { os: 'linux', architecture: 's390x' } };
			const inner = blob(JSON.stringify({ schemaVersion: 2,
				manifests: [foreign, { ...ours, platform: { os: 'linux',
					architecture: arch } }] }),
			`${type}index.v1+json`);

			index.manifests = [inner];
		} });

		i.ok('import', dir, '--name', 'multi');
		assert.strictEqual(i.ls().length, 1);
	});
});

describe('refused, with nothing left', () => {
	const rows = {
		'a layer with another digest': [() => layout(two, {
			manifest: (m, dir) => {
				const file = path.join(dir, 'blobs/sha256',
					m.layers[1].digest.slice(7));
				const bad = fs.readFileSync(file);

				bad[4] ^= 1; // gzip's time: unpacks all the same
				fs.writeFileSync(file, bad);
			} }), /layer 2 of 2: the digest should be/],
		'a layer with another size': [() => layout(two, {
			manifest: (m) => { m.layers[0].size++; } }),
		/layer 1 of 2: it should have \d+ bytes/],
		'a layer that unpacks to something else': [() => layout(two, {
			config: { rootfs: { diff_ids: [`sha256:${sha(two[1])}`,
				`sha256:${sha(two[0])}`] } } }),
		/layer 1 of 2: the digest unpacked should be/],
		'a manifest with another digest': [() => layout(two, {
			descriptor: { digest: `sha256:${'1'.repeat(64)}` } }),
		/manifest: .*No such file/],
		'another machine': [() => layout(two, {
			config: { architecture: 'vax' } }),
		/the image is for linux\/vax, this machine is linux\//],
		'only other machines': [() => layout(two, { descriptor: {
			platform: { os: 'plan9', architecture: 'vax' } } }),
		/the image is for plan9\/vax, this machine is linux\//],
		'an index in an index without end': [() => layout(two, {
			index: (index, blob) => {
				for (let n = 0; n < 8; n++)
					index.manifests = [blob(JSON.stringify({
						schemaVersion: 2, n,
						manifests: index.manifests }),
					`${type}index.v1+json`)];
			} }), /an index in an index, more than 4 deep/],
		'an index with too many': [() => layout(two, {
			index: (index) => {
				index.manifests = Array(300).fill(index.manifests[0]);
			} }), /more than 256 manifests/],
		'too many layers': [() => layout(Array(129).fill(two[0])),
			/129 layers, over the limit of 128/],
		'fewer layers than the configuration': [() => layout(two, {
			manifest: (m) => { m.layers.pop(); } }),
		/names 2 layers, the manifest 1/],
		'a layer that leads out': [() => layout([tar([
			{ name: 'l', type: '2', link: '/tmp' },
			{ name: 'l/evil\x1b[2J', data: 'x' }])]),
		/layer 1 of 1: l\/evil\\x1b\[2J: .*symbolic link/],
		'a variable without a name': [() => layout(two, {
			config: { config: { Env: ['=x'] } } }),
		/configuration: .*NAME=VALUE/],
		'a blob that is a symbolic link': [() => layout(two, {
			manifest: (m, dir) => {
				const file = path.join(dir, 'blobs/sha256',
					m.layers[1].digest.slice(7));

				fs.renameSync(file, path.join(dir, 'real'));
				fs.symlinkSync('../../real', file);
			} }), /layer 2 of 2: blobs.*symbolic link/],
		'a bomb': [() => layout([Buffer.concat([two[0],
			Buffer.alloc(400 << 20)])]), /bomb/],
		'a tar of anything else': [() => {
			const file = path.join(folder(), 'x.tar');

			fs.writeFileSync(file, two[0]);
			return file;
		}, /neither an OCI image layout nor what docker save writes/],
		'no archive at all': [() => {
			const file = path.join(folder(), 'x.tar');

			fs.writeFileSync(file, 'not an archive');
			return file;
		}, /x\.tar: Unrecognized archive format/],
		'half a docker archive': [() => {
			const file = path.join(folder(), 'x.tar');
			const all = dockerArchive(two);

			fs.writeFileSync(file, all.subarray(0, all.length - 3000));
			return file;
		}, /x\.tar/],
		'a docker archive whose layer leads out': [() => {
			const file = path.join(folder(), 'x.tar');

			fs.writeFileSync(file, dockerArchive([tar([
				{ name: '../../../evil', data: 'x' }])]));
			return file;
		}, /layer 1 of 1: entry 1: \.\.\/\.\.\/\.\.\/evil/],
		'nothing there': [() => '/nonexistent/x', /No such file/],
		'a device': [() => '/dev/null', /neither a file nor a directory/],
	};

	for (const [what, [make, text]] of Object.entries(rows))
		test(what, () => {
			const i = new Images();
			const source = make();

			i.refused(['import', source, '--name', 'bad'], text);
			assert.deepStrictEqual(i.ls(), []);
		});

	test('names that are none', () => {
		const i = new Images();
		const dir = folder();

		for (const name of ['', '../x', '-x', 'a//b', 'a b', 'x:', '/x',
			'a\x1b[2J', 'sha256:0123456789ab', 'x'.repeat(300)])
			i.refused(['import', dir, '--name', name], /name/);
	});

	test('the image store in the tree that is imported', () => {
		const i = new Images();

		i.ok('import', folder(), '--name', 'x');
		i.refused(['import', i.state, '--name', 'self'],
			/is the image store itself/);
	});
});

describe('together', () => {
	test('imports at the same time wait for each other', async () => {
		const { Command } = await import('./lib/paddock.js');
		const i = new Images();
		const dir = layout(two);
		const env = { ...process.env, PADDOCK_STATE: i.state };
		const all = [0, 1, 2, 3].map((n) => new Command(['image',
			'import', dir, '--name', `n:${n}`], { env }));

		for (const c of all)
			assert.strictEqual((await c.end()).status, 0, c.err);
		assert.strictEqual(i.ls().length, 4);
		assert.strictEqual(i.files().length, 2);
	});

	test('what a killed import has left is gone after the next', async () => {
		const { Command, until } = await import('./lib/paddock.js');
		const i = new Images();
		const big = folder();

		put(big, 'x', Buffer.alloc(300 << 20));
		const c = new Command(['image', 'import', big, '--name', 'x'],
			{ env: { ...process.env, PADDOCK_STATE: i.state } });

		await until(() => i.files().some((f) => f.startsWith('tmp-')),
			'a temporary directory');
		c.child.kill('SIGKILL');
		await c.end();
		i.ok('import', layout(two), '--name', 'y');
		assert.deepStrictEqual(i.ls().map((x) => x.name), ['y:latest']);
		assert.ok(!i.files().some((f) => f.startsWith('tmp-')));
	});

	test('an image in use is not removed', async () => {
		const i = new Images();

		i.ok('import', layout(two), '--name', 'x');
		const [x] = i.ls();
		const record = path.join(i.rootfs(x.digest), '../image.json');
		const user = spawnSync('flock', ['--shared', record, paddock,
			'image', 'rm', 'x'], { encoding: 'utf8',
			env: { ...process.env, PADDOCK_STATE: i.state } });

		assert.strictEqual(user.status, 1);
		assert.match(user.stderr, /in use by a run/);
		assert.strictEqual(i.ls().length, 1);
		i.ok('rm', 'x');
		i.refused(['rm', 'x'], /no image is called x:latest/);
	});
});

describe('pull', () => {
	test('without skopeo says which package is missing', () => {
		new Images().refused(['pull', 'debian:12'],
			/install the package skopeo/, { PATH: '/nonexistent' });
	});

	test('asks skopeo for this name and nothing else', () => {
		const i = new Images();
		const bin = folder();
		const dir = layout(two);

		// In the place of skopeo: copies a layout to where it is told.
		fs.writeFileSync(path.join(bin, 'skopeo'),
			`#!/bin/sh\necho "$@" >${bin}/args\nto=\${4#oci:}\n` +
			`cp -r ${dir} "\${to%:*}"\n`, { mode: 0o755 });
		const env = { PATH: `${bin}:${process.env.PATH}` };
		const r = i.run(['pull', 'registry.example:5000/app:2'], env);

		assert.strictEqual(r.status, 0, r.stderr);
		assert.match(fs.readFileSync(path.join(bin, 'args'), 'utf8'),
			/^copy --quiet docker:\/\/registry\.example:5000\/app:2 oci:.*\/layout:2\n$/);
		assert.strictEqual(i.ls()[0].name, 'registry.example:5000/app:2');
		for (const ref of ['oci:/etc', 'dir:/x', 'a b', '../x', ''])
			i.refused(['pull', ref], /name/, env);
	});
});
