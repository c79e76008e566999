// Signed tokens of other issuers, made by the npm package jose: good ones let
// in as their claims are mapped, and every way to forge or stretch one fails.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import * as jose from 'jose';

import { Command, Daemon, email, isRoot, until } from './lib/paddock.js';

const iss = 'https://login.example.com';
const keys = {}; // kid -> { privateKey, publicKey, alg, jwk }
let d, dir;

async function key(kid, alg, options = {}) {
	const pair = await jose.generateKeyPair(alg,
		{ extractable: true, ...options });
	const jwk = { ...await jose.exportJWK(pair.publicKey), kid, alg,
		use: 'sig' };

	keys[kid] = { ...pair, alg, jwk };
	return keys[kid];
}

const config = {
	issuers: [{
		issuer: iss, audience: 'paddock', keys: 'login.json',
		tenant: { claim: 'org' }, actor: { claim: 'sub' },
		roles: { claim: 'groups', map: { 'pd-run': ['runner'],
			'pd-fin': ['finance', 'approver'] } },
		scopes: { claim: 'scope', allow: ['runs:read', 'approvals:*'] },
		attributes: { customer: 'customer_id' },
	}, {
		issuer: 'https://other.example.com', audience: 'paddock',
		keys: 'other.json', tenant: 'bank', actor: { claim: 'sub' },
		roles: ['viewer'],
	}],
	unix: [{ uid: 12345, tenant: 'acme', actor: 'ulla',
		roles: ['viewer'] }],
};

function write(name, value) {
	const at = path.join(dir, name);

	fs.writeFileSync(`${at}~`, JSON.stringify(value), { mode: 0o600 });
	fs.renameSync(`${at}~`, at);
}

async function token(claims = {}, { kid = 'rsa', header = {} } = {}) {
	const now = Math.floor(Date.now() / 1000);

	return new jose.SignJWT({ iss, aud: 'paddock', sub: 'ann', org: 'acme',
		iat: now, exp: now + 300, groups: ['pd-run'], ...claims })
		.setProtectedHeader({ alg: keys[kid].alg, kid, typ: 'JWT',
			...header }).sign(keys[kid].privateKey);
}

const status = async (t) =>
	(await d.tcp(t).ask('GET', '/v1/runs')).status;
const why = async (t) => (await d.tcp(t).ask('GET', '/v1/runs')).body.error
	.suggested_next_step;

const b64 = (v) => Buffer.from(typeof v === 'string' ? v
	: JSON.stringify(v)).toString('base64url');

before(async () => {
	d = await Daemon.start();
	dir = path.join(d.state, 'identity');
	await key('rsa', 'RS256');
	await key('ec', 'ES256');
	await key('ed', 'EdDSA');
	await key('rsa-other', 'RS256');
	await key('stranger', 'RS256');
	write('login.json', { keys: ['rsa', 'ec', 'ed'].map((k) =>
		keys[k].jwk) });
	write('other.json', { keys: [keys['rsa-other'].jwk] });
	write('config.json', config);
	await until(async () => await status(await token()) === 200,
		'the configuration');
});
after(() => d.stop());

