// Every role is killed at every moment. Afterwards nothing of it is left, or
// the daemon has recovered and works; every run has an end with a reason, and
// every effect that anybody saw has its records in a trace that is sound.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';

import { Daemon, Place, assertRecorded, email, example, here, policy,
	rolesBelow, scratch, trace, until, verify } from './lib/paddock.js';
import { descendants, isAlive } from './lib/proc.js';

const roles = ['supervisor', 'broker', 'gateway', 'proxy', 'world', 'tools',
	'init'];
const sending = { tools: { 'email.send':
	{ risk: 'external_write', mode: 'allow' } } };
const work = path.join(scratch, 'work');
const files = {
	sending: path.join(scratch, 'sending.json'),
	asking: path.join(scratch, 'asking.json'),
};
const worldFile = path.join(example, 'world.json');

before(() => {
	fs.mkdirSync(work);
	fs.copyFileSync(path.join(here, 'lib/agent.py'),
		path.join(work, 'agent.py'));
	const budgets = { max_tool_calls: 1000000 };

	fs.writeFileSync(files.sending, JSON.stringify(
		policy({ ...sending, budgets })));
	fs.writeFileSync(files.asking, JSON.stringify(policy({ budgets })));
});

// `paddock run` of the agent: with the daemon of the state, or its own.
function agent(place, policyFile = files.sending) {
	return place.command(['run', policyFile, '--world', worldFile,
		'--state', place.state, '--env', place.mark, '--',
		'/usr/bin/python3', 'agent.py'], { cwd: work, input: '' });
}

function idsIn(text) {
	return [...text.matchAll(/"id":"(EMAIL-\d+)"/g)].map((m) => m[1]);
}

// Every mail that somebody was told of is in the records of its run.
async function assertSeen(state, run, ids) {
	const records = await trace(state, run);
	const known = new Set(records.filter((r) =>
		r.kind === 'tool.finished' && r.res?.status === 'ok')
		.flatMap((r) => idsIn(r.res.out.preview)));

	assertRecorded(records);
	for (const id of ids)
		assert.ok(known.has(id), `${id} of ${run} is on record`);
	return records.find((r) => r.kind === 'run.closed').body;
}

// One after the other, until the door or the run says no.
async function callUntilEnd(api, run, seen) {
	for (let i = 0; ; i++) {
		const a = await api.call(run, 'email.send',
			{ ...email, subject: `mail ${i}` }).catch(() => undefined);

		if (a?.status === 200)
			seen.push(a.body.id);
		else if (a !== undefined || i > 1000)
			return a;
	}
}

function pidOf(d, role) {
	return role === 'supervisor' ? d.supervisor : d.roles()[role];
}

// After the kill: the daemon is gone, or works as before.
async function assertWorks(d, role, pid) {
	if (role === 'supervisor') {
		const end = await d.command.end();

		assert.strictEqual(end.status, 1, end.err);
		assert.match(end.err, /supervisor/);
		return;
	}
	await until(() => !isAlive(pid), 'the killed one to be gone');
	if (role !== 'init')
		await until(() => (d.roles()[role] ?? pid) !== pid,
			`another ${role}`);
	const run = await until(async () => {
		const a = await d.ask('POST', '/v1/runs', { policy:
			policy(sending), world: JSON.parse(
			fs.readFileSync(worldFile)) }).catch(() => undefined);

		return a?.status === 201 ? a.body : undefined;
	}, 'a new run to open');
	const sent = await until(async () => {
		const a = await d.tcp().call(run, 'email.send', email)
			.catch(() => undefined);

		return a?.status === 200 ? a : undefined;
	}, 'a call to be answered');

	assert.strictEqual(sent.body.status, 'sent');
	// A sandbox can be made again, too.
	const again = await d.place.command(['run', files.sending, '--state',
		d.state, '--env', d.place.mark, '--', '/bin/echo', 'hello'],
	{ cwd: work, input: '' }).end();

	assert.match(again.out, /hello/, again.err);
	assert.strictEqual(again.status, 0, again.err);
}

