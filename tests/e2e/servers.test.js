// Tool servers behind the broker: what works, and servers that do what they
// should not. Runs without a command; who calls has the run's token.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { connect } from './lib/mcp.js';
import { Daemon, here, until } from './lib/paddock.js';

const code = fs.readFileSync(path.join(here, 'lib/server.py'), 'utf8');
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

const server = (mode = '', more = {}) =>
	({ command: ['python3', '-c', code, mode], ...more });

function open(servers, tools = { 's.*': { risk: 'read' } }, more = {}) {
	return d.open({ servers, tools, ...more });
}

async function notes(run, state) {
	return (await d.trace(run.run)).filter((e) => e.kind === 'note' &&
		e.body.note === 'server' && e.body.state === state);
}

function finished(run) {
	return d.trace(run.run).then((all) => all.filter((e) =>
		e.kind === 'tool.finished'));
}

const words = (a) => a.body.content[0].text;

describe('tools of a server', () => {
	for (const client of ['v1', 'legacy', 'auto', 'modern']) {
		for (const mode of ['', 'modern']) {
			test(`client ${client}, server ${mode || 'legacy'}`,
				async () => {
					const run = await open({ s: server(mode) });
					const c = await connect(client,
						{ url: `${d.url}/mcp`, token: run.token });
					const { tools } = await c.listTools();
					const a = await c.callTool({ name: 's.echo',
						arguments: { a: 1 } });

					assert.ok(tools.some((t) =>
						t.name === 's.echo' &&
						t.description === 'echo'));
					assert.deepStrictEqual(a.content,
						[{ type: 'text', text: '{"a": 1}' }]);
					assert.deepStrictEqual(a.structuredContent,
						{ got: { a: 1 } });
					assert.strictEqual(a.isError, false);
					await c.close();
				});
		}
	}

	test('only what the policy lists is seen and can be called, in order',
		async () => {
			const run = await open({ s: server() }, {
				's.zebra': { risk: 'read' },
				's.echo': { risk: 'read' },
				's.fail': { risk: 'read', mode: 'block' },
			});
			const { tools } = await d.get(
				`/v1/runs/${run.run}/tools`);
			const a = await d.call(run, 's.count');

			assert.deepStrictEqual(tools.map((t) => t.name)
				.filter((n) => n.startsWith('s.')),
			['s.echo', 's.zebra']);
			assert.strictEqual(a.status, 403);
			assert.strictEqual(a.body.code, 'unlisted_tool');
		});

	test('two servers start together, and their names do not meet',
		async () => {
			const run = await open({ s: server(), t: server('modern') },
				{ 's.echo': { risk: 'read' },
					't.echo': { risk: 'read' } });
			const [a, b] = await Promise.all([d.call(run, 's.echo'),
				d.call(run, 't.echo')]);

			assert.strictEqual(words(a), '{}');
			assert.strictEqual(words(b), '{}');
		});

	test('an absent object of arguments is {} to the server', async () => {
		const run = await open({ s: server() });
		const c = await connect('v1',
			{ url: `${d.url}/mcp`, token: run.token });

		assert.strictEqual((await c.callTool({ name: 's.noargs' }))
			.content[0].text, '{}');
		await c.close();
	});

	test('an error of the tool stays one', async () => {
		const run = await open({ s: server() });
		const a = await d.call(run, 's.fail');

		assert.strictEqual(a.status, 422);
		assert.strictEqual(a.body.isError, true);
		assert.strictEqual(words(a), 'no');
	});

	test('what a person decides is made once', async () => {
		const run = await open({ s: server() },
			{ 's.count': { risk: 'external_write', mode: 'approve' } });
		const held = d.call(run, 's.count');

		await d.decide(await d.approval(run.run), 'approve');
		assert.strictEqual(words(await held), '1');
		const [f] = await finished(run);

		assert.strictEqual(f.res.status, 'ok');
	});

	test('what may only be simulated is not made', async () => {
		const run = await open({ s: server() },
			{ 's.count': { risk: 'internal_write' } }, { stage: 1 });
		const a = await d.call(run, 's.count');

		assert.strictEqual(a.status, 403);
		assert.strictEqual(a.body.code, 'not_simulated');
	});
});

