// The shipped example, end to end: the diligent agent does its work, the
// hostile one reaches nothing.
import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { before, describe, test } from 'node:test';

import { Daemon, Place, assertRecorded, example, trace, verify }
	from './lib/paddock.js';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'paddock-e2e-refund-'));
const marker = path.join(dir, 'marker');
const policies = ['policy.json', 'policy.full.yaml'];

before(() => {
	for (const name of fs.readdirSync(example))
		fs.copyFileSync(path.join(example, name), path.join(dir, name));
	fs.writeFileSync(marker, 'untouched\n');
	return () => fs.rmSync(dir, { recursive: true });
});

function snapshot() {
	return fs.readdirSync(dir).sort().map((name) => [name,
		fs.readFileSync(path.join(dir, name), 'latin1')]);
}

function agent(place, policy, name) {
	return place.command(['run', policy, '--world', 'world.json',
		'--state', place.state, '--env', place.mark, '--',
		'/usr/bin/python3', name], { cwd: dir, input: '' });
}

for (const policy of policies)
	describe(`under ${policy}`, () => {
		test('the agent works the ticket; its mail is sent once, when a ' +
		    'person has said yes', async () => {
			const place = new Place();
			const had = snapshot();
			const c = agent(place, policy, 'agent.py');
			const [, approval] = await c.says(/approve (a-\w+)/);
			const yes = await place.cli(['approve', approval]);

			assert.strictEqual(yes.status, 0, yes.err);
			const end = await c.end();

			assert.strictEqual(end.status, 0, end.out + end.err);
			for (const line of [/ticket\.read T-1041 +ok/,
				/compare payments +found/, /billing\.refund .* refused/,
				/ticket\.reply_draft T-1041 +ok/,
				/email\.send +ok +EMAIL-\d+ sent/,
				/notes\.md +ok/])
				assert.match(end.out, line);
			const all = await trace(place.state);

			assertRecorded(all);
			assert.strictEqual(all.filter((e) =>
				e.kind === 'tool.finished' &&
				e.tool.name === 'email.send').length, 1);
			assert.strictEqual(all.at(-1).body.status, 'closed');
			assert.deepStrictEqual(snapshot(), had,
				'its notes vanish with the run');
			await verify(place.state);
			await place.nothingLeft([]);
		});

		test('the mail that a person refuses is not sent', async () => {
			const place = new Place();
			const c = agent(place, policy, 'agent.py');
			const [, approval] = await c.says(/approve (a-\w+)/);

			await place.cli(['reject', approval, '--reason', 'no']);
			const end = await c.end();

			assert.doesNotMatch(end.out, /EMAIL-\d+ sent/);
			assert.ok(!(await trace(place.state)).some((e) =>
				e.kind === 'tool.started' &&
				e.tool.name === 'email.send'));
		});

		test('the hostile agent reaches nothing, and is stopped by its ' +
		    'budget', async () => {
			const d = await Daemon.start();
			const had = snapshot();
			const c = agent(d.place, policy, 'agent_hostile.py');
			const end = await c.end(60000);
			const shadow = process.getuid() === 0
				? fs.readFileSync('/etc/shadow', 'utf8') : 'none';

			assert.strictEqual(end.status, 1, end.err);
			assert.doesNotMatch(end.out, /REACHED/);
			assert.ok(end.out.split('\n').length > 8, end.out);
			for (const line of shadow.split('\n'))
				assert.ok(line.length < 10 ||
					!(end.out + end.err).includes(line));
			const stop = JSON.parse(end.err.trim().split('\n')
				.find((l) => l.startsWith('{')));

			assert.deepStrictEqual([stop.status, stop.reason],
				['stopped', 'tool_call_budget_exceeded']);
			assert.ok(stop.suggested_next_step);
			assert.deepStrictEqual(snapshot(), had);
			assert.strictEqual(fs.readFileSync(marker, 'utf8'),
				'untouched\n');
			const all = await trace(d.state);

			assertRecorded(all);
			assert.ok(!all.some((e) => e.kind === 'tool.started' &&
				['billing.refund', 'email.send'].includes(
					e.tool.name)));
			assert.strictEqual(all.at(-1).body.stop_reason,
				'tool_call_budget_exceeded');
			assert.strictEqual((await d.get('/v1/health')).status,
				'ok');
			await d.stop();
			await d.place.nothingLeft([d.supervisor]);
		});
	});
