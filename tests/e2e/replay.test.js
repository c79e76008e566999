// What was recorded, once more: searched, compared, stepped through, and
// judged by another policy.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, email, policy } from './lib/paddock.js';

let d;
const runs = [];

const cli = (args, options) => d.place.cli(args, options);

// A policy's file.
function file(name, changes) {
	const at = path.join(d.state, name);

	fs.writeFileSync(at, JSON.stringify(policy(changes)));
	return at;
}

before(async () => {
	d = await Daemon.start();
	for (const amount of [5, 6]) {
		const run = await d.open();
		const agent = d.tcp(run.token);

		await agent.call(run, 'kb.search', { query: 'refund' });
		if (amount === 6)
			await agent.call(run, 'ticket.list', {});
		await agent.call(run, 'billing.refund',
			{ invoice: 'INV-0388', amount });
		await agent.call(run, 'ticket.read', { ticket: 'T-1041' });
		const held = agent.call(run, 'email.send', email);

		await d.decide(await d.approval(run.run), 'reject');
		await held;
		await d.post(`/v1/runs/${run.run}/stop`, {});
		await d.closed(run.run);
		runs.push(run.run);
	}
});
after(() => d.stop());

test('a text is found in what was asked, answered and recorded', async () => {
	let r = await cli(['trace', 'grep', 'INV-0388', runs[0], '--json']);
	let found = r.out.trim().split('\n').map((l) => JSON.parse(l));

	assert.strictEqual(r.status, 0, r.err);
	assert.deepStrictEqual(found.map((f) => [f.run, f.step, f.tool, f.where]),
		[[runs[0], 2, 'billing.refund', 'asked']]);
	assert.match(found[0].text, /INV-0388/);

	r = await cli(['trace', 'grep', 'inv-0388', '-i', '--json']);
	found = r.out.trim().split('\n').map((l) => JSON.parse(l));
	assert.deepStrictEqual(found.map((f) => f.run), [runs[1], runs[0]]);

	r = await cli(['trace', 'grep', 'refund', '--kind', 'tool.finished',
		'--tool', 'kb.*', '--json']);
	found = r.out.trim().split('\n').map((l) => JSON.parse(l));
	assert.deepStrictEqual(found.map((f) => f.where),
		['answered', 'answered']);

	r = await cli(['trace', 'grep', 'no such text anywhere']);
	assert.deepStrictEqual([r.status, r.out], [1, '']);
	r = await cli(['trace', 'grep', 'x', '--kind', 'tool.finishd']);
	assert.strictEqual(r.status, 1);
	assert.match(r.err, /no such kind/);
});

test('two runs are compared to where they part', async () => {
	let r = await cli(['diff', runs[0], runs[1], '--json']);
	const v = JSON.parse(r.out);

	assert.strictEqual(r.status, 1, r.err);
	assert.strictEqual(v.same, false);
	// The call that one of them made besides, then the amount: and what
	// followed is held against its like again.
	assert.deepStrictEqual(v.differences.slice(0, 2).map((x) =>
		[x.step_a, x.step_b, x.at.map((y) => [y.what, y.a, y.b])]), [
		[undefined, 2, [['call', '', 'ticket.list']]],
		[2, 3, [['asked $.amount', '5', '6']]],
	]);
	assert.ok(!v.differences.some((x) => x.at.some((y) =>
		y.what === 'verdict' || y.what === 'status')), r.out);

	r = await cli(['diff', runs[0], runs[0]]);
	assert.strictEqual(r.status, 0);
	assert.match(r.out, /no difference/);
	r = await cli(['diff', runs[0], runs[1]]);
	assert.match(r.out, /step 2 of B only {2}ticket\.list/);
	assert.match(r.out, /asked \$\.amount {2}5 \| 6/);
	r = await cli(['diff', runs[0], 'r-000000000001']);
	assert.strictEqual(r.status, 1);
	assert.match(r.err, /no run r-000000000001 here/);
	r = await cli(['diff', runs[0], runs[1], '--dir', '/']);
	assert.strictEqual(r.status, 2);
});

