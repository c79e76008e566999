// An agent that asks models by the official clients: each argument is a task
// as JSON, {api, url, retries}. Prints a line of JSON for each: what the client
// gave, or how it failed.
const { OpenAI } = require('openai');
const { Anthropic } = require('@anthropic-ai/sdk');

const messages = [{ role: 'user', content: 'What is the weather?' }];
const schema = { type: 'object', properties: { city: { type: 'string' } } };

const apis = {
	chat: async (t) => (await openai(t).chat.completions.create({
		model: 'gpt-test', messages })).choices[0],
	async chat_stream(t) {
		const all = { content: '', refusal: '', arguments: '' };

		for await (const e of await openai(t).chat.completions.create({
			model: 'gpt-test', messages, stream: true })) {
			const delta = e.choices[0]?.delta ?? {};

			all.content += delta.content ?? '';
			all.refusal += delta.refusal ?? '';
			all.arguments += delta.tool_calls?.[0]?.function.arguments ?? '';
			all.finish_reason = e.choices[0]?.finish_reason;
		}
		return all;
	},
	responses: async (t) => (await openai(t).responses.create({
		model: 'gpt-test', input: 'What is the weather?' })).output,
	messages: async (t) => anthropic(t).messages.create({
		model: 'claude-test', max_tokens: 99, messages }),
	async messages_stream(t) {
		const all = { text: '', json: '' };

		for await (const e of await anthropic(t).messages.create({
			model: 'claude-test', max_tokens: 99, messages, stream: true,
			tools: [{ name: 'weather', input_schema: schema }] })) {
			all.text += e.delta?.text ?? '';
			all.json += e.delta?.partial_json ?? '';
			all.stop_reason = e.delta?.stop_reason ?? all.stop_reason;
		}
		return all;
	},
};

const openai = (t) => new OpenAI({ apiKey: 'k', baseURL: `${t.url}/v1`,
	maxRetries: t.retries });
const anthropic = (t) => new Anthropic({ apiKey: 'k', baseURL: t.url,
	maxRetries: t.retries });

(async () => {
	for (const arg of process.argv.slice(2)) {
		const t = JSON.parse(arg), from = Date.now();
		let line;

		try {
			line = { result: await apis[t.api](t) };
		} catch (e) {
			line = { error: e.constructor.name, status: e.status,
				code: e.code, type: e.type ?? e.error?.error?.type,
				message: e.message, retry: e.headers?.get('retry-after'),
				id: e.requestID };
		}
		console.log(JSON.stringify({ ...line, ms: Date.now() - from }));
	}
})();
