// The API /v1: every route, every verdict, and who may do what.
import assert from 'node:assert';
import { after, before, describe, test } from 'node:test';

import { Api, Daemon, email, policy, trace, until, verify, world }
	from './lib/paddock.js';

let d, tcp, ann;

before(async () => {
	d = await Daemon.start();
	tcp = d.tcp();
	ann = d.tcp((await d.post('/v1/tokens', { tenant: '*', actor: 'ann',
		roles: ['approver'] })).secret);
});
after(() => d.stop());

// One approval by these rules, held; its run and the held answer.
async function waiting(approvals, changes = {}, by = d) {
	const run = await by.open({ ...changes,
		approvals: { lead: approvals },
		tools: { 'email.send': { risk: 'external_write',
			mode: 'approve', approval: 'lead' } } });
	const held = d.tcp().call(run, 'email.send', email);
	const approval = await d.approval(run.run);

	return { run, held, approval };
}

async function sent(run) {
	const all = await trace(d.state, run.run);

	return all.filter((e) => e.kind === 'tool.finished' &&
		e.tool.name === 'email.send' && e.res.status === 'ok').length;
}

describe('routes', () => {
	test('health is told to everybody who may connect', async () => {
		assert.strictEqual((await d.get('/v1/health')).status, 'ok');
		assert.strictEqual((await tcp.get('/v1/health')).status, 'ok');
	});

	test('a run is opened, listed, shown, waited for and stopped',
		async () => {
			const run = await d.open();

			assert.match(run.run, /^r-[0-9a-z]{12}$/);
			assert.match(run.token, /^pdr_[0-9a-f]{64}$/);
			assert.strictEqual(run.tenant, 'tenant_a');
			const open = await d.get('/v1/runs');

			assert.ok(open.runs.some((r) => r.run === run.run));
			assert.ok(!JSON.stringify(open).includes(run.token));
			assert.strictEqual(
				(await d.get(`/v1/runs/${run.run}`)).status, 'open');
			const early = await d.get(
				`/v1/runs/${run.run}/wait?timeout_ms=1`);

			assert.strictEqual(early.status, 'open');
			const end = d.get(
				`/v1/runs/${run.run}/wait?timeout_ms=60000`);
			const stop = await d.post(`/v1/runs/${run.run}/stop`,
				{ reason: 'enough' });

			assert.strictEqual(stop.stop_reason, 'enough');
			assert.strictEqual((await end).stop_reason, 'enough');
			assert.strictEqual((await end).status, 'stopped');
			await d.closed(run.run);
			const all = await d.get('/v1/runs?all=true&limit=1000');

			assert.ok(all.runs.some((r) => r.run === run.run));
			const now = await d.get('/v1/runs?all=false');

			assert.ok(!now.runs.some((r) => r.run === run.run));
		});

	test('/v1/stop stops every run', async () => {
		const own = await Daemon.start();
		const runs = [await own.open(), await own.open(),
			await own.open()];

		assert.deepStrictEqual(await own.post('/v1/stop', {}),
			{ stopped: 3 });
		for (const r of runs)
			assert.strictEqual((await own.closed(r.run)).stop_reason,
				'stopped_by_operator');
		await own.stop();
	});

	test('tools are listed in order, without those that are blocked',
		async () => {
			const run = await d.open();
			const { tools } = await d.get(`/v1/runs/${run.run}/tools`);
			const names = tools.map((t) => t.name);

			assert.deepStrictEqual(names, [...names].sort());
			assert.ok(names.includes('kb.search'));
			assert.ok(names.includes('approval.wait'));
			assert.ok(!names.includes('billing.refund'));
			for (const t of tools)
				assert.strictEqual(t.inputSchema.type, 'object');
		});

	test('a call is answered, with an error of the tool as 422',
		async () => {
			const run = await d.open();
			const ok = await tcp.call(run, 'kb.search',
				{ query: 'refund' });
			const bad = await tcp.call(run, 'ticket.read',
				{ ticket: 'T-0' });

			assert.strictEqual(ok.status, 200);
			assert.ok(ok.body.articles.length > 0);
			assert.strictEqual(bad.status, 422);
			assert.strictEqual(bad.body.code, 'not_found');
		});

	test('events are listed page by page', async () => {
		const run = await d.open();

		for (let i = 0; i < 3; i++)
			await tcp.call(run, 'kb.search', { query: `q${i}` });
		await d.post(`/v1/runs/${run.run}/stop`, {});
		await d.closed(run.run);
		const at = `/v1/runs/${run.run}/events`;
		const all = (await d.get(at)).events;
		const two = (await d.get(`${at}?limit=2`)).events;
		const late = (await d.get(`${at}?from=3`)).events;

		assert.deepStrictEqual(two, all.slice(0, 2));
		assert.ok(late.length > 0 && late.every((e) => e.step >= 3));
		assert.strictEqual(all[0].kind, 'run.opened');
		assert.strictEqual(all.at(-1).kind, 'run.closed');
	});

	test('events are streamed as they happen, to the run\'s end',
		async () => {
			const run = await d.open();
			const seen = [];
			const followed = (async () => {
				for await (const e of tcp.events(run.run))
					seen.push(e);
			})();

			await tcp.call(run, 'kb.search', { query: 'refund' });
			await until(() => seen.some(
				(e) => e.kind === 'tool.finished'), 'an event');
			await d.post(`/v1/runs/${run.run}/stop`, {});
			await followed;
			assert.strictEqual(seen.at(-1).kind, 'run.closed');
			assert.deepStrictEqual(seen, await trace(d.state, run.run));
		});

	test('the output of a command is kept for its opener', async () => {
		const run = await d.post('/v1/runs', { policy: policy(),
			argv: ['/bin/sh', '-c', 'echo out; echo err >&2; exit 3'] });
		const end = await d.closed(run.run);

		assert.strictEqual(end.status, 'closed');
		assert.strictEqual(end.exit_status, 3);
		const out = JSON.stringify(
			await d.get(`/v1/runs/${run.run}/output`));

		assert.match(out, /out/);
		assert.match(out, /err/);
	});

	test('what is not there is 404, another method 405 with Allow',
		async () => {
			const run = await d.open();

			for (const p of ['/', '/v1', '/v2/runs', '/v1/runs/',
				'/v1/runs/nonsense', '/v1/runs/r-7k3m9q2v5w1x',
				'/v1/approvals/a-7k3m9q2v5w1x',
				`/v1/runs/${run.run}/nothing`,
				'/v1/runs/../runs'])
				assert.strictEqual((await d.ask('GET', p)).status, 404,
					p);
			const a = await d.ask('DELETE', '/v1/runs');

			assert.strictEqual(a.status, 405);
			assert.match(a.headers.allow, /GET/);
			assert.match(a.headers.allow, /POST/);
		});
});

