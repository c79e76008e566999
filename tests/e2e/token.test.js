// API tokens: who has one may do what it says, in its own tenant, until it
// ends; every route is walked as nobody, as another tenant, with the wrong
// right and with the right one.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Daemon, email, isRoot, policy, top, until, verify,
	Command } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

function make(changes = {}, by = d) {
	return by.post('/v1/tokens', { tenant: 'acme', actor: 'alice',
		...changes });
}

// The API as whoever has a new token.
async function as(changes, by = d) {
	const t = await make(changes, by);

	return Object.assign(by.tcp(t.secret), { made: t });
}

const acme = { tenant: 'acme', actor: 'alice', roles: ['runner'] };

// An approval that waits in a run of this tenant.
async function waiting(tenant = 'acme', approvals = {}, more = {}) {
	const run = await d.open({ tenant, actor: 'agent', ...more,
		approvals: { lead: approvals },
		tools: { 'email.send': { risk: 'external_write',
			mode: 'approve', approval: 'lead' } } });
	const held = d.tcp().call(run, 'email.send', email);

	return { run, held, approval: await d.approval(run.run) };
}

describe('a token', () => {
	test('is shown once, and only its hash is kept', async () => {
		const t = await make({ roles: ['viewer'] });

		assert.match(t.secret, /^pdt_[0-9a-f]{64}$/);
		assert.match(t.token, /^t-[0-9a-z]{12}$/);
		const { tokens } = await d.get('/v1/tokens');
		const listed = tokens.find((x) => x.token === t.token);

		assert.strictEqual(listed.secret, undefined);
		assert.strictEqual(listed.state, 'good');
		for (const name of fs.readdirSync(path.join(d.state, 'store')))
			assert.ok(!fs.readFileSync(path.join(d.state, 'store',
				name)).includes(t.secret), name);
		await (d.tcp(t.secret)).get('/v1/runs');
		const used = (await d.get('/v1/tokens')).tokens
			.find((x) => x.token === t.token);

		assert.ok(used.used_ms >= t.created_ms);
	});

	test('that is cut, longer or another is nobody\'s', async () => {
		const { secret } = await make({ roles: ['viewer'] });

		for (const token of [secret.slice(0, -1), `${secret}0`,
			secret.toUpperCase(), `pdt_${'0'.repeat(64)}`, 'pdt_'])
			assert.strictEqual((await d.tcp(token)
				.ask('GET', '/v1/runs')).status, 401, token);
	});

	test('outlives a restart; a revoked one stays revoked', async () => {
		const own = await Daemon.start();
		const good = await make({ roles: ['viewer'] }, own);
		const gone = await make({ roles: ['viewer'] }, own);

		await own.ask('DELETE', `/v1/tokens/${gone.token}`);
		await own.stop();
		const again = await Daemon.start({ place: own.place });

		assert.strictEqual((await again.tcp(good.secret)
			.ask('GET', '/v1/runs')).status, 200);
		assert.strictEqual((await again.tcp(gone.secret)
			.ask('GET', '/v1/runs')).status, 401);
		await again.stop();
		await verify(again.state);
	});

	test('that is revoked ends at once, with its open streams',
		async () => {
			const t = await as({ roles: ['runner'] });
			const run = await t.open({ tenant: 'acme',
				actor: undefined, roles: undefined });
			const seen = [];
			const followed = (async () => {
				for await (const e of t.events(run.run))
					seen.push(e);
			})().then(() => 'ended', () => 'cut');
			const held = t.get(`/v1/runs/${run.run}/wait` +
				'?timeout_ms=60000').catch(() => 'cut');

			await until(() => seen.length > 0, 'a record');
			const gone = await d.ask('DELETE',
				`/v1/tokens/${t.made.token}`);

			assert.strictEqual(gone.body.state, 'revoked');
			assert.strictEqual(await followed, 'cut');
			assert.strictEqual(await held, 'cut');
			assert.strictEqual((await t.ask('GET', '/v1/runs')).status,
				401);
			assert.strictEqual((await d.get(`/v1/runs/${run.run}`))
				.status, 'open');
		});

	test('that expires ends, with its open streams', async () => {
		const t = await as({ roles: ['runner'], ttl_s: 1 });
		const run = await d.open({ tenant: 'acme' });
		const held = t.ask('GET', `/v1/runs/${run.run}/wait` +
			'?timeout_ms=60000').catch(() => 'cut');

		assert.strictEqual(await held, 'cut');
		assert.strictEqual((await t.ask('GET', '/v1/runs')).status, 401);
	});

	test('is refused with what is wrong about it', async () => {
		for (const [bad, why] of [
			[{ tenant: 'a/b' }, /tenant/], [{ tenant: '' }, /tenant/],
			[{ actor: 'a b' }, /actor/], [{ roles: 'x' }, /roles/],
			[{ roles: ['a b'] }, /roles/], [{ scopes: ['*'] }, /scopes/],
			[{ ttl_s: 0 }, /ttl_s/], [{ ttl_s: 1e9 }, /ttl_s/],
			[{ attributes: { tenant: 'x' } }, /attribute/],
			[{ attributes: { customer: '' } }, /attribute/],
			[{ attributes: { customer: 'x'.repeat(257) } }, /attribute/],
			[{ tenant: 't'.repeat(100), actor: 'a'.repeat(100) },
				/together/]]) {
			const a = await d.ask('POST', '/v1/tokens',
				{ tenant: 'acme', actor: 'alice', ...bad });

			assert.strictEqual(a.status, 400, JSON.stringify(bad));
			assert.match(a.body.error.message, why);
		}
	});

	test('is made, listed and revoked by the command line', async () => {
		const cli = async (...args) => {
			const r = await d.place.cli(['token', ...args]);

			assert.strictEqual(r.status, 0, r.err);
			return r.out;
		};
		const secret = (await cli('create', '--tenant', 'acme', '--actor',
			'carol', '--roles', 'viewer,finance', '--scopes',
			'runs:stop', '--attribute', 'customer=c1', '--ttl', '2h'))
			.trim();
		const t = JSON.parse(await cli('ls', '--json'))
			.find((x) => x.actor === 'carol');

		assert.deepStrictEqual([t.roles, t.scopes, t.attributes,
			t.expires_ms - t.created_ms], [['viewer', 'finance'],
			['runs:stop'], { customer: 'c1' }, 7200000]);
		assert.match(await cli('ls'), /carol +viewer,finance,runs:stop/);
		const file = path.join(d.place.dir, 'carol.token');

		fs.writeFileSync(file, `${secret}\n`);
		const ps = await new Command(['ps', '--url', d.url,
			'--token-file', file]).end();

		assert.strictEqual(ps.status, 0, ps.err);
		assert.match(await cli('revoke', t.token), /revoked/);
		assert.strictEqual((await d.tcp(secret).ask('GET', '/v1/runs'))
			.status, 401);
		const bad = await d.place.cli(['token', 'revoke',
			't-000000000000']);

		assert.strictEqual(bad.status, 1);
		assert.match(bad.err, /no such token/);
		assert.strictEqual((await d.place.cli(['token', 'revok']))
			.status, 2);
	});
});

