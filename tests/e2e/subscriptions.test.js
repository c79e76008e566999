// Resources that tell when they change: agents and tool servers of both eras,
// by pipes and over HTTP, each with each. Then what has a limit, what the
// policy says, and how it ends.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { connect } from './lib/mcp.js';
import { closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, here, paddock, scratch, until } from './lib/paddock.js';
import { newerHttp, olderHttp } from './lib/watched.js';

const code = fs.readFileSync(path.join(here, 'lib/watched.py'), 'utf8');
const one = 'notes://one', two = 'notes://two';
const all = { 's.*': { risk: 'read' }, 's/resources': { risk: 'read' } };
const pipes = (era) => ({ command: ['python3', '-c', code, era] });
const kinds = ['older by pipes', 'newer by pipes', 'older over HTTP',
	'newer over HTTP'];
let d, http, runs;

before(async () => {
	http = { older: olderHttp(), newer: newerHttp() };
	d = await Daemon.start({ env: {
		PADDOCK_RESOLVER: `127.0.0.1:${await resolver()}` } });
	const at = async (s) => ({ addrs: ['127.0.0.1/32'],
		url: `http://127.0.0.1:${await listen(s.server)}/mcp` });
	const servers = [pipes('older'), pipes('newer'), await at(http.older),
		await at(http.newer)];

	runs = Object.fromEntries(await Promise.all(servers.map(async (s, i) =>
		[kinds[i], await d.open({ tenant: `t${i}`, servers: { s },
			tools: all })])));
});
after(async () => {
	await d.stop();
	http.older.server.closeAllConnections();
	http.newer.server.closeAllConnections();
	closeAll();
});

function door(run, by) {
	return by === 'HTTP' ? { url: `${d.url}/mcp`, token: run.token }
		: { command: paddock, args: ['mcp', '--url', `${d.url}/mcp`,
			'--token', token(run)], env: { ...process.env } };
}

function token(run) {
	const file = path.join(scratch, `${run.run}.token`);

	fs.writeFileSync(file, run.token, { mode: 0o600 });
	return file;
}

// A client of that kind, and what it was told.
async function agent(run, client, by = 'HTTP') {
	const c = await connect(client, door(run, by));
	const told = [];
	const method = 'notifications/resources/updated';
	const heard = (n) => { told.push(n.params.uri); };

	if (client === 'v1') {
		const { ResourceUpdatedNotificationSchema: schema } = await import(
			'@modelcontextprotocol/sdk/types.js');

		c.setNotificationHandler(schema, heard);
	} else {
		c.setNotificationHandler(method, heard);
	}
	return { c, told };
}

// Asks to be told; what it returns ends that.
async function watch(c, client, ...uris) {
	if (client === 'modern') {
		const s = await c.listen({ resourceSubscriptions: uris });

		assert.deepStrictEqual(
			[...s.honoredFilter.resourceSubscriptions ?? []].sort(), uris);
		return () => s.close();
	}
	for (const uri of uris)
		await c.subscribeResource({ uri });
	return async () => {
		for (const uri of uris)
			await c.unsubscribeResource({ uri });
	};
}

const words = async (run, name) =>
	(await d.call(run, name)).body.content[0].text;
const records = async (run, note, state) => (await d.trace(run.run)).filter(
	(e) => e.body?.note === note && (!state || e.body.state === state));

for (const kind of kinds)
	describe(`a server ${kind}`, () => {
		for (const client of ['v1', 'modern'])
			for (const by of ['HTTP', 'pipes'])
				test(`tells a client ${client} by ${by}, until it wants ` +
					'no more', async () => {
					const run = runs[kind];
					const { c, told } = await agent(run, client, by);
					const end = await watch(c, client, one);

					assert.match(await words(run, 's.count'), /one/);
					await d.call(run, 's.touch');
					await until(() => told.length > 0, 'the notice');
					assert.ok(told.every((uri) => uri === one));
					await end();
					await until(async () => !/one/.test(
						await words(run, 's.count')), 'its end');
					await c.close();
				});

		test('is on record from its beginning to its end', async () => {
			const run = runs[kind];

			await until(async () => (await records(run, 'subscription',
				'closed')).length >= 4, 'the ends');
			const opened = await records(run, 'subscription', 'open');

			assert.strictEqual(opened.length, 4);
			assert.ok(opened.every((e) => e.body.server === 's' &&
				e.body.uri === one));
			const updates = await records(run, 'resource_updated');

			assert.ok(updates.length >= 4);
			assert.ok(updates.every((e) => e.body.uri === one));
		});
	});

