// tests/escape/container.test.js: paddock where somebody else's walls stand.
//
// What containers take away is taken away here with unshare, setpriv and
// bwrap. A run then has every wall that makes a sandbox, or does not start and
// says why; `doctor` names what is missing and whom to ask for it.
'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const root = process.getuid() === 0;
const always = ['mount_ns', 'pid_ns', 'net_ns', 'ipc_ns', 'uts_ns', 'caps',
	'no_new_privs', 'seccomp', 'rlimits', 'disk'];
const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
let dir;

function has(program) {
	return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

// In a mount namespace in which `script` has changed something.
function changed(script) {
	return ['unshare', '--mount', 'sh', '-c',
		`${script} && exec "$@"`, 'container'];
}

function inside(around, args) {
	const [command, ...rest] = [...around, paddock, ...args];

	return spawnSync(command, rest, { cwd: dir, encoding: 'utf8',
		timeout: 20000 });
}

function walls(r) {
	return JSON.parse(r.stderr.trim().split('\n').pop()).walls;
}

function doctor(around) {
	const r = inside(around, ['doctor', '--json']);

	assert.equal(r.status, 0, r.stderr);
	return Object.fromEntries(JSON.parse(r.stdout).findings
		.map((f) => [f.name, f]));
}

before(() => {
	dir = fs.mkdtempSync('/var/tmp/paddock-container-');
	fs.chmodSync(dir, 0o755);
});
after(() => fs.rmSync(dir, { recursive: true, force: true }));

describe('in a container', { skip: root ? false : 'needs root' }, () => {
	test('under a covered /proc nothing runs, and the reason is told', () => {
		const around = [...changed('mount --bind /dev/null /proc/keys'),
			'env', 'container=lxc', ...nobody];
		const r = inside(around, ['exec', '--json', '--', 'echo', 'ran']);

		if (r.status === 0) { // newer kernels allow one with processes only
			for (const wall of always)
				assert.ok(walls(r).includes(wall), wall);
			assert.ok(!walls(r).includes('proc_full'));
			return;
		}
		assert.equal(r.status, 1);
		assert.equal(r.stdout, '');
		assert.match(r.stderr, /\/proc is partly covered, as in a container/);
		assert.equal(doctor(around).container.state, 'missing');
		assert.match(doctor(around).container.found, /\/proc partly covered/);
	});

	test('root without CAP_SYS_ADMIN is told so, and nothing runs', () => {
		const around = ['setpriv', '--bounding-set=-sys_admin'];
		const r = inside(around, ['exec', '--', 'echo', 'ran']);

		assert.equal(r.status, 1);
		assert.equal(r.stdout, '');
		assert.match(r.stderr, /root without CAP_SYS_ADMIN, as in a container/);
		assert.equal(doctor(around).user.state, 'missing');
	});

	test('an ordinary user without user namespaces is told so', {
		skip: has('bwrap') ? false : 'no bwrap to forbid them with',
	}, () => {
		const around = [...nobody, 'bwrap', '--unshare-user',
			'--disable-userns', '--dev-bind', '/', '/'];
		const r = inside(around, ['exec', '--', 'echo', 'ran']);

		assert.equal(r.status, 1);
		assert.equal(r.stdout, '');
		assert.match(r.stderr, /no more namespaces are allowed here/);
		assert.equal(doctor(around)['user namespaces'].state, 'missing');
	});

	for (const [mark, kind, remedy] of [
		['/run/.containerenv', 'podman', /unmask=ALL/],
		['/.dockerenv', 'docker', /systempaths=unconfined/],
	]) {
		test(`${mark} is ${kind}'s, and doctor knows its options`, () => {
			const script = mark.startsWith('/run')
				? `mount -t tmpfs none /run && touch ${mark}`
				: `{ [ -e ${mark} ] || mount --bind /dev/null ` +
					`${mark} 2>/dev/null || exit 77; }`;
			const around = [...changed(script),
				'setpriv', '--bounding-set=-sys_admin'];
			const probe = inside(around, ['version']);

			if (probe.status === 77)
				return; // the root folder cannot take the mark
			const found = doctor(around).container;

			assert.match(found.found, new RegExp(`^${kind}, without ` +
				'CAP_SYS_ADMIN'));
			assert.equal(found.state, 'missing');
			assert.match(found.remedy, remedy);
		});
	}

	test('the name of a pod\'s environment is kubernetes\'', () => {
		const found = doctor(['env', 'KUBERNETES_SERVICE_HOST=x']).container;

		assert.match(found.found, /^kubernetes/);
	});

	test('a filter of system calls around us is named', () => {
		const found = doctor(['env', 'container=lxc', 'setpriv',
			'--no-new-privs']).container;

		assert.doesNotMatch(found.found, /seccomp filter/);
	});
});

test('a sandbox inside a sandbox is refused with a reason', () => {
	fs.copyFileSync(paddock, path.join(dir, 'paddock'));
	const r = spawnSync(paddock, ['exec', '--', './paddock', 'exec', '--',
		'echo', 'ran'], { cwd: dir, encoding: 'utf8', timeout: 20000 });

	assert.equal(r.status, 1, r.stderr);
	assert.equal(r.stdout, '');
	assert.match(r.stderr, /clone3|namespaces/);
});