async function assertEnd(d, supervisors) {
	if (d.command.child.exitCode === null)
		await d.stop();
	await d.place.nothingLeft(supervisors);
	await verify(d.state);
}

for (const role of roles)
	describe(`serve, ${role} is killed`, { concurrency: 2 }, () => {
		if (role !== 'init')
			test('while nothing happens', async () => {
				const d = await Daemon.start();
				const pid = pidOf(d, role);

				process.kill(pid, 'SIGKILL');
				await assertWorks(d, role, pid);
				await assertEnd(d, [d.supervisor]);
			});

		// Calls of tool servers: servers.test.js. Others go on without it.
		if (role === 'tools')
			return;
		for (const calls of [1, 3, 10])
			test(`after ${calls} calls, with others under way`,
				() => underWay(role, calls));

		test('while an approval waits', () => whileWaiting(role));

		test('while a run is being opened', () => whileOpening(role));
	});

async function underWay(role, calls) {
	const d = await Daemon.start();
	const inside = agent(d.place);
	const [, insideRun] = await inside.says(/run (r-\w+)/);
	const run = await d.open(sending);
	const seen = [];
	const outside = callUntilEnd(d.tcp(), run, seen);

	await until(() => seen.length >= calls &&
		idsIn(inside.out).length >= calls, 'calls');
	const pid = pidOf(d, role);

	process.kill(pid, 'SIGKILL');
	await assertWorks(d, role, pid);
	if (role === 'gateway' || role === 'proxy') {
		const had = idsIn(inside.out).length;

		await until(() => idsIn(inside.out).length > had,
			'the run to go on');
		inside.child.kill('SIGINT');
	}
	const end = await inside.end();

	if (role !== 'gateway')
		assert.notStrictEqual(end.status, 0, end.err);
	if (role !== 'supervisor' && role !== 'broker')
		await d.ask('POST', `/v1/runs/${run.run}/stop`, {});
	await outside;
	if (role !== 'supervisor')
		await d.stop();
	for (const [id, ids] of [[insideRun, idsIn(inside.out)],
		[run.run, seen]]) {
		if (role === 'supervisor')
			await until(async () => (await trace(d.state, id)).some(
				(r) => r.kind === 'run.closed'), `end of ${id}`);
		const body = await assertSeen(d.state, id, ids);

		assert.ok(body.stop_reason, JSON.stringify(body));
	}
	await assertEnd(d, [d.supervisor]);
}

async function whileWaiting(role) {
	const d = await Daemon.start();
	const inside = agent(d.place, files.asking);
	const [, run] = await inside.says(/run (r-\w+)/);
	const approval = await d.approval(run);
	const pid = pidOf(d, role);

	process.kill(pid, 'SIGKILL');
	await assertWorks(d, role, pid);
	if (role === 'gateway' || role === 'proxy') {
		// It is still there, and can still be decided.
		assert.strictEqual((await d.decide(approval, 'reject')).status,
			200);
		await inside.says(/403|lost/);
		inside.child.kill('SIGINT');
	} else if (role !== 'supervisor') {
		const a = await d.decide(approval, 'approve');

		assert.ok([404, 409].includes(a.status), JSON.stringify(a));
	}
	await inside.end();
	if (role !== 'supervisor')
		await d.stop();
	await until(async () => (await trace(d.state, run)).some(
		(r) => r.kind === 'run.closed'), 'the end');
	const body = await assertSeen(d.state, run, []);

	assert.ok(body.stop_reason, JSON.stringify(body));
	assert.ok(!(await trace(d.state, run)).some(
		(r) => r.kind === 'tool.started'));
	await assertEnd(d, [d.supervisor]);
}

