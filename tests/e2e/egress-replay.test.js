// Answers that a run has kept are given again to a later one, without anything
// going out; what was not kept is refused, or goes out where that was asked
// for.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import zlib from 'node:zlib';
import { after, before, describe, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Place } from './lib/paddock.js';

const place = new Place();
const local = { addrs: ['127.0.0.1/32'] };
const seen = [];
let dns, plain, tls, ca, first;

function answer(q, s) {
	let body = '';

	q.on('data', (d) => { body += d; }).on('end', () => {
		seen.push(`${q.method} ${q.url} ${body}`);
		s.setHeader('X-Made', 'here');
		s.setHeader('Set-Cookie', 'session=s3cret');
		if (q.url === '/zip') {
			s.setHeader('Content-Encoding', 'gzip');
			s.end(zlib.gzipSync('packed'));
		} else if (q.url === '/large') {
			s.end('x'.repeat(1_500_000));
		} else if (q.url === '/none') {
			s.writeHead(204).end();
		} else {
			s.statusCode = q.url === '/made' ? 201 : 200;
			s.write(`${q.method} ${q.url} `);
			s.end(`${body} ${seen.length}`);
		}
	});
}

before(async () => {
	const keys = path.join(place.dir, 'keys');

	fs.mkdirSync(keys);
	ca = certificates(keys, ['api.test']);
	dns = await resolver();
	plain = await listen(http.createServer(answer));
	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, answer));
	first = await run(script());
});

after(closeAll);

function policy(record = true) {
	return {
		policy: 1, workflow: 'replay', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		egress: { rules: [
			{ host: 'api.test', port: plain, record, ...local },
			{ host: 'api.test', port: tls, record, ca, ...local },
			{ host: 'raw.test', port: plain, proto: 'tcp', ...local },
		] },
	};
}

let n = 0;

async function run(text, document = policy(), ...options) {
	const file = path.join(place.dir, `policy${++n}.json`);
	const work = path.join(place.dir, `work${n}`);

	fs.writeFileSync(file, JSON.stringify(document));
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	const r = await place.command(['run', '--state', place.state, '--dir',
		work, ...options, file, '--', 'sh', '-c',
		`curl() { command curl -sS -m 10 --noproxy '*' "$@"; }\n${text}`],
	{ input: '', env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } }).end();

	r.run = r.err.match(/run (r-\w+)/)?.[1];
	return r;
}

const script = () => `
curl -w ' %{http_code} %{header_json}' -o one http://api.test:${plain}/made > head
cat one; echo
for i in 1 2; do curl "http://api.test:${plain}/again?x=1"; echo; done
curl -d two https://api.test:${tls}/post; echo
printf three | curl -T - -X POST -H 'Content-Type: text/plain' https://api.test:${tls}/post; echo
curl --compressed http://api.test:${plain}/zip; echo
curl -w '%{http_code}' http://api.test:${plain}/none; echo
curl http://api.test:${plain}/large | wc -c
grep -o '"x-made":\\["here"\\]' head; grep -c s3cret head
`;

describe('answers of an earlier run', () => {
	test('are given again, in their order, and nothing goes out', async () => {
		const before_ = seen.length;
		const again = await run(script().replace(/curl [^\n]*large[^\n]*/, ''),
			policy(), '--replay-http', first.run);

		assert.match(first.out, /^GET \/made  1\nGET \/again\?x=1  2\n/);
		assert.match(first.out, /packed\n204\n1500000\n/);
		assert.strictEqual(seen.length, before_);
		assert.strictEqual(again.out, first.out.replace('1500000\n', '')
			.replace(/1\n$/, '0\n'), again.err);
		const log = await place.cli(['egress', 'log', again.run, '--json']);
		const asked = log.out.trim().split('\n').map((l) => JSON.parse(l))
			.filter((e) => e.kind === 'egress.decision' &&
				e.dec.action !== 'opened');

		assert.ok(asked.every((e) => e.dec.code === 'replayed' &&
			e.dec.action === 'simulated'), log.out);
	});

	test('are kept with their digest, and without what is a session',
		async () => {
			const log = await place.cli(['egress', 'log', first.run, '--json']);
			const done = log.out.trim().split('\n').map((l) => JSON.parse(l))
				.filter((e) => e.kind === 'egress.done' && e.body.key);

			assert.strictEqual(done.length, 7, log.out);
			assert.ok(done.every((e) => /^[0-9a-f]{64}$/.test(e.body.key) &&
				e.res.out.h !== undefined));
			assert.ok(!log.out.includes('s3cret'));
			assert.ok(!log.out.includes('x=1'));
		});

	test('that are not there are refused, or go out where that is asked for',
		async () => {
			const before_ = seen.length;
			const ask = `curl http://api.test:${plain}/other; ` +
				`curl -d four https://api.test:${tls}/post; ` +
				`curl http://api.test:${plain}/large; ` +
				`curl http://api.test:${plain}/made`;
			let r = await run(ask, policy(), '--replay-http', first.run);

			assert.strictEqual((r.out.match(/"code":"not_recorded"/g) ?? [])
				.length, 3, r.out + r.err);
			assert.match(r.out, /GET \/made  1$/);
			assert.strictEqual(seen.length, before_);
			r = await run(ask.replace(/curl [^;]*large; /, ''), policy(),
				'--replay-http', first.run, '--replay-miss', 'pass');
			assert.match(r.out,
				/^GET \/other  \d+POST \/post four \d+GET \/made  1$/, r.err);
			assert.strictEqual(seen.length, before_ + 2);
		});

	test('are no way around the policy, nor for bytes that nobody reads',
		async () => {
			const document = policy();

			document.egress.rules[0].paths = ['/again'];
			const r = await run(`curl http://api.test:${plain}/made; ` +
				`curl http://raw.test:${plain}/made`, document,
			'--replay-http', first.run);

			assert.match(r.out, /^\{"code":"path"/);
			assert.ok(!r.out.includes('GET /made'), r.out);
		});

	test('of a run that has none, or is not there, open no run', async () => {
		const none = await run('true', policy(false));
		let r = await run('echo ran', policy(), '--replay-http', none.run);

		assert.match(r.err, /has no answers/);
		r = await run('echo ran', policy(), '--replay-http', 'r-7k3m9q2v5w1x');
		assert.match(r.err, /names no run/);
		r = await run('echo ran', policy(), '--replay-http', first.run,
			'--replay-miss', 'maybe');
		assert.match(r.err, /neither refuse nor pass/);
		assert.strictEqual(r.out, '');
	});
});
