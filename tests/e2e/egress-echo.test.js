// A host that has a run's secret from somewhere else, or from an earlier
// request, says it in its answers: whatever the form, the sandbox sees what
// stands for it.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import path from 'node:path';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Place } from './lib/paddock.js';

const place = new Place();
const value = 'tk_live_0123"5/789abcdef';
const hex = (s) => Buffer.from(s).toString('hex');
const forms = {
	plain: (s) => s,
	base64: (s) => Buffer.from(`{"k":"${s}"}`).toString('base64'),
	'base64 of one byte more': (s) =>
		Buffer.from(`{"ke":"${s}"}`).toString('base64'),
	'base64 of two bytes more': (s) =>
		Buffer.from(`{"key":"${s}"}`).toString('base64url'),
	hex,
	'hex with colons': (s) => hex(s).match(/../g).join(':'),
	url: (s) => [...s].map((c) => `%${hex(c)}`).join(''),
	'url of some': (s) => encodeURIComponent(s),
	json: (s) => JSON.stringify(s).slice(1, -1).replaceAll('/', '\\/'),
	'json of all': (s) => [...s].map((c) => `\\u00${hex(c)}`).join(''),
	reversed: (s) => [...s].reverse().join(''),
};
// How the same text can come: gives what the client should see of it.
const ways = {
	whole: (s, text) => s.end(text),
	length: (s, text) => {
		s.writeHead(200, { 'content-length': Buffer.byteLength(text) });
		s.end(text);
	},
	bytes: (s, text) => {
		for (const c of text)
			s.write(c);
		s.end();
	},
	halves: (s, text) => {
		const at = 20 + Math.floor((text.length - 40) / 2);

		s.write(text.slice(0, at));
		setTimeout(() => s.end(text.slice(at)), 100);
	},
	gzip: (s, text) => packed(s, 'gzip', zlib.gzipSync(text)),
	deflate: (s, text) => packed(s, 'deflate', zlib.deflateSync(text)),
	// One that would rather have another coding than it is asked for.
	best: (s, text, q) => {
		const may = q.headers['accept-encoding'] ?? '';

		if (/\bbr\b/.test(may))
			packed(s, 'br', zlib.brotliCompressSync(text));
		else if (/\bgzip\b/.test(may))
			packed(s, 'gzip', zlib.gzipSync(text));
		else
			s.end(text);
	},
	range: (s, text, q) => {
		const m = q.headers.range?.match(/bytes=(\d+)-(\d+)/);

		if (m === null || m === undefined)
			return s.end(text);
		s.writeHead(206);
		return s.end(text.slice(+m[1], +m[2] + 1));
	},
	head: (s, text) => {
		s.setHeader('x-echo', text.trim());
		s.end('in the head\n');
	},
};
const asked = [];
let dns, plain, tls, ca;

function packed(s, coding, bytes) {
	s.writeHead(200, { 'content-encoding': coding,
		'content-length': bytes.length });
	s.end(bytes);
}

before(async () => {
	const keys = path.join(place.dir, 'keys');
	const answer = (q, s) => {
		const [, way, form] = decodeURIComponent(q.url).split('/');

		asked.push(q);
		if (way === 'pause') {
			s.write(form);
			s.on('close', () => asked.push('closed'));
		} else if (way === 'br') {
			packed(s, 'br', zlib.brotliCompressSync(value));
		} else if (way === 'trailer') {
			s.writeHead(200, { trailer: 'x-echo' });
			s.write('a body\n');
			s.addTrailers({ 'x-echo': value });
			s.end();
		} else if (way !== 'take') {
			ways[way](s, `so far ${forms[form](value)} and on\n`, q);
		} else {
			s.end('thanks\n');
		}
	};

	fs.mkdirSync(keys);
	ca = certificates(keys, ['api.test', 'other.test']);
	dns = await resolver();
	plain = await listen(http.createServer(answer));
	tls = await listen(http2.createSecureServer({ allowHTTP1: true,
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, answer));
	fs.mkdirSync(path.join(place.state, 'secrets'), { recursive: true });
	fs.writeFileSync(path.join(place.state, 'secrets/tickets.key'), value,
		{ mode: 0o600 });
});

after(closeAll);

function policy(changes = {}) {
	const local = { addrs: ['127.0.0.1/32'] };

	return {
		policy: 1, workflow: 'echo', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		secrets: { TICKETS: { from: 'file:tickets.key', env: 'TOKEN',
			inject: { header: 'authorization', format: 'Bearer {}' } },
		BAIT: { from: 'canary:github', env: 'BAIT' } },
		egress: { rules: [
			{ host: 'api.test', port: tls, proto: 'https', ...local, ca,
				paths: ['/take'], secrets: ['TICKETS'] },
			{ host: 'api.test', port: tls, proto: 'https', ...local, ca,
				paths: ['/*/**'] },
			{ host: 'other.test', port: tls, proto: 'https', ...local, ca },
			{ host: 'free.test', port: plain, proto: 'http', ...local },
		] },
		...changes,
	};
}

let n = 0;

async function ran(script, document = policy(), options = []) {
	const file = path.join(place.dir, `policy${++n}.json`);
	const work = path.join(place.dir, `work${n}`);

	fs.writeFileSync(file, JSON.stringify(document));
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	asked.length = 0;
	const r = await place.command(['run', '--state', place.state, '--dir', work,
		...options, file, '--', 'sh', '-c',
		`echo $TOKEN; curl() { command curl -sS -m 20 "$@"; }\n${script}`],
	{ input: '', env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } }).end();
	const run = r.err.match(/run (r-\w+)/)?.[1];
	const [token, ...lines] = r.out.split('\n');

	return { ...r, run, token, lines };
}

