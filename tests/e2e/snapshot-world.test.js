// Snapshots of runs with a world: what of it a fork goes on with, and what no
// fork may get, see or spend.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Command, Daemon, email, isRoot, policy, Place, until, verify, world }
	from './lib/paddock.js';

let d;
const place = new Place();
const secrets = path.join(place.state, 'secrets');

before(async () => {
	fs.mkdirSync(secrets, { recursive: true });
	fs.writeFileSync(path.join(secrets, 'tickets.key'),
		'tk_live_0123456789abcdef\n', { mode: 0o600 });
	d = await Daemon.start({ place });
});
after(() => d.stop());

const drafting = { tools: {
	'ticket.reply_draft': { risk: 'draft', commit: 'email.send' },
	'email.send': { risk: 'external_write', mode: 'approve' },
} };
const sending = { tools: { 'email.send': { risk: 'external_write',
	mode: 'allow' } } };

async function snapshot(run) {
	return d.post(`/v1/runs/${run.run ?? run}/snapshots`);
}

async function fork(run, more = {}, rest = {}) {
	return d.post('/v1/runs', { fork: { run: run.run, ...more }, ...rest });
}

async function result(run, name, args) {
	const a = await d.call(run, name, args);

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	return a.body;
}

const send = (run, n) => result(run, 'email.send', { ...email, subject: `${n}` });
const mails = async (run) => (await result(run, 'ticket.read',
	{ ticket: email.ticket })).emails.map((m) => m.subject).reverse()
	.filter((x) => !/^We got/.test(x)); // which the document has
const worlds = () => {
	const dir = path.join(d.state, 'snapshots/worlds');

	return fs.existsSync(dir) ? fs.readdirSync(dir).sort() : [];
};

describe('a fork of a run with a world', () => {
	test('goes on with its data, and no branch sees another', async () => {
		const run = await d.open(sending);

		await send(run, 'before');
		const s = await snapshot(run);

		assert.ok(s.world.bytes > 4096);
		assert.strictEqual(s.files, false);
		await send(run, 'after');
		const [one, two] = [await fork(run), await fork(run,
			{ snapshot: s.snapshot })];

		assert.deepStrictEqual(await mails(one), ['before']);
		await send(one, 'one');
		await send(two, 'two');
		assert.deepStrictEqual(await mails(one), ['before', 'one']);
		assert.deepStrictEqual(await mails(two), ['before', 'two']);
		assert.deepStrictEqual(await mails(run), ['before', 'after']);
		assert.strictEqual(one.tool_calls, 1);
		// And a fork of a fork has both.
		await snapshot(one);
		assert.deepStrictEqual(await mails(await fork(one)),
			['before', 'one']);
		const opened = (await d.trace(one.run)).find((e) =>
			e.kind === 'run.opened');

		assert.strictEqual(opened.body.world, 'forked');
		await verify(d.state);
	});

	test('goes on with answers that were written beforehand', async () => {
		const answers = [1, 2, 3].map((n) => ({ result: { n } }));
		const run = await d.open({ tools: { 'crm.next': { risk: 'read' } } },
			{ world: { ...world(), tools: [{ name: 'crm.next',
				results: answers }] } });

		assert.strictEqual((await result(run, 'crm.next')).n, 1);
		await snapshot(run);
		assert.strictEqual((await result(run, 'crm.next')).n, 2);
		const f = await fork(run);

		assert.strictEqual((await result(f, 'crm.next')).n, 2);
		assert.strictEqual((await result(f, 'crm.next')).n, 3);
		assert.strictEqual((await d.call(f, 'crm.next')).body.code,
			'no_answer_left');
	});

	test('begins at the step that is asked for', async () => {
		const run = await d.open(sending);
		const steps = [];

		for (const n of ['a', 'b', 'c']) {
			await send(run, n);
			steps.push((await snapshot(run)).step);
		}
		assert.deepStrictEqual(await mails(await fork(run,
			{ at: steps[1] })), ['a', 'b']);
		assert.strictEqual((await d.ask('POST', '/v1/runs', { fork: {
			run: run.run, at: steps[0] - 1 } })).status, 404);
	});

	test('is one moment: no call is half in it', async () => {
		const run = await d.open({ ...sending,
			budgets: { max_tool_calls: 500 } });
		let n = 0, stop = false;
		const busy = (async () => {
			while (!stop)
				await send(run, n++);
		})();

		for (let i = 0; i < 8; i++) {
			const s = await snapshot(run);
			const f = await fork(run, { snapshot: s.snapshot });
			const seen = await mails(f);

			// What is in its world is what it has been charged for, but
			// for the one call that has not come to its world yet.
			const made = s.used.max_tool_calls;
			const last = seen.length === 0 ? 0 : Number(seen.at(-1)) + 1;

			assert.ok(last === made || last === made - 1,
				`${last} of ${made}`);
		}
		stop = true;
		await busy;
	});

	test('has its own drafts of what was drafted, which ask again',
		async () => {
			const run = await d.open(drafting);
			const made = await result(run, 'ticket.reply_draft.create_draft',
				email);
			const draft_id = made.draft_id;
			const held = d.tcp().call(run,
				'ticket.reply_draft.request_approval', { draft_id });

			assert.strictEqual((await d.decide(await d.approval(run.run),
				'approve')).status, 200);
			assert.strictEqual((await held).body.status, 'approved');
			const s = await snapshot(run);
			const f = await fork(run);
			const commit = (of) => d.tcp().call(of,
				'ticket.reply_draft.commit_approved_draft', { draft_id });

			assert.strictEqual(s.drafts.length, 1);
			// The original's yes is no yes for the fork.
			assert.strictEqual((await commit(f)).body.code,
				'not_approved');
			const again = d.tcp().call(f,
				'ticket.reply_draft.request_approval', { draft_id });
			const own = await d.approval(f.run);

			assert.strictEqual((await d.decide(own, 'approve')).status, 200);
			await again;
			assert.strictEqual((await commit(f)).status, 200);
			assert.deepStrictEqual(await mails(f), [email.subject]);
			assert.deepStrictEqual(await mails(run), []);
			assert.strictEqual((await commit(run)).status, 200);
			assert.deepStrictEqual(await mails(run), [email.subject]);
		});
});