describe('a signed token', () => {
	test('of each algorithm lets in', async () => {
		for (const kid of ['rsa', 'ec', 'ed'])
			assert.strictEqual(await status(await token({}, { kid })),
				200, kid);
	});

	test('gives what its claims are mapped to, and no more', async () => {
		const t = d.tcp(await token({ groups: ['pd-run', 'admin',
			'operator'], scope: 'approvals:read tokens:manage *',
		customer_id: 'c7' }));
		const run = await t.open({ tenant: undefined, actor: undefined,
			roles: undefined });

		assert.deepStrictEqual([run.tenant, run.actor], ['acme', 'ann']);
		assert.strictEqual((await t.ask('GET', '/v1/approvals')).status,
			200);
		assert.strictEqual((await t.ask('GET', '/v1/tokens')).status, 403);
		await t.post(`/v1/runs/${run.run}/stop`, {});
		const other = d.tcp(await token({ org: 'bank' }));

		assert.strictEqual((await other.ask('GET', `/v1/runs/${run.run}`))
			.status, 404);
		const none = d.tcp(await token({ groups: 'admin' }));

		assert.strictEqual((await none.ask('GET', '/v1/runs')).status, 403);
	});

	test('votes as the person it names, whatever token he has',
		async () => {
			const run = await d.open({ tenant: 'acme',
				approvals: { default: { quorum: 2,
					from_roles: ['finance'] } } });
			const held = d.tcp().call(run, 'email.send', email);
			const approval = await d.approval(run.run);
			const as = async (sub) => d.tcp(await token({ sub,
				groups: ['pd-fin'], jti: crypto.randomUUID() }));

			assert.strictEqual((await (await as('bea')).decide(approval,
				'approve')).body.state, 'pending');
			assert.strictEqual((await (await as('bea')).decide(approval,
				'approve')).status, 403);
			assert.strictEqual((await (await as('cid')).decide(approval,
				'approve')).status, 200);
			assert.strictEqual((await held).status, 200);
		});

	test('is refused for what is wrong with it', async () => {
		const now = Math.floor(Date.now() / 1000);
		const rows = [
			[{ exp: now - 31 }, /expired/],
			[{ exp: undefined }, /no end/],
			[{ exp: 'tomorrow' }, /no time/],
			[{ exp: -1 }, /no time/],
			[{ nbf: now + 3600 }, /not good yet/],
			[{ iat: now + 3600 }, /from later/],
			[{ aud: 'other' }, /audience/],
			[{ aud: undefined }, /audience/],
			[{ aud: ['x', 'y'] }, /audience/],
			[{ iss: 'https://evil.example.com' }, /issuer/],
			[{ iss: undefined }, /issuer/],
			[{ iss: `${iss}/` }, /issuer/],
			[{ org: '*' }, /tenant/],
			[{ org: 'a/b' }, /tenant/],
			[{ org: undefined }, /tenant/],
			[{ org: ['acme'] }, /tenant/],
			[{ sub: '' }, /actor/],
			[{ sub: 'x'.repeat(127) }, /too long|actor/],
			[{ customer_id: 'x'.repeat(300) }, /customer_id/],
		];

		for (const [claims, pattern] of rows) {
			const t = await token(claims);

			assert.strictEqual(await status(t), 401,
				JSON.stringify(claims));
			assert.match(await why(t), pattern);
		}
		// Clocks may differ a little.
		assert.strictEqual(await status(await token({ exp: now - 5,
			nbf: now + 5, iat: now + 5 })), 200);
		assert.strictEqual(await status(await token({
			aud: ['x', 'paddock'] })), 200);
	});

	test('of no algorithm, or an HMAC\'s with the public key, is refused',
		async () => {
			const [h, c] = (await token()).split('.');
			const pem = await jose.exportSPKI(keys.rsa.publicKey);
			const der = Buffer.from(pem.replace(/-----.*-----|\s/g, ''),
				'base64');

			for (const alg of ['none', 'None', 'NONE', '', 'HS256',
				'PS256', 'RS384', 'RS512', 'ES384', 'rs256']) {
				const head = b64({ alg, kid: 'rsa', typ: 'JWT' });

				for (const sig of ['', 'AA', ...[pem, pem.trim(), der,
					JSON.stringify(keys.rsa.jwk), keys.rsa.jwk.n]
					.map((k) => crypto.createHmac('sha256', k)
						.update(`${head}.${c}`).digest('base64url'))])
					assert.strictEqual(
						await status(`${head}.${c}.${sig}`), 401, alg);
			}
			assert.notStrictEqual(h, '');
		});

	test('of another key, issuer or algorithm is refused', async () => {
		const other = 'https://other.example.com';

		// The key is one of another issuer.
		assert.strictEqual(await status(await token({},
			{ kid: 'rsa-other' })), 401);
		assert.strictEqual(await status(await token({ iss: other },
			{ kid: 'rsa' })), 401);
		assert.strictEqual(await status(await token({ iss: other,
			sub: 'x' }, { kid: 'rsa-other' })), 200);
		// A stranger's, under a good name.
		assert.strictEqual(await status(await token({},
			{ kid: 'stranger', header: { kid: 'rsa' } })), 401);
		// An Ed25519 signature under the name of an RSA key.
		assert.strictEqual(await status(await token({},
			{ kid: 'ed', header: { kid: 'rsa' } })), 401);
		// It brings its own key.
		assert.strictEqual(await status(await token({}, { kid: 'stranger',
			header: { jwk: keys.stranger.jwk, jku: 'http://x/' } })),
		401);
		assert.strictEqual(await status(await token({},
			{ header: { typ: 'logout+jwt' } })), 401);
		assert.strictEqual(await status(await token({},
			{ header: { typ: 'at+jwt' } })), 200);
		// Without a name, where there is one key of its algorithm.
		assert.strictEqual(await status(await token({},
			{ header: { kid: undefined } })), 200);
	});

	test('that was changed anywhere is refused', async () => {
		for (const kid of ['rsa', 'ec', 'ed']) {
			const t = await token({}, { kid });
			const [h, , s] = t.split('.');
			const claims = { ...jose.decodeJwt(t), org: 'bank' };

			assert.strictEqual(await status(`${h}.${b64(claims)}.${s}`),
				401, kid);
			for (let i = 0; i < t.length; i += Math.ceil(t.length / 40)) {
				const c = t[i] === 'A' ? 'B' : 'A';

				if (t[i] !== '.')
					assert.strictEqual(await status(
						t.slice(0, i) + c + t.slice(i + 1)), 401,
					`${kid} ${i}`);
			}
			const sig = Buffer.from(s, 'base64url');

			for (const bad of [Buffer.alloc(sig.length),
				Buffer.concat([sig, Buffer.alloc(1)]),
				sig.subarray(1), Buffer.alloc(0)])
				assert.strictEqual(await status(t.slice(0,
					t.lastIndexOf('.') + 1) + bad.toString('base64url')),
				401, kid);
		}
	});

	test('of odd forms is refused, and nobody falls over', async () => {
		const [h, c, s] = (await token()).split('.');

		for (const t of ['..', 'a.b.c', `${h}..${s}`, `.${c}.${s}`,
			`${h}.${c}`, `${h}.${c}.${s}.${s}`, `${h}=.${c}.${s}`,
			`${b64('[]')}.${c}.${s}`, `${b64('{')}.${c}.${s}`,
			`${b64('{"alg":"RS256","alg":"none"}')}.${c}.${s}`,
			`${b64({ alg: 'RS256', crit: ['b64'], b64: false })}.${c}.${s}`,
			`${b64({ alg: 'RS256', kid: 7 })}.${c}.${s}`,
			`${b64('['.repeat(4000))}.${c}.${s}`,
			`${h}.${b64(`{"a":${'['.repeat(50)}${']'.repeat(50)}}`)}.${s}`,
			`${h}.${'A'.repeat(7700)}.${s}`])
			assert.ok([400, 401, 431].includes(await status(t)),
				t.slice(0, 60));
		assert.strictEqual(await status(await token()), 200);
	});

	test('that expires ends the streams that it opened', async () => {
		const now = Math.floor(Date.now() / 1000);
		const t = d.tcp(await token({ exp: now - 28 })); // leeway: 30
		const run = await d.open({ tenant: 'acme' });
		const held = await t.ask('GET',
			`/v1/runs/${run.run}/wait?timeout_ms=60000`)
			.catch(() => 'cut');

		assert.strictEqual(held, 'cut');
		assert.strictEqual((await t.ask('GET', '/v1/runs')).status, 401);
	});
});