describe('the socket', { skip: isRoot ? false : 'takes two users' }, () => {
	test('knows root and its owner, and nobody else', async () => {
		fs.chmodSync(d.state, 0o711);
		fs.chmodSync(path.join(d.state, 'paddock.sock'), 0o666);
		const ask = `require('http').request({ socketPath: '${
			path.join(d.state, 'paddock.sock')}', path: '/v1/runs' },
			(a) => { console.log(a.statusCode); process.exit(); }).end()`;
		const run = async (uid) => (await new Command(['-e', ask],
			{ program: process.execPath, uid, gid: uid, cwd: '/' })
			.end()).out.trim();

		assert.strictEqual(await run(0), '200');
		for (const uid of [1, 12345, 65534])
			assert.strictEqual(await run(uid), '401', `uid ${uid}`);
		fs.chmodSync(path.join(d.state, 'paddock.sock'), 0o600);
	});
});

// Every operation of docs/openapi.json, with arguments that are good enough
// to reach the question whether one may.
describe('every route', () => {
	const doc = JSON.parse(fs.readFileSync(
		path.join(top, 'docs/openapi.json'), 'utf8'));
	const rows = Object.entries(doc.paths).flatMap(([route, ops]) =>
		Object.entries(ops).map(([method, op]) => ({ route,
			method: method.toUpperCase(), op,
			scope: op['x-paddock-scope'],
			all: op['x-paddock-all-tenants'] === true })))
		.filter((r) => r.scope !== undefined);
	let run, approval, held, token;

	before(async () => {
		({ run, approval, held } = await waiting());
		token = (await make({ actor: 'target' })).token;
	});
	after(async () => {
		await d.decide(approval, 'reject');
		await held;
	});

	const bodies = {
		'/v1/runs': () => ({ policy: policy({ tenant: 'acme' }) }),
		'/v1/sandboxes': () => ({ memory_mb: 64 }),
		'/v1/tokens': () => ({ tenant: 'acme', actor: 'x', ttl_s: 1 }),
		'/v1/runs/{run}/calls': () => ({ name: 'kb.search',
			arguments: { query: 'x' } }),
		// None of these is done: what they name is not there.
		'/v1/approvals/{approval}/decide': () => ({ verdict: 'none' }),
		'/v1/secrets/check': () => ({ from: 'nowhere:x' }),
		'/v1/secrets/revoke': () => ({ name: 'NONE' }),
		'/v1/sandboxes/{run}/exec': () => ({ argv: ['true'] }),
		'/v1/sandboxes/{run}/exec/{exec}/signal': () => ({ signal: 15 }),
	};

	function ask(api, { route, method, op }) {
		const at = route.replace('{run}', run.run)
			.replace('{approval}', approval).replace('{token}', token)
			.replace('{pin}', 'p-000000000000').replace('{exec}', '1').replace('{port}', '8000')
			.replace('{path}', 'x');
		const query = (op.parameters ?? []).filter((p) =>
			p.in === 'query' && p.required).map((p) =>
			`${p.name}=x`).join('&');
		const body = bodies[route]?.() ?? {};

		if (route.endsWith('/wait'))
			return api.ask(method, `${at}?timeout_ms=1`);
		const headers = route.endsWith('{port}')
			? { Connection: 'Upgrade', Upgrade: 'tcp' } : {};

		return api.ask(method, query ? `${at}?${query}` : at,
			op.requestBody ? body : undefined, { headers });
	}

	const kills = (r) => /stop|^DELETE/.test(`${r.method} ${r.route}`) &&
		/runs|v1.stop|sandboxes..run.$/.test(r.route);

	test('there are many', () => assert.ok(rows.length > 35));

	test('refuses nobody and a token of nobody', async () => {
		const nobody = d.tcp(`pdt_${'1'.repeat(64)}`);
		const none = Object.assign(d.tcp(), { where: { ...d.tcp().where,
			token: undefined } });

		for (const r of rows) {
			assert.strictEqual((await ask(nobody, r)).status, 401,
				`${r.method} ${r.route}`);
			assert.strictEqual((await ask(none, r)).status, 401,
				`${r.method} ${r.route}`);
		}
	});

	test('refuses whoever has every other right', async () => {
		const scopes = [...new Set(rows.map((r) => r.scope))];

		for (const scope of scopes) {
			const api = await as({ tenant: '*', actor: 'w',
				scopes: scopes.filter((s) => s !== scope) });

			for (const r of rows.filter((x) => x.scope === scope)) {
				const a = await ask(api, r);

				assert.strictEqual(a.status, 403,
					`${r.method} ${r.route}`);
			}
		}
	});

	test('refuses an agent outside with its run\'s token', async () => {
		const agent = d.tcp(run.token);

		for (const r of rows) {
			if (['runs:read', 'calls:make'].includes(r.scope) &&
				/tools|calls/.test(r.route))
				continue; // its own tools
			assert.strictEqual((await ask(agent, r)).status, 403,
				`${r.method} ${r.route}`);
		}
	});

	test('shows another tenant nothing', async () => {
		const other = await as({ tenant: 'bank', actor: 'eve',
			roles: ['operator'] });
		const unknown = (await other.ask('GET',
			'/v1/runs/r-000000000000')).body;

		for (const r of rows) {
			const a = await ask(other, r);
			const what = `${r.method} ${r.route} ${a.status}`;

			if (r.all) {
				assert.strictEqual(a.status, 403, what);
			} else if (/\{(run|approval)\}/.test(r.route)) {
				// verdict "none" is told before what it is about
				assert.ok([404, 400].includes(a.status), what);
				if (r.scope === 'runs:read')
					assert.deepStrictEqual(a.body, unknown, what);
			}
			assert.ok(!JSON.stringify(a.body ?? '')
				.includes(run.run), what);
		}
		assert.strictEqual((await other.decide(approval, 'approve'))
			.status, 404);
		assert.strictEqual((await d.get(`/v1/runs/${run.run}`)).status,
			'open');
		for (const at of ['/v1/runs?all=true', '/v1/approvals?state=all',
			'/v1/secrets', '/v1/sandboxes']) {
			const [list] = Object.values(await other.get(at));

			assert.ok(!list.some((x) => (x.tenant ?? 'bank') !==
				'bank' || x.run === run.run), at);
		}
		assert.deepStrictEqual(await other.get('/v1/health'),
			{ status: 'ok' });
	});

	test('takes whoever has the right', async () => {
		for (const r of rows.filter((x) => !kills(x))) {
			const api = await as({ tenant: r.all ? '*' : 'acme',
				actor: 'w', scopes: [r.scope, 'runs:delegate'] });
			const a = await ask(api, r);

			assert.ok(![401, 403].includes(a.status) ||
				/not_open|policy/.test(JSON.stringify(a.body)),
			`${r.method} ${r.route} ${a.status} ${
				JSON.stringify(a.body)}`);
			if (r.op.operationId?.startsWith('open'))
				await d.post(`/v1/runs/${a.body.run}/stop`, {});
		}
	});

	test('stops what it sees and nothing else', async () => {
		const mine = await d.open({ tenant: 'acme' });
		const yours = await d.open({ tenant: 'bank' });
		const api = await as({ tenant: 'bank', actor: 'w',
			scopes: ['runs:stop'] });

		assert.strictEqual((await api.ask('POST',
			`/v1/runs/${mine.run}/stop`, {})).status, 404);
		await api.post('/v1/stop', {});
		await d.closed(yours.run);
		assert.strictEqual((await d.get(`/v1/runs/${mine.run}`)).status,
			'open');
		await d.post(`/v1/runs/${mine.run}/stop`, {});
	});
});

