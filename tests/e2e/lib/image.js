// Images made of almost nothing: a directory, or what `docker save` writes,
// with a static shell in it.
import { execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { scratch } from './paddock.js';

export const busybox = '/bin/busybox';
export const skip = fs.existsSync(busybox) &&
	spawnSync('ldd', [busybox]).status !== 0
	? false : 'there is no static busybox here';

let count = 0;

export function folder(user) {
	const dir = path.join(scratch, `image-${++count}`);

	fs.mkdirSync(dir);
	fs.chmodSync(dir, 0o755);
	if (user?.uid !== undefined)
		fs.chownSync(dir, user.uid, user.gid);
	return dir;
}

// A root directory with a shell; files: path -> text.
export function tree(files = {}) {
	const dir = folder();

	fs.mkdirSync(path.join(dir, 'bin'));
	fs.copyFileSync(busybox, path.join(dir, 'bin/busybox'));
	for (const name of ['sh', 'cat', 'id'])
		fs.symlinkSync('busybox', path.join(dir, 'bin', name));
	for (const [name, text] of Object.entries(files)) {
		fs.mkdirSync(path.dirname(path.join(dir, name)),
			{ recursive: true });
		fs.writeFileSync(path.join(dir, name), text);
	}
	return dir;
}

const sha256 = (bytes) =>
	crypto.createHash('sha256').update(bytes).digest('hex');

export const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch] ??
	process.arch;

// What `docker save` writes, unpacked. more: members of the configuration.
export function docker(config = {}, files = {}, more = {}) {
	const dir = folder();
	const layer = path.join(dir, 'layer.tar');

	execFileSync('tar', ['-C', tree(files), '-cf', layer, '.']);
	const text = JSON.stringify({ architecture, os: 'linux', config,
		rootfs: { type: 'layers', diff_ids: [
			`sha256:${sha256(fs.readFileSync(layer))}`] }, ...more });
	fs.writeFileSync(path.join(dir, `${sha256(text)}.json`), text);
	fs.writeFileSync(path.join(dir, 'manifest.json'), JSON.stringify([{
		Config: `${sha256(text)}.json`, RepoTags: ['made:1'],
		Layers: ['layer.tar'] }]));
	return { dir, digest: `sha256:${sha256(text)}` };
}
