'use strict';
/*
 * Requests of HTTP/1.1 that a seeded generator makes and breaks, and what
 * others make of them: http1_oracle.test.js and forward_oracle.test.js.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const http = require('node:http');
const { Duplex } = require('node:stream');

const seed = Number(process.env.SEED ?? 9112);

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

/*
 * Mostly good requests, with the odd part that somebody may misread. what:
 * fields of the Host, targets, and more fields that may be there.
 */
function request({ hosts, targets, more = [] }) {
	const fields = [pick(hosts)];
	let body = '';

	for (let i = below(4); i > 0; i--)
		fields.push(pick(['X-A: b', 'X-Empty:', 'x-colon: a:b:c',
			'X-Obs: \xe4\xff', 'Accept: */*', 'X-Tab: a\tb',
			'Connection: keep-alive', 'Connection: close',
			'Connection: x, close', 'Connection: Keep-Alive, y',
			'Expect: 100-continue', '!#$%&\'*+-.^_`|~: odd',
			'Content-Type: application/json', ...more]));
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
	    ' ' + pick(targets) +
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

/* All answers of one of our programs to all frames, from one process. */
function answersOf(program, requests) {
	const frames = [];

	for (const r of requests) {
		const length = Buffer.alloc(4);

		length.writeUInt32LE(r.length);
		frames.push(length, r);
	}
	const run = spawnSync(program, { input: Buffer.concat(frames),
		maxBuffer: 1 << 28 });
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

/* An answer of http1_cli.c that begins with 'a'. */
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

module.exports = { seed, below, pick, request, broken, answersOf, nodes, parse };