test('recorded calls are judged by another policy, and nothing runs',
	async () => {
		let r = await cli(['replay', ...runs, '--policy',
			file('same.json'), '--json']);
		let v = JSON.parse(r.out);

		assert.strictEqual(r.status, 0, r.err);
		assert.deepStrictEqual([v.calls, v.same, v.looser, v.tighter],
			[9, 9, 0, 0]);

		r = await cli(['replay', 'all', '--policy', file('other.json', {
			tools: {
				'billing.refund': { risk: 'external_write',
					mode: 'approve' },
				'ticket.list': { risk: 'read', mode: 'block' },
			} }), '--json']);
		v = JSON.parse(r.out);
		assert.strictEqual(r.status, 1, r.err);
		assert.deepStrictEqual(v.changes.filter((c) =>
			c.change !== 'same').map((c) =>
			[c.change, c.tool, c.was, c.would, c.calls, c.first.step]), [
			['looser', 'billing.refund', 'block', 'approve', 2, 3],
			['tighter', 'ticket.list', 'allow', 'block', 1, 2],
		]);

		// Labels are those that the other policy gives.
		const flow = [{ id: 'leak', if_labels: ['pii'],
			risk_at_least: 'external_write', then: 'block' }];

		r = await cli(['replay', runs[0], '--policy', file('labels.json', {
			flow, tools: { 'ticket.read': { risk: 'read',
				labels_out: ['pii'] } } }), '--json']);
		v = JSON.parse(r.out);
		assert.deepStrictEqual(v.changes.filter((c) =>
			c.change !== 'same').map((c) => [c.tool, c.rule]),
		[['email.send', 'flow.leak']]);
		r = await cli(['trace', 'ls', '--json']);
		assert.strictEqual(r.out.trim().split('\n').length, 2);
	});

// The call that is proposed is not the one that ends.
test('what a committed draft answers has the labels of what it was for',
	async () => {
		const changes = { tools: {
			'ticket.reply_draft': { risk: 'draft', commit: 'email.send' },
			'email.send': { risk: 'external_write', mode: 'approve' },
		} };
		const run = await d.open(changes);
		const agent = d.tcp(run.token);
		const draft = (what, args) =>
			agent.call(run, `ticket.reply_draft.${what}`, args);
		const { draft_id } = (await draft('create_draft', email)).body;
		const held = draft('request_approval', { draft_id });

		await d.decide(await d.approval(run.run), 'approve');
		await held;
		await draft('commit_approved_draft', { draft_id });
		await agent.call(run, 'billing.invoices', { email: email.to });
		await d.post(`/v1/runs/${run.run}/stop`, {});
		await d.closed(run.run);

		const r = await cli(['replay', run.run, '--policy',
			file('drafts.json', {
				flow: [{ id: 'told', if_labels: ['sent'],
					risk_at_least: 'read', then: 'block' }],
				tools: { ...changes.tools, 'email.send': {
					...changes.tools['email.send'],
					labels_out: ['sent'] } } }), '--json']);

		assert.deepStrictEqual(JSON.parse(r.out).changes.filter((c) =>
			c.rule === 'flow.told').map((c) => c.tool),
		['billing.invoices'], r.out + r.err);
	});

test('a policy that is none, and runs that are not there, are told',
	async () => {
		fs.writeFileSync(path.join(d.state, 'bad.json'), '{"policy": 1}');
		let r = await cli(['replay', 'all', '--policy',
			path.join(d.state, 'bad.json')]);

		assert.strictEqual(r.status, 1);
		assert.match(r.err, /bad\.json:1:/);
		r = await cli(['replay', 'all', '--policy', file('same.json'),
			'--workflow', 'nobody']);
		assert.strictEqual(r.status, 1);
		assert.match(r.err, /no run of the workflow nobody/);
		r = await cli(['replay', 'all']);
		assert.strictEqual(r.status, 2);
		r = await cli(['replay', runs[0], '--at', '99']);
		assert.strictEqual(r.status, 1);
		assert.match(r.err, /the run has 4 steps/);
	});

test('a run is stepped through, from its store and from its bundle',
	async () => {
		const bundle = path.join(d.state, 'one.paddock');
		let r = await cli(['trace', 'export', runs[0], '-o', bundle]);

		assert.strictEqual(r.status, 0, r.err);
		for (const name of [runs[0], bundle]) {
			r = await d.place.command(['replay', name, '--state',
				d.state], { input: 'n\n\nb\n/T-1041\ns\n9\n0\nq\nn\n' })
				.end();
			assert.strictEqual(r.status, 0, r.err);
			assert.deepStrictEqual(
				[...r.out.matchAll(/^--- step (\d+)/gm)]
					.map((m) => m[1]),
				['1', '2', '3', '2', '3', '0']);
			assert.match(r.out, /verdict {3}block/);
			assert.match(r.out, /up to step 3: 3 calls asked for, 2 /);
			assert.match(r.err, /\/TEXT/); // 9 is no step
		}
		r = await cli(['replay', bundle, '--json']);
		const frames = r.out.trim().split('\n').map((l) => JSON.parse(l));

		assert.deepStrictEqual(frames.map((f) => f.step), [0, 1, 2, 3, 4]);
		assert.deepStrictEqual(frames[2].records[0].asked,
			{ amount: 5, invoice: 'INV-0388' });
		assert.strictEqual(frames[2].records[1].record.dec.verdict, 'block');
		assert.ok(frames[3].records.at(-1).answered.ticket !== undefined ||
			frames[3].records.at(-1).answered.id === 'T-1041');
	});