describe('malformed requests', () => {
	const rows = [
		['text that is no JSON', '{"policy": nope}', /1:12|line 1|column/],
		['a duplicate key', '{"policy":{},"policy":{}}', /policy/],
		['a second document', '{} {}', /./],
		['no document', ' ', /./],
		['an unpaired surrogate', '{"policy_text":"\\ud800"}', /./],
		['a number without end', `{"a":${'9'.repeat(100)}}`, /./],
		['depth without end', '['.repeat(100), /./],
		['a list', '[]', /object/],
		['an unknown member', '{"polcy":{}}', /polcy/],
		['two policies', '{"policy":{},"policy_text":"{}"}', /one policy/],
		['no policy', '{}', /one policy/],
	];

	for (const [name, raw, says] of rows)
		test(`${name} is 400 with a message and a remedy`, async () => {
			const a = await d.ask('POST', '/v1/runs', undefined, { raw });

			assert.strictEqual(a.status, 400, JSON.stringify(a.body));
			assert.match(a.body.error.message, says);
			assert.ok(a.body.error.suggested_next_step.length > 10);
		});

	test('every problem of a policy is told with line and column',
		async () => {
			const a = await d.ask('POST', '/v1/runs', {
				policy_format: 'json', policy_text: '{\n' +
				' "workflow": "w", "max_tool_cals": 3,\n' +
				' "tools": { "kb.search": { "risk": "reed" } } }' });

			assert.strictEqual(a.status, 400);
			assert.strictEqual(a.body.error.code, 'bad_policy');
			const [one, two] = a.body.error.problems;

			assert.strictEqual(one.line, 2);
			assert.ok(one.column > 1);
			assert.match(one.text, /max_tool_calls/);
			assert.strictEqual(two.line, 3);
			assert.match(two.text, /read/);
		});

	test('a bad world is 400 and leaves no open run', async () => {
		const before = (await d.get('/v1/runs')).runs.length;
		const a = await d.ask('POST', '/v1/runs', { policy: policy(),
			world: { world: 1, now: 'yesterday' } });

		assert.strictEqual(a.status, 400);
		assert.strictEqual(a.body.error.code, 'bad_world');
		assert.match(a.body.error.message, /now/);
		assert.strictEqual((await d.get('/v1/runs')).runs.length, before);
	});

	test('bad queries, bodies and types are 400, 413 and 415',
		async () => {
			const run = await d.open();
			const at = `/v1/runs/${run.run}`;

			for (const q of ['all=yes', 'limit=x', 'limit=1&limit=2',
				'colour=red', 'all', '%zz=1'])
				assert.strictEqual(
					(await d.ask('GET', `/v1/runs?${q}`)).status,
					400, q);
			assert.strictEqual((await d.ask('POST', '/v1/runs', {},
				{ headers: { 'Content-Type': 'text/plain' } })).status,
			415);
			assert.strictEqual((await d.ask('GET', at, {})).status, 400);
			for (const body of [{}, { name: 3 }, { name: 'kb.search',
				arguments: [] }, { name: 'kb.search', state: 1 },
			{ name: 'kb.search', other: 1 }])
				assert.strictEqual((await d.ask('POST', `${at}/calls`,
					body)).status, 400, JSON.stringify(body));
			const large = await tcp.call(run, 'kb.search',
				{ query: 'x'.repeat(1200000) });

			assert.strictEqual(large.status, 413);
			assert.strictEqual((await tcp.call(run, 'kb.search',
				{ query: 'refund' })).status, 200);
		});
});

