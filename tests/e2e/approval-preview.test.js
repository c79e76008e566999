// What a reviewer sees of a call before it is made: it is made in a copy.
import assert from 'node:assert';
import { after, before, describe, test } from 'node:test';

import { Daemon, email, until, verify } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

const shown = { approvals: { look: { preview: 'fork' } }, tools: {
	'email.send': { risk: 'external_write', approval: 'look' },
	'billing.refund': { risk: 'external_write', approval: 'look' },
	'crm.put': { risk: 'external_write', approval: 'look' },
} };

async function previewed(run, name, args) {
	const held = d.tcp().call(run, name, args);
	const approval = await until(async () => (await d.get(
		'/v1/approvals?state=pending')).approvals.find((a) =>
		a.run === run.run)?.approval, 'a question');
	const seen = await until(async () => {
		const a = await d.get(`/v1/approvals/${approval}`);

		return a.detail.preview === undefined ? undefined : a;
	}, 'a preview');

	return { approval, held, seen, preview: seen.detail.preview };
}

async function refused({ approval, held }) {
	assert.strictEqual((await d.decide(approval, 'reject')).status, 200);
	assert.strictEqual((await held).status, 403);
}

describe('a reviewer sees', () => {
	test('the mail that would be sent, which nobody has sent', async () => {
		const run = await d.open(shown);
		const p = await previewed(run, 'email.send', email);

		assert.strictEqual(p.preview.status, 'done');
		assert.deepStrictEqual(p.preview.messages.map((m) => [m.to,
			m.subject, m.body]), [[email.to, email.subject, email.body]]);
		assert.deepStrictEqual([p.preview.rows, p.preview.files,
			p.preview.requests], [[], [], []]);
		const text = await d.place.cli(['approvals', 'show', p.approval]);

		assert.match(text.out, /would change 0 rows and send 1 messages/);
		assert.match(text.out, /dana\.whitfield@acme\.example\.com/);
		const ticket = await d.call(run, 'ticket.read',
			{ ticket: email.ticket });

		assert.ok(!JSON.stringify(ticket.body).includes(email.subject));
		await refused(p);
		const kept = await d.get(`/v1/approvals/${p.approval}`);

		assert.deepStrictEqual(kept.detail.preview, p.preview);
		await verify(d.state);
	});

	test('the row of a refund, and what was approved is done once',
		async () => {
			const run = await d.open(shown);
			const all = await d.call(run, 'billing.invoices',
				{ customer: 'C-1002' });
			const invoice = all.body.invoices?.find((i) =>
				i.status === 'paid');

			assert.ok(invoice !== undefined, JSON.stringify(all.body));
			const p = await previewed(run, 'billing.refund',
				{ invoice: invoice.id, amount: 1 });

			assert.strictEqual(p.preview.status, 'done',
				JSON.stringify(p.preview));
			const [row] = p.preview.rows;

			assert.deepStrictEqual([p.preview.rows.length, row.change,
				row.table, row.after.amount, row.before],
			[1, 'added', 'refunds', 100, undefined]);
			const text = await d.place.cli(['approvals', 'show',
				p.approval]);

			assert.match(text.out, /added refunds\n/);
			assert.strictEqual((await d.decide(p.approval, 'approve'))
				.status, 200);
			const done = await p.held;

			assert.strictEqual(done.status, 200, JSON.stringify(done.body));
			assert.deepStrictEqual(done.body, p.preview.answer);
		});

	test('that the service would refuse the call', async () => {
		const run = await d.open(shown);
		const p = await previewed(run, 'billing.refund',
			{ invoice: 'INV-0', amount: 1 });

		assert.strictEqual(p.preview.status, 'refused');
		assert.strictEqual(p.preview.answer.code, 'not_found');
		assert.deepStrictEqual(p.preview.rows, []);
		await refused(p);
	});
});

describe('of a preview', () => {
	test('the store has nothing that the policy redacts', async () => {
		const run = await d.open({ ...shown, tools: { ...shown.tools,
			'email.send': { ...shown.tools['email.send'],
				redact: { args: ['$.body'] } } } });
		const p = await previewed(run, 'email.send', email);

		assert.strictEqual(p.preview.messages[0].body, email.body);
		await refused(p);
		await d.post('/v1/stop', { run: run.run });
		await d.closed(run.run);
		const kept = await until(async () => {
			const a = await d.get(`/v1/approvals/${p.approval}`);

			return a.detail.preview?.status === 'redacted' ? a : undefined;
		}, 'what the store has of it');

		assert.ok(!JSON.stringify(kept).includes(email.body));
	});

	test('a policy says fork or none, and nothing else', async () => {
		const bad = await d.ask('POST', '/v1/runs', { policy: { policy: 1,
			workflow: 'w', tenant: 'a', actor: 'b', stage: 5,
			approvals: { look: { preview: 'sure' } }, tools: {} } });

		assert.strictEqual(bad.status, 400);
		assert.match(JSON.stringify(bad.body), /preview/);
	});
});
