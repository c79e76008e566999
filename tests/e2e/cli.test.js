// The command line: what it says, how it ends, and that its lists parse.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Command, Daemon, Place, cli, email, example, freePort, policy,
	scratch, until } from './lib/paddock.js';
import { isAlive } from './lib/proc.js';

const worldFile = path.join(example, 'world.json');
const commands = ['run', 'exec', 'mcp', 'serve', 'ps', 'stop', 'kill',
	'approvals', 'approve', 'reject', 'trace', 'trace show',
	'trace verify', 'trace ls', 'trace export', 'trace checkpoint', 'trace key', 'policy', 'policy check',
	'policy explain', 'doctor'];
const good = path.join(scratch, 'good.json');
let d;

before(async () => {
	fs.writeFileSync(good, JSON.stringify(policy()));
	d = await Daemon.start();
});
after(() => d.stop());

let n = 0;

function file(text) {
	const name = path.join(scratch, `file-${++n}`);

	fs.writeFileSync(name, text);
	return name;
}

// One message, for a person, and no more.
function assertComplaint(r, status, says) {
	assert.strictEqual(r.status, status, r.out + r.err);
	assert.match(r.err, says);
	assert.ok(!/Sanitizer|assert|SIG/.test(r.err), r.err);
	assert.ok(r.err.trim().split('\n').length <= 4, r.err);
}

for (const c of commands)
	test(`${c} --help has an example, on standard output`, async () => {
		const r = await cli([...c.split(' '), '--help']);

		assert.strictEqual(r.status, 0, r.err);
		assert.match(r.out, /^usage: paddock /);
		assert.match(r.out, /^example[:,][\s\S]*paddock /im);
		assert.strictEqual(r.err, '');
	});

test('version and help are told, and help lists every command', async () => {
	assert.match((await cli(['version'])).out, /^paddock \d+\.\d+/);
	const help = await cli(['help']);

	for (const c of commands)
		assert.ok(help.out.includes(`  ${c.split(' ')[0]} `), c);
	assert.strictEqual((await cli([])).status, 2);
});

describe('wrong usage is status 2 and says how it is right', () => {
	const rows = [
		[['rnu'], /did you mean run/],
		[['run'], /--/],
		[['run', '--', 'true'], /POLICY is missing/],
		[['run', good], /no command/],
		[['run', good, '--'], /nothing stands behind/],
		[['run', good, '--wrld', 'x', '--', 'true'], /did you mean --world/],
		[['run', good, '--env', 'X', '--', 'true'], /NAME=VALUE/],
		[['run', good, 'other', '--', 'true'], /unexpected argument other/],
		[['run', good, '--dir'], /needs a value|no command/],
		[['serve', '--listen', 'x'], /--listen/],
		[['serve', '--listen', '127.0.0.1:99999'], /--listen/],
		[['serve', 'x'], /unexpected argument x/],
		[['stop'], /RUN is missing/],
		[['stop', 'x'], /not the name of a run/],
		[['kill', 'r-1'], /not the name of a run/],
		[['ps', '--limit', '0'], /from 1 to/],
		[['ps', '--jsn'], /did you mean --json/],
		[['approve'], /missing/],
		[['approve', 'nonsense'], /not the name of an approval/],
		[['trace', 'shw'], /show/],
		[['policy', 'chek', good], /check/],
		[['exec'], /command|--/],
		[['exec', '--memory', 'x', '--', 'true'], /number/],
	];

	for (const [args, says] of rows)
		test(args.join(' ').replaceAll(scratch, ''), async () => {
			assertComplaint(await cli(args), 2, says);
		});
});

describe('a malformed file is status 1, with its place', () => {
	const rows = [
		['no JSON', '{\n "workflow": }', /:2:14: /],
		['an unknown member', '{ "workflow": "w",\n "tols": {} }',
			/:2:\d+: .*did you mean `tools`/],
		['a duplicate key', '{ "workflow": "w",\n "workflow": "w" }',
			/:2:\d+: /],
		['a bad risk', '{ "workflow": "w", "tools":\n' +
			' { "a": { "risk": "raed" } } }', /:2:\d+: .*read/],
		['a budget below 1', '{ "workflow": "w", "max_tool_calls": 0,' +
			' "tools": {} }', /:1:\d+: .*max_tool_calls/],
		['nothing', '', /./],
		['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]),
			/./],
		['YAML with an anchor', 'policy: &a 1\ntools: *a\n', /:1:\d+: /],
	];

	for (const [name, text, says] of rows)
		test(`policy: ${name}`, async () => {
			const f = file(text);

			for (const args of [['policy', 'check', f],
				['run', f, '--state', d.state, '--', 'true']]) {
				const r = await cli(args);

				assert.strictEqual(r.status, 1, r.out + r.err);
				assert.match(r.out + r.err, says);
			}
		});

	const worlds = [
		['no JSON', '{ "world": 1,\n x }', /:2:2|line 2/],
		['not an object', '[]', /object/],
		['no version', '{}', /world/],
		['an unknown section', '{ "world": 1, "now": ' +
			'"2026-01-01T00:00:00Z", "custmers": [] }', /custmers/],
		['a bad date', '{ "world": 1, "now": "tomorrow" }', /now/],
	];

	for (const [name, text, says] of worlds)
		test(`world: ${name}`, async () => {
			const r = await cli(['run', good, '--world', file(text),
				'--state', d.state, '--', 'true']);

			assertComplaint(r, 1, says);
		});

	test('one that is not there, or a folder', async () => {
		for (const f of [path.join(scratch, 'none'), scratch]) {
			assertComplaint(await cli(['run', f, '--', 'true']), 1,
				/No such file|directory/i);
			assertComplaint(await cli(['run', good, '--world', f,
				'--', 'true']), 1, /No such file|directory/i);
		}
	});
});

