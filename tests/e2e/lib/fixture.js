// A tool server on the official library with what the conformance suite asks
// a server for: its tools, resources, templates and prompts, by their names.
import { McpServer, ResourceTemplate }
	from '@modelcontextprotocol/sdk/server/mcp.js';
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { StdioServerTransport }
	from '@modelcontextprotocol/sdk/server/stdio.js';
import { SubscribeRequestSchema, UnsubscribeRequestSchema }
	from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

const s = new McpServer({ name: 'fixture', version: '1.0.0' },
	{ capabilities: { logging: {}, resources: { subscribe: true } } });
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDw' +
	'ADhgGAWjR9awAAAABJRU5ErkJggg==';
const wav = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
const text = (t) => ({ type: 'text', text: t });
const resource = (uri, t, mimeType = 'text/plain') =>
	({ type: 'resource', resource: { uri, mimeType, text: t } });
const tool = (name, ...content) => s.registerTool(name,
	{ description: name }, async () => ({ content }));
const pause = () => new Promise((done) => setTimeout(done, 50));

tool('test_simple_text', text('This is a simple text response for testing.'));
tool('test_image_content',
	{ type: 'image', data: png, mimeType: 'image/png' });
tool('test_audio_content',
	{ type: 'audio', data: wav, mimeType: 'audio/wav' });
tool('test_embedded_resource', resource('test://embedded-resource',
	'This is an embedded resource content.'));
tool('test_multiple_content_types', text('Multiple content types test:'),
	{ type: 'image', data: png, mimeType: 'image/png' },
	resource('test://mixed-content-resource',
		'{"test":"data","value":123}', 'application/json'));
s.registerTool('test_error_handling', { description: 'fails' }, async () => ({
	isError: true,
	content: [text('This tool intentionally returns an error for testing')],
}));
s.registerTool('test_tool_with_progress', { description: 'slow' },
	async ({ _meta, sendNotification }) => {
		for (const progress of [0, 50, 100]) {
			if (_meta?.progressToken !== undefined)
				await sendNotification({
					method: 'notifications/progress', params: {
						progressToken: _meta.progressToken,
						progress, total: 100,
						message: `at ${progress}` } });
			await pause();
		}
		return { content: [text('done')] };
	});
s.registerTool('test_tool_with_logging', { description: 'talks' },
	async ({ sendNotification }) => {
		for (const data of ['Tool execution started',
			'Tool processing data', 'Tool execution completed']) {
			await sendNotification({ method: 'notifications/message',
				params: { level: 'info', data } });
			await pause();
		}
		return { content: [text('done')] };
	});
s.registerTool('test_sampling', { description: 'asks a model',
	inputSchema: { prompt: z.string() } }, async ({ prompt }) => {
	const a = await s.server.createMessage({ maxTokens: 100, messages: [
		{ role: 'user', content: text(prompt) }] });

	return { content: [text(`LLM response: ${a.content.text}`)] };
});
s.registerTool('test_elicitation', { description: 'asks the user',
	inputSchema: { message: z.string() } }, async ({ message }) => {
	const a = await s.server.elicitInput({ message, requestedSchema: {
		type: 'object', properties: { username: { type: 'string' } } } });

	return { content: [text(`User response: ${JSON.stringify(a)}`)] };
});

s.registerResource('static-text', 'test://static-text',
	{ mimeType: 'text/plain' }, async (uri) => ({ contents: [{
		uri: uri.href, mimeType: 'text/plain',
		text: 'This is the content of the static text resource.' }] }));
s.registerResource('static-binary', 'test://static-binary',
	{ mimeType: 'image/png' }, async (uri) => ({ contents: [{
		uri: uri.href, mimeType: 'image/png', blob: png }] }));
s.registerResource('watched', 'test://watched-resource',
	{ mimeType: 'text/plain' }, async (uri) => ({ contents: [{
		uri: uri.href, mimeType: 'text/plain', text: 'watched' }] }));
s.registerResource('template', new ResourceTemplate(
	'test://template/{id}/data', { list: undefined,
		complete: { id: (v) => ['123', '124'].filter((x) =>
			x.startsWith(v)) } }),
{ mimeType: 'application/json' }, async (uri, { id }) => ({ contents: [{
	uri: uri.href, mimeType: 'application/json', text: JSON.stringify(
		{ id, templateTest: true, data: `Data for ID: ${id}` }) }] }));

const says = (...content) => ({ messages: content.map((c) =>
	({ role: 'user', content: c })) });

s.registerPrompt('test_simple_prompt', { description: 'simple' },
	() => says(text('This is a simple prompt for testing.')));
s.registerPrompt('test_prompt_with_arguments', { description: 'two arguments',
	argsSchema: {
		arg1: completable(z.string(), (v) => ['paris', 'park', 'party']
			.filter((x) => x.startsWith(v))),
		arg2: z.string(),
	} }, ({ arg1, arg2 }) => says(text(
	`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)));
s.registerPrompt('test_prompt_with_embedded_resource', {
	description: 'a resource', argsSchema: { resourceUri: z.string() } },
({ resourceUri }) => says(
	resource(resourceUri, 'Embedded resource content for testing.'),
	text('Please process the embedded resource above.')));
s.registerPrompt('test_prompt_with_image', { description: 'an image' },
	() => says({ type: 'image', data: png, mimeType: 'image/png' },
		text('Please analyze the image above.')));

for (const schema of [SubscribeRequestSchema, UnsubscribeRequestSchema])
	s.server.setRequestHandler(schema, () => ({}));
await s.connect(new StdioServerTransport());
