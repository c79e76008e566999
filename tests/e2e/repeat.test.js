// The same call once more: keys that make it one, and what is asked again by
// ourselves. Mails that were sent are counted in the world.
import assert from 'node:assert';
import { after, before, describe, test } from 'node:test';

import { Daemon, email, until, verify, world } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

function sending(more = {}, rest = {}) {
	return { ...rest, tools: { 'email.send': { risk: 'external_write',
		mode: 'allow', ...more } } };
}

const keyed = { idempotency: 'args.ticket' };

// Mails that the tool says it has sent, by the records of its calls.
async function effects(run, at = d) {
	const all = await until(async () => {
		const e = await at.trace(run.run).catch(() => []);
		const steps = (kind) => e.filter((x) => x.kind === kind)
			.map((x) => x.step);

		return e.length > 0 && steps('tool.started').every((s) =>
			steps('tool.finished').includes(s)) ? e : undefined;
	}, 'the ends of all calls');

	return all.filter((e) => e.kind === 'tool.finished' &&
		e.res.effect !== 'none').length;
}

describe('a key', () => {
	test('gives the recorded result again, and no second effect',
		async () => {
			const run = await d.open(sending(keyed));
			const one = await d.call(run, 'email.send', email);
			const two = await d.call(run, 'email.send', email);

			assert.strictEqual(one.status, 200);
			assert.deepStrictEqual([two.status, two.body],
				[200, one.body]);
			assert.strictEqual(await effects(run), 1);
			const last = (await d.trace(run.run)).filter((e) =>
				e.kind === 'policy.decision').at(-1);

			assert.deepStrictEqual([last.dec.action, last.dec.code],
				['repeated', 'repeated']);
			assert.match(last.dec.reason, /^step 1 has done it/);
		});

	test('of another call is refused', async () => {
		const run = await d.open(sending(keyed));

		await d.call(run, 'email.send', email);
		const other = await d.call(run, 'email.send', { ...email,
			body: 'Something else.' });

		assert.deepStrictEqual([other.status, other.body.code,
			other.body.rule], [403, 'idempotency_conflict',
			'tools.email.send.idempotency']);
		assert.strictEqual((await d.call(run, 'email.send', { ...email,
			ticket: 'T-1040' })).status, 200);
		assert.strictEqual(await effects(run), 2);
	});

	test('that arguments do not give blocks the call', async () => {
		const run = await d.open(sending({ idempotency: 'args.nothing' }));

		assert.strictEqual((await d.call(run, 'email.send', email)).body
			.code, 'rule_error');
		assert.strictEqual(await effects(run), 0);
	});

	test('of the caller holds in its run', async () => {
		const run = await d.open(sending());
		const again = (key) => d.call(run, 'email.send', email,
			{ idempotency_key: key });
		const one = await again('k1');

		assert.deepStrictEqual((await again('k1')).body, one.body);
		assert.notDeepStrictEqual((await again('k2')).body, one.body);
		assert.strictEqual(await effects(run), 2);
		assert.strictEqual((await again('k'.repeat(128))).status, 400);
	});

	test('of twenty at once makes one effect', async () => {
		const run = await d.open(sending(keyed));
		const all = await Promise.all(Array.from({ length: 20 }, () =>
			d.tcp().call(run, 'email.send', email)));

		for (const a of all)
			assert.ok(a.status === 200 || a.body.code === 'in_progress',
				JSON.stringify(a.body));
		assert.ok(all.some((a) => a.status === 200));
		assert.strictEqual(await effects(run), 1);
	});

	test('of two that were both approved makes one effect', async () => {
		const run = await d.open(sending({ ...keyed, mode: 'approve' }));
		const held = [email, { ...email, body: 'Another text.' }]
			.map((e) => d.tcp().call(run, 'email.send', e));
		const ids = await until(async () => {
			const all = (await d.get('/v1/approvals')).approvals
				.filter((a) => a.run === run.run);

			return all.length === 2 ? all.map((a) => a.approval)
				: undefined;
		}, 'two approvals');

		await Promise.all(ids.map((id) => d.tcp().decide(id, 'approve')));
		const codes = (await Promise.all(held)).map((a) =>
			a.status === 200 ? 'sent' : a.body.code);

		assert.deepStrictEqual(codes.sort(),
			['idempotency_conflict', 'sent']);
		assert.strictEqual(await effects(run), 1);
	});

	test('of a call whose end is not known is not used again', async () => {
		const run = await d.open(sending(keyed, { faults: { rules: [
			{ tool: 'email.send', kind: 'lost_ack', nth: 1 }] } }));

		assert.strictEqual((await d.call(run, 'email.send', email)).body
			.code, 'unknown');
		assert.strictEqual((await d.call(run, 'email.send', email)).body
			.code, 'unknown_end');
		assert.strictEqual(await effects(run), 1);
	});

	test('of a call that failed without effect is free', async () => {
		const run = await d.open(sending(keyed, { faults: { rules: [
			{ tool: 'email.send', kind: 'status', nth: 1 }] } }));

		assert.strictEqual((await d.call(run, 'email.send', email)).body
			.code, 'http_503');
		assert.strictEqual((await d.call(run, 'email.send', email)).status,
			200);
		assert.strictEqual(await effects(run), 1);
	});

	test('of a tenant outlives the run, the broker and the daemon',
		async () => {
			let one = await Daemon.start();
			const policy = (tenant) => sending({ idempotency: {
				key: 'args.ticket', within: 'tenant' } }, { tenant });
			const open = (tenant) => until(async () => one.open(
				policy(tenant)).catch(() => undefined), 'a run');
			let run = await open('a');
			const first = await one.call(run, 'email.send', email);
			const same = async () => {
				run = await open('a');
				const a = await one.call(run, 'email.send', email);

				assert.deepStrictEqual([a.status, a.body],
					[200, first.body]);
				assert.strictEqual(await effects(run, one), 0);
			};

			await same();
			const { broker } = one.roles();

			process.kill(broker, 'SIGKILL');
			await until(() => (one.roles().broker ?? broker) !== broker,
				'another broker');
			await same();
			await one.stop();
			one = await Daemon.start({ place: one.place });
			await same();
			// Another tenant's is another one.
			run = await open('b');
			assert.strictEqual((await one.call(run, 'email.send', email))
				.status, 200);
			assert.strictEqual(await effects(run, one), 1);
			await one.stop();
			await verify(one.state);
		});

	test('is no second effect however the broker dies in between',
		async () => {
			// The tool answers late, so that the broker dies with the
			// call under way: its records say begun, and no end.
			const one = await Daemon.start();
			const late = sending({ idempotency: { key: 'args.ticket',
				within: 'tenant' } }, { faults: { rules: [
				{ tool: 'email.send', kind: 'latency', ms: 60000,
					nth: 1 }] } });
			const run = await one.open(late);
			const asked = one.tcp().call(run, 'email.send', email)
				.catch(() => undefined);

			await until(async () => (await one.trace(run.run)).some((e) =>
				e.kind === 'tool.started'), 'its start on disk');
			const { broker } = one.roles();

			process.kill(broker, 'SIGKILL');
			await asked;
			await until(() => (one.roles().broker ?? broker) !== broker,
				'another broker');
			const again = await until(async () => one.open(late)
				.catch(() => undefined), 'a run');
			const no = await one.call(again, 'email.send', email);

			assert.deepStrictEqual([no.status, no.body.code],
				[403, 'unknown_end']);
			assert.strictEqual(await effects(again, one), 0);
			await one.stop();
			await verify(one.state);
		});
});