describe('identity', () => {
	test('no token, a wrong one and a malformed one are 401', async () => {
		const nobody = new Api({ at: tcp.where.at });

		for (const [method, p, body] of [['GET', '/v1/runs'],
			['GET', '/v1/approvals'], ['POST', '/v1/stop', {}],
			['POST', '/v1/runs', { policy: policy() }]]) {
			assert.strictEqual(
				(await nobody.ask(method, p, body)).status, 401, p);
			assert.strictEqual((await nobody.ask(method, p, body,
				{ token: `pdo_${'0'.repeat(64)}` })).status, 401, p);
			assert.strictEqual((await nobody.ask(method, p, body,
				{ headers: { Authorization: 'Basic YTpi' } })).status,
			401, p);
		}
	});

	test('an agent\'s token does nothing that is an operator\'s',
		async () => {
			const { run, approval, held } = await waiting({});
			const agent = d.tcp(run.token);
			const at = `/v1/runs/${run.run}`;

			for (const [method, p, body] of [
				['POST', '/v1/runs', { policy: policy() }],
				['GET', '/v1/runs'], ['GET', at], ['GET', `${at}/wait`],
				['POST', `${at}/stop`, {}], ['POST', '/v1/stop', {}],
				['GET', `${at}/events`], ['GET', `${at}/output`],
				['GET', '/v1/approvals'],
				['GET', `/v1/approvals/${approval}`],
				['POST', `/v1/approvals/${approval}/decide`,
					{ verdict: 'approve' }]])
				assert.strictEqual((await agent.ask(method, p, body))
					.status, 403, `${method} ${p}`);
			assert.strictEqual((await agent.get(`${at}/tools`))
				.tools.length > 0, true);
			assert.strictEqual((await d.decide(approval, 'reject'))
				.status, 200);
			assert.strictEqual((await held).status, 403);
		});

	test('a token is good for its own run alone, and until its end',
		async () => {
			const one = await d.open();
			const two = await d.open({ tenant: 'tenant_b' });
			const thief = d.tcp(one.token);
			const across = await thief.ask('POST',
				`/v1/runs/${two.run}/calls`,
				{ name: 'kb.search', arguments: { query: 'x' } });

			assert.ok([401, 403, 404].includes(across.status));
			assert.strictEqual((await thief.ask('GET',
				`/v1/runs/${two.run}/tools`)).status, 403);
			await d.post(`/v1/runs/${one.run}/stop`, {});
			await d.closed(one.run);
			const late = await tcp.call(one, 'kb.search', { query: 'x' });

			assert.ok([401, 404, 409].includes(late.status));
			assert.deepStrictEqual((await trace(d.state, two.run))
				.map((e) => e.kind), ['run.opened']);
		});

	test('identity never comes from the message', async () => {
		const run = await d.open();
		const other = await d.open({ tenant: 'tenant_b',
			actor: 'agent_b' });
		const call = `/v1/runs/${run.run}/calls`;

		for (const claim of [{ tenant: 'tenant_b' }, { run: other.run },
			{ actor: 'agent_b' }, { scopes: ['*'] },
			{ uid: 0 }]) {
			const a = await d.tcp(run.token).ask('POST', call,
				{ name: 'kb.search', arguments: { query: 'x' },
					...claim });

			assert.strictEqual(a.status, 400, JSON.stringify(claim));
		}
		for (const claim of [{ tenant: 'tenant_b' }, { run: other.run },
			{ actor: 'root' }, { opened_by: 'uid:0' }]) {
			const a = await d.ask('POST', '/v1/runs',
				{ policy: policy(), ...claim });

			assert.strictEqual(a.status, 400, JSON.stringify(claim));
		}
		const a = await d.tcp(run.token).call(run, 'kb.search',
			{ query: 'x', tenant: 'tenant_b', run: other.run });

		assert.notStrictEqual(a.status, 200);
		for (const e of await trace(d.state, run.run))
			assert.deepStrictEqual([e.who.tenant, e.who.actor],
				['tenant_a', 'agent_a']);
		assert.strictEqual((await trace(d.state, other.run)).length, 1);
	});

	test('a page of a foreign site is refused by Host and Origin',
		async () => {
			for (const headers of [{ Host: 'evil.example' },
				{ Origin: 'http://evil.example' },
				{ Host: `127.0.0.1.evil.example:${d.port}` }])
				assert.strictEqual((await tcp.ask('GET', '/v1/runs',
					undefined, { headers })).status, 403,
				JSON.stringify(headers));
		});
});