describe('a subscription', () => {
	test('is for who may read it now, and for nobody else', async () => {
		const run = await d.open({ servers: { s: pipes('older') }, tools: {
			's.*': { risk: 'read' }, 's/resources': { risk: 'read',
				args: { type: 'object', properties: {
					uri: { enum: [one, 'notes://other'] } } } } } });
		const { c } = await agent(run, 'v1');
		const m = await agent(run, 'modern');

		await c.subscribeResource({ uri: one });
		await assert.rejects(c.subscribeResource({ uri: two }),
			(e) => e.code === -32602 && /uri/.test(e.message));
		await assert.rejects(c.subscribeResource({ uri: 'notes://other' }),
			/no resources\/subscribe/);
		const s = await m.c.listen({ resourceSubscriptions: [one, two] });

		assert.deepStrictEqual(s.honoredFilter.resourceSubscriptions, [one]);
		await until(async () => (await records(run, 'subscription',
			'refused')).length === 3, 'the refusals');
		assert.strictEqual(await words(run, 's.count'), `["${one}"]`);
		await c.close();
		await m.c.close();
	});

	test('needs no person, or there is none', async () => {
		const run = await d.open({ servers: { s: pipes('newer') }, tools: {
			's/resources': { risk: 'read', mode: 'approve' } } });
		const { c } = await agent(run, 'v1');

		await assert.rejects(c.subscribeResource({ uri: one }), /at once/);
		await c.close();
	});

	test('has a limit in each run', async () => {
		const run = await d.open({ servers: { s: pipes('older') },
			tools: all });
		const { c } = await agent(run, 'v1');
		const more = [];

		await c.subscribeResource({ uri: one });
		for (let i = 0; i < 63; i++)
			more.push(await agent(run, 'modern'));
		await Promise.all(more.map((m) => watch(m.c, 'modern', one)));
		await assert.rejects(c.subscribeResource({ uri: two }), /as many/);
		await c.close();
		await Promise.all(more.map((m) => m.c.close()));
	});

	test('is told of a storm in a few words', async () => {
		const run = await d.open({ servers: { s: pipes('older') },
			tools: all });
		const { c, told } = await agent(run, 'v1');

		await c.subscribeResource({ uri: one });
		for (let i = 0; i < 5; i++)
			await d.call(run, 's.storm');
		await until(() => told.length > 0, 'the notice');
		assert.ok(told.length < 1000, `${told.length}`);
		await c.close();
	});

	for (const era of ['older', 'newer'])
		test(`outlives its server, and is told once that it may have ` +
			`changed: ${era}`, async () => {
			const run = await d.open({ servers: { s: pipes(era) },
				tools: all });
			const { c, told } = await agent(run, 'v1');

			await c.subscribeResource({ uri: one });
			assert.strictEqual((await d.call(run, 's.die')).body.code,
				'server_ended');
			await until(() => told.includes(one), 'the notice');
			assert.match(await words(run, 's.count'), /one/);
			await c.close();
		});

	test('ends with its session, which is gone then', async () => {
		const run = await d.open({ servers: { s: pipes('older') },
			tools: all });
		const { c } = await agent(run, 'v1');
		const session = c.transport.sessionId;

		await c.subscribeResource({ uri: one });
		await c.transport.terminateSession();
		await until(async () => await words(run, 's.count') === '[]',
			'its end');
		const a = await d.tcp(run.token).ask('POST', '/mcp', { jsonrpc: '2.0',
			id: 1, method: 'tools/list' }, { headers: {
			Accept: 'application/json, text/event-stream',
			'MCP-Protocol-Version': '2025-11-25',
			'Mcp-Session-Id': session } });

		assert.strictEqual(a.status, 404);
		await c.close();
	});
});