describe('what servers have beside tools', () => {
	const all = { 's/resources': { risk: 'read' },
		's/prompts': { risk: 'read' }, 's/completion': { risk: 'read' },
		's.*': { risk: 'read' } };
	const join = async (client, run) => connect(client,
		{ url: `${d.url}/mcp`, token: run.token });

	for (const client of ['v1', 'legacy', 'auto', 'modern']) {
		for (const mode of ['', 'modern']) {
			test(`client ${client}, server ${mode || 'legacy'}`,
				async () => {
					const run = await open({ s: server(mode) }, all);
					const c = await join(client, run);
					const { resources } = await c.listResources();
					const { resourceTemplates } =
						await c.listResourceTemplates();
					const { prompts } = await c.listPrompts();
					const read = await c.readResource(
						{ uri: 'notes://by/7' });
					const said = await c.getPrompt({ name: 's.greet',
						arguments: { who: 'Ann' } });
					const { completion } = await c.complete({
						ref: { type: 'ref/prompt',
							name: 's.greet' },
						argument: { name: 'who', value: 'a' } });

					// Of two pages, without what nobody reviewed.
					assert.deepStrictEqual(resources, [
						{ name: 'one', uri: 'notes://one' },
						{ name: 'two', uri: 'notes://two' }]);
					assert.strictEqual(
						resourceTemplates[0].uriTemplate,
						'notes://by/{id}');
					assert.strictEqual(prompts[0].name, 's.greet');
					assert.strictEqual(read.contents[0].text,
						'of notes://by/7');
					assert.strictEqual(
						said.messages[0].content.text,
						'greet Ann');
					assert.match(completion.values[0],
						/"name": "greet"/);
					assert.strictEqual(completion.values[1], 'ax');
					await assert.rejects(c.readResource(
						{ uri: 'notes://none' }), /notes:|no /);
					await assert.rejects(c.getPrompt(
						{ name: 'greet' }), /lists no such/);
					await assert.rejects(c.readResource(
						{ uri: 'notes://two' }), /without one of/);
					await c.close();
				});
		}
	}

	test('is a call: decided, recorded, and labels what is read',
		async () => {
			const run = await open({ s: server() }, { ...all,
				'email.send': { risk: 'external_write',
					mode: 'allow' } },
			{ flow: [{ id: 'kept', if_labels: ['untrusted:s/resources'],
				risk_at_least: 'external_write', then: 'block' }] });
			const c = await join('v1', run);

			await c.readResource({ uri: 'notes://one' });
			const [f] = await finished(run);
			const sends = await d.call(run, 'email.send', {
				to: 'dana.whitfield@acme.example.com', body: 'x',
				subject: 'x', ticket: 'T-1041' });

			assert.strictEqual(f.tool.name, 's/resources');
			assert.strictEqual(f.res.origin, 'server');
			assert.strictEqual(f.res.status, 'ok');
			assert.strictEqual(sends.status, 403,
				JSON.stringify(sends.body));
			assert.match(sends.body.rule, /kept/);
			await c.close();
		});

	test('is not there unless the policy lists it: unknown means no',
		async () => {
			const run = await open({ s: server() });
			const c = await join('auto', run);

			assert.deepStrictEqual((await c.listResources()).resources,
				[]);
			assert.deepStrictEqual((await c.listPrompts()).prompts, []);
			await assert.rejects(c.readResource({ uri: 'notes://one' }),
				/lists no such/);
			assert.strictEqual((await d.call(run, 's/resources',
				{ uri: 'notes://one' })).body.code, 'unlisted_tool');
			await c.close();
		});

	test('an expression can look at the URI', async () => {
		const run = await open({ s: server() }, { ...all, 's/resources': {
			risk: 'read', args: { type: 'object', properties: {
				uri: { const: 'notes://one' } } } } });

		assert.strictEqual((await d.call(run, 's/resources',
			{ uri: 'notes://one' })).body.contents[0].text,
		'of notes://one');
		assert.strictEqual((await d.call(run, 's/resources',
			{ uri: 'notes://by/1' })).status, 403);
	});
});

