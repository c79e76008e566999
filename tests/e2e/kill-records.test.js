// The broker dies between every two records of a call. What is on disk is in
// order, what had begun has an unknown end, and the same call made again, in
// another run, has no second effect.
import assert from 'node:assert';
import { describe, test } from 'node:test';

import { Daemon, assertRecorded, email, until, verify } from
	'./lib/paddock.js';
import { policy, quiet, started, ways } from './lib/ways.js';

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
