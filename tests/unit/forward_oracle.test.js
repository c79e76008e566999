'use strict';
/*
 * What a forward sends on, against node's parser, for requests that a seeded
 * generator makes, breaks, and puts behind each other, and for shapes that
 * smuggle one request in another.
 *
 * Of whatever a client says, each server must hear requests that node reads as
 * those that were asked about: as many, in their order, with the method,
 * target, host and body that were judged.
 *
 * FORWARD_CLI names the program of forward_cli.c, HTTP1_CLI that of
 * http1_cli.c. SEED chooses other requests.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const http = require('node:http');
const { test } = require('node:test');

const { seed, below, pick, request, broken, answersOf, nodes, parse } =
    require('./http1_cases.js');

const CASES = 8000;
const MOST = 3; /* requests behind each other */
const TO_PROXY = 1, STANDING = 2, WAITS = 4, WATCHES = 8;
const HOST = 'Host: h.example\r\n';
const EVIL = 'GET /evil HTTP/1.1\r\nHost: evil.example\r\n\r\n';
const evil = EVIL.length;
/* Fields that tell proxies what to do, or name what they may not drop. */
const more = ['Connection: Content-Length', 'Connection: Host',
	'Connection: Transfer-Encoding, x', 'Connection: x-a', 'TE: trailers',
	'Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive',
	'Upgrade: h2c', 'Trailer: X-T', 'X-Forwarded-Host: evil.example',
	'Connection: upgrade, http2-settings', 'Max-Forwards: 0',
	'X-HTTP-Method-Override: DELETE'];
const toServer = {
	hosts: ['Host: h.example', 'host:H.Example', 'Host: \th.example:80 ',
		'Host: h.example', 'Host: h.example:080', 'Host: evil.example'],
	targets: ['/', '/mcp', '/a?b=c&d', '/a%20b', '/{x}|"<>\\^`', '*', '?x',
		'/a?', '/a?b?c', '/a#b', '//evil.example/', '/../x',
		'http://h.example/x'],
	more,
};
const toProxy = {
	hosts: ['Host: h.example', 'Host: h.example:80', 'Host: h.example:8080'],
	targets: ['http://h.example/x', 'HTTP://h.example/', 'http://h.example',
		'http://h.example?x=y', 'http://h.example:80/a?b',
		'http://h.example:8080/a', 'http://h.example:8080/b?',
		'http://u:p@h.example/', '/x'],
	more,
};

