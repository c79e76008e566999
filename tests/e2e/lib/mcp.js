// The official clients: one table of how to connect, and the steps that every
// one of them must be able to do. Runs outside (mcp.test.js) and inside a
// sandbox (inside.js), so it knows no more than an address.
import assert from 'node:assert';

import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 }
	from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 }
	from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 }
	from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 }
	from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const info = { name: 'e2e', version: '1.0.0' };
const negotiation = {
	legacy: { mode: 'legacy' }, auto: { mode: 'auto' },
	modern: { mode: { pin: '2026-07-28' } },
};

// client: 'v1', or the era that a v2 client asks for.
// where: { url, token } or { command, args, env }.
// told: called when the server says that its tools are others.
export async function connect(client, where, told) {
	const { url, token, command, args, env } = where;
	const headers = token ? { Authorization: `Bearer ${token}` } : {};
	const [Http, Stdio] = client === 'v1' ? [HttpV1, StdioV1]
		: [HttpV2, StdioV2];
	const transport = url
		? new Http(new URL(url), { requestInit: { headers } })
		: new Stdio({ command, args, env });
	const listChanged = told && { tools: { autoRefresh: false,
		onChanged: () => told(true) } };
	const c = client === 'v1' ? new ClientV1(info, { listChanged })
		: new ClientV2(info, {
			versionNegotiation: negotiation[client],
			inputRequired: { autoFulfill: false }, listChanged,
		});

	await c.connect(transport);
	return c;
}

export function isModern(client) {
	return client === 'modern' || client === 'auto';
}

// An input_required answer comes as a result, not as an error.
export function call(c, client, params, options) {
	if (client === 'v1')
		return c.callTool(params, undefined, options);
	return c.callTool(params,
		{ allowInputRequired: true, ...options });
}

// List, call, be refused: what needs no person.
export async function basics(c, client) {
	assert.strictEqual(c.getServerVersion().name, 'paddock');
	if (client !== 'v1')
		assert.strictEqual(c.getNegotiatedProtocolVersion(),
			isModern(client) ? '2026-07-28' : '2025-11-25');
	const { tools } = await c.listTools();
	const names = tools.map((t) => t.name);

	assert.deepStrictEqual(names, [...names].sort());
	assert.ok(names.includes('kb.search'));
	assert.ok(names.includes('approval.wait'));
	assert.ok(!names.includes('billing.refund'));

	const found = await call(c, client, { name: 'kb.search',
		arguments: { query: 'refund policy' } });

	assert.strictEqual(found.isError ?? false, false);
	assert.ok(found.structuredContent.articles.length > 0);
	assert.deepStrictEqual(JSON.parse(found.content[0].text),
		found.structuredContent);

	const refused = await call(c, client, { name: 'billing.refund',
		arguments: { invoice: 'INV-2207', amount: 49,
			payment: 'PAY-88214', reason: 'double' } });

	assert.strictEqual(refused.isError, true);
	assert.strictEqual(refused.structuredContent.status, 'refused');
	assert.strictEqual(refused.structuredContent.code, 'tool_mode');
	assert.ok(refused.structuredContent.suggested_next_step);

	const unknown = await call(c, client,
		{ name: 'no.such.tool', arguments: {} });

	assert.strictEqual(unknown.structuredContent.code, 'unlisted_tool');

	const wrong = await call(c, client,
		{ name: 'ticket.read', arguments: { ticket: 'T-0' } });

	assert.strictEqual(wrong.isError, true);
	assert.strictEqual(wrong.structuredContent.code, 'not_found');
	return names.length;
}