describe('approvals', { concurrency: true }, () => {
	test('approve executes the call once, and says so to who waits',
		async () => {
			const { run, held, approval } = await waiting({});
			const shown = await d.get(`/v1/approvals/${approval}`);

			assert.strictEqual(shown.state, 'pending');
			assert.deepStrictEqual(shown.arguments, email);
			const list = await d.get('/v1/approvals');

			assert.ok(list.approvals.some(
				(a) => a.approval === approval));
			assert.strictEqual((await d.decide(approval, 'approve'))
				.status, 200);
			assert.strictEqual((await held).body.status, 'sent');
			const again = await d.decide(approval, 'approve');

			assert.strictEqual(again.status, 409);
			assert.strictEqual((await d.get(
				`/v1/approvals/${approval}`)).state, 'executed');
			assert.strictEqual(await sent(run), 1);
			const done = await d.get('/v1/approvals?state=executed');

			assert.ok(done.approvals.some(
				(a) => a.approval === approval));
			// The state of an earlier answer names the result, too.
			const replayed = await tcp.call(run, 'email.send', email,
				{ state: approval });

			assert.strictEqual(replayed.status, 200);
			assert.strictEqual(await sent(run), 1);
		});

	test('approve_edited executes what the reviewer made of it, only in ' +
	    'the fields that the policy names', async () => {
		const { held, approval, run } = await waiting(
			{ edit: ['subject'] });
		const bad = await d.decide(approval, 'approve_edited',
			{ arguments: { ...email, to: 'me@evil.example' } });

		assert.strictEqual(bad.status, 400);
		assert.match(bad.body.error.message, /`to`/);
		const less = { ...email };

		delete less.body;
		assert.strictEqual((await d.decide(approval, 'approve_edited',
			{ arguments: less })).status, 400);
		assert.strictEqual((await d.decide(approval, 'approve_edited'))
			.status, 400);
		const ok = await d.decide(approval, 'approve_edited',
			{ arguments: { ...email, subject: 'Better' } });

		assert.strictEqual(ok.status, 200);
		assert.strictEqual(ok.body.arguments.subject, 'Better');
		assert.strictEqual((await held).status, 200);
		const decided = (await trace(d.state, run.run)).find(
			(e) => e.kind === 'approval.decided');

		assert.strictEqual(decided.body.edited, true);
		assert.strictEqual(decided.body.verdict, 'approve_edited');
		assert.strictEqual(await sent(run), 1);
	});

	test('reject is read by the agent with its reason; nothing is sent',
		async () => {
			const { held, approval, run } = await waiting({});

			await d.decide(approval, 'reject', { reason: 'wrong man' });
			const a = await held;

			assert.strictEqual(a.status, 403);
			assert.strictEqual(a.body.code, 'rejected');
			assert.strictEqual(a.body.reason, 'wrong man');
			assert.strictEqual(await sent(run), 0);
			assert.strictEqual((await tcp.call(run, 'kb.search',
				{ query: 'x' })).status, 200);
		});

	test('escalate leaves it pending and marked', async () => {
		const { held, approval } = await waiting({});
		const a = await d.decide(approval, 'escalate');

		assert.strictEqual(a.body.state, 'pending');
		assert.strictEqual(a.body.detail.escalated, true);
		await d.decide(approval, 'approve');
		assert.strictEqual((await held).status, 200);
	});

	test('terminate rejects it and stops the run', async () => {
		const { held, approval, run } = await waiting({});

		await d.decide(approval, 'terminate');
		assert.strictEqual((await held).status, 403);
		const end = await d.closed(run.run);

		assert.strictEqual(end.stop_reason, 'terminated_by_reviewer');
		assert.strictEqual(await sent(run), 0);
	});

	test('an unknown verdict is 400 and names the known ones', async () => {
		const { held, approval } = await waiting({});
		const a = await d.decide(approval, 'maybe');

		assert.strictEqual(a.status, 400);
		assert.match(a.body.error.suggested_next_step, /approve_edited/);
		await d.decide(approval, 'reject');
		await held;
	});

	test('a quorum of two takes two different people', async () => {
		const { held, approval, run } = await waiting({ quorum: 2 });
		const one = await d.decide(approval, 'approve');

		assert.strictEqual(one.body.state, 'pending');
		const twice = await d.decide(approval, 'approve');

		assert.strictEqual(twice.status, 403);
		assert.strictEqual(await sent(run), 0);
		// Whoever is root or the owner can read operator.token.
		assert.strictEqual((await tcp.decide(approval, 'approve')).status,
			403);
		assert.strictEqual(await sent(run), 0);
		const two = await ann.decide(approval, 'approve');

		assert.strictEqual(two.status, 200);
		assert.strictEqual((await held).status, 200);
		const votes = (await trace(d.state, run.run)).filter(
			(e) => e.kind === 'approval.decided');

		assert.deepStrictEqual(votes.map((v) => v.body.by),
			[`uid:${process.getuid()}`, '*/ann']);
	});

	test('one veto is enough against a quorum', async () => {
		const { held, approval } = await waiting({ quorum: 2 });

		await d.decide(approval, 'approve');
		await tcp.decide(approval, 'reject');
		assert.strictEqual((await held).body.code, 'rejected');
	});

	test('an edit starts the votes anew', async () => {
		const { held, approval } = await waiting(
			{ quorum: 2, edit: ['subject'] });

		await d.decide(approval, 'approve');
		const edited = await ann.decide(approval, 'approve_edited',
			{ arguments: { ...email, subject: 'Other' } });

		assert.strictEqual(edited.body.state, 'pending');
		assert.deepStrictEqual(edited.body.detail.votes,
			['*/ann']);
		await d.decide(approval, 'approve');
		assert.strictEqual((await held).status, 200);
	});

	test('who opened the run cannot decide where the policy forbids it',
		async () => {
			const { held, approval } = await waiting(
				{ distinct_from: ['actor', 'requester'] });

			assert.strictEqual((await d.decide(approval, 'approve'))
				.status, 403);
			assert.strictEqual((await tcp.decide(approval, 'approve'))
				.status, 403);
			assert.strictEqual((await ann.decide(approval, 'approve'))
				.status, 200);
			assert.strictEqual((await held).status, 200);
		});

	test('a role that nobody here has lets nobody decide', async () => {
		const { held, approval } = await waiting(
			{ from_roles: ['finance'], deadline_s: 1 });

		assert.strictEqual((await d.decide(approval, 'approve')).status,
			403);
		assert.strictEqual((await held).body.code, 'approval_expired');
	});

	test('a deadline with on_timeout deny refuses the call', async () => {
		const { held, approval, run } = await waiting({ deadline_s: 1 });
		const a = await held;

		assert.strictEqual(a.status, 403);
		assert.strictEqual(a.body.code, 'approval_expired');
		assert.strictEqual((await d.decide(approval, 'approve')).status,
			409);
		assert.strictEqual(await sent(run), 0);
		assert.strictEqual((await d.get(`/v1/runs/${run.run}`)).status,
			'open');
	});

	test('a deadline with on_timeout halt stops the run', async () => {
		const { held, run } = await waiting(
			{ deadline_s: 1, on_timeout: 'halt' });

		assert.notStrictEqual((await held).status, 200);
		const end = await d.closed(run.run);

		assert.strictEqual(end.stop_reason, 'approval_expired');
		assert.strictEqual(await sent(run), 0);
	});

	test('a deadline with on_timeout escalate leaves it to somebody else',
		async () => {
			const { held, approval, run } = await waiting(
				{ deadline_s: 1, on_timeout: 'escalate' });
			const ev = await d.event(run.run, (e) =>
				e.kind === 'approval.decided', 'the escalation');

			assert.strictEqual(ev.body.verdict, 'escalate');
			assert.strictEqual((await d.decide(approval, 'approve'))
				.status, 200);
			assert.strictEqual((await held).status, 200);
		});

	test('an approval is worth nothing for another call or run',
		async () => {
			const { held, approval, run } = await waiting({});
			const other = await d.open();
			const more = { state: approval };

			assert.strictEqual((await tcp.call(run, 'email.send',
				{ ...email, to: 'me@evil.example' }, more)).status,
			409);
			assert.strictEqual((await tcp.call(run, 'billing.refund', {},
				more)).status, 409);
			assert.strictEqual((await tcp.call(other, 'email.send', email,
				more)).status, 404);
			assert.strictEqual((await tcp.call(other, 'approval.wait',
				{ approval_id: approval })).status, 404);
			await d.decide(approval, 'approve');
			assert.strictEqual((await held).status, 200);
			assert.strictEqual(await sent(run), 1);
			assert.strictEqual(await sent(other), 0);
		});

	test('a stopped run cancels what waits', async () => {
		const { held, approval, run } = await waiting({});

		await d.post(`/v1/runs/${run.run}/stop`, {});
		assert.strictEqual((await held).body.status, 'stopped');
		const a = await d.decide(approval, 'approve');

		assert.ok([404, 409].includes(a.status));
		await d.closed(run.run);
		assert.strictEqual(await sent(run), 0);
	});
});