const post = (fields, body) => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const smuggled = [
	post(`Content-Length: ${evil + 5}\r\nTransfer-Encoding: chunked\r\n`,
		`0\r\n\r\n${EVIL}`),
	post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n',
		`${evil.toString(16)}\r\n${EVIL}\r\n0\r\n\r\n`),
	...['xchunked', 'chunked, identity', 'identity', '\x0bchunked', 'chunked\x0b',
		'"chunked"', 'chunked;q=1', 'chunked, chunked', 'CHUNKED',
		'\tchunked', 'chunke\u212a'.replace('\u212a', 'd\xa0'), ''].map((x) =>
		post(`Transfer-Encoding: ${x}\r\n`, `0\r\n\r\n${EVIL}`)),
	...['+5', '-5', '0x5', '5 ', ' 5', '5,5', '5;5', '05', '5e0', '5.0', '',
		'99999999999999999999', '5\t', '\xb25'].map((x) =>
		post(`Content-Length:${x}\r\n`, `abcde${EVIL}`)),
	post('Content-Length: 5\r\nContent-Length: 0\r\n', `abcde${EVIL}`),
	post('Content-Length: 0\r\ncontent-length: 0\r\n', EVIL),
	post('Content-Length : 0\r\n', EVIL),
	post('Content-Length\t: 0\r\n', EVIL),
	post(' Content-Length: 0\r\n', EVIL),
	post('X: y\r\n Content-Length: 5\r\n', `abcde${EVIL}`),
	post('X: y\rContent-Length: 5\r\n', `abcde${EVIL}`),
	post('X: y\nContent-Length: 5\r\n', `abcde${EVIL}`),
	post('X: y\0\r\nContent-Length: 5\r\n', `abcde${EVIL}`),
	post('Content_Length: 5\r\n', `abcde${EVIL}`),
	post('Content-Length: 5\r\nConnection: Content-Length\r\n', `abcde${EVIL}`),
	post('Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n',
		`3\r\nabc\r\n0\r\n\r\n${EVIL}`),
	post(`Content-Length: ${evil}\r\n`, EVIL),
	post('Expect: 100-continue\r\nContent-Length: 5\r\n', `abcde${EVIL}`),
	...['5;x=y', '5 ;x', '5;\n', ' 5', '+5', '0x5', '05', '5\t', '5;x="\r\n"',
		'00000000000000005', '5 5', 'G'].map((x) =>
		post('Transfer-Encoding: chunked\r\n',
			`${x}\r\nabcde\r\n0\r\n\r\n${EVIL}`)),
	...['abcdeX\n0\r\n\r\n', 'abcde\n0\r\n\r\n', 'abcde0\r\n\r\n',
		'abcde\r\n0\r\n', 'abcde\r\n0\n\r\n', 'abcde\r\n0\r\nA: b\r\n\r\n',
		'abcde\r\n0\r\nContent-Length: 9\r\n\r\n',
		'abcde\r\n0\r\n A: b\r\n\r\n',
		'abcde\r\n0\r\nHost: evil.example\r\n\r\n',
		'abcde\r\n-1\r\n\r\n', 'abcde\r\n00\r\n\r\n'].map((x) =>
		post('Transfer-Encoding: chunked\r\n', `5\r\n${x}${EVIL}`)),
	`GET / HTTP/1.1\r\n${HOST}Host: evil.example\r\n\r\n`,
	`GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`,
	'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.0\r\n\r\n',
	`GET / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${EVIL}`,
	`GET / HTTP/1.1 \r\n${HOST}\r\n`, `GET  / HTTP/1.1\r\n${HOST}\r\n`,
	`GET /a b HTTP/1.1\r\n${HOST}\r\n`, `GET /\tHTTP/1.1\r\n${HOST}\r\n`,
	`GET / HTTP/1.1\n${HOST}\r\n`, `GET / HTTP/1.2\r\n${HOST}\r\n`,
	`GET / http/1.1\r\n${HOST}\r\n`, `GET /\r\n${EVIL}`,
	`\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, ` GET / HTTP/1.1\r\n${HOST}\r\n`,
	`GET / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nabcde${EVIL}`,
	`HEAD / HTTP/1.1\r\n${HOST}Content-Length: ${evil}\r\n\r\n${EVIL}`,
	`GET /\x80 HTTP/1.1\r\n${HOST}\r\n`,
	`GET http://evil.example/ HTTP/1.1\r\n${HOST}\r\n`,
	`CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n${EVIL}`,
];

function stream(what) {
	let text = '';

	for (let n = 1 + below(MOST); n > 0; n--)
		text += pick([request, request, request, request, request,
			(w) => broken(request(w)), () => pick(smuggled),
			() => broken(pick(smuggled))])(what);
	return Buffer.from(text, 'latin1');
}

/* The requests that are in there, by our parser. */
function taken(streams) {
	const all = streams.map(() => []);
	let left = streams.map((bytes, i) => ({ i, bytes }));

	while (left.length > 0) {
		const answers = answersOf(process.env.HTTP1_CLI,
			left.map((x) => x.bytes));

		left = left.flatMap(({ i, bytes }, k) => {
			if (answers[k][0] !== 'a')
				return [];
			all[i].push(parse(answers[k]));
			const rest = bytes.subarray(all[i].at(-1).taken);

			return rest.length > 0 ? [{ i, bytes: rest }] : [];
		});
	}
	return all;
}