describe('a run', () => {
	const plain = { tenant: undefined, actor: undefined, roles: undefined };

	test('of a tenant is its opener\'s, where the policy says nothing',
		async () => {
			const t = await as({ ...acme, roles: ['runner', 'support'] });
			const run = await t.open(plain);

			assert.strictEqual(run.tenant, 'acme');
			assert.strictEqual(run.actor, 'alice');
			await t.post(`/v1/runs/${run.run}/stop`, {});
		});

	test('cannot be more than who opens it', async () => {
		const t = await as(acme);

		for (const [more, code] of [[{ tenant: 'bank' }, 'other_tenant'],
			[{ actor: 'bob' }, 'beyond_you'],
			[{ roles: ['operator'] }, 'beyond_you'],
			[{ scopes: ['tickets:read'] }, 'beyond_you'],
			[{ secrets: { KEY: { from: 'file:key',
				inject: { header: 'x-key' } } } }, 'forbidden']]) {
			const a = await t.ask('POST', '/v1/runs',
				{ policy: policy({ ...plain, ...more }) });

			assert.strictEqual(a.status, 403,
				JSON.stringify([more, a.body]));
			assert.strictEqual(a.body.error.code, code);
		}
		const may = await as({ ...acme, scopes: ['runs:delegate'] });
		const run = await may.open({ tenant: 'acme', actor: 'bob' });

		assert.strictEqual(run.actor, 'bob');
		assert.strictEqual((await may.ask('POST', '/v1/runs',
			{ policy: policy({ tenant: 'bank' }) })).status, 403);
	});

	test('is about what is its opener\'s', async () => {
		const t = await as({ ...acme, attributes: {
			tickets: ['T-1041'], region: 'eu' } });
		const tools = { 'ticket.read': { risk: 'read',
			owner: '$.ticket in identity.tickets' } };
		const run = await t.open({ ...plain, tools });
		const call = (ticket) => d.tcp(run.token).ask('POST',
			`/v1/runs/${run.run}/calls`,
			{ name: 'ticket.read', arguments: { ticket } });

		assert.strictEqual((await call('T-1041')).status, 200);
		for (const other of ['T-1042', 't-1041', '']) {
			const no = await call(other);

			assert.strictEqual(no.status, 403);
			assert.strictEqual(no.body.code, 'not_owner');
		}
		const opened = (await d.trace(run.run))[0];

		assert.deepStrictEqual(opened.body.attributes,
			t.made.attributes);
		await t.post(`/v1/runs/${run.run}/stop`, {});
		for (const attributes of [{ tickets: ['T-1041', 'T-1042'] },
			{ tickets: 'T-1041' }, { region: 'us' }, { other: 'x' }])
			assert.strictEqual((await t.ask('POST', '/v1/runs',
				{ policy: policy({ ...plain, tools, attributes }) }))
				.body.error.code, 'beyond_you');
		const less = await t.open({ ...plain, tools,
			attributes: { tickets: [] } });

		assert.strictEqual((await d.tcp(less.token).call(less,
			'ticket.read', { ticket: 'T-1041' })).status, 403);
	});

	test('is not called by an API token through MCP', async () => {
		const t = await as({ tenant: '*', actor: 'w',
			roles: ['operator'] });
		const a = await t.ask('POST', '/mcp', { jsonrpc: '2.0', id: 1,
			method: 'tools/call', params: { name: 'kb.search',
				arguments: { query: 'x' },
				_meta: { 'io.modelcontextprotocol/protocolVersion':
					'2026-07-28',
				'io.modelcontextprotocol/clientCapabilities': {},
				'io.modelcontextprotocol/clientInfo':
					{ name: 'x', version: '1' } } } },
		{ headers: { Accept: 'application/json, text/event-stream',
			'MCP-Protocol-Version': '2026-07-28',
			'Mcp-Method': 'tools/call', 'Mcp-Name': 'kb.search' } });

		assert.ok(a.status >= 400 || a.body.error !== undefined ||
			a.body.result.isError, JSON.stringify(a.body));
		assert.match(JSON.stringify(a.body), /No open run|unknown_run/);
	});
});

