// Requests that Amazon's own signer signs with a fake key, signed anew by ours
// with the real one: the same as if Amazon's had had the real key.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { test } from 'node:test';

import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

const program = path.join(process.env.PADDOCK_BUILD, 'tests/unit/sigv4_cli');
const seed = Number(process.env.SEED ?? 20150830);
const CASES = Number(process.env.CASES ?? 3000);
const FAKE = { accessKeyId: 'AKIAFAKEFAKEFAKEFAKE', secretAccessKey: 'f'.repeat(40) };
const REAL = { accessKeyId: 'AKIAREALREALREALREAL',
	secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };

/* mulberry32: a number in [0, 1) from 32 bits of state. */
function generator(state) {
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

const random = generator(seed);
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const often = (p) => random() < p;
const some = (most, make) => Array.from({ length: below(most + 1) }, make);

/* As it goes over the wire: all but the unreserved is encoded. */
const escape = (s) => encodeURIComponent(s).replace(/[!'()*]/g,
	(c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const words = ['', 'a', 'b', 'ab', 'A', 'a b', 'ü', '😀', 'a/b', 'a+b', 'a&b=c',
	'100%', '%41', '~-._', '!\'()*', '"<>', ':@$,;', '[0]', 'x-y', '\u0001'];
const parts = ['a', 'b', 'ü', 'a b', '😀', 'a+b', '100%', '%2F', '...', '.a', '~',
	'!\'()*', 'a:b', 'a=b&c', '@'];
const values = ['', 'v', 'a  b', 'a   b    c', 'x; y="z"', '1,2', 'a:b', '=?'];

function target(s3) {
	const list = some(4, () => escape(pick(parts)));

	/* Of S3 a key may be any text; of others these are no parts at all. */
	for (let i = below(3); !s3 && i > 0; i--)
		list.splice(below(list.length + 1), 0, pick(['.', '..', '']));
	return `/${list.join('/')}${list.length > 0 && often(0.3) ? '/' : ''}`;
}

function request() {
	const s3 = often(0.3);
	const query = {};

	for (const name of some(4, () => pick(words.slice(1))))
		query[name] = often(0.4)
			? Array.from({ length: 1 + below(3) }, () => pick(words))
			: pick(words);
	const body = pick(['', '', '{}', 'Action=List', '\0\u00ff', 'x'.repeat(999)]);
	const headers = { host: pick(['s3.amazonaws.com', 'a.b.example:8443']) };

	for (const name of some(4, () => pick(['X-Amz-Target', 'Content-Type',
		'x-amz-meta-a', 'X-AMZ-Meta-B', 'User-Agent', 'Accept', 'Range',
		'x-zulu'])))
		headers[name] = pick(values);
	/* A digest that the client states: S3's clients always do. */
	const stated = s3 ? pick([undefined, 'UNSIGNED-PAYLOAD']) : undefined;

	if (stated !== undefined)
		headers['X-Amz-Content-Sha256'] = stated;
	return { s3, applyChecksum: s3 || often(0.5),
		token: often(0.3) ? `token${below(1e6)}==` : undefined,
		service: s3 ? 's3' : pick(['sts', 'dynamodb', 'execute-api']),
		region: pick(['us-east-1', 'eu-central-1']),
		when: new Date(1440938160000 + below(1e9) * 1000),
		request: { method: pick(['GET', 'POST', 'PUT', 'DELETE', 'HEAD']),
			protocol: 'https:', hostname: headers.host.split(':')[0],
			path: target(s3), query, headers, body } };
}

const sign = (q, key) => new SignatureV4({ service: q.service, region: q.region,
	sha256: Sha256, uriEscapePath: !q.s3, applyChecksum: q.applyChecksum,
	credentials: { ...key, sessionToken: q.token } })
	.sign(structuredClone(q.request), { signingDate: q.when });

/* In any order: it is the signer that sorts. */
function wire(r) {
	const list = Object.entries(r.query).flatMap(([name, value]) =>
		[value].flat().map((v) => v === '' && often(0.5) ? escape(name)
			: `${escape(name)}=${escape(v)}`));
	const fields = Object.entries(r.headers).map(([n, v]) =>
		`${often(0.5) ? n : n.toUpperCase()}:${pick(['', ' '])}${v}${
			pick(['', ' '])}\r\n`);
	const mix = (x) => x.sort(() => random() - 0.5);

	mix(list);
	return `${r.method} ${r.path}${list.length > 0 ? `?${list.join('&')}` : ''
	} HTTP/1.1\r\n${mix(fields).join('')}\r\n`;
}

function ours(questions) {
	const frames = questions.flatMap((q) => {
		const n = Buffer.alloc(4), text = Buffer.from(q);

		n.writeUInt32LE(text.length);
		return [n, text];
	});
	const run = spawnSync(program, { input: Buffer.concat(frames),
		maxBuffer: 1 << 28 });
	const answers = [];

	assert.equal(run.status, 0, run.stderr?.toString());
	for (let at = 0; at < run.stdout.length;) {
		const n = run.stdout.readUInt32LE(at);

		answers.push(run.stdout.toString('utf8', at + 4, at + 4 + n));
		at += 4 + n;
	}
	assert.equal(answers.length, questions.length);
	return answers;
}

test(`Amazon's signer signs the same (SEED=${seed})`, async () => {
	const cases = Array.from({ length: CASES }, request);
	const heads = [], wanted = [], stated = [];

	for (const q of cases) {
		const fake = await sign(q, FAKE);
		const digest = createHash('sha256').update(q.request.body)
			.digest('hex');

		stated.push(Object.keys(fake.headers)
			.some((n) => n.toLowerCase() === 'x-amz-content-sha256'));
		wanted.push((await sign(q, REAL)).headers.authorization);
		heads.push(`${REAL.accessKeyId}\n${REAL.secretAccessKey}\n${
			digest}\n${wire(fake)}`);
	}
	for (const [i, answer] of ours(heads).entries()) {
		const show = `${heads[i]}${JSON.stringify(cases[i])}`;

		assert.equal(answer[0], stated[i] ? '0' : '1', show);
		assert.equal(answer.slice(1), `a${wanted[i]}`, show);
	}
	/* The generator is of use only while all kinds happen often. */
	for (const kind of [(q) => q.s3, (q) => q.request.body === '',
		(q) => Object.values(q.request.query).some(Array.isArray),
		(q) => q.request.headers['X-Amz-Content-Sha256'] !== undefined,
		(q) => q.request.path.includes('..')])
		assert.ok(cases.filter(kind).length > CASES / 20, String(kind));
});
