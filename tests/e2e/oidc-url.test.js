// An issuer's keys fetched from where the operator says: kept as long as their
// server says, fetched anew for a key that is not known, and no more often
// than that whatever tokens name; old ones are used while it is away, not
// longer; nothing it answers leads elsewhere.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';

import * as jose from 'jose';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, scratch, until } from './lib/paddock.js';

const iss = 'https://login.example.com';
const keys = {}; // kid -> { privateKey, jwk }
let d, dir, port, ca;
let asked = 0, inside = 0; // requests that the server has had
const seen = new Set(); // where to
let answer; // what the server of the keys does with one

async function key(kid) {
	const pair = await jose.generateKeyPair('ES256', { extractable: true });

	keys[kid] = { ...pair, jwk: { ...await jose.exportJWK(pair.publicKey),
		kid, alg: 'ES256', use: 'sig' } };
	return keys[kid];
}

const set = (...kids) => JSON.stringify({ keys: kids.map((k) =>
	keys[k].jwk) });
const gives = (body, fields = {}) => (q, a) => {
	a.writeHead(200, { 'Content-Type': 'application/json', ...fields });
	a.end(body);
};

function configure(changes = {}, more = {}) {
	const at = path.join(dir, 'config.json');

	fs.writeFileSync(`${at}~`, JSON.stringify({ issuers: [{
		issuer: iss, audience: 'paddock', tenant: 'acme',
		actor: { claim: 'sub' }, roles: ['viewer'],
		keys: { url: `https://keys.test:${port}/jwks`, roots: 'ca.pem',
			addrs: ['127.0.0.1/32'], refresh_s: 1, stale_s: 600,
			...changes }, ...more }] }), { mode: 0o600 });
	fs.renameSync(`${at}~`, at);
}

async function token(kid, header = {}, claims = {}) {
	const now = Math.floor(Date.now() / 1000);

	return new jose.SignJWT({ iss, aud: 'paddock', sub: 'ann', iat: now,
		exp: now + 600, jti: crypto.randomUUID(), ...claims })
		.setProtectedHeader({ alg: 'ES256', kid, ...header })
		.sign(keys[kid].privateKey);
}

const ask = async (t) => d.tcp(t).ask('GET', '/v1/runs');
const status = async (t) => (await ask(t)).status;
const comesIn = async (kid) => until(async () =>
	await status(await token(kid)) === 200, `${kid} is good`);
// What the log of the daemon says from here on.
function says(pattern) {
	const from = d.command.err.length;

	return () => until(() => pattern.test(d.command.err.slice(from)),
		() => `${pattern} in ${d.command.err.slice(from)}`);
}

before(async () => {
	const certs = fs.mkdtempSync(path.join(scratch, 'certs-'));

	ca = certificates(certs, ['keys.test']);
	for (const kid of ['a', 'b', 'c', 'stranger'])
		await key(kid);
	port = await listen(https.createServer({
		key: fs.readFileSync(path.join(certs, 's.key')),
		cert: fs.readFileSync(path.join(certs, 's.pem')) },
	(q, a) => {
		if (!q.url.startsWith('/jwks')) {
			inside++;
			gives(set('stranger'))(q, a);
			return;
		}
		asked++;
		seen.add(q.url);
		answer(q, a);
	}));
	answer = gives(set('a'), { 'Cache-Control': 'public, max-age=600' });
	d = await Daemon.start({ env: {
		PADDOCK_RESOLVER: `127.0.0.1:${await resolver()}` } });
	dir = path.join(d.state, 'identity');
	fs.writeFileSync(path.join(dir, 'ca.pem'), ca, { mode: 0o600 });
	configure();
});

after(async () => {
	await d.stop();
	closeAll();
});

test('keys are fetched, and a stranger\'s are none of them', async () => {
	await comesIn('a');
	// Once each time the folder was read, which had two files put in.
	assert.ok(asked >= 1 && asked <= 2, `${asked}`);
	assert.strictEqual(await status(await token('stranger')), 401);
	// A stranger's under the name of a good one.
	assert.strictEqual(await status(await token('stranger', { kid: 'a' })),
		401);
	// A text signed with the public key as if that were a secret.
	const [, c] = (await token('a')).split('.');
	const h = Buffer.from('{"alg":"HS256","kid":"a"}').toString('base64url');

	assert.strictEqual(await status(`${h}.${c}.${crypto.createHmac('sha256',
		JSON.stringify(keys.a.jwk)).update(`${h}.${c}`)
		.digest('base64url')}`), 401);
});

test('a key that is new has them fetched, and what is gone ends what it let in',
	async () => {
		const before = await token('a');
		const run = await d.open({ tenant: 'acme' });
		const held = d.tcp(before).ask('GET', `/v1/runs/${run.run}/wait` +
			'?timeout_ms=60000').catch(() => 'cut');

		answer = gives(set('b'), { 'Cache-Control': 'max-age=600' });
		await comesIn('b');
		assert.strictEqual(await held, 'cut');
		assert.strictEqual(await status(before), 401);
	});