describe('a fork never gets', () => {
	test('an approval of the original, by its name or for the same call',
		async () => {
			const run = await d.open();
			const held = d.tcp().call(run, 'email.send', email);
			const approval = await d.approval(run.run);

			await snapshot(run);
			const f = await fork(run);

			assert.strictEqual((await d.decide(approval, 'approve')).status,
				200);
			assert.strictEqual((await held).status, 200);
			const stolen = await d.tcp().call(f, 'approval.wait',
				{ approval_id: approval });

			assert.strictEqual(stolen.status, 404, JSON.stringify(
				stolen.body));
			const state = await d.tcp().call(f, 'email.send', email,
				{ state: approval });

			assert.strictEqual(state.status, 404);
			const own = d.tcp().call(f, 'email.send', email);

			assert.notStrictEqual(await d.approval(f.run), approval);
			assert.deepStrictEqual(await mails(f), []);
			await d.decide(await d.approval(f.run), 'reject');
			assert.strictEqual((await own).status, 403);
			assert.deepStrictEqual(await mails(run), [email.subject]);
		});

	test('a receipt: its own key makes its own effect', async () => {
		const run = await d.open(sending);
		const key = { idempotency_key: 'k-1' };
		const first = await d.call(run, 'email.send', email, key);

		await snapshot(run);
		const f = await fork(run);
		const second = await d.call(f, 'email.send', email, key);

		assert.strictEqual(first.status, 200, JSON.stringify(first.body));
		assert.strictEqual(second.status, 200, JSON.stringify(second.body));
		assert.notStrictEqual(second.body.id, first.body.id);
		assert.strictEqual((await mails(f)).length, 2);
		assert.strictEqual((await mails(run)).length, 1);
	});

	test('the token of the original, nor the original that of a fork',
		async () => {
			const run = await d.open(sending);

			await snapshot(run);
			const f = await fork(run);

			for (const [of, with_] of [[run, f], [f, run]]) {
				const a = await d.tcp().call({ run: of.run,
					token: with_.token }, 'ticket.list');

				assert.ok(a.status === 403 || a.status === 404 ||
					a.status === 401, JSON.stringify(a.body));
			}
		});

	test('a world in the place of its own', async () => {
		const run = await d.open(sending);

		await snapshot(run);
		const a = await d.ask('POST', '/v1/runs', { fork: { run: run.run },
			world: world() });

		assert.strictEqual(a.status, 400);
		assert.match(a.body.error.message, /goes on with that/);
	});

	test('a secret as the original has it, nor one that was revoked',
		{ skip: isRoot ? false : 'needs a group that can be frozen' },
		async () => {
			const p = policy({ tools: {}, secrets: { TICKETS: {
				from: 'file:tickets.key', env: 'TOKEN',
				inject: { header: 'x-key', format: '{}' } } } });
			const make = (more) => d.post('/v1/sandboxes', more);
			const token = async (run) => {
				const r = await new Command(['exec', '--in', run, '--state',
					d.state, '--', 'sh', '-c', 'echo $TOKEN; cat f'],
				{ program: d.place.paddock, input: '' }).end();

				assert.strictEqual(r.status, 0, r.err);
				return r.out.trim().split('\n');
			};
			const { run } = await make({ policy: p, world: world() });
			const put = await new Command(['exec', '--in', run, '--state',
				d.state, '--', 'sh', '-c', 'echo $TOKEN >f'],
			{ program: d.place.paddock, input: '' }).end();

			assert.strictEqual(put.status, 0, put.err);
			const s = await snapshot(run);

			assert.ok(s.files && s.world.bytes > 0);
			const f = await make({ fork: { run } });
			const [own, inFile] = await token(f.run);

			assert.match(own, /\S{16,}/);
			assert.notStrictEqual(own, inFile, 'the same placeholder');
			assert.ok(!own.includes('tk_live'));
			// Revoked in the original after the snapshot was taken.
			await d.post('/v1/secrets/revoke', { name: 'TICKETS', run });
			const state = async (of) => (await d.get(
				`/v1/secrets?run=${of}`)).secrets.map((x) => x.state);

			assert.deepStrictEqual(await state(f.run), ['ready']);
			const g = await make({ fork: { run } });

			assert.deepStrictEqual(await state(g.run), ['revoked']);
			// And when the original is gone, from its record.
			await d.ask('DELETE', `/v1/sandboxes/${run}`);
			await d.closed(run);
			const h = await make({ fork: { run } });

			assert.deepStrictEqual(await state(h.run), ['revoked']);
			await until(async () => (await d.trace(h.run)).some((e) =>
				e.kind === 'secret.revoked' && e.body.by === 'fork'),
			'the record of it');
			for (const x of [f, g, h])
				await d.ask('DELETE', `/v1/sandboxes/${x.run}`);
		});
});