describe('while a call is under way', () => {
	for (const client of ['v1', 'legacy', 'auto', 'modern']) {
		test(`client ${client} is told how far it has come, in numbers ` +
		    'that rise', async () => {
			const run = await open({ s: server() });
			const c = await connect(client,
				{ url: `${d.url}/mcp`, token: run.token });
			const told = [];
			const options = { onprogress: (p) => told.push(p) };
			const params = { name: 's.steps', arguments: {} };
			const a = await (client === 'v1'
				? c.callTool(params, undefined, options)
				: c.callTool(params, options));

			assert.strictEqual(a.content[0].text, 'done');
			assert.deepStrictEqual(told, [0, 50, 100].map((n) =>
				({ progress: n, total: 100 })));
			await c.close();
		});

		test(`client ${client} cancels it, and its server is told`,
			async () => {
				const run = await open({ s: server() });
				const c = await connect(client,
					{ url: `${d.url}/mcp`, token: run.token });
				const stop = new AbortController();
				const params = { name: 's.wait', arguments: {} };
				const options = { signal: stop.signal };
				const waits = client === 'v1'
					? c.callTool(params, undefined, options)
					: c.callTool(params, options);

				waits.catch(() => undefined);
				await d.event(run.run, (e) =>
					e.kind === 'tool.started', 'the call');
				stop.abort();
				await assert.rejects(waits);
				await until(async () => (await finished(run))
					.length === 1, 'its end');
				assert.strictEqual((await finished(run))[0].res
					.status, 'unknown');
				assert.strictEqual(words(await d.call(run,
					's.cancelled')),
				'notifications/cancelled True');
				await c.close();
			});

		test(`client ${client} is told that the tools are others`,
			async () => {
				const run = await open({ s: server('grows') });
				let told;
				const changed = new Promise((done) => {
					told = done;
				});
				const c = await connect(client,
					{ url: `${d.url}/mcp`, token: run.token },
					told);

				await c.listTools();
				// Until it listens: a change before is not told.
				await until(async () => {
					await d.call(run, 's.change');
					return Promise.race([changed,
						new Promise((done) => setTimeout(
							done, 1000))]);
				}, 'the notice');
				assert.ok((await c.listTools()).tools.some((t) =>
					t.name.startsWith('s.new')));
				await c.close();
			});
	}
});

describe('a server without a prefix', () => {
	test('has its own names; what two have is that of the first',
		async () => {
			const run = await open({
				a: server('', { prefix: false }),
				b: server('modern', { prefix: false }) },
			{ echo: { risk: 'read' }, count: { risk: 'read' } });
			const { tools } = await d.get(`/v1/runs/${run.run}/tools`);

			assert.deepStrictEqual(tools.map((t) => t.name).filter((n) =>
				['echo', 'count'].includes(n)), ['count', 'echo']);
			assert.strictEqual(words(await d.call(run, 'echo',
				{ a: 1 })), '{"a": 1}');
		});

	test('takes no name of the world', async () => {
		const run = await open({ s: server('kb', { prefix: false }) },
			{ 'kb.search': { risk: 'read' } });
		const a = await d.call(run, 'kb.search', { query: 'refund' });

		assert.ok(a.body.articles, JSON.stringify(a.body));
	});
});