async function whileOpening(role) {
	const d = await Daemon.start();
	const opened = [];

	// Many at once: the kill meets each of them somewhere else.
	for (let i = 0; i < 8; i++)
		opened.push(agent(d.place));
	if (role === 'init')
		await until(() => d.roles().init !== undefined, 'a sandbox');
	const pid = pidOf(d, role);

	process.kill(pid, 'SIGKILL');
	await assertWorks(d, role, pid);
	for (const c of opened)
		c.child.kill('SIGINT');
	for (const c of opened) {
		const end = await c.end();

		// SIGINT ends one that is not that far yet, and nothing else.
		assert.ok(end.status !== null || end.signal === 'SIGINT',
			`${end.signal} ${end.err}`);
	}
	if (role !== 'supervisor')
		await d.stop();
	await d.place.nothingLeft([d.supervisor]);
	const all = await d.place.cli(['trace', 'ls', '--json']);

	for (const l of all.out.trim().split('\n').filter((t) => t !== '')) {
		const { run } = JSON.parse(l);

		await until(async () => (await trace(d.state, run)).some(
			(r) => r.kind === 'run.closed'), `the end of ${run}`);
		assertRecorded(await trace(d.state, run));
	}
	await verify(d.state);
}

for (const role of roles.filter((r) => r !== 'init'))
	test(`serve, ${role} is killed as soon as it is there`, async () => {
		const place = new Place();
		const serve = place.command(
			['serve', '--state', place.state], { input: '' });
		const p = await until(() => descendants(serve.pid)
			.find((q) => q.role === role), `a ${role}`);
		const supervisor = descendants(serve.pid)
			.find((q) => q.role === 'supervisor').pid;

		process.kill(p.pid, 'SIGKILL');
		if (role !== 'supervisor') {
			await serve.says(/serving on/);
			serve.child.kill('SIGTERM');
		}
		const end = await serve.end();

		assert.strictEqual(end.status, role === 'supervisor' ? 1 : 0,
			end.err);
		await place.nothingLeft([supervisor]);
	});

for (const role of roles)
	describe(`embedded run, ${role} is killed`, { concurrency: 2 }, () => {
		for (const moment of ['start', 'calls', 'approval'])
			test({ start: 'as soon as it is there',
				calls: 'while calls are under way',
				approval: 'while an approval waits' }[moment],
			() => embedded(role, moment));
	});

