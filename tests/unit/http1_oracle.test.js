'use strict';
/*
 * Our HTTP/1.1 parser against node's, on requests that a seeded generator
 * makes and breaks.
 *
 * What ours takes, node's must take as the same message, from the same bytes:
 * method, target, fields, body, and whether the connection lasts. What node's
 * refuses, ours must refuse. That ours refuses more is its purpose.
 *
 * HTTP1_CLI names the program of http1_cli.c. SEED chooses other requests.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const http = require('node:http');
const { Duplex } = require('node:stream');
const { test } = require('node:test');

const seed = Number(process.env.SEED ?? 9112);
const CASES = 4000;

/* mulberry32: a number in [0, 1) from 32 bits of state. */
function generator(state) {
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

const random = generator(seed);
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

function chunked() {
	let text = '';

	for (let i = below(4); i > 0; i--) {
		const n = 1 + below(20);

		text += pick(['', '0', '00']) + n.toString(16) + '\r\n' +
		    'c'.repeat(n) + '\r\n';
	}
	return text + '0\r\n' + pick(['', '', 'X-T: 1\r\n']) + '\r\n';
}

/* Mostly good requests, with the odd part that somebody may misread. */
function request() {
	const fields = [
		pick(['Host: a', 'host:a.example:80', 'Host: \t[::1]:8080 ',
			'Host: 127.0.0.1']),
	];
	let body = '';

	for (let i = below(4); i > 0; i--)
		fields.push(pick(['X-A: b', 'X-Empty:', 'x-colon: a:b:c',
			'X-Obs: \xe4\xff', 'Accept: */*', 'X-Tab: a\tb',
			'Connection: keep-alive', 'Connection: close',
			'Connection: x, close', 'Connection: Keep-Alive, y',
			'Expect: 100-continue', '!#$%&\'*+-.^_`|~: odd',
			'Content-Type: application/json']));
	switch (below(6)) {
	case 0:
	case 1: {
		const n = below(30);

		body = 'b'.repeat(n);
		fields.push(`Content-Length: ${n}`);
		break;
	}
	case 2:
	case 3:
		body = chunked();
		fields.push(pick(['Transfer-Encoding: chunked',
			'transfer-encoding:  Chunked ']));
		break;
	case 4:
		fields.push(pick(['Content-Length: 3', 'Content-Length: +3',
			'Content-Length: 03', 'Content-Length: 3, 3',
			'Transfer-Encoding: chunked', 'Transfer-Encoding: x',
			'Transfer-Encoding: chunked, identity',
			'Transfer-Encoding : chunked', 'Content-Length:']));
		body = pick(['', 'abc', chunked()]);
		break;
	}
	fields.sort(() => random() - 0.5);
	return pick(['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) +
	    ' ' + pick(['/', '/mcp', '/a?b=c&d', '/a%20b', '/{x}|"<>\\^`',
		'*', 'http://a.example/x', 'http://[::1]:80?x']) +
	    pick([' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.0']) +
	    '\r\n' + fields.map((f) => f + '\r\n').join('') + '\r\n' + body +
	    pick(['', '', 'GET / HTTP/1.1\r\nHost: b\r\n\r\n']);
}

/* One to three bytes changed, left out or doubled. */
function broken(text) {
	const odd = ['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ',', ';', '0',
		'-', '\x0b', '\x7f', '\xa0', '#', 'x', '\r\n '];

	for (let i = 1 + below(3); i > 0; i--) {
		const at = below(text.length + 1);

		text = text.slice(0, at) + pick([pick(odd), pick(odd), '']) +
		    text.slice(at + below(3));
	}
	return text;
}

/* All answers of ours to all requests, from one process. */
function ours(requests) {
	const frames = [];

	for (const r of requests) {
		const length = Buffer.alloc(4);

		length.writeUInt32LE(r.length);
		frames.push(length, r);
	}
	const run = spawnSync(process.env.HTTP1_CLI,
		{ input: Buffer.concat(frames), maxBuffer: 1 << 28 });
	const answers = [];

	assert.equal(run.status, 0, run.stderr?.toString());
	for (let at = 0; at < run.stdout.length;) {
		const n = run.stdout.readUInt32LE(at);

		answers.push(run.stdout.toString('latin1', at + 4, at + 4 + n));
		at += 4 + n;
	}
	assert.equal(answers.length, requests.length);
	return answers;
}

/* What node's server makes of the bytes: the messages, and if it refused. */
function nodes(bytes) {
	return new Promise((done) => {
		const seen = { messages: [], refused: false };
		const server = http.createServer();
		const wire = new Duplex({
			read() {},
			write(piece, encoding, next) { next(); },
		});
		const take = (req, res) => {
			const message = { method: req.method, target: req.url,
				keepAlive: res.shouldKeepAlive,
				raw: req.rawHeaders, body: '', whole: false };

			seen.messages.push(message);
			req.setEncoding('latin1');
			req.on('data', (piece) => { message.body += piece; });
			req.on('end', () => {
				message.whole = true;
				res.end();
			});
		};

		server.on('request', take);
		server.on('checkContinue', take);
		server.on('checkExpectation', () => { seen.refused = true; });
		server.on('clientError', () => { seen.refused = true; });
		wire.on('error', () => {});
		server.emit('connection', wire);
		wire.push(bytes);
		/* The parser works as it reads; two turns bring all events. */
		setImmediate(() => setImmediate(() => setImmediate(() => {
			wire.destroy();
			done(seen);
		})));
	});
}

function parse(answer) {
	const end = answer.indexOf('\n\n');
	const [taken, method, target, keepAlive, ...lines] =
	    answer.slice(1, end).split('\n');
	const raw = lines.flatMap((line) => {
		const colon = line.indexOf(':');

		return [line.slice(0, colon), line.slice(colon + 1)];
	});

	return { taken: Number(taken), method, target,
		keepAlive: keepAlive === '1', raw, body: answer.slice(end + 2) };
}

/* What all Connection fields together say. */
function options(raw) {
	return raw.filter((_, i) => i % 2 === 1 &&
		raw[i - 1].toLowerCase() === 'connection')
		.flatMap((value) => value.toLowerCase().split(','))
		.map((option) => option.trim());
}

test(`node takes what we take, as the same message (SEED=${seed})`,
async () => {
	const requests = Array.from({ length: CASES }, (_, i) =>
		Buffer.from(i % 2 === 0 ? request() : broken(request()),
			'latin1'));
	const answers = ours(requests);
	let taken = 0, refused = 0;

	for (const [i, answer] of answers.entries()) {
		if (answer[0] === 'r')
			refused++;
		if (answer[0] !== 'a')
			continue;
		taken++;
		const want = parse(answer);

		/* Node has a list of methods; the grammar has none. */
		if (!http.METHODS.includes(want.method))
			continue;
		const show = JSON.stringify(requests[i].toString('latin1'));

		/* Just the bytes that we took: they are one whole message. */
		const { messages, refused: no } =
		    await nodes(requests[i].subarray(0, want.taken));

		assert.equal(no, false, `node refuses ${show}`);
		assert.equal(messages.length, 1, show);
		const [got] = messages;

		assert.equal(got.whole, true, show);
		assert.equal(got.method, want.method, show);
		assert.equal(got.target, want.target, show);
		assert.deepEqual(got.raw, want.raw, show);
		assert.equal(got.body, want.body, show);
		/* Where both are said, close wins (RFC 9112 section 9.3), but
		 * not in node's HTTP/1.0, nor beside a tab. */
		const said = options(want.raw);

		if (said.includes('close') &&
		    (said.includes('keep-alive') || show.includes('\\t')))
			assert.equal(want.keepAlive, false, show);
		else
			assert.equal(got.keepAlive, want.keepAlive, show);
	}
	/* The generator is of use only while both happen often. */
	assert.ok(taken > CASES / 5, `${taken} taken`);
	assert.ok(refused > CASES / 5, `${refused} refused`);
});
