// Tool servers over HTTP: real ones in both eras, what the proxy lets through
// for them, and servers that do what they should not.
import assert from 'node:assert';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { hostile, official } from './lib/http_server.js';
import { connect } from './lib/mcp.js';
import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, Place, until } from './lib/paddock.js';

const addrs = ['127.0.0.1/32'];
const place = new Place();
const key = 'tk_live_0123456789abcdef';
let d, real, evil, ports, ca;

before(async () => {
	const keys = path.join(place.dir, 'keys');
	const secrets = path.join(place.state, 'secrets');

	fs.mkdirSync(keys);
	fs.mkdirSync(secrets, { recursive: true });
	fs.writeFileSync(path.join(secrets, 'server.key'), key, { mode: 0o600 });
	ca = certificates(keys, ['tools.test']);
	real = official();
	evil = hostile();
	ports = { real: await listen(real.server),
		evil: await listen(evil.server),
		tls: await listen(https.createServer({
			key: fs.readFileSync(path.join(keys, 's.key')),
			cert: fs.readFileSync(path.join(keys, 's.pem')),
		}, (q, a) => evil.server.emit('request', q, a))) };
	d = await Daemon.start({ place, env: {
		PADDOCK_RESOLVER: `127.0.0.1:${await resolver()}` } });
});
after(async () => {
	await d.stop();
	real.server.closeAllConnections();
	evil.server.closeAllConnections();
	closeAll();
});

const at = (port, where = '/mcp', more = {}) =>
	({ url: `http://127.0.0.1:${port}${where}`, addrs, ...more });

// Each of a tenant of its own: they are different servers under one name.
let tenants = 0;

function open(servers, tools = { 's.*': { risk: 'read' } }, more = {}) {
	return d.open({ tenant: `t${++tenants}`, servers, tools, ...more });
}

const words = (a) => a.body.content[0].text;

// Of the run, as soon as there are n.
function records(run, n, test) {
	return until(async () => {
		const all = (await d.trace(run.run)).filter(test);

		return all.length >= n ? all : undefined;
	}, `${n} records`);
}

describe('a server on the official library', () => {
	for (const where of ['/mcp', '/json'])
		for (const client of ['v1', 'modern'])
			test(`at ${where}, client ${client}`, async () => {
				const run = await open({ s: at(ports.real, where) });
				const c = await connect(client,
					{ url: `${d.url}/mcp`, token: run.token });
				const { tools } = await c.listTools();
				const a = await c.callTool({ name: 's.echo',
					arguments: { text: 'hi' } });

				assert.ok(tools.some((t) => t.name === 's.echo'));
				assert.deepStrictEqual(a.content,
					[{ type: 'text', text: '{"text":"hi"}' }]);
				await c.close();
			});

	test('has one session, its version in every head, and no second try',
		async () => {
			const before = real.seen.length;
			const run = await open({ s: at(ports.real) });

			assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
			const all = real.seen.slice(before);
			const [discover, init] = all;
			const later = all.filter((q) => q.method === 'POST').slice(2);

			assert.strictEqual(discover.body.method, 'server/discover');
			assert.strictEqual(discover.headers['mcp-protocol-version'],
				'2026-07-28');
			assert.strictEqual(discover.headers['mcp-method'],
				'server/discover');
			assert.strictEqual(init.body.method, 'initialize');
			assert.strictEqual(new Set(later.map((q) =>
				q.headers['mcp-session-id'])).size, 1);
			assert.ok(later.every((q) =>
				q.headers['mcp-protocol-version'] === '2025-11-25'));
			assert.strictEqual(later.filter((q) =>
				q.body.method === 'tools/call').length, 1);
		});
});