describe('a server that misbehaves', () => {
	test('ends in the middle of an answer: the call is told, and not ' +
	    'made again', async () => {
		const run = await open({ s: server() });
		const a = await d.call(run, 's.die');

		assert.strictEqual(a.status, 422);
		assert.strictEqual(a.body.code, 'server_ended');
		assert.match(a.body.error, /not known whether/);
		// Another one takes its place, and nobody has to do anything.
		assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
		assert.strictEqual((await notes(run, 'restarting')).length, 1);
		assert.strictEqual((await finished(run)).filter((e) =>
			e.tool.name === 's.die').length, 1);
	});

	test('is started again as often as the policy says', async () => {
		const run = await open({ s: server('', { restarts: 1 }) });

		assert.strictEqual((await d.call(run, 's.die')).body.code,
			'server_ended');
		assert.strictEqual((await d.call(run, 's.die', { n: 2 })).body.code,
			'server_ended');
		const a = await d.call(run, 's.echo');

		assert.strictEqual(a.body.code, 'server_ended');
		assert.match(a.body.error, /not made/);
		assert.strictEqual((await notes(run, 'ended')).length, 1);
	});

	test('is slow: one call is over in time, and the next is answered',
		async () => {
			const run = await open({ s: server() }, {
				's.sleep': { risk: 'read', timeout_ms: 300 },
				's.echo': { risk: 'read' } });
			const a = await d.call(run, 's.sleep', { s: 1 });

			assert.strictEqual(a.body.code, 'timeout');
			assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
			assert.strictEqual((await notes(run, 'ready')).length, 1);
		});

	test('has a time of its own that no tool gets over', async () => {
		const run = await open({ s: server('', { timeout_ms: 200 }) });

		assert.strictEqual((await d.call(run, 's.sleep', { s: 1 }))
			.body.code, 'timeout');
	});

	test('answers with more than fits: the answer is cut, the server stays',
		async () => {
			const run = await open({ s: server() });
			const a = await d.call(run, 's.huge', { mb: 20 });

			assert.strictEqual(a.body.code, 'answer_too_large');
			assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
		});

	test('never comes to an end with its answer', async () => {
		const run = await open({ s: server() });
		const a = await d.call(run, 's.huge', { mb: 1000 });

		assert.strictEqual(a.body.code, 'server_ended');
		assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
	});

	for (const [tool, what] of [['garbage', 'what is not JSON'],
		['shape', 'a result of another form']]) {
		test(`answers ${what}`, async () => {
			const run = await open({ s: server() });
			const a = await d.call(run, `s.${tool}`);

			assert.strictEqual(a.status, 422);
			assert.strictEqual(a.body.code, 'bad_answer');
			assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
		});
	}

	test('answers twice: the second is nobody\'s', async () => {
		const run = await open({ s: server() });

		assert.strictEqual(words(await d.call(run, 's.twice')), 'first');
		assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
		await until(async () => (await finished(run)).length === 2,
			'two records');
	});

	test('asks its client for a model: there is none', async () => {
		const run = await open({ s: server() });
		const a = JSON.parse(words(await d.call(run, 's.ask')));

		assert.strictEqual(a.id, 'a');
		assert.strictEqual(a.error.code, -32601);
	});

	test('asks without end', async () => {
		const run = await open({ s: server() });

		assert.strictEqual((await d.call(run, 's.flood')).body.code,
			'server_ended');
	});

	test('reaches no network, no door of the run, no proxy', async () => {
		const run = await open({ s: server() });

		assert.doesNotMatch(words(await d.call(run, 's.net')), /open/);
	});

	test('has the variables that the policy gives it, and no secret',
		async () => {
			const run = await open(
				{ s: server('', { env: { COLOUR: 'red' } }) });

			assert.match(words(await d.call(run, 's.env')),
				/^COLOUR HOME LANG (LC_CTYPE )?PATH$/);
		});

	test('sees nothing of another run\'s', async () => {
		const one = await open({ s: server() });
		const two = await open({ s: server() });

		assert.strictEqual(words(await d.call(one, 's.count')), '1');
		assert.strictEqual(words(await d.call(one, 's.count')), '2');
		assert.strictEqual(words(await d.call(two, 's.count')), '1');
		// Nor has another run's token a way to it.
		const a = await d.ask('POST', `/v1/runs/${one.run}/calls`,
			{ name: 's.count', arguments: {} }, { token: two.token });

		assert.ok([403, 404].includes(a.status), `${a.status}`);
	});

	test('does not start: the run goes on, and says why', async () => {
		const run = await open({ s: server('broken', { restarts: 0 }) },
			{ 's.*': { risk: 'read' }, 'kb.search': { risk: 'read' } });

		assert.strictEqual((await d.call(run, 'kb.search',
			{ query: 'refund' })).status, 200);
		assert.strictEqual((await d.call(run, 's.echo')).body.code,
			'unknown_tool');
		assert.match((await notes(run, 'ended'))[0].body.why,
			/no such library/);
	});

	test('says nothing: whoever lists tools waits no longer than it may',
		async () => {
			const run = await open({ s: server('silent',
				{ restarts: 0, start_ms: 500 }) });
			const { tools } = await d.get(
				`/v1/runs/${run.run}/tools`);

			assert.ok(!tools.some((t) => t.name.startsWith('s.')));
			assert.match((await notes(run, 'ended'))[0].body.why,
				/in time/);
		});

	test('has tools whose names cannot be: these are left out', async () => {
		const run = await open({ s: server('names') });
		const { tools } = await d.get(`/v1/runs/${run.run}/tools`);
		const [note] = await notes(run, 'ready');

		assert.ok(tools.every((t) => /^[A-Za-z0-9_.-]{1,64}$/
			.test(t.name)));
		assert.strictEqual(tools.filter((t) => t.name === 's.echo').length,
			1);
		assert.strictEqual(note.body.refused.length, 6);
		assert.deepStrictEqual(note.body.too_long, ['y'.repeat(60)]);
	});
});