describe('budgets', { concurrency: true }, () => {
	test('the call over the budget is 409 with the structured stop, and so ' +
	    'is every later one', async () => {
		const run = await d.open({ budgets: { max_tool_calls: 2 } });

		for (let i = 0; i < 2; i++)
			assert.strictEqual((await tcp.call(run, 'kb.search',
				{ query: `q${i}` })).status, 200);
		for (let i = 0; i < 2; i++) {
			const a = await tcp.call(run, 'kb.search', { query: 'r' });

			assert.strictEqual(a.status, 409);
			assert.strictEqual(a.body.status, 'stopped');
			assert.strictEqual(a.body.reason,
				'tool_call_budget_exceeded');
			assert.strictEqual(a.body.tool_calls_used, 2);
			assert.ok(a.body.suggested_next_step.length > 10);
		}
		const end = await d.closed(run.run);

		assert.strictEqual(end.stop_reason, 'tool_call_budget_exceeded');
		const all = await trace(d.state, run.run);

		assert.strictEqual(all.filter((e) => e.kind === 'tool.finished')
			.length, 2);
		assert.ok(all.some((e) => e.kind === 'budget.stop'));
	});

	test('refused calls count, and a failed call is retried so often and ' +
	    'no more', async () => {
		const run = await d.open({ budgets: { max_retries_per_tool: 1 } });
		const again = () => tcp.call(run, 'ticket.read',
			{ ticket: 'T-0' });

		assert.strictEqual((await again()).status, 422);
		assert.strictEqual((await again()).status, 422);
		assert.strictEqual((await again()).status, 409);
		assert.match((await d.closed(run.run)).stop_reason, /retr/);
	});

	test('time runs out while nothing happens', async () => {
		const run = await d.open({ budgets: { max_runtime_ms: 200 } });
		const end = await d.closed(run.run);

		assert.match(end.stop_reason, /runtime/);
		assert.ok(end.closed_ms - end.opened_ms >= 200);
	});

	test('waiting for a person costs no time', async () => {
		const { held, approval, run } = await waiting({},
			{ budgets: { max_runtime_ms: 600 } });
		const from = Date.now();

		await until(() => Date.now() - from > 900, 'time to pass');
		assert.strictEqual((await d.decide(approval, 'approve')).status,
			200);
		assert.strictEqual((await held).status, 200);
		assert.match((await d.closed(run.run)).stop_reason, /runtime/);
	});
});

test('the trace of all of this is sound', async () => {
	await d.post('/v1/stop', {});
	await until(async () => (await d.get('/v1/runs')).runs.length === 0,
		'all runs closed');
	assert.ok((await verify(d.state)).runs > 20);
	assert.ok(world().world === 1);
});
