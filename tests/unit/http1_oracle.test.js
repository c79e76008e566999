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
const http = require('node:http');
const { test } = require('node:test');

const { seed, request, broken, answersOf, nodes, parse } =
    require('./http1_cases.js');

const CASES = 4000;
const what = {
	hosts: ['Host: a', 'host:a.example:80', 'Host: \t[::1]:8080 ',
		'Host: 127.0.0.1'],
	targets: ['/', '/mcp', '/a?b=c&d', '/a%20b', '/{x}|"<>\\^`', '*',
		'http://a.example/x', 'http://[::1]:80?x'],
};

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
		Buffer.from(i % 2 === 0 ? request(what) : broken(request(what)),
			'latin1'));
	const answers = answersOf(process.env.HTTP1_CLI, requests);
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