describe('what a tool is said to be', () => {
	test('changes while the run lasts: the tool is quarantined',
		async () => {
			const run = await open({ s: server('poison') });

			assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
			await d.call(run, 's.change');
			const a = await until(async () => {
				const r = await d.call(run, 's.echo');

				return r.status === 403 ? r : undefined;
			}, 'the quarantine');

			assert.strictEqual(a.body.code, 'quarantined');
			const { tools } = await d.get(
				`/v1/runs/${run.run}/tools`);
			const [, note] = await notes(run, 'ready');

			assert.ok(!tools.some((t) => t.name === 's.echo'));
			assert.deepStrictEqual(note.body.quarantined, ['s.echo']);
			// The others are as they were.
			assert.strictEqual((await d.call(run, 's.count')).status, 200);
		});

	test('is held against the pin of its row', async () => {
		const first = await open({ s: server() });

		await d.call(first, 's.echo');
		const [note] = await notes(first, 'ready');
		const pin = note.body.offered['s.echo'];
		const good = await open({ s: server() },
			{ 's.echo': { risk: 'read', pin } });
		const bad = await open({ s: server() },
			{ 's.echo': { risk: 'read',
				pin: note.body.offered['s.count'] } });

		assert.match(pin, /^sha256:[0-9a-f]{64}$/);
		assert.strictEqual(words(await d.call(good, 's.echo')), '{}');
		assert.strictEqual((await d.call(bad, 's.echo')).body.code,
			'quarantined');
	});
});

test('the role that talks to servers dies: calls end, servers come again',
	async () => {
		const run = await open({ s: server() });

		assert.strictEqual(words(await d.call(run, 's.echo')), '{}');
		const held = d.call(run, 's.sleep', { s: 20 });

		await until(async () => (await d.trace(run.run)).some((e) =>
			e.kind === 'tool.started' && e.tool.name === 's.sleep'),
		'the call');
		process.kill(d.roles().tools, 'SIGKILL');
		assert.strictEqual((await held).body.code, 'server_ended');
		assert.strictEqual(words(await d.call(run, 's.echo', { n: 2 })),
			'{"n": 2}');
	});

test('nothing of a server is left when its run has closed', async () => {
	const run = await open({ s: server() });

	await d.call(run, 's.echo');
	await d.post(`/v1/runs/${run.run}/stop`, {});
	await d.closed(run.run);
	assert.ok(!fs.readdirSync('/proc').some((p) => {
		try {
			return /^[0-9]+$/.test(p) &&
				fs.readFileSync(`/proc/${p}/cmdline`, 'utf8')
					.includes('A tool server for tests') &&
				fs.readFileSync(`/proc/${p}/cgroup`, 'utf8')
					.includes(run.run.slice(2));
		} catch {
			return false;
		}
	}));
});
