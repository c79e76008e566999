// What takes 45 seconds: the time for which a door holds a call that waits
// for a person. All of it is waited for at once.
import assert from 'node:assert';
import { after, before, describe, test } from 'node:test';

import { Client, StreamableHTTPClientTransport }
	from '@modelcontextprotocol/client';

import { call, connect } from './lib/mcp.js';
import { Daemon, email } from './lib/paddock.js';

const options = { timeout: 120000, resetTimeoutOnProgress: true };
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

describe('a call that nobody decides for 45 s', { concurrency: true }, () => {
	test('is pending over REST, with how to ask again', async () => {
		const run = await d.open();
		const a = await d.tcp().call(run, 'email.send', email);

		assert.strictEqual(a.status, 202);
		assert.strictEqual(a.body.status, 'pending_approval');
		assert.strictEqual((await d.decide(a.body.approval_id,
			'approve')).status, 200);
		const again = await d.tcp().call(run, 'email.send', email,
			{ state: a.body.approval_id });

		assert.strictEqual(again.body.status, 'sent');
	});

	for (const client of ['v1', 'legacy'])
		test(`is pending to client ${client}, with signs of life before`,
			async () => {
				const run = await d.open();
				const c = await connect(client,
					{ url: `${d.url}/mcp`, token: run.token });
				let signs = 0;
				const a = await call(c, client,
					{ name: 'email.send', arguments: email },
					{ ...options, onprogress: () => { signs++; } });

				assert.strictEqual(a.structuredContent.status,
					'pending_approval');
				assert.ok(signs >= 5, `${signs}`);
				await c.close();
			});

	test('is asked for again by the newest client itself, and then sent',
		async () => {
			const run = await d.open();
			const c = new Client({ name: 'e2e', version: '1' },
				{ versionNegotiation:
					{ mode: { pin: '2026-07-28' } } });

			await c.connect(new StreamableHTTPClientTransport(
				new URL(`${d.url}/mcp`), { requestInit: { headers:
				{ Authorization: `Bearer ${run.token}` } } }));
			const held = c.callTool({ name: 'email.send',
				arguments: email }, options);
			const approval = await d.approval(run.run);
			const own = await d.open();

			// This one is held as long, and a little less early.
			await d.tcp().call(own, 'email.send', email);
			assert.strictEqual((await d.decide(approval, 'approve'))
				.status, 200);
			assert.strictEqual((await held).structuredContent.status,
				'sent');
			await c.close();
		});
});
