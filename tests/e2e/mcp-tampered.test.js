// Requests of MCP that somebody has tampered with: a state that is not the
// call's, and heads that say two things. Each has its clear error, and no
// effect.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { connect } from './lib/mcp.js';
import { Daemon, email, paddock, scratch, until } from './lib/paddock.js';

let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28',
	'io.modelcontextprotocol/clientCapabilities': {} };

// One request of the newest era; headers may differ from what it says.
function call(run, args, more = {}, headers = {}) {
	return d.tcp(run.token).ask('POST', '/mcp', { jsonrpc: '2.0', id: 1,
		method: 'tools/call', params: { name: 'email.send',
			arguments: args, _meta: meta, ...more } }, { headers: {
		Accept: 'application/json, text/event-stream',
		'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call',
		'Mcp-Name': 'email.send', ...headers } });
}

async function kinds(run, kind) {
	return (await d.trace(run.run)).filter((e) => e.kind === kind);
}

test('a requestState that is not the call\'s is refused, and recorded',
	async () => {
		const run = await d.open(), other = await d.open();
		const held = call(run, email), theirs = call(other, email);
		const approval = await d.approval(run.run);
		const foreign = await d.approval(other.run);
		const last = approval.at(-1) === '2' ? '3' : '2';
		const tried = [
			// another number, another run's, another call's
			['unknown_approval', email, approval.slice(0, -1) + last],
			['unknown_approval', email, foreign],
			['another_call', { ...email, to: 'eve@evil.example' },
				approval],
			['unknown_approval', email, `${approval} `],
			['unknown_approval', email, 'x'.repeat(5000)],
		];

		for (const [code, args, requestState] of tried) {
			const a = await call(run, args, { requestState });

			assert.strictEqual(a.body.error.code, -32602);
			assert.strictEqual(a.body.error.data.code, code);
			assert.ok(a.body.error.data.suggested_next_step);
		}
		const notes = await until(async () => {
			const all = (await kinds(run, 'note')).filter((e) =>
				e.body.note === 'state_refused');

			return all.length >= tried.length && all;
		}, 'the records');

		assert.deepStrictEqual(notes.map((e) => e.body.code),
			tried.map(([code]) => code));
		assert.strictEqual(notes[2].body.approval, approval);
		await d.decide(approval, 'reject');
		await d.decide(foreign, 'reject');
		await Promise.all([held, theirs]);
		assert.strictEqual((await kinds(run, 'tool.started')).length, 0);
	});

test('a head with two Mcp-Name says nothing, and nothing is called',
	async () => {
		const run = await d.open();

		for (const names of [['email.send', 'email.send'],
			['kb.search', 'email.send'], ['email.send', 'kb.search']]) {
			const a = await call(run, email, {}, { 'Mcp-Name': names });

			assert.strictEqual(a.status, 400);
			assert.strictEqual(a.body.error.code, -32020);
			assert.match(a.body.error.message,
				/Mcp-Name is there more than once/);
		}
		const notes = await until(async () => {
			const all = (await kinds(run, 'note')).filter((e) =>
				e.body.note === 'bad_request');

			return all.length >= 3 && all;
		}, 'the records');

		assert.ok(notes.every((e) => e.body.code === 'header_mismatch' &&
			/Mcp-Name is there more than once/.test(e.body.why)));
		// What is on disk behind them is all that there was before.
		await d.call(run, 'kb.search', { query: 'refund' });
		await until(async () => (await kinds(run, 'tool.finished'))
			.length === 1, 'the one call');
		assert.strictEqual((await kinds(run, 'tool.proposed')).length, 1);
	});

// A tool whose arguments are repeated in the head of a call.
const marked = `import json, sys
props = {'region': {'type': 'string', 'x-mcp-header': 'Region'},
         'n': {'type': 'integer', 'x-mcp-header': 'Count'},
         'sure': {'type': 'boolean', 'x-mcp-header': 'Sure'},
         'text': {'type': 'string'}}
for line in sys.stdin:
    m = json.loads(line)
    method, r = m.get('method'), {}
    if 'id' not in m:
        continue
    if method == 'server/discover':
        r = {'supportedVersions': ['2026-07-28'], 'capabilities': {'tools': {}}}
    if method == 'tools/list':
        r = {'tools': [{'name': 'go', 'inputSchema':
             {'type': 'object', 'properties': props}}]}
    if method == 'tools/call':
        r = {'content': [{'type': 'text', 'text': 'gone'}]}
    print(json.dumps({'jsonrpc': '2.0', 'id': m['id'],
          'result': {'resultType': 'complete', **r}}), flush=True)
`;

