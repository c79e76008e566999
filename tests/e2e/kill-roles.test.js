// Every other role dies between every two records of a call. Runs go on, or
// end on record; what had begun has an end; and the same call made again, in
// another run, has no second effect.
import assert from 'node:assert';
import { describe, test } from 'node:test';

import { Daemon, assertRecorded, email, until, verify } from
	'./lib/paddock.js';
import { policy, quiet, ways } from './lib/ways.js';

const [direct, approved] = ways;
// A role may end four times in ten seconds before its daemon gives up.
const parts = [
	direct,
	[...approved.slice(0, 3), approved[3].slice(2, 4)],
];

// Makes the call, and kills what `victim` names behind its record `kind`.
async function dying(d, run, kind, way, args, victim) {
	const pid = victim(d);
	const dies = (async () => {
		await quiet(d.event(run.run, (e) => e.kind === kind, kind));
		process.kill(pid, 'SIGKILL');
	})();

	await Promise.all([dies, way(d, run, args)]);
	return pid;
}

// What was started, but for what is on record as not having got that far.
async function begun(d, run) {
	const all = await d.trace(run);
	const blocked = new Set(all.filter((e) => e.kind === 'tool.finished' &&
		e.res.status === 'blocked').map((e) => e.step));

	return all.filter((e) => e.kind === 'tool.started' &&
		!blocked.has(e.step)).length;
}

// The run has ended on record, and its call happened at most once, also when it
// is made again.
async function assertOnce(d, run, args) {
	const first = await until(async () => {
		const all = await quiet(d.trace(run.run)) ?? [];
		const steps = (kind) => all.filter((e) => e.kind === kind)
			.map((e) => e.step);
		const ended = new Set(steps('tool.finished'));

		return steps('run.closed').length > 0 && steps('tool.started')
			.every((n) => ended.has(n)) ? all : undefined;
	}, 'the first run ended on record');

	assertRecorded(first);
	const again = await until(() => quiet(d.open(policy('allow'))), 'a run');
	const answer = await d.call(again, 'email.send', args);

	await d.post(`/v1/runs/${again.run}/stop`, {});
	await d.closed(again.run);
	const n = await begun(d, run.run) + await begun(d, again.run);

	assert.ok(n <= 1, `${n} starts`);
	if (answer.status === 200)
		assert.strictEqual(n, 1);
	else
		assert.strictEqual(answer.body.code, 'unknown_end',
			JSON.stringify(answer.body));
}

for (const role of ['gateway', 'proxy', 'tools', 'world'])
	describe(`the ${role} dies`, { concurrency: 2 }, () => {
		for (const [name, mode, way, kinds] of parts)
			test(`behind each record of a call that is ${name}`,
				async () => {
					const d = await Daemon.start();

					for (const kind of kinds) {
						const args = { ...email,
							subject: `about ${kind}` };
						const run = await d.open(policy(mode));
						const pid = await dying(d, run, kind, way,
							args, () => d.roles()[role]);

						await until(() => (d.roles()[role] ?? pid) !==
							pid, `another ${role}`);
						await until(async () => [200, 202, 404, 409]
							.includes((await quiet(d.ask('POST',
								`/v1/runs/${run.run}/stop`, {})))
								?.status), 'the run stopped');
						await assertOnce(d, run, args);
					}
					await d.stop();
					await verify(d.state);
				});
	});

describe('the supervisor dies', { concurrency: 2 }, () => {
	for (const [name, mode, way, kinds] of parts)
		for (const kind of kinds)
			test(`behind ${kind} of a call that is ${name}`, async () => {
				const d = await Daemon.start();
				const run = await d.open(policy(mode));

				await dying(d, run, kind, way, email,
					() => d.supervisor);
				await d.command.end();
				await d.place.nothingLeft([d.supervisor]);
				const next = await Daemon.start({ place: d.place });

				await assertOnce(next, run, email);
				await next.stop();
				await verify(d.state);
			});
});
