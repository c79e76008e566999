// Budgets: what costs say is taken before and settled behind, what is shared
// with other runs, also over a restart, and what a person may extend.
import assert from 'node:assert';
import { after, before, describe, test } from 'node:test';

import { Daemon, assertRecorded, email, until, verify, world } from
	'./lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

const search = { query: 'refund' };

function costing(costs, budgets, more = {}) {
	return { budgets, tools: { 'kb.search': { risk: 'read', costs } },
		...more };
}

async function stopOf(run) {
	await d.closed(run.run);
	const end = await until(async () => (await d.trace(run.run)).find((e) =>
		e.kind === 'run.closed'), 'its end on disk');

	assertRecorded(await d.trace(run.run));
	return end.body.stop;
}

describe('what a call costs', () => {
	for (const [member, cost, reason, used] of [
		['max_model_calls', { model_calls: 1 },
			'model_call_budget_exceeded', 'model_calls_used'],
		['max_model_tokens', { model_tokens: 1 },
			'model_token_budget_exceeded', 'model_tokens_used'],
		['max_cost_usd', { usd: 1 }, 'cost_budget_exceeded',
			'cost_usd_used'],
		['max_pages', { pages: 1 }, 'page_budget_exceeded',
			'pages_used'],
		['max_documents', { documents: 1 },
			'document_budget_exceeded', 'documents_used'],
		['max_subtasks', { subtasks: 1 }, 'subtask_budget_exceeded',
			'subtasks_used'],
	])
		test(`${member} lets so many and stops the run then`, async () => {
			const run = await d.open(costing(cost, { [member]: 2 }));

			assert.strictEqual((await d.call(run, 'kb.search',
				search)).status, 200);
			assert.strictEqual((await d.call(run, 'kb.search',
				search)).status, 200);
			const no = await d.call(run, 'kb.search', search);

			assert.strictEqual(no.status, 409);
			assert.deepStrictEqual([no.body.reason, no.body.status,
				no.body[used]], [reason, 'stopped', 2]);
			assert.strictEqual((await stopOf(run)).reason, reason);
			const starts = (await d.trace(run.run)).filter((e) =>
				e.kind === 'tool.started');

			assert.strictEqual(starts.length, 2);
		});

	test('is settled by what the result says', async () => {
		const run = await d.open(costing({ usd: 0.1,
			documents: { at: '$.articles[*]', most: 6 } },
		{ max_documents: 9, max_cost_usd: 0.75 }));
		const found = await d.call(run, 'kb.search',
			{ ...search, limit: 1 });
		const n = found.body.articles.length;
		const done = await until(async () => (await d.trace(run.run))
			.find((e) => e.kind === 'tool.finished'), 'its end');

		assert.deepStrictEqual(done.body.costs, { documents: n, usd: 0.1 });
		// Taken were six: with those of the first not given back, a second
		// one would not fit.
		assert.strictEqual((await d.call(run, 'kb.search',
			{ ...search, limit: 1 })).status, 200);
		// Six more are taken before anybody knows how few there will be.
		for (let i = 0; i < 9; i++)
			if ((await d.call(run, 'kb.search', { ...search,
				limit: 1 })).status === 409)
				break;
		assert.strictEqual((await stopOf(run)).reason,
			'document_budget_exceeded');
	});

	test('is given to nobody by a call that is blocked', async () => {
		const run = await d.open({ budgets: { max_cost_usd: 1 },
			tools: { 'billing.refund': { risk: 'external_write',
				mode: 'block', costs: { usd: 1 } },
			'kb.search': { risk: 'read', costs: { usd: 1 } } } });

		for (let i = 0; i < 3; i++)
			assert.strictEqual((await d.call(run, 'billing.refund',
				{ i })).status, 403);
		assert.strictEqual((await d.call(run, 'kb.search', search)).status,
			200);
	});

	test('is taken of what a person approves, when he does', async () => {
		const run = await d.open({ budgets: { max_cost_usd: 1 },
			tools: { 'email.send': { risk: 'external_write',
				mode: 'approve', costs: { usd: 1 } },
			'kb.search': { risk: 'read', costs: { usd: 1 } } } });
		const held = d.tcp().call(run, 'email.send', email);
		const approval = await d.approval(run.run);

		assert.strictEqual((await d.call(run, 'kb.search', search)).status,
			200);
		assert.strictEqual((await d.decide(approval, 'approve')).status,
			200);
		assert.strictEqual((await held).status, 409);
		assert.strictEqual((await stopOf(run)).reason,
			'cost_budget_exceeded');
		assert.ok(!(await d.trace(run.run)).some((e) =>
			e.kind === 'tool.started' && e.tool.name === 'email.send'));
	});
});