async function done(run) {
	const log = (await place.cli(['trace', 'show', run, '--json'])).out;

	return log.trim().split('\n').flatMap((l) => JSON.parse(l))
		.filter((e) => e.kind === 'egress.done');
}

// No piece of it that tells much, but what its neighbours share.
function assertHidden(text, form, what) {
	const told = forms[form](value);
	const skip = form.startsWith('base64') ? 12 : 0;

	for (let at = skip; at + 12 <= told.length - skip; at++)
		assert.ok(!text.includes(told.slice(at, at + 12)), what);
}

for (const [name, base, option] of [
	['http', () => `http://free.test:${plain}`, ''],
	['https, HTTP/1.1', () => `https://other.test:${tls}`, '--http1.1'],
	['https, HTTP/2', () => `https://other.test:${tls}`, '--http2'],
]) {
	test(`an answer tells no secret in any form, ${name}`, async () => {
		const rows = Object.keys(ways).flatMap((way) =>
			Object.keys(forms).map((form) => [way, form]));
		const r = await ran(rows.map(([way, form]) =>
			`curl -i ${option} ${way === 'range' ? '-r 0-20' : ''} ` +
			`${way === 'best' ? '--compressed' : ''} ` +
			`'${base()}/${way}/${encodeURIComponent(form)}'; echo =====`)
			.join('\n'));
		const parts = r.lines.join('\n').split('=====\n');

		assert.strictEqual(parts.length, rows.length + 1, r.err);
		assert.match(r.token, /^pdk_\w{20}$/);
		for (const [i, [way, form]] of rows.entries()) {
			const what = `${way}, ${form}: ${parts[i]}`;

			assert.match(parts[i], /^HTTP\/[12.]+ 200/, what);
			if (way !== 'range' && way !== 'bytes')
				assert.match(parts[i], /so far [^]* and on/, what);
			assertHidden(parts[i], form, what);
			if (form === 'plain' && way !== 'bytes')
				assert.ok(parts[i].includes(`so far ${r.token} and on`),
					what);
			assert.ok(!/content-encoding/i.test(parts[i]), what);
		}
		const ends = await done(r.run);

		assert.strictEqual(ends.filter((e) => e.body.scrubbed > 0).length,
			rows.length, JSON.stringify(ends.map((e) => [e.body.url,
				e.body.scrubbed])));
		// One that prefers brotli was not told that it might.
		assert.ok(asked.filter((q) => q.url.startsWith('/best/')).every((q) =>
			/gzip/.test(q.headers['accept-encoding']) &&
			!/\bbr\b/.test(q.headers['accept-encoding'])));
		assert.ok(asked.every((q) => q.headers.range === undefined));
	});
}

test('one that got it from an earlier request says it by another rule',
	async () => {
		const r = await ran(`curl https://api.test:${tls}/take\n` +
			`curl https://api.test:${tls}/whole/plain\n` +
			`curl --http2 https://api.test:${tls}/halves/base64`);

		assert.strictEqual(asked[0].headers.authorization,
			`Bearer ${value}`, r.err);
		assert.strictEqual(r.lines[1], `so far ${r.token} and on`, r.err);
		assertHidden(r.out, 'base64', r.out);
	});

test('trailers are answers, too, and brotli that nobody asked for is none',
	async () => {
		const r = await ran(
			`curl -i --raw http://free.test:${plain}/trailer/x\n` +
			`curl -i http://free.test:${plain}/br/x\n`);

		assert.match(r.out, new RegExp(`x-echo: ${r.token}`, 'i'), r.err);
		assert.match(r.out, /502 Bad Gateway[^]*was not asked for/);
		assert.ok(!r.out.includes('tk_live'));
	});

test('an event comes when it is sent, and so does a part of a line', async () => {
	const r = await ran(['data: {"n":1}\n\n', 'tk_liv', 'any text at all']
		.map((text) => 'curl -N -m 2 http://free.test:' + plain +
			`/pause/${encodeURIComponent(text)} | ` +
			`timeout 1 head -c ${text.length}; echo "=$?"`).join('\n'));

	assert.deepStrictEqual(r.lines, ['data: {"n":1}', '', '=0', 'tk_liv=0',
		'any text at all=0', ''], r.err);
});

test('an answer of another run is given without this one\'s secrets',
	async () => {
		const open = policy({ secrets: {} });

		open.egress.rules = open.egress.rules.filter((r) => !r.secrets);
		open.egress.rules.forEach((r) => {
			r.record = true;
		});
		const script = `curl -i http://free.test:${plain}/whole/plain; ` +
			`curl -i http://free.test:${plain}/head/plain`;
		const first = await ran(script, open);

		assert.ok(first.out.includes(value), first.err);
		const closed = policy();

		closed.egress.rules.forEach((r) => {
			r.record = true;
		});
		const again = await ran(script, closed,
			['--replay-http', first.run]);

		assert.strictEqual(asked.length, 0);
		assert.ok(again.out.includes(`so far ${again.token} and on\n`),
			again.out + again.err);
		assert.ok(!again.out.includes('tk_live'), again.out);
	});
