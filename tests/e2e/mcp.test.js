// The MCP doors with the official clients: over TCP with a run's token, from
// inside a sandbox over HTTP, and over `paddock mcp` on standard streams.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { basics, call, connect, isModern } from './lib/mcp.js';
import { Command, Daemon, email, example, here, policy, scratch,
	trace, until } from './lib/paddock.js';

const clients = ['v1', 'legacy', 'auto', 'modern'];
const policyFile = path.join(scratch, 'policy.json');
let d;

before(async () => {
	d = await Daemon.start();
	fs.writeFileSync(policyFile, JSON.stringify(policy()));
});
after(() => d.stop());

async function sent(run) {
	return (await trace(d.state, run)).filter((e) =>
		e.kind === 'tool.finished' && e.tool.name === 'email.send' &&
		e.res.status === 'ok').length;
}

for (const client of clients) {
	const where = (run) => ({ url: `${d.url}/mcp`, token: run.token });

	describe(`outside, client ${client}`, { concurrency: true }, () => {
		test('lists tools, calls them, and reads refusals', async () => {
			const c = await connect(client, where(await d.open()));

			await basics(c, client);
			await c.close();
		});

		test('a call that waits is executed once when approved',
			async () => {
				const run = await d.open();
				const c = await connect(client, where(run));
				const held = call(c, client,
					{ name: 'email.send', arguments: email });

				await d.decide(await d.approval(run.run), 'approve');
				assert.strictEqual((await held)
					.structuredContent.status, 'sent');
				assert.strictEqual(await sent(run.run), 1);
				await c.close();
			});

		test('a rejection is read with its reason', async () => {
			const run = await d.open();
			const c = await connect(client, where(run));
			const held = call(c, client,
				{ name: 'email.send', arguments: email });

			await d.decide(await d.approval(run.run), 'reject',
				{ reason: 'not today' });
			const a = await held;

			assert.strictEqual(a.isError, true);
			assert.strictEqual(a.structuredContent.code, 'rejected');
			assert.strictEqual(a.structuredContent.reason,
				'not today');
			assert.strictEqual(await sent(run.run), 0);
			await c.close();
		});

		// The door holds eight requests for one approval; one more is
		// answered at once with how to ask again.
		test('a call that is not held is pending, and can be asked for ' +
		    'again', async () => {
			const run = await d.open();
			const c = await connect(client, where(run));
			const ask = () => call(c, client,
				{ name: 'email.send', arguments: email });
			const nine = Array.from({ length: 9 }, ask);
			const first = await Promise.race(nine);
			const approval = await d.approval(run.run);
			const pending = isModern(client)
				? first._meta['paddock/pending']
				: first.structuredContent;

			assert.strictEqual(pending.status, 'pending_approval');
			assert.strictEqual(pending.approval_id, approval);
			assert.ok(pending.suggested_next_step);
			if (isModern(client)) {
				assert.strictEqual(first.resultType,
					'input_required');
				assert.strictEqual(first.requestState, approval);
			} else {
				assert.strictEqual(first.isError ?? false, false);
			}
			await d.decide(approval, 'approve');
			// All places are still taken until it has been sent.
			const again = await until(async () => {
				const r = await call(c, client, isModern(client)
					? { name: 'email.send', arguments: email,
						requestState: first.requestState }
					: { name: 'approval.wait', arguments:
						{ approval_id: approval } });

				return r.structuredContent?.status === 'sent' && r;
			}, 'the result');

			for (const a of await Promise.all(nine))
				if (a !== first)
					assert.deepStrictEqual(a.structuredContent,
						again.structuredContent);
			assert.strictEqual(await sent(run.run), 1);
			await c.close();
		});

		test('the end of a budget is the structured stop', async () => {
			const run = await d.open({ budgets: { max_tool_calls: 1 } });
			const c = await connect(client, where(run));
			const ask = () => call(c, client, { name: 'kb.search',
				arguments: { query: 'refund' } });

			assert.ok(!(await ask()).isError);
			for (let i = 0; i < 2; i++) {
				const a = await ask();

				assert.strictEqual(a.isError, true);
				assert.deepStrictEqual([a.structuredContent.status,
					a.structuredContent.reason,
					a.structuredContent.tool_calls_used],
				['stopped', 'tool_call_budget_exceeded', 1]);
			}
			await c.close();
		});

		test('without a token, or with another, nobody gets in',
			async () => {
				const url = `${d.url}/mcp`;

				for (const token of [undefined,
					`pdr_${'0'.repeat(64)}`])
					await assert.rejects(async () => {
						const c = await connect(client,
							{ url, token });

						await c.listTools();
					}, /401|Unauthorized|token/i);
			});
	});

	for (const door of ['http', 'stdio'])
		describe(`inside over ${door}, client ${client}`,
			{ concurrency: true }, () => {
				test('lists tools, calls them, and reads refusals',
					async () => {
						const r = await inside(client, door,
							'basics').end();

						assert.strictEqual(r.status, 0,
							r.out + r.err);
						assert.match(r.out, /^ok basics \d+$/m);
					});

				test('a call that waits is executed once when ' +
				    'approved', async () => {
					const r = inside(client, door, 'email');
					const [, run] = await r.says(/run (r-\w+)/);

					await d.decide(await d.approval(run),
						'approve');
					const end = await r.end();

					assert.strictEqual(end.status, 0, end.err);
					assert.match(end.out, /"status":"sent"/);
					assert.strictEqual(await sent(run), 1);
				});

				test('the end of a budget is the structured stop',
					async () => {
						const r = await inside(client, door,
							'budget', { budgets:
							{ max_tool_calls: 3 } }).end();

						assert.match(r.out, /^ok 3 .*"stopped"/m,
							r.out + r.err);
						assert.strictEqual(r.status, 1);
						assert.match(r.err,
							/tool_call_budget_exceeded/);
					});
			});
}

let n = 0;

function inside(client, door, job, changes) {
	const file = changes ? path.join(scratch, `policy-${++n}.json`)
		: policyFile;

	if (changes)
		fs.writeFileSync(file, JSON.stringify(policy(changes)));
	return new Command(['run', file, '--state', d.state, '--world',
		path.join(example, 'world.json'), '--env', d.place.mark,
		'--env', `E2E_EMAIL=${JSON.stringify(email)}`, '--',
		process.execPath, 'lib/inside.js', client, door, job],
	{ cwd: here, input: '' });
}