async function embedded(role, moment) {
	const place = new Place();
	const { state } = place;
	const c = agent(place, moment === 'approval' ? files.asking
		: files.sending);
	const supervisor = (await until(() => descendants(c.pid)
		.find((q) => q.role === 'supervisor'), 'a supervisor')).pid;

	if (moment === 'calls')
		await until(() => idsIn(c.out).length > 3, 'calls');
	if (moment === 'approval')
		await c.says(/waits for approval/);
	const pid = await until(() => role === 'supervisor' ? supervisor
		: rolesBelow(supervisor)[role], `a ${role}`);

	process.kill(pid, 'SIGKILL');
	await until(() => !isAlive(pid), 'the killed one to be gone');
	// A run that goes on is ended as a person would.
	if (moment === 'start' ||
		['gateway', 'proxy', 'tools'].includes(role)) {
		await c.says(/run r-\w+|error|paddock: /);
		c.child.kill('SIGINT');
	}
	const end = await c.end();

	assert.notStrictEqual(end.status, 0, end.err);
	assert.ok(end.err.length > 0);
	await place.nothingLeft([supervisor]);
	const [, run] = end.err.match(/run (r-\w+)/) ?? [];

	if (run !== undefined) {
		const body = await assertSeen(state, run, idsIn(end.out));

		assert.ok(body.stop_reason, JSON.stringify(body));
	}
	if (fs.existsSync(path.join(state, 'store/trace.db')))
		await verify(state);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Kills the gateway, and the broker hears of the new one before the end of the
// old: it is held meanwhile, with questions of the old one left to read.
async function gatewayEndsUnseen(d) {
	const { broker, gateway } = d.roles();

	process.kill(broker, 'SIGSTOP');
	const asked = [1, 2, 3, 4].map(() => d.get('/v1/health')
		.catch(() => undefined));

	await pause(200);
	process.kill(gateway, 'SIGKILL');
	await until(() => (d.roles().gateway ?? gateway) !== gateway,
		'another gateway');
	// It is linked as soon as it has said that it is ready.
	await pause(200);
	process.kill(broker, 'SIGCONT');
	await Promise.all(asked);
}

describe('a client whose gateway ends', { concurrency: true }, () => {
	test('and who ends with it: so does its run', async () => {
		const d = await Daemon.start();
		const c = agent(d.place);
		const [, run] = await c.says(/run (r-\w+)/);

		await until(() => idsIn(c.out).length > 3, 'calls');
		process.kill(c.pid, 'SIGSTOP');
		await gatewayEndsUnseen(d);
		c.child.kill('SIGKILL');
		const end = await until(async () => (await trace(d.state, run))
			.find((r) => r.kind === 'run.closed'), 'the end');

		assert.strictEqual(end.body.stop_reason, 'client_gone');
		await assertEnd(d, [d.supervisor]);
	});

	test('waits again each time, and its death ends the run', async () => {
		const d = await Daemon.start();
		const c = agent(d.place);
		const [, run] = await c.says(/run (r-\w+)/);

		for (let i = 0; i < 3; i++) {
			const had = idsIn(c.out).length;

			await until(() => idsIn(c.out).length > had, 'a call');
			await gatewayEndsUnseen(d);
			await until(async () => (await d.ask('GET',
				`/v1/runs/${run}`).catch(() => undefined))
				?.status === 200, 'an answer');
		}
		// Longer than a run lives for which nobody waits any more.
		await pause(6000);
		assert.strictEqual((await d.get(`/v1/runs/${run}`)).status, 'open');
		c.child.kill('SIGKILL');
		const end = await until(async () => (await trace(d.state, run))
			.find((r) => r.kind === 'run.closed'), 'the end');

		assert.strictEqual(end.body.stop_reason, 'client_gone');
		await assertEnd(d, [d.supervisor]);
	});

	test('and who is interrupted then: the run stops', async () => {
		const d = await Daemon.start();
		const c = agent(d.place);
		const [, run] = await c.says(/run (r-\w+)/);

		await until(() => idsIn(c.out).length > 3, 'calls');
		process.kill(d.roles().gateway, 'SIGKILL');
		c.child.kill('SIGINT');
		const end = await c.end();

		assert.notStrictEqual(end.status, 0, end.err);
		assert.strictEqual((await trace(d.state, run)).find((r) =>
			r.kind === 'run.closed').body.stop_reason, 'interrupted');
		await assertEnd(d, [d.supervisor]);
	});
});

describe('the command line itself is killed', { concurrency: true }, () => {
	test('run with a daemon: the run ends, the daemon goes on', async () => {
		const d = await Daemon.start();
		const c = agent(d.place);
		const [, run] = await c.says(/run (r-\w+)/);

		await until(() => idsIn(c.out).length > 3, 'calls');
		c.child.kill('SIGKILL');
		const end = await d.closed(run);

		assert.strictEqual(end.stop_reason, 'client_gone');
		await assertSeen(d.state, run, idsIn(c.out));
		await assertEnd(d, [d.supervisor]);
	});

	test('run without a daemon: all of it ends', async () => {
		const place = new Place();
		const { state } = place;
		const c = agent(place);
		const [, run] = await c.says(/run (r-\w+)/);
		const supervisor = descendants(c.pid)
			.find((q) => q.role === 'supervisor').pid;

		await until(() => idsIn(c.out).length > 3, 'calls');
		c.child.kill('SIGKILL');
		await until(() => !isAlive(supervisor), 'the supervisor to end');
		await place.nothingLeft([supervisor]);
		const body = await assertSeen(state, run, idsIn(c.out));

		assert.strictEqual(body.stop_reason, 'client_gone');
		await verify(state);
	});

	test('serve: all of it ends', async () => {
		const d = await Daemon.start();
		const c = agent(d.place);
		const [, run] = await c.says(/run (r-\w+)/);

		await until(() => idsIn(c.out).length > 3, 'calls');
		d.command.child.kill('SIGKILL');
		await until(() => !isAlive(d.supervisor), 'its end');
		assert.notStrictEqual((await c.end()).status, 0);
		await d.place.nothingLeft([d.supervisor]);
		const body = await assertSeen(d.state, run, idsIn(c.out));

		assert.ok(body.stop_reason);
		await verify(d.state);
	});
});
