// The broker dies between every two records of a call. What is on disk is in
// order, what had begun has an unknown end, and the same call made again, in
// another run, has no second effect.
import assert from 'node:assert';
import { describe, test } from 'node:test';

import { Daemon, assertRecorded, email, until, verify } from
	'./lib/paddock.js';

const policy = (mode) => ({ tools: {
	'ticket.reply_draft': { risk: 'draft', commit: 'email.send' },
	'email.send': { risk: 'external_write', mode,
		idempotency: { key: 'args.ticket', within: 'tenant' } } },
// So late that the broker dies with the call under way, once it has begun.
faults: { rules: [{ tool: 'email.send', kind: 'latency', ms: 300, nth: 1 }] } });

const quiet = (p) => p.catch(() => undefined);

// The whole way of one call, as far as it gets.
async function direct(d, run) {
	return quiet(d.tcp().call(run, 'email.send', email));
}

async function approved(d, run) {
	const held = direct(d, run);

	await quiet((async () => {
		await d.decide(await d.approval(run.run), 'approve');
	})());
	return held;
}

async function drafted(d, run) {
	const tool = (what, args) => quiet(d.tcp().call(run,
		`ticket.reply_draft.${what}`, args));
	const draft_id = (await tool('create_draft', email))?.body.draft_id;
	const held = tool('request_approval', { draft_id });

	await quiet((async () => {
		await d.decide(await d.approval(run.run), 'approve');
	})());
	await held;
	return tool('commit_approved_draft', { draft_id });
}

const ways = [
	['direct', 'allow', direct, ['tool.proposed', 'policy.decision',
		'tool.started', 'tool.finished']],
	['approved', 'approve', approved, ['tool.proposed', 'policy.decision',
		'approval.requested', 'approval.decided', 'tool.started',
		'tool.finished']],
	['drafted', 'approve', drafted, ['draft.created', 'approval.requested',
		'approval.decided', 'draft.committed', 'tool.started',
		'tool.finished']],
];

async function started(d, run) {
	return (await d.trace(run)).filter((e) => e.kind === 'tool.started')
		.length;
}

for (const [name, mode, way, kinds] of ways)
	describe(`a call that is ${name}`, { concurrency: 2 }, () => {
		for (const kind of kinds)
			test(`and whose broker dies behind its ${kind}`, async () => {
				const d = await Daemon.start();
				const run = await d.open(policy(mode));
				const { broker } = d.roles();
				const dies = (async () => {
					await quiet(d.event(run.run, (e) => e.kind === kind,
						kind));
					process.kill(broker, 'SIGKILL');
				})();

				await Promise.all([dies, way(d, run)]);
				await until(() => (d.roles().broker ?? broker) !== broker,
					'another broker');
				const again = await until(() => quiet(
					d.open(policy('allow'))), 'a run');
				const first = await until(async () => {
					const all = await quiet(d.trace(run.run));

					return all?.at(-1).kind === 'run.closed' ? all
						: undefined;
				}, 'the first run closed on record');

				assertRecorded(first);
				const answer = await d.call(again, 'email.send', email);
				const n = await started(d, run.run) +
					await started(d, again.run);

				// Once, or not at all: never twice.
				assert.ok(n <= 1, `${n} starts`);
				if (answer.status === 200)
					assert.strictEqual(n, 1);
				else
					assert.strictEqual(answer.body.code, 'unknown_end');
				await d.stop();
				await verify(d.state);
			});
	});