describe('an approval', () => {
	const voter = (actor, roles = ['approver']) =>
		as({ tenant: 'acme', actor, roles });

	test('is decided by whoever has a role that it names', async () => {
		const { held, approval } = await waiting('acme',
			{ from_roles: ['finance'] });

		assert.strictEqual((await (await voter('ann'))
			.decide(approval, 'approve')).status, 403);
		assert.strictEqual((await d.decide(approval, 'approve')).status,
			403);
		assert.strictEqual((await (await as({ tenant: 'acme',
			actor: 'ben', roles: ['finance'] })).decide(approval,
			'approve')).status, 403);
		assert.strictEqual((await (await voter('ben',
			['approver', 'finance'])).decide(approval, 'approve'))
			.status, 200);
		assert.strictEqual((await held).status, 200);
	});

	test('of two takes two people, not two tokens of one', async () => {
		const { held, approval, run } = await waiting('acme',
			{ quorum: 2 });

		assert.strictEqual((await (await voter('ann'))
			.decide(approval, 'approve')).body.state, 'pending');
		const again = await (await voter('ann')).decide(approval,
			'approve');

		assert.strictEqual(again.status, 403);
		assert.strictEqual((await (await voter('ben'))
			.decide(approval, 'approve')).status, 200);
		assert.strictEqual((await held).status, 200);
		assert.deepStrictEqual((await d.trace(run.run))
			.filter((e) => e.kind === 'approval.decided')
			.map((e) => e.body.by), ['acme/ann', 'acme/ben']);
	});

	test('is not decided by its run\'s actor or its opener', async () => {
		const opener = await as({ tenant: 'acme', actor: 'olga',
			roles: ['runner', 'approver'] });
		const run = await opener.open({ tenant: 'acme', actor: undefined,
			roles: undefined,
			approvals: { default: { distinct_from: ['requester'] } } });
		const held = d.tcp().call(run, 'email.send', email);
		const approval = await d.approval(run.run);

		assert.strictEqual((await opener.decide(approval, 'approve'))
			.status, 403);
		assert.strictEqual((await (await voter('olga')).decide(approval,
			'approve')).status, 403);
		assert.strictEqual((await (await voter('ann')).decide(approval,
			'approve')).status, 200);
		assert.strictEqual((await held).status, 200);

		const two = await waiting('acme', {}, { actor: 'sam' });

		assert.strictEqual((await (await voter('sam'))
			.decide(two.approval, 'approve')).status, 403);
		assert.strictEqual((await (await as({ tenant: '*', actor: 'sam',
			roles: ['operator'] })).decide(two.approval, 'approve'))
			.status, 403);
		await d.decide(two.approval, 'reject');
		await two.held;
	});

	test('is not decided through the agent\'s own door', async () => {
		const { held, approval, run } = await waiting('acme',
			{ distinct_from: [] });
		const agent = d.tcp(run.token);

		assert.strictEqual((await agent.decide(approval, 'approve'))
			.status, 403);
		assert.strictEqual((await agent.ask('GET',
			`/v1/approvals/${approval}`)).status, 403);
		await d.decide(approval, 'reject');
		await held;
	});
});
