// tests/escape/output.test.js: what a command prints has a bound, and says
// nothing to a terminal but text.
'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const root = process.getuid() === 0;
const users = root
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];
const mib = 1024 * 1024;

for (const user of users) {
	describe(`--output (${user.name})`, () => {
		let dir;

		const exec = (script, options = []) => spawnSync(paddock, ['exec',
			'--output', '1', '--json', ...options, '--', 'sh', '-c',
			script], { cwd: dir, uid: user.uid, gid: user.gid,
			encoding: 'latin1', timeout: 30000, maxBuffer: 1 << 26 });
		const ending = (r) => JSON.parse(r.stderr.trim().split('\n').at(-1));

		before(() => {
			dir = fs.mkdtempSync('/var/tmp/paddock-output-');
			if (user.uid !== undefined)
				fs.chownSync(dir, user.uid, user.gid);
		});
		after(() => fs.rmSync(dir, { recursive: true }));

		for (const [what, script] of [
			['one stream', 'yes'],
			['both streams', 'yes & yes >&2'],
			['an endless line', 'tr "\\0" x < /dev/zero'],
			['many that do not care', 'trap "" PIPE TERM HUP; ' +
				'for i in 1 2 3 4; do setsid yes & done; wait'],
			['one byte too many', `head -c ${mib + 1} /dev/zero`],
		]) {
			test(`${what}: it is cut, and the run ends with the reason`,
				() => {
					const r = exec(script);
					const told = r.stderr.indexOf('paddock: stopped');

					assert.equal(ending(r).limit, 'output_limit');
					assert.equal(ending(r).status, 137);
					assert.equal(r.stdout.length + told, mib);
					assert.match(r.stderr, /output_limit \(limit 1 MiB\)/);
				});
		}

		test('up to the last byte it is passed on, with the status', () => {
			const r = exec(`head -c ${mib - 3} /dev/zero; echo no >&2; ` +
				'sleep 1000 & exit 7');

			assert.equal(r.status, 7);
			assert.equal(r.stdout.length, mib - 3);
			assert.match(r.stderr, /^no\n/);
			assert.equal(ending(r).limit, 'none');
		});

		test('the process that counts is out of reach', () => {
			const r = exec('for p in /proc/[0-9]*; do ' +
				'kill -9 ${p#/proc/} 2>/dev/null; done; ' +
				'kill -STOP -1; yes');

			assert.ok(r.stdout.length <= mib);
			assert.notEqual(r.status, 0);
		});

		test('a terminal gets no control characters', { skip:
			!fs.existsSync('/usr/bin/script') && 'no script(1)' }, () => {
			const r = spawnSync('script', ['-qec', `${paddock} exec ` +
				'--output 1 -- printf ' +
				"'a\\033]52;c;eA==\\007b\\302\\2331mc\\177\\td\\n'",
			'/dev/null'], { cwd: dir, uid: user.uid, gid: user.gid,
				encoding: 'latin1', timeout: 30000 });

			assert.match(r.stdout, /a\?\]52;c;eA==\?b\xc2\?1mc\?\td\r\n/);
		});
	});
}