/* The target as it is sent on: a path. */
function origin(target) {
	const path = target.replace(/^http:\/\/[^/?]*/i, '');

	return path === '' || path[0] === '?' ? `/${path}` : path;
}

const plain = (host) => host.toLowerCase().replace(/:0*80$/, '');

function isAsked(message, ask, show) {
	const hosts = message.raw.filter((_, i) => i % 2 === 1 &&
		message.raw[i - 1].toLowerCase() === 'host');

	assert.equal(hosts.length, 1, show);
	assert.equal(plain(hosts[0]), plain(`${ask.host}:${ask.port}`), show);
	assert.equal(message.method, ask.method, show);
	assert.equal(message.target, ask.path +
		(ask.query === undefined ? '' : `?${ask.query}`), show);
	if (message.whole && ask.content_length !== undefined)
		assert.equal(message.body.length, ask.content_length, show);
	if (ask.body_sha256 !== undefined)
		assert.equal(crypto.createHash('sha256')
			.update(message.body, 'latin1').digest('hex'),
		ask.body_sha256, show);
}

test(`node reads what was judged, and nothing else (SEED=${seed})`,
async () => {
	const modes = Array.from({ length: CASES }, () => pick([0, 0, STANDING,
		WAITS, WATCHES, WAITS | WATCHES, STANDING | WATCHES, TO_PROXY,
		TO_PROXY | WAITS, TO_PROXY | STANDING]));
	const streams = modes.map((m) =>
		stream((m & TO_PROXY) !== 0 ? toProxy : toServer));

	smuggled.forEach((text) => [0, WAITS, WATCHES].forEach((m) => {
		modes.push(m);
		streams.push(Buffer.from(text, 'latin1'));
	}));
	const answers = answersOf(process.env.FORWARD_CLI,
		streams.map((bytes, i) => Buffer.concat([Buffer.from([modes[i],
			pick([255, 255, 0, 6, 40])]), bytes])));
	const all = taken(streams);
	let whole = 0, none = 0, again = 0;

	for (const [i, answer] of answers.entries()) {
		const { asks, servers } =
		    JSON.parse(Buffer.from(answer, 'latin1').toString());
		const show = `mode ${modes[i]} ${
			JSON.stringify(streams[i].toString('latin1'))} => ${
			JSON.stringify(servers.map((hex) =>
				Buffer.from(hex, 'hex').toString('latin1')))}`;
		let nth = 0, next = 0;

		/* Node has a list of methods; the grammar has none. */
		if (asks.some((a) => !http.METHODS.includes(a.method)))
			continue;
		none += servers.length === 0 ? 1 : 0;
		for (const hex of servers) {
			const { messages, refused } =
			    await nodes(Buffer.from(hex, 'hex'));

			assert.equal(refused, false, show);
			again += messages.length > 1 ? 1 : 0;
			for (const [k, m] of messages.entries()) {
				/* Only the end of a client leaves one unfinished. */
				assert.ok(m.whole || k === messages.length - 1, show);
				if ((modes[i] & STANDING) === 0) {
					while (nth < asks.length - 1 && asks[nth].path !==
						m.target.split('?')[0])
						nth++;
					assert.ok(nth < asks.length, show);
					isAsked(m, asks[nth++], show);
				}
				if (!m.whole)
					continue;
				whole++;
				while (next < all[i].length &&
					(all[i][next].method !== m.method ||
					origin(all[i][next].target) !== m.target ||
					all[i][next].body !== m.body))
					next++;
				assert.ok(next++ < all[i].length, show);
			}
		}
	}
	/* The generator is of use only while all of these happen often. */
	assert.ok(whole > CASES / 4, `${whole} whole`);
	assert.ok(none > CASES / 20, `${none} streams of which nothing went on`);
	assert.ok(again > CASES / 100, `${again} connections with several`);
});
