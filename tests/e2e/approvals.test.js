// Who decides when nobody has, answers by link and by script, and how people
// decide.
import assert from 'node:assert';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Daemon, email, until } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

async function voter(actor, roles = ['approver']) {
	const t = await d.post('/v1/tokens', { tenant: 'acme', actor,
		roles });

	return d.tcp(t.secret);
}

async function waiting(approvals, more = {}) {
	const run = await d.open({ tenant: 'acme', actor: 'agent', approvals,
		tools: { 'email.send': { risk: 'external_write', mode: 'approve',
			approval: 'lead' } }, ...more });
	const held = d.tcp().call(run, 'email.send', email);

	return { run, held, approval: await d.approval(run.run) };
}

async function sent(run) {
	const all = await d.trace(run.run);
	const done = all.filter((e) =>
		e.kind === 'tool.finished' && e.res.status === 'ok');

	// What it took is its own time; mono is in microseconds.
	for (const e of done)
		assert.ok(e.use.ms * 1000 <= e.mono - all[0].mono + 1000,
			JSON.stringify(e));
	return done.length;
}

describe('an approval that nobody decides', () => {
	test('goes to whom its rule names, without its votes', async () => {
		const { held, approval, run } = await waiting({
			lead: { deadline_s: 1, on_timeout: 'escalate', quorum: 2,
				escalate_to: 'boss' },
			boss: { from_roles: ['boss'], deadline_s: 60 } });
		const ann = await voter('ann');
		const boss = await voter('bob', ['approver', 'boss']);

		await ann.decide(approval, 'approve');
		await until(async () => (await d.get(
			`/v1/approvals/${approval}`)).detail.escalated, 'escalated');
		const now = await d.get(`/v1/approvals/${approval}`);

		assert.deepStrictEqual(now.detail.level, { from_roles: ['boss'],
			name: 'boss', quorum: 1 });
		assert.deepStrictEqual(now.detail.votes, []);
		assert.ok(now.deadline_ms > Date.now() + 50000);
		assert.strictEqual((await (await voter('cid')).decide(approval,
			'approve')).status, 403);
		assert.strictEqual(await sent(run), 0);
		assert.strictEqual((await boss.decide(approval, 'approve')).status,
			200);
		assert.strictEqual((await held).status, 200);
		const to = (await d.trace(run.run)).find((e) =>
			e.body?.verdict === 'escalate');

		assert.deepStrictEqual([to.body.by, to.body.rule],
			['paddock', 'boss']);
	});

	test('ends as the last one says, and is never allowed', async () => {
		const { held, approval, run } = await waiting({
			lead: { deadline_s: 1, on_timeout: 'escalate',
				escalate_to: 'boss' },
			boss: { deadline_s: 1 } });

		assert.strictEqual((await held).body.code, 'approval_expired');
		assert.strictEqual((await d.decide(approval, 'approve')).status,
			409);
		assert.strictEqual(await sent(run), 0);
	});

	test('is handed on by a person before its time', async () => {
		const { held, approval } = await waiting({
			lead: { on_timeout: 'escalate', escalate_to: 'boss' },
			boss: { from_roles: ['boss'] } });
		const ann = await voter('ann');

		assert.strictEqual((await ann.decide(approval, 'escalate')).status,
			200);
		assert.strictEqual((await ann.decide(approval, 'approve')).status,
			403);
		await (await voter('bob', ['approver', 'boss']))
			.decide(approval, 'reject');
		assert.strictEqual((await held).body.code, 'rejected');
	});

	test('a policy whose escalation has no end is refused', async () => {
		for (const [approvals, why] of [
			[{ a: { on_timeout: 'escalate', escalate_to: 'b' },
				b: { on_timeout: 'escalate', escalate_to: 'a' } },
			/round and round/],
			[{ a: { on_timeout: 'escalate', escalate_to: 'a' } },
				/round and round/],
			[{ a: { on_timeout: 'escalate', escalate_to: 'x' } },
				/no approval of this name/],
			[{ a: { escalate_to: 'default' } }, /on_timeout/]]) {
			const a = await d.ask('POST', '/v1/runs', { policy: {
				policy: 1, workflow: 'x', tools: {}, approvals } });

			assert.strictEqual(a.status, 400);
			assert.match(JSON.stringify(a.body), why);
		}
	});
});