describe('run and exec end as the command did', { concurrency: 2 }, () => {
	const run = (...command) => cli(['run', good, '--state', d.state, '--',
		...command]);

	test('with its status', async () => {
		for (const status of [0, 1, 7, 255]) {
			const sh = ['/bin/sh', '-c', `exit ${status}`];

			assert.strictEqual((await run(...sh)).status, status);
			assert.strictEqual((await cli(['exec', '--', ...sh]))
				.status, status);
		}
	});

	test('with 128 and the signal that killed it', async () => {
		const sh = ['/bin/sh', '-c', 'kill -TERM $$'];

		assert.strictEqual((await run(...sh)).status, 143);
		assert.strictEqual((await cli(['exec', '--', ...sh])).status,
			143);
	});

	test('with a message when it is not there', async () => {
		const r = await run('no-such-program');

		assert.ok([1, 127].includes(r.status), r.err);
		assert.match(r.err, /command_not_found|no-such-program/);
		assert.strictEqual((await cli(['exec', '--', 'no-such-program']))
			.status, 127);
	});

	test('with its input, output and errors passed on', async () => {
		const r = await cli(['run', good, '--state', d.state, '--',
			'/bin/sh', '-c', 'cat; echo err >&2'], { input: 'in\n' });

		assert.strictEqual(r.out, 'in\n');
		assert.match(r.err, /^err$/m);
	});

	test('run uses the daemon that is there', async () => {
		const r = await run('/bin/true');
		const [, id] = r.err.match(/run (r-\w+)/);

		assert.strictEqual((await d.get(`/v1/runs/${id}`)).run, id);
	});

	test('writes vanish, unless --write-back is given', async () => {
		const dir = fs.mkdtempSync(path.join(scratch, 'work-'));
		const sh = ['--', '/bin/sh', '-c', 'echo x >new && cat new'];
		const args = ['run', good, '--state', d.state, '--dir', dir];

		assert.strictEqual((await cli([...args, ...sh])).out, 'x\n');
		assert.deepStrictEqual(fs.readdirSync(dir), []);
		assert.strictEqual((await cli([...args, '--write-back', ...sh]))
			.out, 'x\n');
		assert.deepStrictEqual(fs.readdirSync(dir), ['new']);
	});
});

test('a variable of paddock itself cannot be set', async () => {
	assertComplaint(await cli(['run', good, '--state', d.state, '--env',
		'PADDOCK_MCP_URL=http://evil.example', '--', 'true']), 1,
	/PADDOCK_MCP_URL/);
});

test('a second daemon on one state is refused, and says who has it',
	async () => {
		const r = await cli(['serve', '--state', d.state]);

		assertComplaint(r, 1, new RegExp(`pid ${d.supervisor}\\).*already`));
		assert.strictEqual((await d.get('/v1/health')).status, 'ok');
	});

test('a port that is taken, or not of this machine, is refused', async () => {
	const taken = await cli(['serve', '--state', new Place().state,
		'--listen', `127.0.0.1:${d.port}`]);

	assertComplaint(taken, 1, /in use/);
	const wide = await cli(['serve', '--state', new Place().state,
		'--listen', `0.0.0.0:${await freePort()}`]);

	assertComplaint(wide, 2, /not an address of this machine/);
});

test('without a daemon, each command says so', async () => {
	const place = new Place();

	for (const args of [['stop', '--all'], ['kill', '--all'],
		['approvals'], ['approve', 'a-7k3m9q2v5w1x']])
		assertComplaint(await place.cli(args), 1, /daemon/);
	const ps = await place.cli(['ps', '--json']);

	assert.deepStrictEqual(JSON.parse(ps.out), []);
});

