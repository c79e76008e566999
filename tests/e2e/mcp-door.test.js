// The MCP door of a run for people and services with tokens of their own: who
// may come in, and that nobody stays longer than the token.
import assert from 'node:assert';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { call, connect, isModern } from './lib/mcp.js';
import { Daemon, until, within } from './lib/paddock.js';

const clients = ['v1', 'legacy', 'auto', 'modern'];
let d, run, other;

before(async () => {
	d = await Daemon.start();
	run = await d.open({ tenant: 'acme' });
	other = await d.open({ tenant: 'acme' });
});
after(() => d.stop());

function token(more) {
	return d.post('/v1/tokens', { tenant: 'acme', actor: 'alice',
		roles: ['runner'], ...more });
}

const at = (made, r = run.run) =>
	({ url: `${d.url}/mcp/${r}`, token: made.secret });

// One message of 2026-07-28, or of before.
function post(made, r, message, headers = {}) {
	return d.tcp(made.secret).ask('POST', `/mcp/${r}`,
		{ jsonrpc: '2.0', id: 1, ...message },
		{ headers: { Accept: 'application/json, text/event-stream',
			...headers } });
}

const initialize = { method: 'initialize', params: {
	protocolVersion: '2025-11-25', capabilities: {},
	clientInfo: { name: 'x', version: '1' } } };

const search = { name: 'kb.search', arguments: { query: 'refund' } };

for (const client of clients)
	describe(`client ${client}`, () => {
		test('lists the tools of a run of its tenant, and calls them',
			async () => {
				const c = await connect(client, at(await token()));
				const { tools } = await c.listTools();
				const a = await call(c, client, search);

				assert.deepStrictEqual(tools.map((t) => t.name),
					(await d.get(`/v1/runs/${run.run}/tools`)).tools
						.map((t) => t.name));
				assert.ok(a.structuredContent.articles.length > 0);
				await c.close();
			});

		test('of another tenant finds nothing, as of a run that is not',
			async () => {
				const eve = await token({ tenant: 'bank', actor: 'eve',
					roles: ['operator'] });

				// One that asks for one version tells no more.
				const why = client === 'modern' ? /did not offer/
					: /404|no such run/i;

				await assert.rejects(connect(client, at(eve)), why);
				await assert.rejects(connect(client,
					at(eve, 'r-000000000000')), why);
			});

		test('without the right does not come in, or does not call',
			async () => {
				await assert.rejects(connect(client, at(await token({
					roles: [] }))), /403|may not/i);
				const c = await connect(client, at(await token({
					roles: ['viewer'] })));
				const before = (await d.get(`/v1/runs/${run.run}`))
					.tool_calls;

				assert.ok((await c.listTools()).tools.length > 0);
				await assert.rejects(call(c, client, search));
				assert.strictEqual((await d.get(
					`/v1/runs/${run.run}`)).tool_calls, before);
				await c.close();
			});

		test('whose token is revoked in the middle is out at once',
			async () => {
				const made = await token();
				const c = await connect(client, at(made));

				await call(c, client, search);
				await d.ask('DELETE', `/v1/tokens/${made.token}`);
				// Its connections are closed, which is an error of its own.
				await assert.rejects(c.listTools());
				await assert.rejects(call(c, client, search));
				assert.strictEqual((await post(made, run.run,
					{ method: 'tools/list' })).status, 401);
				await c.close().catch(() => undefined);
			});
	});

test('another tenant is told what is told of no run at all', async () => {
	const eve = await token({ tenant: 'bank', actor: 'eve' });

	for (const r of [run.run, 'r-000000000000']) {
		const a = await post(eve, r, initialize);

		assert.strictEqual(a.status, 404);
		assert.match(a.body.error.message, /^There is no such run\./);
	}
	for (const r of ['', 'x', 'r-1', `${run.run}/x`])
		assert.strictEqual((await post(eve, r, initialize)).status, 404, r);
});

test('nobody, and a token of nobody, are not answered', async () => {
	for (const message of [initialize, { method: 'ping' },
		{ method: 'tools/list' }])
		assert.strictEqual((await post({ secret: `pdt_${'1'.repeat(64)}` },
			run.run, message)).status, 401);
});