describe('a reply link', () => {
	const link = (approval, actor, roles = []) => d.post(
		`/v1/approvals/${approval}/links`, { actor, roles });

	test('answers once, as the person it is for', async () => {
		const { held, approval, run } = await waiting(
			{ lead: { from_roles: ['finance'], quorum: 2 } });
		const bea = await link(approval, 'bea', ['finance']);
		const cid = await link(approval, 'cid', ['finance']);

		assert.match(bea.secret, /^pdl_[0-9a-f]{64}$/);
		assert.strictEqual(bea.who, 'acme/bea');
		const as = d.tcp(bea.secret);

		assert.strictEqual((await as.get(`/v1/approvals/${approval}`))
			.call_sha256, bea.call_sha256);
		assert.strictEqual((await as.decide(approval, 'approve')).body
			.state, 'pending');
		assert.strictEqual((await as.decide(approval, 'approve')).status,
			401);
		// Another link of his is the same person's.
		assert.strictEqual((await d.tcp((await link(approval, 'bea',
			['finance'])).secret).decide(approval, 'approve')).status,
		403);
		assert.strictEqual(await sent(run), 0);
		assert.strictEqual((await d.tcp(cid.secret).decide(approval,
			'approve')).status, 200);
		assert.strictEqual((await held).status, 200);
		const by = (await d.trace(run.run)).filter((e) =>
			e.kind === 'approval.decided').map((e) => e.body.by);

		assert.deepStrictEqual(by, ['acme/bea', 'acme/cid']);
		assert.ok((await d.trace(run.run)).some((e) =>
			e.body?.note === 'reply_link' && e.body.for === 'acme/bea'));
		assert.ok(!JSON.stringify(await d.trace(run.run))
			.includes(bea.secret));
	});

	test('opens nothing else', async () => {
		const one = await waiting({ lead: {} });
		const two = await waiting({ lead: {} });
		const t = d.tcp((await link(one.approval, 'bea')).secret);

		for (const [method, at, body] of [
			['GET', '/v1/runs'], ['GET', '/v1/approvals'],
			['GET', '/v1/approvals/stats'], ['GET', '/v1/tokens'],
			['GET', `/v1/runs/${one.run.run}/events`],
			['POST', `/v1/approvals/${one.approval}/links`,
				{ actor: 'x' }],
			['POST', `/v1/runs/${one.run.run}/calls`,
				{ name: 'kb.search', arguments: {} }],
			['POST', `/v1/runs/${one.run.run}/stop`, {}]])
			assert.strictEqual((await t.ask(method, at, body)).status,
				403, `${method} ${at}`);
		assert.strictEqual((await t.ask('GET',
			`/v1/approvals/${two.approval}`)).status, 404);
		assert.strictEqual((await t.decide(two.approval, 'approve'))
			.status, 404);
		for (const verdict of ['terminate', 'escalate',
			'approve_edited'])
			assert.strictEqual((await t.decide(one.approval, verdict,
				{ arguments: email })).status, 403, verdict);
		await t.decide(one.approval, 'reject');
		assert.strictEqual((await one.held).body.code, 'rejected');
		await d.decide(two.approval, 'reject');
		await two.held;
	});

	test('is void once the call was edited, decided or late', async () => {
		const one = await waiting({ lead: { quorum: 2,
			edit: ['subject'] } });
		const t = d.tcp((await link(one.approval, 'bea')).secret);

		await d.decide(one.approval, 'approve_edited',
			{ arguments: { ...email, subject: 'Other' } });
		assert.strictEqual((await t.decide(one.approval, 'approve'))
			.status, 401);
		await d.decide(one.approval, 'reject');
		await one.held;
		const two = await waiting({ lead: { deadline_s: 1 } });
		const late = d.tcp((await link(two.approval, 'bea')).secret);

		await two.held;
		assert.strictEqual((await late.decide(two.approval, 'approve'))
			.status, 401);
		assert.strictEqual((await d.ask('POST',
			`/v1/approvals/${two.approval}/links`, { actor: 'x' })).status,
		404);
		assert.strictEqual(await sent(two.run), 0);
	});

	test('is not for the run\'s own actor', async () => {
		const { held, approval } = await waiting({ lead: {} });
		const t = d.tcp((await link(approval, 'agent')).secret);

		assert.strictEqual((await t.decide(approval, 'approve')).status,
			403);
		await d.decide(approval, 'reject');
		await held;
	});
});

