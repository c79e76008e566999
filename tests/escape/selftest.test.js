// tests/escape/selftest.test.js: a machine tests itself, and the list of
// attempts in docs/ESCAPES.md is the one that is made.
'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const probe = path.resolve(process.env.PROBE ??
	'build/tests/escape/escape-probe');
const root = process.getuid() === 0;
const user = root ? { uid: 65534, gid: 65534 } : {};
const top = path.resolve(__dirname, '../..');

function selftest(options, who) {
	const r = spawnSync(paddock, ['selftest', '--json', ...options],
		{ ...who, encoding: 'utf8', timeout: 60000 });
	const lines = r.stdout.trim().split('\n').map((l) => JSON.parse(l));

	return { status: r.status, end: lines.pop(), lines };
}

for (const who of root ? [{}, user] : [user]) {
	test(`as ${who.uid ?? 'started'}, nothing that needs no group is open`,
		() => {
			const { status, end, lines } = selftest(['--quick'], who);

			assert.deepEqual(lines.filter((l) => l.outcome === 'open'),
				[]);
			assert.equal(status, 0);
			assert.ok(end.held > 40);
			assert.equal(end.held + end.known_limitation +
				end.not_applicable, lines.length);
			assert.ok(end.ms < 5000, `${end.ms} ms`);
		});
}

test('with limits, what is open is what the machine gives no group for', () => {
	const { status, end, lines } = selftest([], user);
	const open = lines.filter((l) => l.outcome === 'open')
		.map((l) => l.probe).sort();

	// Both are the control of the other: a score of nothing but "held" by
	// a test that cannot say "open" would be worth nothing.
	if (end.open > 0) {
		assert.deepEqual(open, ['shared_memory', 'socket_buffers']);
		assert.equal(status, 1);
	} else {
		assert.equal(status, 0);
	}
});

test('where no sandbox can be made, the selftest fails', {
	skip: root ? false : 'needs root',
}, () => {
	const r = spawnSync('setpriv', ['--bounding-set=-sys_admin', paddock,
		'selftest', '--quick'], { encoding: 'utf8', timeout: 20000 });

	assert.equal(r.status, 1);
	assert.match(r.stderr, /cannot start a sandbox/);
	assert.doesNotMatch(r.stdout, /0 open/);
});

test('docs/ESCAPES.md names every attempt, and each it names is there', () => {
	const text = fs.readFileSync(path.join(top, 'docs/ESCAPES.md'), 'utf8');
	const rows = text.slice(0, text.indexOf('## Other sandboxes'))
		.split('\n').filter((l) => /^\| \d+ \|/.test(l))
		.map((l) => l.split('|').map((c) => c.trim()));
	const listed = spawnSync(probe, ['--list'], { encoding: 'utf8' }).stdout
		.trim().split('\n').map((l) => l.split(' '));
	const tests = [__dirname, path.join(top, 'tests/e2e')]
		.flatMap((dir) => fs.readdirSync(dir)
			.map((f) => path.join(dir, f)))
		.filter((f) => f.endsWith('.test.js'))
		.map((f) => fs.readFileSync(f, 'utf8')
			.replace(/' \+\s+'/g, ''))
		.join('').replace(/\\'/g, '\'');

	assert.deepEqual(rows.map((r) => Number(r[1])),
		Array.from({ length: 77 }, (_, i) => i + 1));
	for (const [id, name] of listed)
		assert.ok(rows[id - 1][4].includes(`\`${name}\``) ||
			rows.some((r) => r[4].includes(`\`${name}\``)),
		`${id} ${name}`);
	for (const r of rows) {
		for (const [, name] of r[4].matchAll(/`(\w+)`/g))
			assert.ok(name === 'orphan' || name === 'host_file' ||
				listed.some((l) => l[1] === name), name);
		for (const [, name] of r[4].matchAll(/"([^"]+)"/g))
			assert.ok(tests.includes(name), name);
	}
});
