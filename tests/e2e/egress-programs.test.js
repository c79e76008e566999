// Programs that bring a protocol of their own, in a sandbox, to real servers
// outside: PostgreSQL with its TLS in the middle of the stream, gRPC with its
// streams and trailers, openssl's own client.
import assert from 'node:assert';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import grpc from '@grpc/grpc-js';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { freePort, here, isRoot, Place, until } from './lib/paddock.js';

const place = new Place();
const keys = path.join(place.dir, 'keys');
const work = path.join(place.dir, 'work');
const local = { addrs: ['127.0.0.1/32'] };
const pg = fs.readdirSync('/usr/lib/postgresql').sort((a, b) => b - a)
	.map((v) => `/usr/lib/postgresql/${v}/bin`)[0];
let dns, tls, ca, sql, rpc, postgres, server;

// A PostgreSQL that takes TLS only. It refuses to run as root.
async function startPostgres() {
	const dir = path.join(place.dir, 'pg');
	const ids = isRoot ? Object.fromEntries(['u', 'g'].map((k) => [
		`${k}id`, Number(execFileSync('id', [`-${k}`, 'postgres']))])) : {};
	const data = path.join(dir, 'data');

	fs.mkdirSync(dir);
	for (const f of ['s.key', 's.pem'])
		fs.copyFileSync(path.join(keys, f), path.join(dir, f));
	fs.chmodSync(path.join(dir, 's.key'), 0o600);
	if (isRoot)
		for (const f of ['', 's.key', 's.pem'])
			fs.chownSync(path.join(dir, f), ids.uid, ids.gid);
	execFileSync(`${pg}/initdb`, ['-D', data, '-U', 'agent', '--no-sync',
		'-E', 'UTF8', '--locale=C'], { ...ids, cwd: dir, stdio: 'pipe' });
	fs.writeFileSync(path.join(data, 'pg_hba.conf'),
		'hostssl all all 127.0.0.1/32 trust\n');
	sql = await freePort();
	postgres = spawn(`${pg}/postgres`, ['-D', data, '-p', sql, '-k', dir, '-h',
		'127.0.0.1', '-F', '-c', 'ssl=on', '-c',
		`ssl_cert_file=${dir}/s.pem`, '-c', `ssl_key_file=${dir}/s.key`],
	{ ...ids, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
	let log = '';

	postgres.stderr.on('data', (d) => { log += d; });
	await until(() => /ready to accept connections/.test(log), () => log);
}

// Bytes in, bytes out: no description of messages is needed.
function method(name, requestStream, responseStream) {
	return { path: `/paddock.Test/${name}`, requestStream, responseStream,
		requestSerialize: (b) => b, requestDeserialize: (b) => b,
		responseSerialize: (b) => b, responseDeserialize: (b) => b };
}

async function startGrpc() {
	server = new grpc.Server();
	server.addService({
		Ping: method('Ping', false, false),
		Count: method('Count', false, true),
		Chat: method('Chat', true, true),
		Fail: method('Fail', false, false),
	}, {
		Ping: (call, done) => done(null, Buffer.concat([
			Buffer.from('pong '), call.request])),
		Count: (call) => {
			for (let i = 0; i < 100; i++)
				call.write(Buffer.from(`${i};`.repeat(100)));
			call.end();
		},
		Chat: (call) => call.on('data', (b) => call.write(b))
			.on('end', () => call.end()),
		Fail: (call, done) => done({ code: grpc.status.NOT_FOUND,
			details: 'no such thing' }),
	});
	rpc = await new Promise((done, fail) => server.bindAsync('127.0.0.1:0',
		grpc.ServerCredentials.createSsl(null, [{
			private_key: fs.readFileSync(path.join(keys, 's.key')),
			cert_chain: fs.readFileSync(path.join(keys, 's.pem')),
		}]), (e, port) => e ? fail(e) : done(port)));
}

before(async () => {
	fs.mkdirSync(keys);
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	ca = certificates(keys, ['db.test', 'rpc.test', 'api.test']);
	fs.writeFileSync(path.join(work, 'server-ca.pem'), ca);
	dns = await resolver();
	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, (q, s) => s.end(`${q.method} ${q.url}\n`)));
	await startPostgres();
	await startGrpc();
	for (const m of ['@grpc/grpc-js', '@js-sdsl', 'lodash.camelcase', 'long',
		'protobufjs', '@protobufjs', '@grpc/proto-loader'])
		fs.cpSync(path.join(here, 'node_modules', m),
			path.join(work, 'node_modules', m), { recursive: true });
});