test('a run leaves as lines, and as spans of OpenTelemetry', async () => {
	const to = (name) => path.join(d.state, name);
	let r = await cli(['trace', 'export', runs[0], '--format', 'jsonl',
		'-o', to('run.jsonl')]);

	assert.strictEqual(r.status, 0, r.err);
	const lines = fs.readFileSync(to('run.jsonl'), 'utf8').trim().split('\n')
		.map((l) => JSON.parse(l));

	assert.strictEqual(lines[0].run.run, runs[0]);
	assert.deepStrictEqual(lines.slice(1).map((l) => l.record.seq),
		lines.slice(1).map((l, i) => lines[1].record.seq + i));
	assert.ok(lines.some((l) => l.asked?.invoice === 'INV-0388'));

	r = await cli(['trace', 'export', runs[0], '--format', 'otlp', '-o',
		to('run.json')]);
	assert.strictEqual(r.status, 0, r.err);
	const text = fs.readFileSync(to('run.json'), 'utf8');
	const scope = JSON.parse(text).resourceSpans[0].scopeSpans[0];
	const ids = scope.spans.map((x) => x.spanId);
	const of = (name) => scope.spans.filter((x) => x.name === name);
	const value = (x, key) => x.attributes.find((a) => a.key === key)?.value;

	assert.ok(!text.includes('INV-0388')); // not without --content
	assert.match(scope.schemaUrl, /semconv|schemas\/1\./);
	assert.strictEqual(new Set(ids).size, ids.length);
	assert.ok(scope.spans.every((x) => /^[0-9a-f]{32}$/.test(x.traceId) &&
		/^[0-9a-f]{16}$/.test(x.spanId) &&
		BigInt(x.endTimeUnixNano) >= BigInt(x.startTimeUnixNano)));
	const [root] = of('invoke_workflow e2e');

	assert.strictEqual(root.parentSpanId, undefined);
	assert.deepStrictEqual(value(root, 'gen_ai.conversation.id'),
		{ stringValue: runs[0] });
	const [refund] = of('execute_tool billing.refund');

	assert.strictEqual(refund.parentSpanId, root.spanId);
	assert.deepStrictEqual(refund.status, { code: 2, message: 'blocked' });
	assert.strictEqual(of('run_guardrail policy').length, 4);
	assert.ok(of('run_guardrail policy').some((x) =>
		x.parentSpanId === refund.spanId &&
		value(x, 'paddock.verdict').stringValue === 'block'));
	assert.ok(of('execute_tool email.send')[0].events.some((x) =>
		x.name === 'approval.decided'));

	// The same from a bundle, with what was asked.
	r = await cli(['trace', 'export', runs[0], '-o', to('otlp.paddock')]);
	r = await cli(['trace', 'export', to('otlp.paddock'), '--format', 'otlp',
		'--content', '-o', to('again.json')]);
	assert.strictEqual(r.status, 0, r.err);
	const again = JSON.parse(fs.readFileSync(to('again.json')))
		.resourceSpans[0].scopeSpans[0].spans;

	assert.deepStrictEqual(again.map((x) => x.spanId), ids);
	assert.match(value(again.find((x) => x.spanId === refund.spanId),
		'gen_ai.tool.call.arguments').stringValue, /INV-0388/);
	r = await cli(['trace', 'export', to('otlp.paddock'), '-o', to('x')]);
	assert.match(r.err, /is a bundle already/);
	for (const wrong of [['--format', 'xml'], ['--content']]) {
		r = await cli(['trace', 'export', runs[0], '-o', to('x'), ...wrong]);
		assert.strictEqual(r.status, 2);
		assert.ok(!fs.existsSync(to('x')));
	}
});