describe('what runs share', () => {
	const shared = (tenant, per, more = {}) => ({ tenant, workflow: 'w',
		budgets: { per_tenant: { window: '7d', ...per } }, ...more });

	test('is one budget of the tenant, and another tenant has its own',
		async () => {
			const a = await d.open(shared('t1', { max_tool_calls: 3 }));
			const b = await d.open(shared('t1', { max_tool_calls: 3 }));
			const other = await d.open(shared('t2',
				{ max_tool_calls: 3 }));

			for (const run of [a, b, a])
				assert.strictEqual((await d.call(run, 'kb.search',
					search)).status, 200);
			const no = await d.call(b, 'kb.search', search);

			assert.strictEqual(no.status, 409);
			assert.deepStrictEqual([no.body.reason, no.body.scope,
				no.body.window, no.body.tool_calls_used],
			['tool_call_budget_exceeded', 'tenant', '7d', 3]);
			assert.strictEqual((await d.call(other, 'kb.search',
				search)).status, 200);
		});

	test('is counted once where two parts of a policy limit it',
		async () => {
			const budgets = { per_workflow: { window: '7d',
				max_tool_calls: 2 } };
			const tools = { 'kb.search': { risk: 'read' } };
			const a = await d.post('/v1/runs', { policy: { policy: 1,
				workflow: 'both', tenant: 't3', budgets, tools,
				extends: [{ policy: 1, workflow: 'base', stage: 5,
					budgets, tools }] }, world: world() });

			assert.strictEqual((await d.call(a, 'kb.search',
				search)).status, 200);
			assert.strictEqual((await d.call(a, 'kb.search',
				search)).status, 200);
			assert.strictEqual((await d.call(a, 'kb.search',
				search)).body.scope, 'workflow');
		});

	test('is still spent when the daemon or the broker starts again',
		async () => {
			let one = await Daemon.start();
			const want = async (n, status) => {
				const run = await until(async () => {
					const r = await one.ask('POST', '/v1/runs', {
						policy: { policy: 1, workflow: 'w', stage: 5,
							tenant: 't4', tools: { 'kb.search': {
								risk: 'read', costs: { usd: 2 } } },
							budgets: { per_tenant: { window: '7d',
								max_cost_usd: 8 } } },
						world: world() }).catch(() => undefined);

					return r?.status === 201 ? r.body : undefined;
				}, 'a run');

				for (let i = 0; i < n; i++)
					assert.strictEqual((await one.call(run,
						'kb.search', search)).status, status);
			};

			await want(2, 200);
			await one.stop();
			one = await Daemon.start({ place: one.place });
			await want(1, 200);
			const { broker } = one.roles();

			// What is written may be 2 ms behind a read.
			await until(async () => (await one.trace('last')).some((e) =>
				e.kind === 'tool.finished'), 'its record');
			process.kill(broker, 'SIGKILL');
			await until(() => (one.roles().broker ?? broker) !== broker,
				'another broker');
			await want(1, 200);
			await want(1, 409);
			await one.stop();
			await verify(one.state);
		});
});

describe('on_exceed: approve', () => {
	const asking = (max, more = {}) => ({ budgets: { max_tool_calls: max,
		on_exceed: 'approve', ...more } });

	test('asks, and a yes gives as much again', async () => {
		const run = await d.open(asking(2));
		const ask = () => d.tcp().call(run, 'kb.search', search);

		await ask();
		await ask();
		const held = ask();
		const approval = await d.approval(run.run);
		const shown = await d.get(`/v1/approvals/${approval}`);

		assert.match(shown.detail.reasons[0], /^max_tool_calls is used up/);
		assert.strictEqual(shown.detail.rule, 'budgets.max_tool_calls');
		assert.strictEqual((await d.decide(approval, 'approve')).status,
			200);
		assert.strictEqual((await held).status, 200);
		assert.strictEqual((await ask()).status, 200);
		const more = (await d.trace(run.run)).find((e) =>
			e.kind === 'budget.extended');

		assert.deepStrictEqual(more.body, { approval,
			budget: 'max_tool_calls', limit: 4 });
		// One yes is one extension.
		const again = ask();

		await until(async () => (await d.trace(run.run)).filter((e) =>
			e.kind === 'approval.requested').length === 2, 'the next');
		await d.post('/v1/stop', { run: run.run });
		assert.strictEqual((await again).status, 409);
	});

	test('ends the run when the answer is no', async () => {
		const run = await d.open(asking(1));

		await d.call(run, 'kb.search', search);
		const held = d.tcp().call(run, 'kb.search', search);

		await d.decide(await d.approval(run.run), 'reject',
			{ reason: 'enough' });
		assert.strictEqual((await held).body.code, 'rejected');
		assert.strictEqual((await stopOf(run)).reason,
			'tool_call_budget_exceeded');
	});

	test('two that wait are one extension when that is enough', async () => {
		const run = await d.open(asking(2));
		const ask = (query) => d.tcp().call(run, 'kb.search', { query });

		await ask('refund');
		await ask('refund');
		const held = [ask('refund'), ask('invoice')];
		const ids = await until(async () => {
			const all = (await d.get('/v1/approvals')).approvals
				.filter((a) => a.run === run.run);

			return all.length === 2 ? all.map((a) => a.approval)
				: undefined;
		}, 'two approvals');

		for (const id of ids)
			await d.decide(id, 'approve');
		for (const h of held)
			assert.strictEqual((await h).status, 200);
		assert.deepStrictEqual((await d.trace(run.run)).filter((e) =>
			e.kind === 'budget.extended').map((e) => e.body.limit), [4]);
	});

	test('nobody is asked about what the policy blocks, or what is shared',
		async () => {
			const run = await d.open(asking(1));

			await d.call(run, 'kb.search', search);
			assert.strictEqual((await d.call(run, 'billing.refund', {}))
				.status, 409);
			const own = await d.open(asking(9, { per_tenant: {
				window: '1m', max_tool_calls: 0 } }));

			assert.strictEqual((await d.call(own, 'kb.search', search))
				.body.scope, 'tenant');
		});

	test('who may decide is who may give more, and who may decide the call',
		async () => {
			const run = await d.open({ ...asking(1,
				{ approval: 'money' }), approvals: {
				money: { from_roles: ['treasurer'] } } });

			await d.call(run, 'kb.search', search);
			const held = d.tcp().call(run, 'kb.search', search);
			const approval = await d.approval(run.run);

			assert.strictEqual((await d.decide(approval, 'approve'))
				.status, 403);
			const t = await d.post('/v1/tokens', { tenant: 'tenant_a',
				actor: 'kim', roles: ['approver', 'treasurer'] });

			assert.strictEqual((await d.tcp(t.secret).decide(approval,
				'approve')).status, 200);
			assert.strictEqual((await held).status, 200);
		});
});
