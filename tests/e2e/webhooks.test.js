// The daemon itself tells others of approvals that wait: signed, over HTTPS,
// with links for one answer each, again until it is taken, and on record.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, email, scratch, trace, until } from './lib/paddock.js';

const secret = crypto.randomBytes(24).toString('hex');
const got = []; // requests that were taken, parsed
let d, dir, port, tries = 0, redirected = 0;
let status = () => 204; // of the n-th try

function configure(hooks) {
	const at = path.join(dir, 'config.json');

	fs.writeFileSync(`${at}~`, JSON.stringify({ webhooks: hooks }),
		{ mode: 0o600 });
	fs.renameSync(`${at}~`, at);
}

const hook = (changes = {}) => ({ url: `https://hook.test:${port}/fin`,
	key: 'hook.key', roots: 'ca.pem', addrs: ['127.0.0.1/32'],
	links: [{ actor: 'bea', roles: ['finance'] },
		{ actor: 'cid', roles: ['finance'] }], ...changes });

// What a receiver does before it believes a message.
function verified(q, body) {
	const [, t, v] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(
		q.headers['paddock-signature']);

	assert.ok(Math.abs(Date.now() - Number(t)) < 60000);
	assert.strictEqual(v, crypto.createHmac('sha256', secret)
		.update(`${t}.${body}`).digest('hex'));
	assert.strictEqual(q.headers['content-type'], 'application/json');
	return JSON.parse(body);
}

before(async () => {
	const certs = fs.mkdtempSync(path.join(scratch, 'certs-'));
	const ca = certificates(certs, ['hook.test']);

	port = await listen(https.createServer({
		key: fs.readFileSync(path.join(certs, 's.key')),
		cert: fs.readFileSync(path.join(certs, 's.pem')) }, (q, a) => {
		let body = '';

		q.on('data', (x) => { body += x; });
		q.on('end', () => {
			if (q.url === '/inside') {
				redirected++;
				a.end();
				return;
			}
			const s = status(++tries);

			if (s === 0) {
				a.socket.destroy();
				return;
			}
			a.writeHead(s, s === 302 ? { Location: '/inside' } : {});
			a.end();
			if (s < 300)
				got.push({ url: q.url, try: q.headers['paddock-try'],
					q, body });
		});
	}));
	d = await Daemon.start({ env: {
		PADDOCK_RESOLVER: `127.0.0.1:${await resolver()}` } });
	dir = path.join(d.state, 'identity');
	fs.writeFileSync(path.join(dir, 'ca.pem'), ca, { mode: 0o600 });
	fs.writeFileSync(path.join(dir, 'hook.key'), `${secret}\n`,
		{ mode: 0o600 });
	configure([hook()]);
	// Until the daemon has read it, nobody is told.
	await until(async () => {
		const w = await waiting();

		await d.decide(w.approval, 'reject');
		return tries > 0;
	}, 'the file holds');
});

after(async () => {
	await d.stop();
	closeAll();
});

// A call that waits for a person, and what its receiver was told.
async function waiting() {
	const run = await d.open({ tenant: 'acme', approvals: { default: {
		quorum: 2, from_roles: ['finance'] } } });
	const held = d.tcp().call(run, 'email.send', email);
	const approval = await d.approval(run.run);
	const mine = () => got.find((g) =>
		g.q.headers['paddock-approval'] === approval);

	return { run, held, approval, told: async () => {
		const { q, body, url, try: n } = await until(mine,
			`it is told of ${approval}`);

		return { url, try: n, ...verified(q, body) };
	} };
}