test('a storm of names that no key has is one request in each interval',
	async () => {
		const n = asked;

		configure({ refresh_s: 600 });
		await until(() => asked > n, 'fetched for the new file');
		await comesIn('b'); // kept over the change of the file
		const from = asked;

		for (let i = 0; i < 200; i++) {
			assert.strictEqual(await status(await token('stranger',
				{ kid: `k${i}` })), 401);
		}
		assert.ok(asked - from <= 1, `${asked - from} requests`);
		assert.strictEqual(await status(await token('b')), 200);
		assert.match((await ask(await token('stranger', { kid: 'z' })))
			.body.error.suggested_next_step, /some seconds/);
		assert.strictEqual(await status(await token('b')), 200);
	});

test('what is answered otherwise changes nothing, and leads nowhere',
	async () => {
		const big = JSON.stringify({ keys: [keys.stranger.jwk],
			pad: 'x'.repeat(70000) });
		const priv = JSON.stringify({ keys: [await jose.exportJWK(
			keys.stranger.privateKey)] });
		const rows = [
			[(q, a) => { a.writeHead(302, { Location:
				`https://127.0.0.1:${port}/inside` }); a.end(); },
			/status 302/],
			[(q, a) => { a.writeHead(307, { Location:
				'https://169.254.169.254/latest' }); a.end(); },
			/status 307/],
			[gives(big), /over 65536 bytes/],
			[(q, a) => { // without an end, and without a length
				const feed = () => { while (a.write(big))
					; };

				a.on('error', () => {});
				a.writeHead(200);
				a.on('drain', feed);
				feed();
			}, /over 65536 bytes/],
			[(q, a) => { a.writeHead(500); a.end(set('stranger')); },
				/status 500/],
			[gives(priv), /private/],
			[gives('<html>'), /./],
			[gives('{"keys":[]}'), /no key/],
			[gives(set('stranger', 'stranger')), /two keys/],
			[(q, a) => { a.writeHead(200, { 'Content-Length': 999 });
				a.write('{'); a.socket.destroySoon(); }, /cut|read/],
			[(q, a) => a.socket.end('rubbish\r\n\r\n'), /./],
		];

		for (const [does, pattern] of rows) {
			const said = says(new RegExp('keys not fetched.*why=.*' +
				pattern.source));

			answer = does;
			configure(); // as it is: they are fetched anew at once
			await said();
			assert.strictEqual(await status(await token('b')), 200,
				String(pattern));
			assert.strictEqual(await status(await token('stranger')),
				401);
			const from = asked;

			answer = gives(set('b'), { 'Cache-Control': 'max-age=600' });
			await until(() => asked > from, 'fetched again');
		}
		assert.strictEqual(inside, 0);
	});

test('neither a name that leads inside nor a stranger\'s certificate is asked',
	async () => {
		const rows = [
			[{ addrs: undefined }, /loopback/],
			[{ addrs: ['10.0.0.0/8'] }, /not pinned|loopback/],
			[{ roots: undefined }, /certificate/],
			[{ url: `https://other.test:${port}/jwks?n` },
				/certificate.*mismatch/],
		];

		for (const [n, [changes, pattern]] of rows.entries()) {
			const said = says(pattern);

			configure({ url: `https://keys.test:${port}/jwks?${n}`,
				...changes });
			await said();
		}
		assert.deepStrictEqual([...seen], ['/jwks']);
	});

test('old keys are used while their server is away, and not for ever',
	async () => {
		answer = gives(set('b', 'c'), { 'Cache-Control': 'max-age=1' });
		configure({ stale_s: 3 });
		await comesIn('c');
		const said = says(/too old/);

		answer = (q, a) => a.socket.destroy();
		const from = asked;

		await until(() => asked > from + 1, 'it is asked in vain');
		await said();
		assert.strictEqual(await status(await token('c')), 401);
		assert.match((await ask(await token('c'))).body.error
			.suggested_next_step, /not to be had/);
		answer = gives(set('c'), { 'Cache-Control': 'max-age=600' });
		await comesIn('c');
		// Whose signatures are good is on the record.
		await until(() => {
			const notes = execFileSync('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)
for (body,) in db.execute('SELECT body FROM event'):
    print(body.decode() if isinstance(body, bytes) else body)`, path.join(d.state, 'store/trace.db')], {
				encoding: 'utf8' });

			return notes.includes('"note":"issuer_keys"') &&
				notes.includes('"note":"issuer_keys_failed"');
		}, 'both are on record');
	});

test('what the file says of it is checked', async () => {
	for (const [changes, pattern] of [
		[{ url: 'http://keys.test/jwks' }, /https/],
		[{ url: 'https://Keys.test/' }, /lower case/],
		[{ url: 'https://keys.test:0/' }, /port/],
		[{ url: 'https://keys.test/a b' }, /byte/],
		[{ url: 'https://u@keys.test/' }, /lower case/],
		[{ addrs: ['127.1'] }, /addrs/],
		[{ roots: '../ca.pem' }, /beside/],
		[{ roots: 'none.pem' }, /none.pem: it is not there/],
		[{ refresh_s: 0 }, /refresh_s/],
		[{ stale_s: 10 ** 9 }, /stale_s/],
		[{ extra: 1 }, /unknown member extra/],
	]) {
		const said = says(pattern);

		configure(changes);
		await said();
	}
});