after(async () => {
	closeAll();
	server?.forceShutdown();
	if (postgres !== undefined) {
		const ended = new Promise((done) => postgres.on('exit', done));

		postgres.kill('SIGINT');
		await ended;
	}
});

function policy(rules) {
	return {
		policy: 1, workflow: 'programs', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		sandbox: { memory_mb: 1024, pids: 256 },
		egress: { default: 'deny', rules },
	};
}

let n = 0;

// The end of a script in a sandbox, and its records of egress.
async function run(script, rules) {
	const file = path.join(place.dir, `policy${++n}.json`);

	fs.writeFileSync(file, JSON.stringify(policy(rules)));
	const r = await place.command(['run', '--state', place.state, '--dir',
		work, file, '--', 'sh', '-c', script], { input: '', env: {
		...process.env, PADDOCK_RESOLVER: `127.0.0.1:${dns}` } }).end();
	const log = await place.cli(['egress', 'log',
		r.err.match(/run (r-\w+)/)[1], '--json']);
	const records = log.out.trim().split('\n').filter(Boolean)
		.map((l) => JSON.parse(l));

	return { ...r,
		asked: records.filter((e) => e.kind === 'egress.decision'),
		done: records.filter((e) => e.kind === 'egress.done') };
}

describe('psql', () => {
	const ask = (more) => `${pg}/psql -X -A -t "host=db.test port=${sql} ` +
		`user=agent dbname=postgres connect_timeout=5 ${more}"`;
	const rules = () => [{ host: 'db.test', port: sql, proto: 'tcp', ...local }];

	test('speaks with the database, and its TLS ends there', async () => {
		const r = await run(`${ask('sslmode=verify-full ' +
			'sslrootcert=server-ca.pem')} -c "select 6 * 7" -c "select ssl, ` +
			'version from pg_stat_ssl where pid = pg_backend_pid()"',
		rules());

		assert.match(r.out, /^42\nt\|TLSv1\.3\n$/, r.err);
		assert.deepStrictEqual(r.asked.map((e) => [e.body.host, e.body.port,
			e.dec.action]), [['db.test', sql, 'sent']]);
		assert.strictEqual(r.done.length, 1);
		assert.strictEqual(r.done[0].body.addr, '127.0.0.1');
		assert.ok(r.done[0].body.received > 500, JSON.stringify(r.done));
	});

	test('moves large results and copies whole', async () => {
		const r = await run(`${ask('sslmode=require')} -c "create table t (n ` +
			'int, s text)" && seq 1 50000 | sed "s/$/,xxxxxxxxxxxxxxxx/" | ' +
			`${ask('sslmode=require')} -c "copy t from stdin csv" && ` +
			`${ask('sslmode=require')} -c "select n, s from t order by n" | ` +
			'tail -n 1; ' +
			`${ask('sslmode=require')} -c "select count(*), sum(n) from t"`,
		rules());

		assert.match(r.out,
			/COPY 50000\n50000\|x{16}\n50000\|1250025000\n$/, r.err);
	});

	test('gets nowhere without a rule', async () => {
		const r = await run(ask('sslmode=require') + ' -c "select 1" 2>&1', []);

		assert.notStrictEqual(r.status, 0);
		assert.match(r.out, /could not translate host name/);
		const other = await run(`${ask('sslmode=require hostaddr=127.8.9.1')
			.replace('127.8.9.1', '203.0.113.9')} -c "select 1" 2>&1`, rules());

		assert.match(other.out, /reset by peer|closed the connection/);
		assert.strictEqual(other.asked[0].body.host, '203.0.113.9');
		assert.strictEqual(other.asked[0].dec.verdict, 'block');
		// The client saw a reset: what to do is on the record alone.
		assert.match(other.asked[0].body.next_step,
			/ask an operator to add a rule/);
		const log = await place.cli(['egress', 'log',
			other.err.match(/run (r-\w+)/)[1]]);

		assert.match(log.out, new RegExp('blocked .*203\\.0\\.113\\.9:' +
			`${sql}  egress\\.\\S+  .*ask an operator to add a rule`));
	});
});