describe('the files of identity/', () => {
	test('hold from when they are written; a key that is gone ends what ' +
		'it let in', async () => {
		const t = await token({}, { kid: 'ed' });
		const run = await d.open({ tenant: 'acme' });
		const held = d.tcp(t).ask('GET', `/v1/runs/${run.run}/wait` +
			'?timeout_ms=60000').catch(() => 'cut');

		await until(async () => await status(t) === 200, 'it is good');
		write('login.json', { keys: ['rsa', 'ec'].map((k) =>
			keys[k].jwk) });
		assert.strictEqual(await held, 'cut');
		assert.strictEqual(await status(t), 401);
		assert.strictEqual(await status(await token()), 200);
		write('login.json', { keys: ['rsa', 'ec', 'ed'].map((k) =>
			keys[k].jwk) });
		await until(async () => await status(t) === 200, 'it is back');
	});

	test('that do not hold together let nobody in', async () => {
		const good = await token();
		const [one] = config.issuers;
		const priv = await jose.exportJWK(keys.rsa.privateKey);
		const weak = crypto.generateKeyPairSync('rsa',
			{ modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
		const rows = [
			['config.json', { issuers: [{ ...one, extra: 1 }] },
				/unknown member extra/],
			['config.json', { issuers: [{ ...one, keys: 'none.json' }] },
				/none.json: it is not there/],
			['config.json', { issuers: [{ ...one, keys: '../x' }] },
				/keys/],
			['config.json', { issuers: [{ ...one,
				tenant: 'a/b' }] }, /tenant/],
			['config.json', { issuers: [one, one] }, /twice/],
			['config.json', { unix: [{ uid: 0, tenant: 'a',
				actor: 'b' }] }, /uid/],
			['login.json', { keys: [priv] }, /private/],
			['login.json', { keys: [weak] }, /2048/],
			['login.json', { keys: [{ ...keys.ec.jwk,
				x: keys.ec.jwk.y }] }, /curve/],
			['login.json', { keys: [keys.rsa.jwk, keys.rsa.jwk] },
				/two keys/],
			['login.json', { keys: [] }, /no key/],
			['login.json', [], /set of keys/],
		];

		for (const [name, value, pattern] of rows) {
			const before = fs.readFileSync(path.join(dir, name));
			const from = d.command.err.length;

			write(name, value);
			await until(() => pattern.test(d.command.err.slice(from)),
				() => `${pattern} in ${d.command.err.slice(from)}`);
			assert.strictEqual(await status(good), 401);
			fs.writeFileSync(path.join(dir, name), before);
			await until(async () => await status(good) === 200,
				'mended');
		}
		// Another's hand on it.
		fs.chmodSync(path.join(dir, 'login.json'), 0o666);
		await until(async () => await status(good) === 401, 'refused');
		fs.chmodSync(path.join(dir, 'login.json'), 0o600);
		await until(async () => await status(good) === 200, 'mended');
	});

	test('let a user of the machine in by uid', { skip: isRoot ? false
		: 'takes two users' }, async () => {
		const socket = path.join(d.state, 'paddock.sock');
		const run = async (uid, at) => (await new Command(['-e',
			`require('http').request({ socketPath: '${socket}',
			path: '${at}' }, (a) => { console.log(a.statusCode);
			process.exit(); }).end()`], { program: process.execPath, uid,
			gid: uid, cwd: '/' }).end()).out.trim();

		fs.chmodSync(d.state, 0o711);
		fs.chmodSync(socket, 0o666);
		const mine = await d.open({ tenant: 'acme' });
		const other = await d.open({ tenant: 'bank' });

		assert.strictEqual(await run(12345, `/v1/runs/${mine.run}`), '200');
		assert.strictEqual(await run(12345, `/v1/runs/${other.run}`),
			'404');
		assert.strictEqual(await run(12345, '/v1/secrets'), '403');
		assert.strictEqual(await run(12346, `/v1/runs/${mine.run}`), '401');
		fs.chmodSync(socket, 0o600);
	});
});
