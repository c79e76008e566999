// A tool server as its authors would write it, on the official SDK: what the
// peers stand in front of. Its one tool answers at once, with about as many
// bytes as paddock's answer to the same call.
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from
	'@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from
	'@modelcontextprotocol/sdk/types.js';

const found = {
	customers: [{
		company: 'Acme Ltd', email: 'dana.whitfield@acme.example.com',
		id: 'C-1001', name: 'Dana Whitfield', note: null,
		phone: '555-0142', plan: 'pro', since: '2025-11-03T08:30:00Z',
		status: 'active',
	}],
	total: 1,
};
const server = new Server({ name: 'peer', version: '1' },
	{ capabilities: { tools: {} } });

server.setRequestHandler(ListToolsRequestSchema, () => ({
	tools: [{ name: 'customer.find', description: 'Finds customers.',
		inputSchema: { type: 'object',
			properties: { email: { type: 'string' } } } }],
}));
server.setRequestHandler(CallToolRequestSchema, () => ({
	content: [{ type: 'text', text: JSON.stringify(found) }],
	structuredContent: found,
	isError: false,
}));
await server.connect(new StdioServerTransport());