describe('a retry of our own', () => {
	const flaky = (kind, more = {}, rule = {}) => ({ tools: { 'kb.search': {
		risk: 'read', retry: { times: 3, base_ms: 20, ...more } } },
	faults: { seed: 7, rules: [{ tool: 'kb.search', kind, count: 2,
		...rule }] } });
	const search = { query: 'refund' };
	const retries = async (run) => (await d.trace(run.run)).filter((e) =>
		e.kind === 'tool.retried').map((e) => e.body);

	test('hides what passes by itself, and is on record', async () => {
		const waits = [];

		for (let i = 0; i < 2; i++) {
			const run = await d.open({ ...flaky('status'),
				budgets: { max_retries_per_tool: 5 } });

			assert.strictEqual((await d.call(run, 'kb.search',
				search)).status, 200);
			await until(async () => (await effects(run)) === 0, 'ends');
			const all = await retries(run);

			assert.deepStrictEqual(all.map((b) => [b.code, b.try]),
				[['http_503', 1], ['http_503', 2]]);
			assert.ok(all[0].wait_ms >= 10 && all[0].wait_ms <= 20);
			assert.ok(all[1].wait_ms >= 20 && all[1].wait_ms <= 40);
			waits.push(all.map((b) => b.wait_ms));
		}
		// Drawn from the seed: the same again.
		assert.deepStrictEqual(waits[0], waits[1]);
	});

	test('waits as long as the answer says, or does not ask', async () => {
		const run = await d.open(flaky('rate_limit', {},
			{ retry_after_s: 1, count: 1 }));
		const begin = Date.now();

		assert.strictEqual((await d.call(run, 'kb.search', search)).status,
			200);
		assert.ok(Date.now() - begin >= 1000);
		const later = await d.open(flaky('rate_limit', { max_ms: 100 },
			{ retry_after_s: 1, count: 1 }));

		assert.strictEqual((await d.call(later, 'kb.search', search)).body
			.code, 'http_429');
		assert.deepStrictEqual(await retries(later), []);
	});

	test('ends with the budget of retries, and with its times', async () => {
		const run = await d.open({ ...flaky('status', { times: 8 },
			{ count: 9 }), budgets: { max_retries_per_tool: 1 } });

		assert.strictEqual((await d.call(run, 'kb.search', search)).body
			.code, 'http_503');
		assert.strictEqual((await retries(run)).length, 1);
	});

	test('is not made of what is wrong by itself', async () => {
		const run = await d.open(flaky('status', {}, { status: 404 }));

		assert.strictEqual((await d.call(run, 'kb.search', search)).body
			.code, 'http_404');
		assert.deepStrictEqual(await retries(run), []);
	});

	test('of a tool that writes needs a key, or that twice is as once',
		async () => {
			const no = await d.ask('POST', '/v1/runs', { world: world(),
				policy: { policy: 1, workflow: 'w', tools: {
					'email.send': { risk: 'external_write',
						retry: { times: 1 } } } } });

			assert.strictEqual(no.status, 400);
			assert.match(JSON.stringify(no.body), /repeatable/);
			const run = await d.open(sending({ ...keyed, retry: {
				times: 2, base_ms: 20 } }, { faults: { rules: [
				{ tool: 'email.send', kind: 'status', nth: 1 }] } }));
			const one = await d.call(run, 'email.send', email);

			assert.strictEqual(one.status, 200);
			assert.deepStrictEqual((await d.call(run, 'email.send',
				email)).body, one.body);
			assert.strictEqual(await effects(run), 1);
		});

	test('ends when its run does', async () => {
		const run = await d.open(flaky('status', { base_ms: 3000 }));
		const held = d.tcp().call(run, 'kb.search', search);

		await until(async () => (await retries(run)).length === 1, 'a try');
		await d.post('/v1/stop', { run: run.run });
		assert.strictEqual((await held).status, 409);
		await d.closed(run.run);
		await verify(d.state);
	});
});