describe('a run that is under way', { concurrency: 2 }, () => {
	const sleeper = () => new Command(['run', good, '--state', d.state,
		'--env', d.place.mark, '--', '/bin/sleep', '600'], { input: '' });

	test('is stopped by Ctrl-C, with the reason on record', async () => {
		const c = sleeper();
		const [, id] = await c.says(/run (r-\w+)/);

		c.child.kill('SIGINT');
		const end = await c.end();

		assert.strictEqual(end.status, 1, end.err);
		const stop = JSON.parse(end.err.trim().split('\n').pop());

		assert.strictEqual(stop.status, 'stopped');
		assert.strictEqual((await d.closed(id)).stop_reason, stop.reason);
	});

	test('is listed by ps and stopped by stop', async () => {
		const c = sleeper();
		const [, id] = await c.says(/run (r-\w+)/);
		const ps = await cli(['ps', '--json', '--state', d.state]);

		assert.ok(JSON.parse(ps.out).some((r) => r.run === id));
		assert.match((await cli(['ps', '--state', d.state])).out,
			new RegExp(id));
		const r = await cli(['stop', id, '--reason', 'lunch', '--state',
			d.state]);

		assert.strictEqual(r.status, 0, r.err);
		assert.strictEqual((await c.end()).status, 1);
		assert.strictEqual((await d.closed(id)).stop_reason, 'lunch');
	});

	test('is killed by kill, and a second kill says that it is over',
		async () => {
			const c = sleeper();
			const [, id] = await c.says(/run (r-\w+)/);

			assert.match((await cli(['kill', id, '--state', d.state]))
				.out, /killed 1/);
			assert.strictEqual((await c.end()).status, 1);
			assert.strictEqual((await d.closed(id)).stop_reason,
				'killed');
			assertComplaint(await cli(['kill', id, '--state', d.state]),
				1, /does not run/);
		});

	test('kill --all kills, even with a broker that hangs', async () => {
		const own = await Daemon.start();
		const c = new Command(['run', good, '--state', own.state, '--env',
			own.place.mark, '--', '/bin/sleep', '601'], { input: '' });

		await c.says(/run (r-\w+)/);
		const { broker, init } = own.roles();

		process.kill(broker, 'SIGSTOP');
		const r = await own.place.cli(['kill', '--all']);

		assert.match(r.out, /killed 1/);
		await until(() => !isAlive(init), 'the sandbox to end');
		process.kill(broker, 'SIGCONT');
		assert.strictEqual((await c.end()).status, 1);
		await own.stop();
		await own.place.nothingLeft([own.supervisor]);
	});

	test('shows an approval, and is decided by approve and reject',
		async () => {
			const run = await d.open();
			const held = d.tcp().call(run, 'email.send', email);
			const id = await d.approval(run.run);
			const list = await cli(['approvals', '--json', '--state',
				d.state]);

			assert.ok(JSON.parse(list.out).some(
				(a) => a.approval === id));
			const one = await cli(['approvals', id, '--json', '--state',
				d.state]);

			assert.strictEqual(JSON.parse(one.out).tool, 'email.send');
			const yes = await cli(['approve', id, '--json', '--state',
				d.state]);

			assert.strictEqual(yes.status, 0, yes.err);
			assert.strictEqual(JSON.parse(yes.out).approval, id);
			assert.strictEqual((await held).status, 200);
			assertComplaint(await cli(['reject', id, '--state',
				d.state]), 1, /already|decided|open/);
		});
});

test('every list and report parses as JSON', async () => {
	for (const args of [['ps', '--all'], ['approvals', '--all'],
		['doctor'], ['trace', 'verify']]) {
		const state = args[0] === 'doctor' ? []
			: ['--state', d.state];
		const r = await cli([...args, '--json', ...state]);

		assert.doesNotThrow(() => JSON.parse(r.out),
			`${args}: ${r.out}${r.err}`);
	}
	for (const args of [['trace', 'ls'], ['trace', 'show', 'last']]) {
		const r = await cli([...args, '--json', '--state', d.state]);

		for (const l of r.out.trim().split('\n'))
			assert.doesNotThrow(() => JSON.parse(l), l);
	}
	const explain = await cli(['policy', 'explain', good, 'email.send',
		'--json']);

	assert.doesNotThrow(() => JSON.parse(explain.out), explain.err);
});

test('the world is seen through --world', async () => {
	const r = await cli(['run', good, '--state', d.state, '--world',
		worldFile, '--quiet', '--', '/usr/bin/python3', '-c',
		'import os, urllib.request as u\n' +
		'q = u.Request(os.environ["PADDOCK_MCP_URL"][:-4] + ' +
		'"/v1/tools")\nprint(u.urlopen(q).read().decode())']);

	assert.match(r.out, /kb\.search/, r.err);
	assert.strictEqual(r.err, '');
});