describe('the command line', () => {
	test('answers by a script', async () => {
		const script = path.join(d.place.dir, 'answers.json');

		fs.writeFileSync(script, JSON.stringify([
			{ tool: 'email.*', verdict: 'reject', reason: 'scripted' }]));
		const answering = d.place.command(['approvals', 'answer', script,
			'--count', '2', '--state', d.state]).end();
		const one = await waiting({ lead: {} });
		const two = await waiting({ lead: {} });

		assert.strictEqual((await one.held).body.reason, 'scripted');
		assert.strictEqual((await two.held).body.reason, 'scripted');
		const r = await answering;

		assert.strictEqual(r.status, 0, r.err);
		assert.strictEqual(r.out.trim().split('\n').length, 2);
		const none = await d.place.cli(['approvals', 'answer', script,
			'--timeout', '1']);

		assert.strictEqual(none.status, 1);
	});

	test('makes links', async () => {
		const { held, approval } = await waiting({ lead: {} });
		const r = await d.place.cli(['approvals', 'link', approval,
			'--actor', 'bea', '--roles', 'finance,x']);

		assert.strictEqual(r.status, 0, r.err);
		assert.strictEqual((await d.tcp(r.out.trim()).decide(approval,
			'reject')).status, 200);
		await held;
	});

	test('brings what waits elsewhere, signed, with links', async () => {
		const key = path.join(d.place.dir, 'hook.key');
		const got = [];
		const server = http.createServer((q, a) => {
			let body = '';

			q.on('data', (s) => { body += s; }).on('end', () => {
				got.push({ body, sig: q.headers['x-signature'] });
				a.writeHead(got.length === 1 ? 500 : 200).end();
			});
		}).listen(0, '127.0.0.1');

		await once(server, 'listening');
		fs.writeFileSync(key, 'a key of enough bytes\n');
		const notify = d.place.command(['approvals', 'notify',
			'--state', d.state, '--key-file', key, '--link',
			'bea:finance', '--link', 'cid', '--count', '1', '--', 'sh',
			'-c', 'exec curl -fsS -H "X-Signature: $PADDOCK_SIGNATURE" ' +
			'--data-binary @- "$0"',
			`http://127.0.0.1:${server.address().port}/hook`]);
		const { held, approval } = await waiting(
			{ lead: { from_roles: ['finance'] } });
		const r = await notify.end();

		server.close();
		assert.strictEqual(r.status, 0, r.err);
		assert.strictEqual(got.length, 2); // the first one failed
		const [, { body, sig }] = got;
		const [, t, v1] = sig.match(/^t=(\d+),v1=([0-9a-f]{64})$/);

		assert.strictEqual(v1, crypto.createHmac('sha256',
			'a key of enough bytes').update(`${t}.${body}`).digest('hex'));
		assert.ok(Math.abs(Date.now() - t) < 60000);
		const said = JSON.parse(body);

		assert.strictEqual(said.approval.approval, approval);
		assert.deepStrictEqual(said.links.map((l) => l.who),
			['acme/bea', 'acme/cid']);
		const [bea, cid] = said.links;

		assert.strictEqual((await d.tcp(cid.secret).ask('POST', cid.path,
			{ verdict: 'approve' })).status, 403); // not finance
		assert.strictEqual((await d.tcp(bea.secret).ask('POST', bea.path,
			{ verdict: 'approve' })).status, 200);
		assert.strictEqual((await held).status, 200);
	});

	test('shows how people decide', async () => {
		const own = await Daemon.start();
		const t = await own.post('/v1/tokens', { tenant: 'tenant_a',
			actor: 'ann', roles: ['approver'] });
		const ann = own.tcp(t.secret);

		for (const verdict of ['approve', 'approve', 'reject']) {
			const run = await own.open();
			const held = own.tcp().call(run, 'email.send', email);

			await ann.decide(await own.approval(run.run), verdict);
			await held;
			await own.post(`/v1/runs/${run.run}/stop`, {});
			await own.closed(run.run);
		}
		const s = JSON.parse((await own.place.cli(['approvals', 'stats',
			'--json'])).out);

		assert.deepStrictEqual([s.decided, s.approved, s.by[0].who],
			[3, 2, 'tenant_a/ann']);
		assert.strictEqual(s.by[0].decided, 3);
		assert.ok(s.median_ms < 60000 && s.under_3s <= 3);
		assert.match((await own.place.cli(['approvals', 'stats'])).out,
			/tenant_a\/ann +3 +66 %/);
		const other = await own.post('/v1/tokens', { tenant: 'bank',
			actor: 'eve', roles: ['approver'] });

		assert.strictEqual((await own.tcp(other.secret)
			.get('/v1/approvals/stats')).decided, 0);
		await own.stop();
	});
});
