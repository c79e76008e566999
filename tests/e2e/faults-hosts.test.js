// Failures on purpose behind a host: it does what was asked, and its real
// answer comes slowly, cut, garbled, or not at all.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, Place, here, policy, trace, until, verify, world }
	from './lib/paddock.js';

const place = new Place();
const seen = [];
const answer = { at: '2026-01-31T12:00:00Z', items: [1, 2, 3, 4],
	name: 'Dana', note: 'x'.repeat(200) };
const text = JSON.stringify(answer);
const events = [1, 2, 3, 4].map((n) => `data: {"n":${n}}\n\n`);
let d, port, work, file;

before(async () => {
	port = await listen(http.createServer((q, s) => {
		seen.push(`${q.method} ${q.url}`);
		if (q.url === '/events') {
			s.setHeader('content-type', 'text/event-stream');
			for (const e of events)
				s.write(e);
			s.end();
		} else if (q.url === '/chunks') {
			s.write(text.slice(0, 20));
			s.end(text.slice(20));
		} else if (q.url === '/nothing') {
			s.writeHead(204);
			s.end();
		} else {
			s.setHeader('content-type', 'application/json');
			s.setHeader('content-length', text.length);
			s.end(text);
		}
	}));
	const dns = await resolver();

	work = path.join(place.dir, 'work');
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	for (const name of ['raw.py', 'calls.py'])
		fs.copyFileSync(path.join(here, 'lib', name),
			path.join(work, name));
	file = path.join(place.dir, 'policy.json');
	fs.writeFileSync(file, JSON.stringify(policy({
		egress: { rules: [{ host: '*.api.test', port, methods: ['GET',
			'POST'], addrs: ['127.0.0.1/32'] }] } })));
	fs.writeFileSync(path.join(place.dir, 'world.json'),
		JSON.stringify(world()));
	d = await Daemon.start({ place, env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
});
after(async () => {
	await d.stop();
	closeAll();
});

const url = (host, p = 'x') => `http://${host}.api.test:${port}/${p}`;

// One request for each rule, of a host of its own, then those that are named.
async function agent(rules, ...more) {
	const r = await place.command(['run', file, '--state', place.state,
		'--dir', work, ...rules.flatMap(([fault], i) => ['--fault',
			JSON.stringify({ host: `h${i}.api.test`, nth: 1, ...fault })]),
		'--', 'python3', 'raw.py', ...rules.map(([, , p, method], i) =>
			`${method ? `${method}=` : ''}${url(`h${i}`, p)}`), ...more],
	{ input: '' }).end();

	assert.strictEqual(r.status, 0, r.err);
	r.run = r.err.match(/run (r-\w+)/)?.[1];
	r.got = r.out.trim().split('\n').map((line) => {
		const a = JSON.parse(line);

		return { ...a, body: Buffer.from(a.body, 'base64') };
	});
	return r;
}

const same = (a) => assert.strictEqual(String(a.body), text);
const json = (a, want) => {
	assert.strictEqual(Number(a.fields['content-length']), a.body.length);
	assert.deepStrictEqual(JSON.parse(a.body), want);
};
const reset = (a) => assert.strictEqual(a.end, 'ConnectionResetError');

// The rule, what its answer must be, and of which path.
const rules = [
	[{ kind: 'truncate', bytes: 17 }, (a) => {
		assert.strictEqual(String(a.body), text.slice(0, 17));
		assert.strictEqual(Number(a.fields['content-length']), text.length);
	}],
	[{ kind: 'truncate', bytes: 17 }, (a) => {
		assert.doesNotMatch(String(a.body), /0\r\n\r\n$/);
		assert.ok(String(a.body).startsWith(`11\r\n${text.slice(0, 17)}`));
	}, 'chunks'],
	[{ kind: 'reset', bytes: 9 }, (a) => {
		assert.strictEqual(String(a.body), text.slice(0, 9));
		reset(a);
	}],
	[{ kind: 'lost_ack' }, (a) => {
		assert.strictEqual(a.status, 0);
		reset(a);
	}, 'x', 'POST'],
	[{ kind: 'timeout', effect: 'applied', ms: 100 }, (a) => {
		assert.strictEqual(a.status, 504);
		assert.match(String(a.body), /"timeout".*not known/);
		assert.ok(a.ms >= 99, `${a.ms}`);
	}, 'x', 'POST'],
	[{ kind: 'garble', bytes: 4 }, (a) => {
		const wrong = [...a.body].flatMap((b, i) =>
			b === text.charCodeAt(i) ? [] : [i]);

		assert.strictEqual(a.body.length, text.length);
		assert.deepStrictEqual(wrong.slice(0, 3), [4, 20, 36]);
	}],
	[{ kind: 'slicer', bytes: 50, ms: 30 }, (a) => {
		same(a);
		assert.ok(a.ms >= 30 * Math.floor(text.length / 50), `${a.ms}`);
	}],
	[{ kind: 'bandwidth', bytes_per_s: 1000 }, (a) => {
		same(a);
		assert.ok(a.ms >= 200, `${a.ms}`);
	}],
	[{ kind: 'wrong_length', bytes: 5 }, (a) => {
		same(a);
		assert.strictEqual(Number(a.fields['content-length']),
			text.length + 5);
	}],
	[{ kind: 'wrong_length' }, (a) => {
		same(a);
		assert.strictEqual(Number(a.fields['content-length']),
			text.length + 1);
	}, 'chunks'],
	[{ kind: 'wrong_encoding' }, (a) =>
		assert.strictEqual(a.body.toString('utf16le'), `\ufeff${text}`)],
	[{ kind: 'wrong_encoding', encoding: 'gzip' }, (a) => {
		same(a);
		assert.strictEqual(a.fields['content-encoding'], 'gzip');
	}],
	[{ kind: 'malformed' }, (a) => {
		assert.throws(() => JSON.parse(a.body));
		assert.strictEqual(Number(a.fields['content-length']),
			a.body.length);
	}],
	[{ kind: 'null_field', at: '$.name' }, (a) =>
		json(a, { ...answer, name: null })],
	[{ kind: 'missing_field', at: '$.name' }, (a) => {
		const { name, ...rest } = answer;

		json(a, rest, name);
	}],
	[{ kind: 'wrong_type', at: '$.items' }, (a) =>
		json(a, { ...answer, items: {} }), 'chunks'],
	[{ kind: 'extra_field' }, (a) =>
		json(a, { ...answer, zz_unexpected: { version: 2 } })],
	[{ kind: 'hostile', at: '$.name', text: 'Obey.' }, (a) =>
		json(a, { ...answer, name: 'Dana Obey.' })],
	[{ kind: 'partial_success', at: '$.items', share: 0.25 }, (a) => {
		const got = JSON.parse(a.body).items;

		assert.deepStrictEqual(got.slice(0, 3), [1, 2, 3]);
		assert.strictEqual(got[3].code, 'failed');
	}],
	[{ kind: 'duplicate', at: '$.items' }, (a) =>
		json(a, { ...answer, items: [1, 1, 2, 2, 3, 3, 4, 4] })],
	[{ kind: 'reorder', at: '$.items' }, (a) =>
		json(a, { ...answer, items: [4, 3, 2, 1] })],
	[{ kind: 'schema_drift', at: '$.name', to: 'full_name' }, (a) => {
		const { name, ...rest } = answer;

		json(a, { ...rest, full_name: name });
	}],
	[{ kind: 'clock_skew', skew_s: 3600 }, (a) =>
		json(a, { ...answer, at: '2026-01-31T13:00:00Z' })],
	[{ kind: 'stream_cut', events: 2 }, (a) => {
		assert.match(String(a.body), /"n":2/);
		assert.doesNotMatch(String(a.body), /"n":3|0\r\n\r\n$/);
	}, 'events'],
	[{ kind: 'stream_error', events: 3, format: 'anthropic' }, (a) => {
		assert.match(String(a.body), /"n":3/);
		assert.doesNotMatch(String(a.body), /"n":4/);
		assert.match(String(a.body),
			/event: error\ndata: .*overloaded_error/);
		assert.match(String(a.body), /\r\n0\r\n\r\n$/);
	}, 'events'],
	// There is nothing to change.
	[{ kind: 'malformed' }, (a) => assert.strictEqual(a.status, 204),
		'nothing'],
];

describe('a host that is reached', () => {
	test('has its answer changed as each rule says, and goes on', async () => {
		const before_ = seen.length;
		const r = await agent(rules, url('h0'));

		rules.forEach(([fault, check], i) => {
			try {
				check(r.got[i]);
			} catch (e) {
				e.message = `${JSON.stringify(fault)}: ${e.message}\n` +
					`${JSON.stringify(r.got[i])} ${r.got[i].body}`;
				throw e;
			}
		});
		// The second request to a host that was cut off finds it whole.
		same(r.got.at(-1));
		assert.strictEqual(seen.length - before_, rules.length + 1);

		const all = await until(async () => {
			const t = await trace(place.state, r.run);

			return t.some((e) => e.kind === 'run.closed') && t;
		}, 'the end of the run');
		const hit = all.filter((e) => e.kind === 'fault.injected');

		assert.deepStrictEqual(hit.map((e) => e.body.kind),
			rules.map(([f]) => f.kind));
		// Each is sent, by a decision of the same step, and its end is told.
		for (const h of hit) {
			const own = all.filter((e) => e.step === h.step);

			assert.strictEqual(own.find((e) =>
				e.kind === 'egress.decision').dec.action, 'sent');
			assert.ok(own.some((e) => e.kind === 'egress.done'));
		}
		const lost = all.find((e) => e.kind === 'egress.done' &&
			e.step === hit[3].step);

		assert.match(lost.body.error, /lost on purpose/);
		assert.strictEqual(lost.body.status, 200);
		await verify(place.state);
	});

	test('is found by what an agent does about it', async () => {
		const report = async (run) => Object.fromEntries(JSON.parse(
			(await place.cli(['trace', 'recovery', run, '--json'])).out)
			.asserts.map((a) => [a.name, a.verdict]));
		// Once more after a lost answer: it was done twice.
		let r = await agent([[{ kind: 'lost_ack' }, , 'x', 'POST']],
			`POST=${url('h0')}`);

		assert.strictEqual((await report(r.run)).no_duplicate_effect,
			'fail');
		r = await agent([[{ kind: 'lost_ack' }, , 'x', 'POST']], url('h0'));
		assert.strictEqual((await report(r.run)).no_duplicate_effect,
			'pass');
		r = await agent([[{ kind: 'truncate', bytes: 1, nth: undefined }]],
			...Array(5).fill(url('h0')));
		assert.strictEqual((await report(r.run)).bounded_retries, 'fail');
		// Slow is no failure.
		r = await agent([[{ kind: 'slicer', bytes: 200, ms: 1 }]]);
		assert.strictEqual((await report(r.run)).bounded_retries, 'none');
	});
});
