// Nonsense at every door: random bytes, broken and half requests, slow and
// huge ones. The daemon lives, and what others do is not disturbed. The cases
// come from a seed; E2E_SEED repeats or varies them.
import assert from 'node:assert';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, until, verify, within } from './lib/paddock.js';

const seed = Number(process.env.E2E_SEED ?? 20261121);
const CASES = 1000;
let d, run, roles;

before(async () => {
	d = await Daemon.start();
	run = await d.open({ budgets: { max_tool_calls: 100000 } });
	roles = d.roles();
});
after(() => d.stop());

// mulberry32: small, and the same everywhere.
function random(state) {
	return (below) => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);

		t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
		return ((t ^ (t >>> 14)) >>> 0) % below;
	};
}

function sample(r) {
	const call = JSON.stringify({ jsonrpc: '2.0', id: 1,
		method: 'tools/call', params: { name: 'kb.search',
			arguments: { query: 'x' } } });
	const whole = [
		`GET /v1/runs HTTP/1.1\r\nHost: 127.0.0.1:${d.port}\r\n\r\n`,
		`POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${d.port}\r\n` +
		'Content-Type: application/json\r\nAccept: application/json, ' +
		`text/event-stream\r\nAuthorization: Bearer ${run.token}\r\n` +
		`Content-Length: ${call.length}\r\n\r\n${call}`,
		`POST /v1/runs/${run.run}/calls HTTP/1.1\r\nHost: 127.0.0.1:` +
		`${d.port}\r\nContent-Type: application/json\r\n` +
		'Transfer-Encoding: chunked\r\n\r\n5\r\n{"nam\r\n0\r\n\r\n',
		'kill r-7k3m9q2v5w1x\n',
	][r(4)];
	const bytes = Buffer.from(whole, 'latin1');

	switch (r(6)) {
	case 0: // no structure at all
		return Buffer.from(Array.from({ length: r(3000) },
			() => r(256)));
	case 1: // the beginning of one
		return bytes.subarray(0, r(bytes.length));
	case 2: // some bytes changed
		for (let i = r(8) + 1; i > 0; i--)
			bytes[r(bytes.length)] = r(256);
		return bytes;
	case 3: { // a piece twice, or left out
		const a = r(bytes.length), b = a + r(bytes.length - a);

		return Buffer.concat([bytes.subarray(0, b),
			bytes.subarray(r(2) ? a : b + r(20))]);
	}
	case 4: // a line without end
		return Buffer.concat([bytes.subarray(0, r(60)),
			Buffer.alloc(r(60000), 'a')]);
	default: // numbers where they hurt
		return Buffer.from(whole.replace(/\d+/g, () => ['-1', '0', '1',
			'4294967296', '18446744073709551616', '1e9', '00',
			'0x10'][r(8)]), 'latin1');
	}
}

// Sends it, hears until the end or for a moment, hangs up one way or another.
function poke(to, bytes, how) {
	return new Promise((done) => {
		const s = net.connect(to);
		const over = () => { s.destroy(); done(); };

		s.on('error', over).on('close', done).on('data', over);
		s.setTimeout(20, over);
		s.on('connect', () => {
			if (how === 0) {
				s.write(bytes, () => (to.port !== undefined
					? s.resetAndDestroy() : s.destroy()));
			} else if (how === 1) {
				s.end(bytes);
			} else {
				s.write(bytes.subarray(0, bytes.length / 2));
				s.write(bytes.subarray(bytes.length / 2));
			}
		});
	});
}

async function works() {
	const a = await d.tcp().call(run, 'kb.search', { query: 'refund' });

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	assert.deepStrictEqual(d.roles(), roles,
		`a role was started again: ${d.command.err}`);
}

for (const door of ['TCP', 'paddock.sock', 'kill.sock'])
	test(`${CASES} cases of nonsense to ${door} disturb nobody ` +
	    `(seed ${seed})`, async () => {
		const r = random(seed + door.length);
		const to = door === 'TCP' ? { host: '127.0.0.1', port: d.port }
			: { path: path.join(d.state, door) };

		// kill.sock is answered one at a time, by the supervisor.
		const width = door === 'kill.sock' ? 1 : 20;

		for (let i = 0; i < CASES; i += width) {
			const many = Array.from({ length: width },
				() => poke(to, sample(r), r(3)));

			await within(Promise.all(many), `case ${i}`);
			if (i % 200 === 0)
				await works();
		}
		await works();
	});

test('a client that says nothing, or a byte at a time, holds up nobody',
	async () => {
		const slow = [];

		for (let i = 0; i < 50; i++) {
			const s = net.connect({ host: '127.0.0.1', port: d.port });

			s.on('error', () => undefined);
			if (i % 2)
				s.write('P');
			slow.push(s);
		}
		for (let i = 0; i < 20; i++) {
			for (const s of slow)
				s.write('O');
			await works();
		}
		for (const s of slow)
			s.destroy();
	});

test('a head over the limit is 431, a body over it 413', async () => {
	const say = (text) => new Promise((done, fail) => {
		let all = '';
		const s = net.connect({ path: path.join(d.state,
			'paddock.sock') });

		s.on('error', fail).on('data', (b) => {
			all += b;
			if (all.includes('\r\n\r\n')) {
				s.destroy();
				done(all);
			}
		});
		s.setTimeout(5000, () => fail(new Error('no answer')));
		s.write(text);
	});

	assert.match(await say('GET /v1/health HTTP/1.1\r\nHost: x\r\n' +
		`X: ${'a'.repeat(40000)}\r\n\r\n`), /^HTTP\/1.1 431 /);
	assert.match(await say('POST /v1/runs HTTP/1.1\r\nHost: x\r\n' +
		'Content-Type: application/json\r\n' +
		'Content-Length: 99999999\r\n\r\n'), /^HTTP\/1.1 413 /);
	assert.match(await say('POST /v1/runs HTTP/1.1\r\nHost: x\r\n' +
		'Content-Type: application/json\r\n\r\n'), /^HTTP\/1.1 411 /);
	assert.match(await say('POST /v1/runs HTTP/1.1\r\nHost: x\r\n' +
		'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}'),
	/^HTTP\/1.1 400 /);
	await works();
});

test('an event stream that nobody reads holds up nobody', async () => {
	const s = net.connect({ path: path.join(d.state, 'paddock.sock') });

	s.on('error', () => undefined);
	s.pause();
	s.write(`GET /v1/runs/${run.run}/events HTTP/1.1\r\nHost: x\r\n` +
		'Accept: text/event-stream\r\n\r\n');
	for (let i = 0; i < 300; i++)
		await d.tcp().call(run, 'kb.search', { query: `q ${i}` });
	s.destroy();
	await works();
});

test('the trace is sound after all of this', async () => {
	await d.post('/v1/stop', {});
	await until(async () => (await d.get('/v1/runs')).runs.length === 0,
		'the end of all runs');
	await verify(d.state);
});