describe('the data of a world', () => {
	test('that was changed on the disk is refused', async () => {
		const ways = {
			'a byte': (f) => {
				const b = fs.readFileSync(f);

				b[b.length - 9] ^= 1;
				fs.rmSync(f);
				fs.writeFileSync(f, b);
			},
			'all of it gone': (f) => fs.rmSync(f),
			'cut short': (f) => fs.truncateSync(f, 4096),
			'empty': (f) => fs.truncateSync(f, 0),
			'a link elsewhere': (f) => {
				fs.rmSync(f);
				fs.symlinkSync('/etc/passwd', f);
			},
			'a folder': (f) => {
				fs.rmSync(f);
				fs.mkdirSync(f);
			},
		};

		for (const [what, tamper] of Object.entries(ways)) {
			const run = await d.open(sending);

			await send(run, what);
			const s = await snapshot(run);

			tamper(path.join(d.state, 'snapshots', s.snapshot, 'world'));
			const a = await d.ask('POST', '/v1/runs',
				{ fork: { run: run.run } });

			assert.strictEqual(a.status, 409,
				`${what}: ${JSON.stringify(a.body)}`);
			assert.strictEqual(a.body.error.code, 'snapshot_damaged');
		}
	});

	test('is kept once however many have it, until nobody does', async () => {
		await d.post('/v1/snapshots/gc');
		const before_ = worlds();
		const run = await d.open(sending);

		await send(run, 'x');
		const taken = [];

		for (let i = 0; i < 3; i++)
			taken.push((await snapshot(run)).snapshot);
		// The clock of the world stands for what was not called.
		const extra = worlds().filter((w) => !before_.includes(w));

		assert.ok(extra.length >= 1 && extra.length <= 3);
		for (const s of taken) {
			const f = await fork(run, { snapshot: s });

			assert.deepStrictEqual(await mails(f), ['x']);
			await d.post('/v1/stop', { run: f.run });
			await d.closed(f.run);
		}
		for (const s of taken)
			assert.strictEqual((await d.ask('DELETE',
				`/v1/runs/${run.run}/snapshots?snapshot=${s}`)).status,
			200);
		await until(() => worlds().every((w) => !extra.includes(w)),
			'the worlds removed');
	});

	test('stays when it was taken while the rest was removed', async () => {
		// What an earlier daemon may have left: more than is read at once.
		const left = Array.from({ length: 3000 }, (_, i) => path.join(d.state,
			'snapshots', `s-z${String(i).padStart(11, '0')}`));
		const run = await d.open(sending);
		const taken = [];

		for (const dir of left)
			fs.mkdirSync(dir, { recursive: true });
		await send(run, 'x');
		await d.post('/v1/snapshots/gc');
		while (taken.length < 4)
			taken.push((await snapshot(run)).snapshot);
		await until(() => left.every((dir) => !fs.existsSync(dir)),
			'the rest removed');
		for (const s of taken) {
			const f = await fork(run, { snapshot: s });

			assert.deepStrictEqual(await mails(f), ['x']);
			await d.post('/v1/stop', { run: f.run });
		}
		await d.post('/v1/stop', { run: run.run });
	});

	test('goes when nobody refers to it, and never before', async () => {
		// Whatever is done in whatever order: all that is there restores.
		let seed = 20261121;
		const random = (n) => {
			seed = (seed * 1103515245 + 12345) % 2147483648;
			return Math.floor(seed / 65536) % n;
		};
		const runs = [], snaps = [];
		const grow = async (run, has) => {
			const n = `m${has.length}-${random(1000)}`;

			await send(run, n);
			runs.push({ run, has: [...has, n] });
		};

		await grow(await d.open(sending), []);
		for (let i = 0; i < 60; i++) {
			const of = runs[random(runs.length)];
			const s = snaps[random(snaps.length || 1)];

			switch (random(6)) {
			case 0:
			case 1: {
				const taken = await snapshot(of.run);

				snaps.push({ id: taken.snapshot, run: of.run,
					has: of.has });
				break;
			}
			case 2:
				if (s !== undefined && runs.length < 12)
					await grow(await fork(s.run,
						{ snapshot: s.id }), s.has);
				break;
			case 3:
				if (of.has.length < 8) {
					await send(of.run, `x${i}`);
					of.has = [...of.has, `x${i}`];
				}
				break;
			case 4: {
				if (s === undefined)
					break;
				const a = await d.ask('DELETE', `/v1/runs/${s.run.run}` +
					`/snapshots?snapshot=${s.id}`);

				// In use is no; else it is gone.
				assert.ok(a.status === 200 || a.status === 409,
					JSON.stringify(a.body));
				if (a.status === 200)
					snaps.splice(snaps.indexOf(s), 1);
				break;
			}
			default:
				await d.post('/v1/snapshots/gc');
			}
		}
		assert.ok(snaps.length > 0);
		for (const s of snaps) {
			const f = await fork(s.run, { snapshot: s.id });

			assert.deepStrictEqual(await mails(f), s.has);
			await d.post('/v1/stop', { run: f.run });
		}
		// With all of them gone nothing of it is left.
		for (const r of runs)
			await d.post('/v1/stop', { run: r.run.run });
		for (const r of runs)
			await d.closed(r.run.run);
		for (const s of snaps.reverse())
			await until(async () => [200, 404].includes((await d.ask(
				'DELETE', `/v1/runs/${s.run.run}/snapshots?snapshot=${
					s.id}`)).status), 'its removal');
	});

	test('lies in files that only paddock reads', async () => {
		const run = await d.open(sending);

		await snapshot(run);
		const all = spawnSync('find', [path.join(d.state, 'snapshots'),
			'-maxdepth', '1', '-perm', '/077']).stdout.toString();

		assert.strictEqual(all, '');
	});
});
