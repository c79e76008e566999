// Failures on purpose of models: the official clients of OpenAI and Anthropic
// in a sandbox, servers here that speak as theirs do. Each client has to find
// the error, or the answer, that its API would give, and act on it.
import assert from 'node:assert';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, Place, here, policy, trace, verify } from './lib/paddock.js';

const place = new Place();
const seen = [];
const args = '{"city":"Paris"}';
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const chunk = (delta, finish_reason = null) => ({ id: 'c1', created: 1,
	model: 'gpt-test', object: 'chat.completion.chunk',
	choices: [{ index: 0, delta, finish_reason }] });
const call = (more) => [{ index: 0, id: 't1', type: 'function', ...more }];
const answers = {
	'/v1/chat/completions': [{ id: 'c1', object: 'chat.completion',
		created: 1, model: 'gpt-test', usage, choices: [{ index: 0,
			finish_reason: 'tool_calls', message: { role: 'assistant',
				content: 'Rain.', refusal: null, tool_calls: call({
					function: { name: 'weather', arguments: args } }) },
		}] }, [
		chunk({ role: 'assistant', content: 'Ra' }), chunk({ content: 'in.' }),
		chunk({ tool_calls: call({ function: { name: 'weather',
			arguments: args.slice(0, 6) } }) }),
		chunk({ tool_calls: call({ function: {
			arguments: args.slice(6) } }) }),
		chunk({}, 'tool_calls'), '[DONE]']],
	'/v1/responses': [{ id: 'r1', object: 'response', model: 'gpt-test',
		status: 'completed', output: [{ type: 'function_call', id: 'f1',
			call_id: 't1', name: 'weather', arguments: args }] }],
	'/v1/messages': [{ id: 'm1', type: 'message', role: 'assistant',
		model: 'claude-test', stop_reason: 'tool_use', stop_sequence: null,
		usage: { input_tokens: 3, output_tokens: 2 },
		content: [{ type: 'text', text: 'Rain.' }, { type: 'tool_use',
			id: 't1', name: 'weather', input: JSON.parse(args) }] }, [
		{ type: 'message_start', message: { id: 'm1', type: 'message',
			role: 'assistant', content: [], model: 'claude-test',
			usage: { input_tokens: 3, output_tokens: 1 } } },
		{ type: 'content_block_start', index: 0, content_block: {
			type: 'tool_use', id: 't1', name: 'weather', input: {} } },
		...[args.slice(0, 6), args.slice(6)].map((partial_json) => ({
			type: 'content_block_delta', index: 0, delta: {
				type: 'input_json_delta', partial_json } })),
		{ type: 'content_block_stop', index: 0 },
		{ type: 'message_delta', delta: { stop_reason: 'tool_use' },
			usage: { output_tokens: 2 } },
		{ type: 'message_stop' }]],
};
let d, port, work, file;

async function serve(q, s) {
	let body = '';

	for await (const b of q)
		body += b;
	seen.push(q.headers.host.split('.')[0]);
	const [whole, events] = answers[q.url];

	if (!JSON.parse(body).stream) {
		s.setHeader('content-type', 'application/json');
		s.end(JSON.stringify(whole));
		return;
	}
	s.setHeader('content-type', 'text/event-stream');
	for (const e of events)
		s.write(`${e.type ? `event: ${e.type}\n` : ''}data: ${
			typeof e === 'string' ? e : JSON.stringify(e)}\n\n`);
	s.end();
}

