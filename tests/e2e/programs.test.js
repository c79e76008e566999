// Each role is a program of its own, and has in its memory what it calls and
// nothing else; what waits for the daemon is the small half.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Command, Daemon, Place, slow } from './lib/paddock.js';
import { descendants } from './lib/proc.js';

// What each may have beside what the C library is made of.
const libraries = {
	supervisor: ['crypto'],
	broker: ['crypto', 'idn2', 'pcre2-8', 'psl', 'sqlite3', 'unistring',
		'yaml-0', 'zstd'],
	gateway: ['crypto'],
	proxy: ['cares', 'crypto', 'nghttp2', 'ssl', 'z', 'zstd'],
	world: ['sqlite3'],
	tools: [],
};
const c = ['c', 'm', 'pthread', 'dl', 'resolv'];

let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

function loaded(pid) {
	const maps = fs.readFileSync(`/proc/${pid}/maps`, 'utf8');

	return [...new Set([...maps.matchAll(/\/lib([^/\s]+)\.so[.\d]*$/gm)]
		.map((m) => m[1].replace(/-\d+\.\d+$/, '')))];
}

describe('the programs', () => {
	const roles = () => descendants(d.command.pid)
		.filter((p) => p.role !== undefined);

	test('are one for each role', () => {
		assert.deepStrictEqual(roles().map((p) => p.role).sort(),
			Object.keys(libraries).sort());
		for (const p of roles())
			assert.strictEqual(path.basename(p.exe),
				`paddock-${p.role}`);
	});

	// The sanitizers bring libraries of their own.
	test('hold the libraries they call and no others',
		{ skip: slow > 1 && 'the sanitizers bring their own' }, () => {
			for (const p of roles()) {
				const more = loaded(p.pid).filter((l) =>
					!c.includes(l) &&
					!libraries[p.role].includes(l));

				assert.deepStrictEqual(more, [], p.role);
			}
		});

	test('wait for the daemon in the small one', () => {
		assert.strictEqual(fs.readlinkSync(
			`/proc/${d.command.pid}/exe`), d.place.paddock);
		assert.deepStrictEqual(loaded(d.command.pid), []);
	});

	test('that is missing is named, and nothing is started', async () => {
		for (const [name, args] of [['paddock-gateway', ['serve']],
			['paddock-supervisor', ['serve']],
			['paddock-image', ['image', 'ls']]]) {
			const place = new Place();

			fs.unlinkSync(path.join(place.dir, name));
			const r = await place.cli(args);

			assert.notStrictEqual(r.status, 0);
			assert.match(r.err, new RegExp(
				`^paddock: [^\\n]*the program \`${name}\` is not ` +
				'beside [^\\n]*: install[^\\n]*\\n$'));
			assert.deepStrictEqual(place.processes(), []);
		}
	});

	test('refuse to be started by hand', async () => {
		const place = new Place();

		for (const role of Object.keys(libraries)) {
			const r = await new Command([], {
				program: path.join(place.dir, `paddock-${role}`),
				input: '' }).end();

			assert.strictEqual(r.status, 2);
			assert.match(r.err, /is for paddock itself/);
		}
	});
});
