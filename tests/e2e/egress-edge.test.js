// At the edge of a sandbox: how many connections it may open, hellos that hide
// their name, programs that do not trust the run's CA; and that every question
// about a connection has one end on the record.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Place } from './lib/paddock.js';

const place = new Place();
const local = { addrs: ['127.0.0.1/32'] };
let dns, plain, tls, ca;

before(async () => {
	const keys = path.join(place.dir, 'keys');
	const answer = (q, s) => s.end(`${q.method} ${q.url}`);

	fs.mkdirSync(keys);
	ca = certificates(keys, ['api.test', 'pin.test', 'free.test']);
	dns = await resolver();
	plain = await listen(http.createServer({ keepAliveTimeout: 60000 },
		answer));
	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, answer));
});

after(closeAll);

function policy(rules, egress = {}) {
	return {
		policy: 1, workflow: 'edge', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		egress: { default: 'deny', rules, ...egress },
	};
}

let n = 0;

// A script in a sandbox under that policy, as a command that is running.
function start(script, document) {
	const file = path.join(place.dir, `policy${++n}.json`);
	const work = path.join(place.dir, `work${n}`);

	fs.writeFileSync(file, JSON.stringify(document));
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	return place.command(['run', '--state', place.state, '--dir', work, file,
		'--', 'sh', '-c', script], { input: '', env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
}

// Its end, and its records of egress.
async function whole(command) {
	const r = await command.end();
	const log = await place.cli(['egress', 'log',
		r.err.match(/run (r-\w+)/)[1], '--json']);
	const records = log.out.trim().split('\n').filter(Boolean)
		.map((l) => JSON.parse(l));

	return { ...r, records,
		asked: records.filter((e) => e.kind === 'egress.decision'),
		done: records.filter((e) => e.kind === 'egress.done') };
}

const run = (script, document) => whole(start(script, document));

// A ClientHello with these extensions, each [type, body].
const hello = `
import socket, struct, os
def name(n): return (0, struct.pack('>HBH', len(n) + 3, 0, len(n)) + n)
def hello(*extensions):
    x = b''.join(struct.pack('>HH', t, len(b)) + b for t, b in extensions)
    m = b'\\x03\\x03' + os.urandom(32) + b'\\x00' + b'\\x00\\x02\\x13\\x01' + b'\\x01\\x00' + struct.pack('>H', len(x)) + x
    m = b'\\x01' + struct.pack('>I', len(m))[1:] + m
    return b'\\x16\\x03\\x01' + struct.pack('>H', len(m)) + m
ech = (0xfe0d, b'\\x00\\x00\\x01\\x00\\x01\\x07\\x00\\x20' + os.urandom(32) + b'\\x00\\x40' + os.urandom(64))
def say(host, port, *extensions):
    s = socket.create_connection((host, port), 5)
    s.sendall(hello(*extensions))
    try: print(host, 'answered' if s.recv(10) else 'ended')
    except OSError as e: print(host, 'reset')
`;

describe('a hello that may hide its name (ECH)', () => {
	test('is not passed on unread, and that is on the record', async () => {
		const r = await run(`python3 - <<'P'
${hello}
say('pin.test', ${tls}, name(b'pin.test'))
say('pin.test', ${tls}, name(b'pin.test'), ech)
say('free.test', ${tls}, name(b'free.test'), ech)
P`, policy([
			{ host: 'pin.test', port: tls, tls: 'pin', ...local },
			{ host: 'free.test', port: tls, ...local },
		]));
		const codes = r.asked.map((e) => [e.body.host, e.dec.code]);

		assert.strictEqual(r.out,
			'pin.test answered\npin.test reset\nfree.test reset\n', r.err);
		assert.deepStrictEqual(codes, [['pin.test', 'allowed'],
			['pin.test', 'ech'], ['free.test', 'ech']]);
		assert.match(r.asked[1].dec.reason, /Encrypted Client Hello/);
	});

	test('is opened where the run has a CA: what it hides reaches nobody',
		async () => {
			const r = await run(`python3 - <<'P'
${hello}
say('free.test', ${tls}, name(b'free.test'), ech)
P`, policy([
				{ host: 'free.test', port: tls, ca, ...local },
				{ host: 'api.test', port: tls, paths: ['/a'], ca, ...local },
			]));

			// An alert: the hello has no key share. Nothing was dialled.
			assert.strictEqual(r.out, 'free.test answered\n', r.err);
			assert.strictEqual(r.asked[0].dec.action, 'opened');
			assert.strictEqual(r.done.length, 1);
			assert.strictEqual(r.done[0].body.addr, '');
			assert.match(r.done[0].body.hint, /Encrypted Client Hello/);
		});
});

describe('the end of each question', () => {
	const rules = () => [
		{ host: 'api.test', port: tls, paths: ['/**'], ca, ...local },
		{ host: 'free.test', port: tls, ...local },
		{ host: 'free.test', port: plain, ...local },
	];

	test('is one record, however the connection began', async () => {
		fs.writeFileSync(path.join(place.dir, 'ca.pem'), ca);
		const r = await run('curl() { command curl -sS -m 10 "$@"; echo; }; ' +
			`curl --noproxy '*' https://api.test:${tls}/a; ` +
			`curl -x $HTTPS_PROXY --noproxy '' https://api.test:${tls}/b; ` +
			`curl -k --noproxy '*' https://free.test:${tls}/c; ` +
			`curl -k -x $HTTPS_PROXY --noproxy '' https://free.test:${tls}/d; ` +
			`curl --noproxy '*' http://free.test:${plain}/e`,
		policy(rules()));

		assert.strictEqual(r.out, 'GET /a\nGET /b\nGET /c\nGET /d\nGET /e\n',
			r.err);
		assert.deepStrictEqual(
			r.done.map((e) => e.step).sort((a, b) => a - b),
			r.asked.map((e) => e.step));
		// curl may reset a connection whose last bytes it did not want.
		assert.ok(r.done.every((e) => e.res.status === 'ok' ||
			e.body.tls === 'splice'),
			JSON.stringify(r.done));
		assert.deepStrictEqual(r.asked.map((e) => e.dec.action),
			['opened', 'sent', 'opened', 'sent', 'sent', 'sent', 'sent']);
	});

	test('says how to mend a program that does not trust the CA', async () => {
		const r = await run('curl -sS -m 10 --noproxy "*" --capath /none ' +
			`--cacert /etc/hostname https://api.test:${tls}/a; ` +
			'python3 -c "import ssl, socket\n' +
			'c = ssl.create_default_context()\n' +
			'c.load_verify_locations = None\n' +
			'c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n' +
			`s = socket.create_connection(('api.test', ${tls}))\n` +
			'c.wrap_socket(s, server_hostname=\'api.test\')" 2>&1 | tail -n 1',
		policy(rules()));
		const failed = r.done.filter((e) => e.body.error !== undefined);

		assert.match(r.out, /CERTIFICATE_VERIFY_FAILED/, r.out + r.err);
		assert.ok(failed.length >= 1, JSON.stringify(r.records));
		for (const e of failed) {
			assert.strictEqual(e.res.status, 'error');
			assert.match(e.body.hint, /SSL_CERT_FILE/);
			assert.match(e.body.hint, /"tls": "pin"/);
		}
	});

	test('is on record for what is no TLS, with its host', async () => {
		const r = await run(`python3 - <<'P'
import socket
s = socket.create_connection(('api.test', ${tls}), 5)
s.sendall(b'\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00')
try: s.recv(10)
except OSError: pass
P`, policy(rules()));

		assert.strictEqual(r.asked.length, 1, JSON.stringify(r.records));
		assert.strictEqual(r.asked[0].dec.code, 'not_understood');
		assert.strictEqual(r.asked[0].body.host, 'api.test');
		assert.strictEqual(r.done.length, 0);
	});
});

describe('how many connections a run may have', () => {
	// Opens until one is refused; says how many it has.
	const greedy = `python3 -u - <<'P'
import socket, time, sys
kept = []
for i in range(5000):
    try:
        s = socket.create_connection(('free.test', ${'$PORT'}), 5)
        s.sendall(b'GET / HTTP/1.1\\r\\nHost: free.test:${'$PORT'}\\r\\n\\r\\n')
        if not s.recv(200): raise OSError('ended')
        kept.append(s)
    except OSError as e:
        print('kept', len(kept), flush=True)
        break
sys.stdin.read(1)
time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0)
P`;
	const rules = () => [{ host: 'free.test', port: plain, ...local }];

	test('is limited at once, and another run works on', async () => {
		const one = start(`${greedy.replaceAll('$PORT', plain)
			.replace('python3 -u -', 'exec 3<&0; python3 -u /dev/fd/0')
			.replace('sys.stdin.read(1)', 'time.sleep(3)')}`,
		policy(rules(), { max_connections: 40 }));

		await one.says(/kept 40\n/);
		const other = await run('for i in 1 2 3 4 5; do curl -sS -m 5 ' +
			`--noproxy '*' http://free.test:${plain}/$i; done`,
		policy(rules()));

		assert.strictEqual(other.out, 'GET /1GET /2GET /3GET /4GET /5',
			other.err);
		const r = await whole(one);
		const refused = r.asked.filter((e) =>
			e.dec.code === 'too_many_connections');

		assert.strictEqual(refused.length, 1, JSON.stringify(r.asked.slice(-2)));
		assert.strictEqual(refused[0].body.refused, 1);
		assert.match(refused[0].dec.reason, /as its policy allows/);
	});

	test('is limited in how fast, and told once a second', async () => {
		const r = await run(`python3 - <<'P'
import socket
ok = refused = 0
for i in range(60):
    try:
        s = socket.create_connection(('free.test', ${plain}), 5)
        s.sendall(b'GET / HTTP/1.1\\r\\nHost: free.test:${plain}\\r\\nConnection: close\\r\\n\\r\\n')
        if not s.recv(200): raise OSError('ended')
        ok += 1
        s.close()
    except OSError: refused += 1
print('some' if ok >= 20 else ok, 'refused' if refused > 0 else refused)
P`, policy(rules(), { max_connections_per_s: 20 }));
		const told = r.asked.filter((e) =>
			e.dec.code === 'too_many_connections');

		assert.strictEqual(r.out, 'some refused\n', r.err);
		assert.ok(told.length >= 1 && told.length <= 4, JSON.stringify(told));
		assert.match(told[0].dec.reason, /a second/);
	});
});

describe('the CA of a run', () => {
	const rules = () => [
		{ host: 'api.test', port: tls, paths: ['/**'], ca, ...local },
		{ host: '*.wild.test', port: tls, paths: ['/**'], ca, ...local },
		{ host: '192.0.2.9', port: tls, paths: ['/**'], ca },
		{ host: 'pin.test', port: tls, tls: 'pin', ...local },
	];

	test('is limited to the hosts whose TLS may be opened', async () => {
		const r = await run('awk "/BEGIN/{t=\\"\\"}{t=t \\$0 \\"\\n\\"}END{printf \\"%s\\", t}" ' +
			'/run/paddock/trust/ca.pem > one.pem; ' +
			'openssl x509 -in one.pem -noout -subject -ext nameConstraints',
		policy(rules()));

		assert.match(r.out, /paddock: this run only/, r.err);
		assert.match(r.out, /X509v3 Name Constraints: critical/);
		assert.match(r.out, /DNS:api\.test\n *DNS:wild\.test\n/);
		assert.match(r.out, /IP:192\.0\.2\.9\/255\.255\.255\.255/);
		assert.match(r.out, /Excluded:\n *IP:0:0:0:0:0:0:0:0\/|IP:192/);
		assert.ok(!r.out.includes('pin.test'));
	});

	test('is accepted so by curl, openssl, Python, node, git and Java',
		async () => {
			const at = `https://api.test:${tls}`;
			const r = await run(`
curl -sS --noproxy '*' ${at}/curl; echo
echo | openssl s_client -connect api.test:${tls} -servername api.test -brief 2>&1 | grep Verification:
python3 -c "import urllib.request as u; print(u.urlopen('${at}/python').read().decode())"
node -e "fetch('${at}/node').then(async (r) => console.log(await r.text()))"
git ls-remote ${at}/git 2>&1 | grep -c -i certificate
cat > Get.java <<'J'
public class Get {
	public static void main(String[] a) throws Exception {
		System.out.write(new java.net.URL(a[0]).openStream().readAllBytes());
		System.out.println();
	}
}
J
java -Xmx128m Get.java ${at}/java
java -Xmx128m -Djavax.net.ssl.trustStorePassword=changeit Get.java ${at}/checked
env -u JAVA_TOOL_OPTIONS /usr/lib/jvm/java-17-openjdk-*/bin/java -Xmx128m Get.java ${at}/debian
keytool -list -keystore /run/paddock/trust/cacerts -storepass changeit 2>/dev/null | grep -c '^paddock,.*trustedCertEntry'
`, { ...policy(rules()), sandbox: { memory_mb: 1024, pids: 256 } });

			assert.strictEqual(r.out, 'GET /curl\nVerification: OK\n' +
				'GET /python\nGET /node\n0\nGET /java\n' +
				'GET /checked\nGET /debian\n1\n', r.err);
		});
});

describe('policy explain', () => {
	test('tells which rule decides a request, and why', async () => {
		const file = path.join(place.dir, 'explained.json');
		const explain = async (...args) => {
			const r = await place.command(['policy', 'explain', file, ...args,
				'--json'], { input: '' }).end();

			return r.status === 0 ? JSON.parse(r.out) : r.err;
		};

		fs.writeFileSync(file, JSON.stringify(policy([
			{ host: 'api.test', methods: ['GET'], paths: ['/v1/**'] },
			{ host: 'api.test', methods: ['POST'], max_body: 10,
				mode: 'approve' },
			{ host: 'free.test' },
			{ host: 'db.test', port: 5432, proto: 'tcp' },
		])));
		const rows = [
			['GET https://api.test/v1/a?b=1', 'allow', 'egress.rules[0]',
				'allowed', 'inspect'],
			['https://api.test/v2', 'block', 'egress.rules', 'path', 'inspect'],
			['POST http://api.test/x', 'approve', 'egress.rules[1].mode',
				'approval', 'none'],
			['DELETE https://free.test/x', 'allow', 'egress.rules[2]',
				'allowed', 'splice'],
			['tcp://db.test:5432', 'allow', 'egress.rules[3]', 'allowed',
				'none'],
			['GET http://169.254.169.254/', 'block', 'egress.default',
				'no_rule', 'none'],
			['GET https://[::1]:8443/', 'block', 'egress.default', 'no_rule',
				'none'],
		];

		for (const [call, verdict, rule, code, how] of rows) {
			const x = await explain(call);

			assert.deepStrictEqual([x.verdict, x.rule, x.code, x.tls],
				[verdict, rule, code, how], call + JSON.stringify(x));
		}
		assert.strictEqual((await explain('POST http://api.test/x',
			'{"content_length":11}')).code, 'body_too_large');
		assert.match(await explain('GET http://api.test:x/'), /port/);
		assert.match(await explain('tcp://db.test'), /name a port/);
		const text = await place.command(['policy', 'explain', file,
			'GET https://api.test/v2'], { input: '' }).end();

		assert.match(text.out, /verdict +block\nrule +egress.rules\ncode +path\n/);
	});
});
