// tests/escape/fakeroot.test.js: user 0 inside can unpack and install, and can
// do no more to the machine than anybody else inside.
'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const probe = path.resolve(process.env.PROBE ?? 'build/tests/escape/escape-probe');
const root = process.getuid() === 0;
const users = root
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];
const probes = ['read_shadow', 'write_system', 'change_root', 'mounts',
	'mount_fds', 'file_handle', 'make_device', 'devices', 'sysctls',
	'kernel_secrets', 'sysfs', 'cgroup_files', 'own_program', 'descriptors',
	'handed_down', 'set_id_mounts', 'file_attributes', 'overlay_marks',
	'parent_environment', 'pid_1_files', 'signal_pid_1', 'trace',
	'reach_into', 'enter_namespaces', 'new_namespaces', 'keyrings',
	'system_calls', 'ring', 'personalities', 'foreign_calls', 'own_filter',
	'rights', 'priorities', 'clocks_and_names', 'families', 'usual_sockets',
	'fork_bomb', 'lock_memory', 'core_dumps', 'descriptor_fill'];

for (const user of users) {
	describe(`user 0 inside (${user.name})`, () => {
		let dir;

		const exec = (options, script) => spawnSync(paddock, ['exec',
			'--fake-root', ...options, '--', 'sh', '-c', script], {
			cwd: dir, uid: user.uid, gid: user.gid,
			encoding: 'utf8', timeout: 60000 });

		before(() => {
			dir = fs.mkdtempSync('/var/tmp/paddock-fakeroot-');
			fs.copyFileSync(probe, path.join(dir, 'probe'));
			fs.chmodSync(path.join(dir, 'probe'), 0o755);
			fs.writeFileSync(path.join(dir, 'file'), 'x\n');
			if (user.uid !== undefined)
				spawnSync('chown', ['-R', `${user.uid}:${user.gid}`,
					dir]);
		});
		after(() => fs.rmSync(dir, { recursive: true }));

		test('every probe is held that is held without it', () => {
			const r = exec(['--pids', '64'], `./probe ${probes
				.join(' ')}`);
			const seen = r.stdout.trim().split('\n')
				.map((line) => JSON.parse(line));

			assert.equal(seen.length, probes.length, r.stderr);
			assert.deepEqual(seen.filter((p) => p.outcome !== 'held' &&
				p.outcome !== 'not_applicable'), []);
		});

		test('an id of the host is never its user 0', () => {
			const r = exec([], 'id -u; cat /proc/self/uid_map ' +
				'/proc/self/gid_map; echo x > made; ls -ln made');

			assert.match(r.stdout, /^0\n/);
			for (const map of r.stdout.split('\n').slice(1, 3)) {
				const [inside, outside, count] = map.trim()
					.split(/\s+/).map(Number);

				assert.equal(inside, 0);
				assert.notEqual(outside, 0);
				assert.equal(count, 1);
			}
			assert.match(r.stdout, / 0 0 .* made/);
		});

		test('an archive with owners is unpacked as root would', () => {
			const r = exec([], 'mkdir /tmp/t && tar cf /tmp/a.tar ' +
				'--owner=33 --group=42 file && ' +
				'tar -C /tmp/t --same-owner -xpf /tmp/a.tar && ' +
				'cat /tmp/t/file && chown -R 12:34 /tmp/t && ' +
				'install -o 1 -g 1 -m 600 file /tmp/t/i && ' +
				'ls -ln /tmp/t/i');

			assert.equal(r.status, 0, r.stderr);
			assert.match(r.stdout, /^x\n-rw------- 1 0 0 /);
		});

		test('dpkg installs a package below a directory', { skip:
			!fs.existsSync('/usr/bin/dpkg-deb') && 'no dpkg' }, () => {
			const r = exec([], 'cd /tmp && mkdir -p p/DEBIAN ' +
				'p/usr/share/thing r/var/lib/dpkg/updates ' +
				'r/var/lib/dpkg/info && echo hi > p/usr/share/thing/f ' +
				'&& printf "Package: thing\\nVersion: 1\\n' +
				'Architecture: all\\nMaintainer: a <a@b.c>\\n' +
				'Description: x\\n" > p/DEBIAN/control && ' +
				'touch r/var/lib/dpkg/status && ' +
				'dpkg-deb -b p thing.deb >&2 && ' +
				'dpkg --root=/tmp/r --force-not-root ' +
				'--force-bad-path --log=/dev/null -i thing.deb >&2 && ' +
				'cat r/usr/share/thing/f && ' +
				'dpkg --root=/tmp/r -s thing | grep ^Status');

			assert.equal(r.status, 0, r.stderr);
			assert.equal(r.stdout,
				'hi\nStatus: install ok installed\n');
		});

		test('what is written back belongs to the folder\'s owner', () => {
			const r = exec(['--write-back'], 'mkdir d && ' +
				'echo x > d/f && chown -R 0:0 d && chmod 4755 d/f; ' +
				'true');
			const st = fs.statSync(path.join(dir, 'd/f'));

			assert.equal(r.status, 0, r.stderr);
			assert.equal(st.uid, fs.statSync(dir).uid);
			assert.equal(st.mode & 0o6000, 0);
		});
	});
}