describe('while a call is under way', () => {
	test('how far it has come is told', async () => {
		const run = await open({ s: at(ports.real) });
		const c = await connect('v1', { url: `${d.url}/mcp`, token: run.token });
		const told = [];
		const a = await c.callTool({ name: 's.steps', arguments: {} },
			undefined, { onprogress: (p) => told.push(p.progress) });

		assert.strictEqual(a.content[0].text, 'done');
		assert.deepStrictEqual(told, [1, 2, 3]);
		await c.close();
	});

	test('a cancelled one is cancelled there, and on record', async () => {
		const run = await open({ s: at(ports.real) });
		const c = await connect('v1', { url: `${d.url}/mcp`, token: run.token });
		const stop = new AbortController();
		const { waiting, cancelled } = real.counts;
		const waits = c.callTool({ name: 's.wait', arguments: {} }, undefined,
			{ signal: stop.signal });

		waits.catch(() => undefined);
		await until(() => real.counts.waiting > waiting, 'the call');
		stop.abort();
		await assert.rejects(waits);
		await until(() => real.counts.cancelled > cancelled, 'its end there');
		const [f] = await records(run, 1, (e) => e.kind === 'tool.finished');

		assert.strictEqual(f.res.status, 'unknown');
		await c.close();
	});

	test('new tools that it tells of by itself are shown', async () => {
		const streams = () => real.seen.filter((q) => q.method === 'GET');
		const before = streams().length;
		const run = await open({ s: at(ports.real) });

		await until(() => streams().length > before, 'the stream');
		await d.call(run, 's.grow');
		await until(async () => (await d.get(`/v1/runs/${run.run}/tools`))
			.tools.some((t) => t.name === 's.grown'), 'the new tool');
	});

	test('a resource is read, and a prompt got', async () => {
		const run = await open({ s: at(ports.real) }, {
			's/resources': { risk: 'read' }, 's/prompts': { risk: 'read' } });
		const c = await connect('v1', { url: `${d.url}/mcp`, token: run.token });

		assert.strictEqual((await c.readResource({ uri: 'notes://one' }))
			.contents[0].text, 'a note');
		assert.strictEqual((await c.getPrompt({ name: 's.greet' }))
			.messages[0].content.text, 'hello');
		await c.close();
	});

	test('a session that ends fails its calls, and another one begins',
		async () => {
			const run = await open({ s: at(ports.real) });

			await d.call(run, 's.echo');
			const [id] = [...real.sessions.keys()].slice(-1);

			real.sessions.delete(id);
			const a = await d.call(run, 's.count');

			assert.strictEqual(a.body.code, 'server_ended');
			assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
			await records(run, 1, (e) => e.body?.note === 'server' &&
				/ended the session/.test(e.body.why));
		});

	test('its session is ended with the run, but for one that is killed',
		async () => {
			const ends = () => real.seen.filter((q) => q.method === 'DELETE')
				.map((q) => q.headers['mcp-session-id']);
			const [run, killed] = await Promise.all([
				open({ s: at(ports.real) }), open({ s: at(ports.real) })]);

			await Promise.all([d.call(run, 's.echo'),
				d.call(killed, 's.echo')]);
			const before = ends().length;

			await d.post('/v1/kill', { what: 'run', name: killed.run });
			await d.closed(killed.run);
			await d.post(`/v1/runs/${run.run}/stop`, {});
			await d.closed(run.run);
			const all = ends().slice(before);

			assert.strictEqual(all.length, 1);
			assert.match(all[0], /^[0-9a-f-]{36}$/);
			await records(run, 1, (e) => e.kind === 'egress.decision' &&
				e.body.method === 'DELETE');
			const after = await d.trace(run.run);

			assert.strictEqual(after.at(-1).kind, 'run.closed');
		});

	test('many at once have their own answers', async () => {
		const run = await open({ s: at(ports.real) });
		const all = await Promise.all(Array.from({ length: 60 }, (_, i) =>
			d.call(run, 's.echo', { text: `n${i}` })));

		assert.deepStrictEqual(all.map(words), Array.from({ length: 60 },
			(_, i) => JSON.stringify({ text: `n${i}` })));
	});
});

describe('a server that does what it should not', () => {
	let run, ended = 0;

	before(async () => {
		run = await open({ s: at(ports.evil, '/mcp', { restarts: 20 }) },
			{ 's.*': { risk: 'read' },
				's.hang': { risk: 'read', timeout_ms: 500 } });
	});

	for (const [tool, code, why] of [
		['html', 'bad_answer', /neither JSON nor/],
		['redirect', 'server_error', /redirect/],
		['unauthorized', 'server_error', /secrets/],
		['broken', 'server_error', /out of order/],
		['die', 'server_ended', /ended before/],
		['dieinstream', 'server_ended', /ended before/],
		['silentstream', 'server_ended', /without an answer/],
		['other', 'bad_answer', /no answer to the request/],
		['nojson', 'bad_answer', /no answer to the request/],
		['shape', 'bad_answer', /no list/],
		['huge', 'answer_too_large', /3 MiB/],
		['hugeevent', 'answer_too_large', /3 MiB/],
		['events', 'answer_too_large', /limit/],
		['gzip', 'bad_answer', /encoded/],
		['input', 'bad_answer', /something of its client/],
		['hang', 'timeout', /in time/],
	])
		test(`${tool}: ${code}, once, and on record`, async () => {
			const a = await d.call(run, `s.${tool}`);
			const calls = () => evil.seen.filter((q) =>
				q.body.params?.name === tool);

			assert.strictEqual(a.body.code, code, JSON.stringify(a.body));
			assert.match(a.body.error, why);
			await records(run, ++ended, (e) => e.kind === 'tool.finished');
			assert.strictEqual(calls().length, 1);
			/* What nobody wants any more is let go of. */
			await calls()[0].closed;
		});

	test('what answers twice is heard once', async () => {
		assert.strictEqual(words(await d.call(run, 's.twice')), 'first');
	});

	test('what asks its client is told no, and answers', async () => {
		assert.strictEqual(words(await d.call(run, 's.asks')), 'asked');
		const q = await until(() => evil.seen.find((s) => s.body.id === 'q1'),
			'the answer to its question');

		assert.strictEqual(q.body.error.code, -32601);
	});

	test('stays of use after all that', async () => {
		assert.strictEqual(words(await d.call(run, 's.echo', { a: 1 })),
			'{"a":1}');
	});

	test('has each call in the head of its request', async () => {
		const q = evil.seen.findLast((s) => s.body.method === 'tools/call');

		assert.strictEqual(q.headers['mcp-protocol-version'], '2026-07-28');
		assert.strictEqual(q.headers['mcp-method'], 'tools/call');
		assert.strictEqual(q.headers['mcp-name'], q.body.params.name);
		assert.ok(q.body.params._meta[
			'io.modelcontextprotocol/clientCapabilities']);
	});
});

