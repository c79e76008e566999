// The main job as an ordinary user: programs, state and work folder are the
// user's own, nothing is asked of root.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { Place, example, isRoot, until } from './lib/paddock.js';

const user = isRoot ? { uid: 65534, gid: 65534 } : {};
const may = spawnSync('unshare', ['-Ur', 'true'], user).status === 0;
const skip = may ? false
	: 'this machine gives ordinary users no user namespaces';

// A place whose folder is the user's.
function home() {
	const place = new Place();

	fs.chmodSync(place.dir, 0o755);
	for (const name of fs.readdirSync(example))
		fs.copyFileSync(path.join(example, name),
			path.join(place.dir, name));
	if (isRoot)
		fs.chownSync(place.dir, user.uid, user.gid);
	return place;
}

function options(place) {
	return { ...user, cwd: place.dir, input: '',
		env: { PATH: process.env.PATH, HOME: place.dir } };
}

function verified(r) {
	assert.strictEqual(r.status, 0, r.out + r.err);
	assert.strictEqual(JSON.parse(r.out).sound, true);
}

describe('as an ordinary user', { skip }, () => {
	test('exec runs a command that is not root and has no network',
		async () => {
			const place = home();
			const r = await place.command(['exec', '--', '/bin/sh', '-c',
				'id -u; ls /sys/class/net 2>/dev/null; ' +
				'echo new >file; cat file; exit 5'],
			options(place)).end();

			assert.strictEqual(r.status, 5, r.err);
			assert.match(r.out, /new/);
			assert.doesNotMatch(r.out, /^0$/m);
			assert.ok(!fs.existsSync(path.join(place.dir, 'file')));
			await place.nothingLeft([]);
		});

	test('the agent works the ticket without a daemon', async () => {
		const place = home();
		const c = place.command(['run', 'policy.json', '--world',
			'world.json', '--state', place.state, '--env', place.mark,
			'--', '/usr/bin/python3', 'agent.py'], options(place));
		const [, approval] = await c.says(/approve (a-\w+)/);
		const yes = await place.cli(['approve', approval],
			options(place));

		assert.strictEqual(yes.status, 0, yes.err);
		const end = await c.end();

		assert.strictEqual(end.status, 0, end.out + end.err);
		assert.match(end.out, /EMAIL-\d+ sent/);
		verified(await place.cli(['trace', 'verify', '--json'],
			options(place)));
		await place.nothingLeft([]);
	});

	test('the hostile agent reaches nothing', async () => {
		const place = home();
		const end = await place.command(['run', 'policy.json', '--world',
			'world.json', '--state', place.state, '--env', place.mark,
			'--', '/usr/bin/python3', 'agent_hostile.py'],
		options(place)).end(60000);

		assert.strictEqual(end.status, 1, end.err);
		assert.doesNotMatch(end.out, /REACHED/);
		assert.match(end.err, /tool_call_budget_exceeded/);
		await place.nothingLeft([]);
	});

	test('a daemon serves, and a killed role leaves nothing', async () => {
		const place = home();
		const serve = place.command(['serve', '--state', place.state],
			options(place));

		await serve.says(/serving on/);
		const c = place.command(['run', 'policy.json', '--state',
			place.state, '--env', place.mark, '--', '/bin/sleep', '600'],
		options(place));

		await c.says(/run (r-\w+)/);
		const pid = await until(() => place.processes().find(
			(p) => p.role === 'broker'), 'the broker');

		process.kill(pid.pid, 'SIGKILL');
		const end = await c.end();

		assert.strictEqual(end.status, 1, end.err);
		serve.child.kill('SIGTERM');
		assert.strictEqual((await serve.end()).status, 0);
		verified(await place.cli(['trace', 'verify', '--json'],
			options(place)));
		await place.nothingLeft([]);
	});
});
