// Requests of MCP that somebody has tampered with: a state that is not the
// call's, and heads that say two things. Each has its clear error, and no
// effect.
import assert from 'node:assert';
import { after, before, test } from 'node:test';

import { Daemon, email, until } from './lib/paddock.js';

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
		// What is on disk behind them is all that there was before.
		await d.call(run, 'kb.search', { query: 'refund' });
		await until(async () => (await kinds(run, 'tool.finished'))
			.length === 1, 'the one call');
		assert.strictEqual((await kinds(run, 'tool.proposed')).length, 1);
	});