before(async () => {
	const ca = certificates(place.dir, ['*.api.test']);

	port = await listen(https.createServer({
		key: fs.readFileSync(path.join(place.dir, 's.key')),
		cert: fs.readFileSync(path.join(place.dir, 's.pem')) }, serve));
	const dns = await resolver();

	work = path.join(place.dir, 'work');
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	fs.copyFileSync(path.join(here, 'lib/model_agent.cjs'),
		path.join(work, 'agent.cjs'));
	file = path.join(place.dir, 'policy.json');
	fs.writeFileSync(file, JSON.stringify(policy({ egress: { rules: [
		{ host: '*.api.test', port, proto: ['https'], tls: 'inspect', ca,
			methods: ['POST'], risk: 'read',
			addrs: ['127.0.0.1/32'] }] } })));
	d = await Daemon.start({ place, env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
});
after(async () => {
	await d.stop();
	closeAll();
});

// One host, and one task, for each row.
async function agent(rows) {
	const r = await place.command(['run', file, '--state', place.state,
		'--dir', work, '--env', 'NODE_PATH=/m/node_modules',
		'--mount', `${path.join(here, 'node_modules')}:/m/node_modules`,
		...rows.flatMap(([, fault], i) => fault === null ? [] : ['--fault',
			JSON.stringify({ host: `h${i}.api.test`, ...fault })]),
		'--', process.execPath, 'agent.cjs', ...rows.map(([api, , , retries],
			i) => JSON.stringify({ api, retries: retries ?? 0,
			url: `https://h${i}.api.test:${port}` }))], { input: '' }).end();

	assert.strictEqual(r.status, 0, r.err);
	r.run = r.err.match(/run (r-\w+)/)?.[1];
	r.got = r.out.trim().split('\n').map((line) => JSON.parse(line));
	return r;
}

const fails = (want) => (a) => {
	for (const [k, v] of Object.entries(want))
		assert.deepStrictEqual(a[k], v);
	assert.ok(a.id, 'a request id');
};
const notJson = (text) => {
	assert.ok(text.length > 0);
	assert.throws(() => JSON.parse(text));
};
const limited = { kind: 'rate_limit', retry_after_s: 1 };
const once = { count: 1 };
// The client's call, the rule, what it must make of it, its retries, and how
// many requests reach the server.
const rows = [
	['chat', limited, fails({ error: 'RateLimitError', status: 429,
		code: 'rate_limit_exceeded', type: 'requests', retry: '1' }), 0, 0],
	['messages', limited, fails({ error: 'RateLimitError', status: 429,
		type: 'rate_limit_error', retry: '1' }), 0, 0],
	// Their own retries wait for as long as they are told to.
	['chat', { ...limited, ...once }, (a) => {
		assert.strictEqual(a.result.message.content, 'Rain.');
		assert.ok(a.ms >= 1000, `${a.ms}`);
	}, 1, 1],
	['messages', { ...limited, ...once }, (a) => {
		assert.strictEqual(a.result.content[0].text, 'Rain.');
		assert.ok(a.ms >= 1000, `${a.ms}`);
	}, 1, 1],
	['chat', { kind: 'status', status: 500 }, fails({
		error: 'InternalServerError', status: 500, type: 'server_error' }),
	0, 0],
	['messages', { kind: 'status', status: 500 }, fails({
		error: 'InternalServerError', status: 500, type: 'api_error' }), 0, 0],
	['responses', { kind: 'overloaded' }, fails({
		error: 'InternalServerError', status: 503, type: 'server_error' }),
	0, 0],
	['messages', { kind: 'overloaded' }, fails({
		error: 'OverloadedError', status: 529, type: 'overloaded_error' }),
	0, 0],
	['messages', { kind: 'overloaded', ...once }, (a) =>
		assert.strictEqual(a.result.stop_reason, 'tool_use'), 1, 1],
	// Nobody tries that again.
	['chat', { kind: 'context_length' }, fails({ error: 'BadRequestError',
		status: 400, code: 'context_length_exceeded' }), 2, 0],
	['messages', { kind: 'context_length' }, (a) => {
		fails({ error: 'BadRequestError', status: 400,
			type: 'invalid_request_error' })(a);
		assert.match(a.message, /prompt is too long/);
	}, 2, 0],
	['chat', { kind: 'quota' }, fails({ error: 'RateLimitError',
		code: 'insufficient_quota' }), 0, 0],
	['messages', { kind: 'auth_expired' }, fails({
		error: 'AuthenticationError', status: 401,
		type: 'authentication_error' }), 0, 0],
	['chat', { kind: 'refusal' }, (a) => {
		assert.match(a.result.message.refusal, /cannot assist/);
		assert.strictEqual(a.result.message.content, null);
	}],
	['chat_stream', { kind: 'refusal', text: 'No.' }, (a) =>
		assert.deepStrictEqual(a.result, { content: '', refusal: 'No.',
			arguments: '', finish_reason: 'stop' })],
	['responses', { kind: 'refusal' }, (a) =>
		assert.strictEqual(a.result[0].content[0].type, 'refusal')],
	['messages', { kind: 'refusal' }, (a) => {
		assert.strictEqual(a.result.stop_reason, 'refusal');
		assert.deepStrictEqual(a.result.content, []);
	}],
	['messages_stream', { kind: 'refusal', text: 'No.' }, (a) =>
		assert.deepStrictEqual(a.result, { text: 'No.', json: '',
			stop_reason: 'refusal' })],
	['chat', { kind: 'empty_answer' }, (a) => {
		assert.strictEqual(a.result.message.content, '');
		assert.strictEqual(a.result.message.tool_calls, undefined);
	}],
	['chat_stream', { kind: 'empty_answer' }, (a) =>
		assert.strictEqual(a.result.content + a.result.arguments, '')],
	['messages', { kind: 'empty_answer' }, (a) =>
		assert.deepStrictEqual([a.result.content, a.result.stop_reason],
			[[], 'end_turn'])],
	['messages_stream', { kind: 'empty_answer' }, (a) =>
		assert.deepStrictEqual(a.result, { text: '', json: '',
			stop_reason: 'end_turn' })],
	['chat', { kind: 'bad_tool_json' }, (a) =>
		notJson(a.result.message.tool_calls[0].function.arguments)],
	['chat_stream', { kind: 'bad_tool_json' }, (a) => {
		notJson(a.result.arguments);
		assert.strictEqual(a.result.content, 'Rain.');
	}],
	['responses', { kind: 'bad_tool_json' }, (a) =>
		notJson(a.result[0].arguments)],
	['messages', { kind: 'bad_tool_json' }, (a) => {
		assert.deepStrictEqual(a.result.content[1].input, {});
		assert.strictEqual(a.result.stop_reason, 'max_tokens');
	}],
	['messages_stream', { kind: 'bad_tool_json' }, (a) =>
		notJson(a.result.json)],
	['chat_stream', { kind: 'stream_cut' }, (a) =>
		assert.ok(a.error, JSON.stringify(a))],
	['messages_stream', { kind: 'stream_cut' }, (a) =>
		assert.ok(a.error, JSON.stringify(a))],
	['chat_stream', { kind: 'stream_error' }, (a) => {
		assert.strictEqual(a.error, 'APIError');
		assert.strictEqual(a.type, 'server_error');
	}],
	['messages_stream', { kind: 'stream_error' }, (a) => {
		assert.match(a.message, /overloaded_error/);
		assert.match(a.error, /Error$/);
	}],
	// The same clients, when nothing is done to them.
	['chat_stream', null, (a) =>
		assert.strictEqual(a.result.arguments, args)],
	['messages_stream', null, (a) =>
		assert.strictEqual(a.result.json, args)],
];

test('each client finds what its API would give, and acts on it', async () => {
	const r = await agent(rows);
	const bad = [];

	rows.forEach(([api, fault, check, , reached], i) => {
		try {
			check(r.got[i]);
			assert.strictEqual(seen.filter((h) => h === `h${i}`).length,
				reached ?? 1, 'requests that reach the server');
		} catch (e) {
			bad.push(`${api} ${JSON.stringify(fault)}: ${e.message}\n` +
				JSON.stringify(r.got[i]));
		}
	});
	assert.deepStrictEqual(bad, []);
	const all = await trace(place.state, r.run);

	assert.strictEqual(new Set(all.filter((e) =>
		e.kind === 'fault.injected').map((e) => e.body.kind)).size,
	new Set(rows.flatMap(([, f]) => f?.kind ?? [])).size);
	await verify(place.state);
});

test('an agent that heeds its model recovers, by the report', async () => {
	const r = await agent([['messages', { ...limited, ...once }, , 1],
		['chat', { kind: 'overloaded', ...once }, , 1]]);
	const v = JSON.parse((await place.cli(['trace', 'recovery', r.run,
		'--json'])).out);

	assert.deepStrictEqual(v.asserts.map((a) => [a.name, a.verdict]), [
		['bounded_retries', 'pass'], ['backoff', 'pass'],
		['no_duplicate_effect', 'none'], ['escalation', 'pass'],
		['invariants', 'pass']]);
	assert.strictEqual(v.faults, 2);
});
