// Read, draft, commit: what a draft becomes is what was approved, once.
import assert from 'node:assert';
import { after, before, describe, test } from 'node:test';

import { Daemon, email, until, verify, world } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

function drafting(more = {}, rest = {}) {
	return { ...rest, tools: {
		'ticket.reply_draft': { risk: 'draft', commit: 'email.send' },
		'email.send': { risk: 'external_write', mode: 'approve', ...more },
		...rest.tools } };
}

const tool = (what) => `ticket.reply_draft.${what}`;

async function drafted(run, args = email) {
	const a = await d.call(run, tool('create_draft'), args);

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	return a.body.draft_id;
}

const ask = (run, draft_id) => d.tcp().call(run, tool('request_approval'),
	{ draft_id });
const commit = (run, draft_id) => d.tcp().call(run,
	tool('commit_approved_draft'), { draft_id });

async function approved(run, draft_id) {
	const held = ask(run, draft_id);
	const approval = await d.approval(run.run);

	assert.strictEqual((await d.decide(approval, 'approve')).status, 200);
	assert.strictEqual((await held).body.status, 'approved');
	return approval;
}

async function sent(run) {
	return (await d.trace(run.run)).filter((e) =>
		e.kind === 'tool.finished' && e.res.effect !== 'none').length;
}

describe('a draft', () => {
	test('leaves nothing, is approved, and becomes one call', async () => {
		const run = await d.open(drafting());
		const id = await drafted(run);

		assert.strictEqual(await sent(run), 0);
		const approval = await approved(run, id);

		assert.strictEqual(await sent(run), 0);
		assert.strictEqual((await d.get(`/v1/approvals/${approval}`))
			.detail.draft, id);
		const done = await commit(run, id);

		assert.strictEqual(done.status, 200, JSON.stringify(done.body));
		const again = await commit(run, id);

		assert.deepStrictEqual([again.status, again.body],
			[200, done.body]);
		assert.strictEqual(await sent(run), 1);
		assert.strictEqual((await d.get(`/v1/approvals/${approval}`))
			.state, 'executed');
		const kinds = (await d.trace(run.run)).map((e) => e.kind);

		assert.ok(kinds.indexOf('draft.created') <
			kinds.indexOf('approval.decided'));
		assert.ok(kinds.indexOf('approval.decided') <
			kinds.indexOf('draft.committed'));
		assert.ok(kinds.indexOf('draft.committed') <
			kinds.indexOf('tool.started'));
		await d.post('/v1/stop', { run: run.run });
		await d.closed(run.run);
		await verify(d.state);
	});

	test('of which twenty commits race is one effect', async () => {
		const run = await d.open(drafting());
		const id = await drafted(run);

		await approved(run, id);
		const all = await Promise.all(Array.from({ length: 20 },
			() => commit(run, id)));

		for (const a of all)
			assert.ok(a.status === 200 || a.body.code === 'in_progress',
				JSON.stringify(a.body));
		assert.ok(all.some((a) => a.status === 200));
		assert.strictEqual(await sent(run), 1);
	});

	test('that nobody has approved, or somebody refused, is not committed',
		async () => {
			const run = await d.open(drafting());
			const id = await drafted(run);

			assert.strictEqual((await commit(run, id)).body.code,
				'not_approved');
			const held = ask(run, id);
			const approval = await d.approval(run.run);

			assert.strictEqual((await commit(run, id)).body.code,
				'not_approved');
			await d.decide(approval, 'reject', { reason: 'no' });
			assert.strictEqual((await held).body.code, 'rejected');
			assert.strictEqual((await commit(run, id)).body.code,
				'not_approved');
			assert.strictEqual((await ask(run, id)).body.code,
				'draft_refused');
			assert.strictEqual(await sent(run), 0);
		});

	test('a yes to it is no yes to the call itself, nor to another draft',
		async () => {
			const run = await d.open(drafting());
			const id = await drafted(run), other = await drafted(run);
			const approval = await approved(run, id);

			assert.strictEqual((await commit(run, other)).body.code,
				'not_approved');
			// Its approval is not an answer to the call made directly.
			const direct = await d.tcp().call(run, 'email.send', email,
				{ state: approval });

			assert.strictEqual(direct.body.status, 'approved');
			assert.strictEqual(await sent(run), 0);
			// Nor does a vote twice commit it.
			assert.strictEqual((await d.decide(approval, 'approve'))
				.status, 409);
			assert.strictEqual(await sent(run), 0);
		});

	test('is committed as a reviewer has edited it', async () => {
		const run = await d.open(drafting({ approval: 'lead' },
			{ approvals: { lead: { edit: ['body'] } } }));
		const id = await drafted(run);
		const held = ask(run, id);
		const approval = await d.approval(run.run);

		assert.strictEqual((await d.decide(approval, 'approve_edited',
			{ arguments: { ...email, body: 'Better.' } })).status, 200);
		await held;
		assert.strictEqual((await commit(run, id)).status, 200);
		const end = (await d.get(`/v1/approvals/${approval}`));

		assert.strictEqual(end.arguments.body, 'Better.');
	});

	test('of what the policy blocks is not made', async () => {
		const run = await d.open(drafting({ args: { type: 'object',
			properties: { to: { const: 'x@acme.example.com' } } } }));
		const no = await d.call(run, tool('create_draft'), email);

		assert.deepStrictEqual([no.status, no.body.code],
			[403, 'invalid_arguments']);
	});

	test('of what the policy allows asks nobody', async () => {
		const run = await d.open(drafting({ mode: 'allow' }));
		const id = await drafted(run);

		assert.strictEqual((await ask(run, id)).body.status, 'approved');
		assert.strictEqual((await commit(run, id)).status, 200);
		assert.strictEqual(await sent(run), 1);
	});

	test('of another run is unknown', async () => {
		const a = await d.open(drafting({ mode: 'allow' }));
		const b = await d.open(drafting({ mode: 'allow' }));
		const id = await drafted(a);

		for (const what of ['request_approval', 'commit_approved_draft'])
			assert.strictEqual((await d.call(b, tool(what),
				{ draft_id: id })).body.code, 'unknown_draft');
	});

	test('has tools that are listed, with the schema of its call',
		async () => {
			const run = await d.open(drafting());
			const { tools } = (await d.ask('GET',
				`/v1/runs/${run.run}/tools`, undefined,
				{ token: run.token })).body;
			const byName = new Map(tools.map((t) => [t.name, t]));

			for (const what of ['create_draft', 'request_approval',
				'commit_approved_draft'])
				assert.ok(byName.has(tool(what)), what);
			assert.deepStrictEqual(byName.get(tool('create_draft'))
				.inputSchema, byName.get('email.send').inputSchema);
		});

	test('whose commit no row allows is a mistake of the policy', async () => {
		const no = await d.ask('POST', '/v1/runs', { world: world(),
			policy: { policy: 1, workflow: 'w', tools: { a: {
				risk: 'draft', commit: 'b' } } } });

		assert.match(JSON.stringify(no.body), /no row/);
	});

	test('that a reply link of a dead approval replays is no effect',
		async () => {
			const run = await d.open(drafting());
			const id = await drafted(run);
			const approval = await approved(run, id);

			await commit(run, id);
			for (const verdict of ['approve', 'reject', 'terminate'])
				assert.strictEqual((await d.decide(approval, verdict))
					.status, 409);
			await until(async () => (await sent(run)) === 1, 'one mail');
		});
});