describe('what a head repeats of a call\'s arguments', () => {
	let run;

	before(async () => {
		run = await d.open({ servers: { s: {
			command: ['python3', '-c', marked] } },
		tools: { 's.go': { risk: 'read' } } });
	});

	const go = (args, headers) => d.tcp(run.token).ask('POST', '/mcp', {
		jsonrpc: '2.0', id: 1, method: 'tools/call', params: {
			name: 's.go', arguments: args, _meta: meta } }, { headers: {
		Accept: 'application/json, text/event-stream',
		'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call',
		'Mcp-Name': 's.go', ...headers } });

	test('is held against them: what differs is refused, and recorded',
		async () => {
			const us = { region: 'us' }, head = 'Mcp-Param-Region';
			const refused = [
				[us, { [head]: 'eu' }, /Region is not what the body says/],
				[us, { [head]: 'US' }, /Region is not what the body says/],
				[us, {}, /Region is missing/],
				[{}, { [head]: 'us' }, /Region says what the body does not/],
				[{ region: null }, { [head]: 'us' }, /says what/],
				[us, { [head]: ['us', 'us'] }, /more than once/],
				[us, { [head]: ['us', 'eu'] }, /more than once/],
				[us, { [head]: '=?base64?dX?=' }, /cannot be decoded/],
				[us, { [head]: '=?base64?dXM?=' }, /cannot be decoded/],
				[{ n: 42 }, { 'mcp-param-count': '43' }, /Count is not what/],
				[{ n: 42 }, { 'mcp-param-count': 'x' }, /Count is not what/],
				[{ sure: true }, { 'Mcp-Param-Sure': '1' }, /Sure is not/],
				[{ ...us, n: 1 }, { [head]: 'us' }, /Count is missing/],
			];

			for (const [args, headers, why] of refused) {
				const a = await go(args, headers);

				assert.strictEqual(a.status, 400, `${why}`);
				assert.strictEqual(a.body.error.code, -32020);
				assert.match(a.body.error.message, why);
			}
			const notes = await until(async () => {
				const all = (await kinds(run, 'note')).filter((e) =>
					e.body.note === 'bad_request');

				return all.length >= refused.length && all;
			}, 'the records');

			for (const [i, [, , why]] of refused.entries())
				assert.match(notes[i].body.why, why);
			assert.strictEqual((await kinds(run, 'tool.proposed')).length, 0);
		});

	test('is as good in another form, and where nothing is marked',
		async () => {
			for (const [args, headers] of [
				[{ region: 'us' }, { 'MCP-PARAM-REGION': 'us' }],
				[{ region: 'us' }, { 'Mcp-Param-Region': '=?base64?dXM=?=' }],
				[{ region: 'gr\u00fcn' },
					{ 'Mcp-Param-Region': '=?base64?Z3LDvG4=?=' }],
				[{ n: 42 }, { 'Mcp-Param-Count': '42.0' }],
				[{ n: 42 }, { 'Mcp-Param-Count': '42' }],
				[{ sure: false }, { 'Mcp-Param-Sure': 'false' }],
				[{ region: null, text: 'x' }, {}],
				[{}, { 'Mcp-Param-Other': 'x' }],
			]) {
				const a = await go(args, headers);

				assert.strictEqual(a.status, 200,
					JSON.stringify([args, a.body]));
				assert.strictEqual(a.body.result.content[0].text, 'gone');
			}
		});

	test('is the official client\'s own doing, and no matter in a pipe',
		async () => {
			const file = path.join(scratch, 'marked.token');

			fs.writeFileSync(file, run.token, { mode: 0o600 });
			for (const where of [{ url: `${d.url}/mcp`, token: run.token },
				{ command: paddock, args: ['mcp', '--url', `${d.url}/mcp`,
					'--token', file], env: { ...process.env } }]) {
				const c = await connect('modern', where);

				await c.listTools();
				const a = await c.callTool({ name: 's.go', arguments: {
					region: 'gr\u00fcn', n: 7, sure: true } });

				assert.strictEqual(a.content[0].text, 'gone');
				await c.close();
			}
		});
});