describe('the way to a server', () => {
	test('is that of its entry alone: the agent cannot go there', async () => {
		const run = await open({ s: at(ports.real) });

		await d.call(run, 's.echo');
		const asked = await records(run, 3, (e) =>
			e.kind === 'egress.decision');

		assert.ok(asked.every((e) => e.body.server === 's' &&
			e.dec.rule === 'servers.s'), JSON.stringify(asked[0]));
	});

	test('is none to an address that is not public and not named',
		async () => {
			const to = (host) => ({ s: { restarts: 0,
				url: `http://${host}:${ports.real}/mcp` } });
			const run = await open(to('tools.test'));
			const a = await d.call(run, 's.echo');

			assert.strictEqual(a.status, 403);
			const [e] = await records(run, 1, (x) =>
				x.body?.note === 'server' && x.body.state === 'ended');

			assert.match(e.body.why, /loopback/);
			// As an address it is seen before, and as localhost.
			for (const host of ['127.0.0.1', 'localhost'])
				await assert.rejects(open(to(host)),
					/servers\.s\.url.*\\"addrs.*127\.0\.0\.1\/32/);
		});

	test('has a credential that only the proxy puts in', async () => {
		const before = evil.seen.length;
		const run = await d.open({ tenant: `t${++tenants}`,
			servers: { s: { url: `https://tools.test:${ports.tls}/mcp`,
				addrs, ca, secrets: ['KEY'] } },
			secrets: { KEY: { from: 'file:server.key', inject: {
				header: 'authorization', format: 'Bearer {}' } } },
			tools: { 's.*': { risk: 'read' } } });
		const a = await d.call(run, 's.echo', { a: 2 });

		assert.strictEqual(words(a), '{"a":2}');
		assert.ok(evil.seen.slice(before).every((q) =>
			q.headers.authorization === `Bearer ${key}`));
		const all = await records(run, 4, (e) => e.kind === 'egress.done');

		assert.deepStrictEqual(all[0].body.secrets, ['KEY']);
		assert.ok(!JSON.stringify(await d.trace(run.run)).includes(key));
		/* What the tools role has in memory, it could send elsewhere. */
		assert.ok(!memoryOf(d.roles().tools).includes(key));
	});

	test('lets a secret of the run out by no argument', async () => {
		const before = evil.seen.length;
		const run = await d.open({ tenant: `t${++tenants}`,
			servers: { s: at(ports.evil) },
			secrets: { KEY: { from: 'file:server.key', inject: {
				header: 'authorization', format: 'Bearer {}' } } },
			tools: { 's.*': { risk: 'read' } } });
		const a = await d.call(run, 's.echo', { a: key });

		assert.match(a.body.error, /must not go out/);
		assert.ok(!JSON.stringify(evil.seen.slice(before).map((q) =>
			[q.headers, q.body])).includes(key));
	});
});

function memoryOf(pid) {
	const fd = fs.openSync(`/proc/${pid}/mem`, 'r');
	const found = [];

	for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'utf8')
		.split('\n')) {
		const m = line.match(/^(\w+)-(\w+) rw/);

		if (m === null)
			continue;
		const from = parseInt(m[1], 16), n = parseInt(m[2], 16) - from;
		const b = Buffer.alloc(n);

		try {
			fs.readSync(fd, b, 0, n, from);
			found.push(b.toString('latin1'));
		} catch { /* a hole */ }
	}
	fs.closeSync(fd);
	return found.join('\n');
}
