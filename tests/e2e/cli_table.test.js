// The command line as a table: what holds of every subcommand. The list is
// read from `paddock --help`, so that a new one is covered by itself.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Daemon, paddock, policy } from './lib/paddock.js';

const how = (d) => ({ encoding: 'utf8', input: '', timeout: 60000, env: {
	PATH: process.env.PATH, HOME: '/nonexistent',
	PADDOCK_STATE: d?.place.state ?? '/nonexistent/paddock',
	ASAN_OPTIONS: process.env.ASAN_OPTIONS } });
const run = (args, d) => spawnSync(paddock, args, how(d));
const commands = run(['--help']).stdout.split('\n')
	.map((l) => l.match(/^ {2}([a-z]+) {2,}\S/)?.[1]).filter(Boolean);
const top = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const man = fs.readFileSync(path.join(top, 'man/paddock.1'), 'utf8');

// Words in the place of COMMAND, for those that have words of their own.
const words = {};

for (const c of commands) {
	const usage = run([c, '--help']).stdout.split('\n\n')[0];

	words[c] = [...new Set([...usage.matchAll(
		/(?:paddock \w+ |\| ?\n? *)([a-z]+)(?= |$|\n)/g)].map((m) => m[1]))];
}

test('the help names commands, and the manual has each of them', () => {
	assert.ok(commands.length >= 25, commands.join(' '));
	for (const c of commands)
		assert.match(man, new RegExp(`^\\.It Cm ([a-z]+ , )?${c}\\b`, 'm'), c);
});

for (const c of commands) {
	describe(`paddock ${c}`, () => {
		test('--help ends well, and shows an example', () => {
			const r = run([c, '--help']);

			assert.strictEqual(r.status, 0, r.stderr);
			assert.strictEqual(r.signal, null);
			assert.match(r.stdout, new RegExp(`^usage: paddock ${c}`));
			assert.match(r.stdout, new RegExp(
				`[Ee]xample[^]*paddock ${c}`));
			assert.strictEqual(r.stderr, '');
			for (const w of words[c]) {
				const of = run([c, w, '--help']);

				assert.strictEqual(of.status, 0, `${w}: ${of.stderr}`);
				assert.strictEqual(of.stderr, '', w);
				assert.match(of.stdout, /^usage: paddock /, w);
			}
		});

		test('an option that is none ends with 2, and is named', () => {
			for (const args of [[c, '--no-such-option'],
				...words[c].map((w) => [c, w, '--no-such-option'])]) {
				const r = run(args);

				assert.strictEqual(r.status, 2, `${args}: ${r.stderr}`);
				assert.match(r.stderr, /--no-such-option/, `${args}`);
				assert.strictEqual(r.stdout, '', `${args}`);
				assert.ok(r.stderr.trim().split('\n').length <= 2,
					r.stderr);
			}
		});
	});
}

test('a command that is none ends with 2, and is named', () => {
	const r = run(['no-such-command']);

	assert.strictEqual(r.status, 2);
	assert.match(r.stderr, /no-such-command/);
});

describe('with a daemon', () => {
	let d;
	const file = () => path.join(d.place.dir, 'p.json');

	before(async () => {
		d = await Daemon.start();
		fs.writeFileSync(file(), JSON.stringify(policy()));
		await d.post('/v1/sandboxes', {});
	});
	after(async () => {
		await d.stop();
		await d.place.nothingLeft([d.supervisor]);
	});

	// Whatever lists, whole or a value a line.
	for (const args of [['ps'], ['sandbox', 'ls'], ['approvals'],
		['trace', 'ls'], ['token', 'ls'], ['secret', 'ls'],
		['image', 'ls'], ['trace', 'show', 'last'], ['doctor'],
		['egress', 'log', 'last'], ['trace', 'verify'],
		['policy', 'check', 'FILE'],
		['policy', 'explain', 'FILE', 'kb.search']]) {
		test(`${args.join(' ')} --json is JSON`, () => {
			const r = run([...args.map((a) => a === 'FILE' ? file() : a),
				'--json'], d);

			assert.strictEqual(r.status, 0, r.stderr);
			try {
				JSON.parse(r.stdout);
			} catch {
				for (const line of r.stdout.trim().split('\n')
					.filter(Boolean))
					JSON.parse(line);
			}
		});
	}

	// As EXIT STATUS in the manual has them.
	for (const [args, status, says] of [
		[['version'], 0, /^$/],
		[['ps'], 0, /^$/],
		[['trace', 'show', 'r-7k3m9q2v5w1x'], 1, /r-7k3m9q2v5w1x/],
		[['stop', 'r-7k3m9q2v5w1x'], 1, /r-7k3m9q2v5w1x/],
		[['run', '/nonexistent.json', '--', 'true'], 1, /nonexistent/],
		[['run'], 2, /./],
		[['exec', '--', 'sh', '-c', 'exit 7'], 7, /^$/],
		[['exec', '--', 'sh', '-c', 'kill -9 $$'], 137, /./],
		[['exec', '--', 'no-such-program'], 127, /no-such-program/],
	]) {
		test(`${args.join(' ')} ends with ${status}`, () => {
			const r = spawnSync(paddock, args, { ...how(d),
				cwd: d.place.dir });

			assert.strictEqual(r.status, status, r.stderr);
			if (status !== 137)
				assert.match(r.stderr, says);
		});
	}
});