test('an approval that waits is told of, and its links decide it once each',
	async () => {
		const w = await waiting();
		const { approval, links } = await w.told();

		assert.strictEqual(approval.tool, 'email.send');
		assert.strictEqual(approval.state, 'pending');
		assert.deepStrictEqual(links.map((l) => l.who),
			['acme/bea', 'acme/cid']);
		const [bea, cid] = links.map((l) => ({ ...l,
			api: d.tcp(l.secret) }));
		const vote = (l) => l.api.ask('POST', l.path,
			{ verdict: 'approve' });

		assert.strictEqual((await vote(bea)).body.state, 'pending');
		// Used again, by whoever has it: it is nobody's now.
		assert.strictEqual((await vote(bea)).status, 401);
		assert.strictEqual((await bea.api.ask('POST', bea.path,
			{ verdict: 'reject' })).status, 401);
		// For this approval, and for nothing else.
		const other = await waiting();

		assert.ok([401, 403, 404].includes((await cid.api.ask('POST',
			`/v1/approvals/${other.approval}/decide`,
			{ verdict: 'approve' })).status));
		assert.strictEqual((await cid.api.ask('GET', '/v1/runs')).status,
			403);
		assert.strictEqual((await vote(cid)).status, 200);
		assert.strictEqual((await w.held).status, 200);
		assert.strictEqual((await vote(cid)).status, 401);
		await d.decide(other.approval, 'reject');
	});

test('it is sent again until it is taken, with the same links, on record',
	async () => {
		const first = tries;

		status = (n) => [0, 500, 302][n - first - 1] ?? 200;
		const w = await waiting();
		const { links, try: n } = await w.told();

		assert.strictEqual(n, '4');
		assert.strictEqual(redirected, 0);
		assert.strictEqual((await d.tcp(links[0].secret).ask('POST',
			links[0].path, { verdict: 'reject' })).status, 200);
		await w.held;
		let notes;

		await until(async () => {
			notes = (await trace(d.state, w.run.run)).filter((r) =>
				r.kind === 'note').map((r) => r.body);
			return notes.some((b) => b.note === 'webhook_taken');
		}, 'it is on record');
		const taken = notes.find((b) => b.note === 'webhook_taken');

		assert.deepStrictEqual({ ...taken, approval: '' }, { approval: '',
			note: 'webhook_taken', status: 200, to: 'hook.test',
			tries: 4 });
		assert.deepStrictEqual(notes.filter((b) =>
			b.note === 'reply_link').map((b) => b.for),
		['acme/bea', 'acme/cid']);
		assert.ok(!JSON.stringify(notes).includes(links[0].secret));
		status = () => 204;
	});

test('one that is decided meanwhile is not sent again', async () => {
	status = () => 503;
	const from = tries;
	const w = await waiting();

	await until(() => tries > from, 'tried');
	await d.decide(w.approval, 'reject');
	await w.held;
	status = () => 204;
	const next = await waiting();

	await next.told();
	assert.ok(!got.some((g) =>
		g.q.headers['paddock-approval'] === w.approval));
	await d.decide(next.approval, 'reject');
});

test('who is told of which is the operator\'s matter', async () => {
	configure([hook({ url: `https://hook.test:${port}/acme`, tenant: 'acme',
		links: undefined }),
	hook({ url: `https://hook.test:${port}/bank`, tenant: 'bank' }),
	hook({ url: `https://hook.test:${port}/other`,
		approvals: ['other'] })]);
	const w = await until(async () => {
		const one = await waiting();
		const it = await one.told();

		await d.decide(one.approval, 'reject');
		return it.url === '/acme' ? it : undefined;
	}, 'the new file holds');

	assert.deepStrictEqual(w.links, []);
	assert.deepStrictEqual(got.filter((g) => g.url === '/bank' ||
		g.url === '/other'), []);
});

test('what the file says is checked, and then nobody is told', async () => {
	fs.writeFileSync(path.join(dir, 'short.key'), 'too short',
		{ mode: 0o600 });
	for (const [changes, pattern] of [
		[{ url: 'http://hook.test/' }, /https/],
		[{ key: undefined }, /key/],
		[{ key: 'none.key' }, /none.key: it is not there/],
		[{ key: 'short.key' }, /less than 16/],
		[{ links: [{ actor: 'a b' }] }, /actor/],
		[{ links: Array(17).fill({ actor: 'a' }) }, /at most 16/],
		[{ approvals: [] }, /approvals/],
		[{ tenant: '*' }, /tenant/],
		[{ extra: 1 }, /unknown member extra/],
	]) {
		const from = d.command.err.length;

		configure([hook(changes)]);
		await until(() => pattern.test(d.command.err.slice(from)),
			() => `${pattern} in ${d.command.err.slice(from)}`);
	}
});