test('an agent has the door of its own run, and no other', async () => {
	const mine = await post({ secret: run.token }, run.run, initialize);

	assert.strictEqual(mine.status, 200);
	assert.strictEqual((await post({ secret: run.token }, other.run,
		initialize)).status, 403);
});

test('a session is of one run and one token', async () => {
	const made = await token();
	const a = await post(made, run.run, initialize);
	const headers = { 'Mcp-Session-Id': a.headers['mcp-session-id'],
		'MCP-Protocol-Version': '2025-11-25' };
	const list = { method: 'tools/list' };

	assert.strictEqual((await post(made, run.run, list, headers)).status, 200);
	assert.strictEqual((await post(made, other.run, list, headers)).status,
		404);
	assert.strictEqual((await post(await token(), run.run, list, headers))
		.status, 404);
	await d.ask('DELETE', `/v1/tokens/${made.token}`);
	for (const message of [list, { method: 'ping' }])
		assert.strictEqual((await post(made, run.run, message, headers))
			.status, 401);
});

// Who only listens asks nothing, and is ended all the same.
for (const modern of [false, true])
	for (const [what, end] of [
		['the token is revoked', (made) =>
			d.ask('DELETE', `/v1/tokens/${made.token}`)],
		['the run ends', (made, r) =>
			d.post(`/v1/runs/${r}/stop`, {})]])
		test(`a stream ${modern ? 'of 2026-07-28' : 'of a session'} ends ` +
		    `when ${what}`, async () => {
			const made = await token();
			const mine = await d.open({ tenant: 'acme' });
			const headers = { Authorization: `Bearer ${made.secret}`,
				Accept: 'application/json, text/event-stream',
				'Content-Type': 'application/json' };
			let body;

			if (modern) {
				body = JSON.stringify({ jsonrpc: '2.0', id: 1,
					method: 'subscriptions/listen', params: {
						notifications: { toolsListChanged: true },
						_meta: {
							'io.modelcontextprotocol/protocolVersion':
								'2026-07-28',
							'io.modelcontextprotocol/clientCapabilities':
								{} } } });
				Object.assign(headers, {
					'MCP-Protocol-Version': '2026-07-28',
					'Mcp-Method': 'subscriptions/listen' });
			} else {
				const a = await post(made, mine.run, initialize);

				headers['Mcp-Session-Id'] = a.headers['mcp-session-id'];
			}
			const stream = await within(new Promise((done, fail) =>
				http.request(`${d.url}/mcp/${mine.run}`, { headers,
					method: modern ? 'POST' : 'GET' }, done)
					.on('error', fail).end(body)), 'the stream');
			const ended = new Promise((done) => stream.on('close', done)
				.on('error', () => undefined).resume());

			assert.strictEqual(stream.statusCode, 200);
			await end(made, mine.run);
			await within(ended, 'its end');
		});

test('who listens at the door is told of new tools', async () => {
	const code = `
import json, sys
n = 0
for line in sys.stdin:
    m = json.loads(line)
    r = {'initialize': {'protocolVersion': '2025-06-18', 'capabilities':
         {'tools': {}}, 'serverInfo': {'name': 'x', 'version': '1'}},
         'tools/call': {'content': []}}.get(m.get('method'))
    if m.get('method') == 'tools/list':
        n += 1
        r = {'tools': [{'name': t, 'inputSchema': {'type': 'object'}} for t in
             ['grow', 'new%d' % n]]}
    if m.get('method') == 'tools/call':
        print(json.dumps({'jsonrpc': '2.0', 'method':
              'notifications/tools/list_changed'}), flush=True)
    if 'id' in m:
        print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], **({'result': r}
              if r else {'error': {'code': -32601, 'message': 'no'}})}),
              flush=True)
`;
	const mine = await d.open({ tenant: 'acme', servers: { s: {
		command: ['python3', '-c', code] } },
	tools: { 's.*': { risk: 'read' } } });
	const made = await token();

	for (const client of clients) {
		let told;
		const changed = new Promise((done) => { told = done; });
		const c = await connect(client, at(made, mine.run), told);

		await c.listTools();
		await until(async () => {
			await d.call(mine, 's.grow');
			return Promise.race([changed, new Promise((done) =>
				setTimeout(done, 1000))]);
		}, `the notice to ${client}`);
		assert.strictEqual(isModern(client), /auto|modern/.test(client));
		await c.close();
	}
});