describe('gRPC', () => {
	const client = `
const grpc = require('@grpc/grpc-js');
const c = new grpc.Client('rpc.test:PORT', grpc.credentials.createSsl());
const b = (x) => x;
const p = '/paddock.Test/';
const unary = (name, text) => new Promise((done) => c.makeUnaryRequest(p + name,
	b, b, Buffer.from(text), { deadline: Date.now() + 8000 },
	(e, a) => done(e ? 'error ' + e.code + ' ' + e.details : a.toString())));
const whole = (s) => new Promise((done) => {
	let n = 0;
	s.on('data', (d) => { n += d.length; })
		.on('status', (t) => done(n + ' bytes, status ' + t.code))
		.on('error', () => undefined);
});
(async () => {
	console.log(await unary('Ping', 'one'));
	console.log((await Promise.all([...Array(50).keys()]
		.map((i) => unary('Ping', '' + i)))).every((a, i) => a === 'pong ' + i));
	console.log(await whole(c.makeServerStreamRequest(p + 'Count', b, b,
		Buffer.from(''))));
	const chat = c.makeBidiStreamRequest(p + 'Chat', b, b);
	const heard = whole(chat);
	for (let i = 0; i < 20; i++) chat.write(Buffer.alloc(5000, i));
	chat.end();
	console.log(await heard);
	console.log(await unary('Fail', ''));
	console.log(await unary('Secret', ''));
	c.close();
})();`;

	test('calls, streams and statuses pass through TLS that is opened',
		async () => {
			fs.writeFileSync(path.join(work, 'rpc.js'),
				client.replace('PORT', rpc));
			const r = await run('node rpc.js', [{ host: 'rpc.test', port: rpc,
				proto: 'https', methods: ['POST'], ca, paths: ['Ping', 'Count',
					'Chat', 'Fail'].map((m) => `/paddock.Test/${m}`),
				...local }]);
			const lines = r.out.split('\n');

			assert.strictEqual(lines[0], 'pong one', r.out + r.err);
			assert.strictEqual(lines[1], 'true');
			assert.strictEqual(lines[2], '29000 bytes, status 0');
			assert.strictEqual(lines[3], '100000 bytes, status 0');
			assert.strictEqual(lines[4], 'error 5 no such thing');
			// 403 is PERMISSION_DENIED to gRPC.
			assert.match(lines[5], /^error 7 /);
			const paths = r.asked.map((e) => e.body.path).filter(Boolean);

			assert.strictEqual(paths.filter((p) =>
				p === '/paddock.Test/Ping').length, 51);
			assert.strictEqual(r.asked.at(-1).dec.code, 'path');
		});
});

describe('openssl s_client', () => {
	const ask = (name, more = '') => 'printf "GET /a HTTP/1.1\\r\\nHost: ' +
		`api.test:${tls}\\r\\nConnection: close\\r\\n\\r\\n" | timeout 8 ` +
		`openssl s_client -quiet -verify_return_error -connect api.test:${tls} ` +
		`-servername ${name} ${more} 2>/dev/null`;

	test('is answered through TLS that is opened, and through what is not',
		async () => {
			const opened = await run(ask('api.test'), [{ host: 'api.test',
				port: tls, paths: ['/a'], ca, ...local }]);

			assert.match(opened.out, /^HTTP\/1\.1 200 OK\r\n[^]*GET \/a\n/,
				opened.err);
			const unread = await run(ask('api.test', '-CAfile server-ca.pem'),
				[{ host: 'api.test', port: tls, ...local }]);

			assert.match(unread.out, /^HTTP\/1\.1 200 OK\r\n[^]*GET \/a\n/,
				unread.err);
			assert.strictEqual(unread.done[0].body.tls, 'splice');
		});

	test('with another name, or none, is cut off and on record', async () => {
		const rules = [{ host: 'api.test', port: tls, paths: ['/a'], ca,
			...local }];

		for (const more of ['other.test', '-noservername']) {
			const r = await run(more === '-noservername'
				? ask('x', more).replace('-servername x ', '') : ask(more),
			rules);

			assert.strictEqual(r.out, '', more);
			assert.ok(r.asked.some((e) => e.dec.verdict === 'block'),
				JSON.stringify(r.asked));
		}
	});
});
