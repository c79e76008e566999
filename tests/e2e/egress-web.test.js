// Requests of real programs in a sandbox to real servers outside: what rules
// allow arrives as it was sent, and what they do not is refused with a reason,
// on plain HTTP and within TLS that is opened for it.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Place } from './lib/paddock.js';

const place = new Place();
const work = path.join(place.dir, 'work');
const seen = []; // what the servers were asked
let dns, plain, tls, two, ca, repository;

// A server that says what it was asked.
function answer(q, s) {
	const hash = crypto.createHash('sha256');
	let n = 0;

	q.on('data', (d) => {
		n += d.length;
		hash.update(d);
	}).on('end', () => {
		seen.push({ method: q.method, url: q.url, headers: q.headers, n });
		if (q.url.startsWith('/ok/moved'))
			s.writeHead(302, { Location: '/secret' }).end();
		else if (q.url === '/ok/chunks')
			s.write('one,') && s.end('two');
		else if (q.url === '/ok/large')
			s.end(Buffer.alloc(5_000_000, 'x'));
		else
			s.end(`${q.method} ${q.url} ${n} ${hash.digest('hex')}`);
	});
}

function upgrade(q, socket, head) {
	const accept = crypto.createHash('sha1').update(
		`${q.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
		.digest('base64');

	socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
		`Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
	socket.write(head);
	socket.pipe(socket);
}

// A repository that any web server can give out.
function gitRepository(dir) {
	const git = (...args) => execFileSync('git', ['-c', 'user.name=a', '-c',
		'user.email=a@example.com', ...args], { cwd: dir, stdio: 'pipe' });

	fs.mkdirSync(dir);
	git('init', '-q', '-b', 'main');
	fs.writeFileSync(path.join(dir, 'file'), 'cloned\n');
	git('add', 'file');
	git('commit', '-q', '-m', 'one');
	git('clone', '-q', '--bare', '.', 'bare.git');
	execFileSync('git', ['update-server-info'],
		{ cwd: path.join(dir, 'bare.git') });
	return dir;
}

before(async () => {
	const dir = path.join(place.dir, 'keys');

	fs.mkdirSync(dir);
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	ca = certificates(dir, ['api.test', 'pin.test', 'git.test', 'two.test']);
	dns = await resolver();
	plain = await listen(http.createServer(answer).on('upgrade', upgrade));
	repository = gitRepository(path.join(place.dir, 'repository'));
	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(dir, 's.key')),
		cert: fs.readFileSync(path.join(dir, 's.pem')),
	}, (q, s) => {
		const file = path.join(repository, decodeURIComponent(
			q.url.split('?')[0]));

		if (!q.url.startsWith('/bare.git/'))
			answer(q, s);
		else if (fs.existsSync(file))
			s.end(fs.readFileSync(file));
		else
			s.writeHead(404).end();
	}).on('upgrade', upgrade));
	two = await listen(http2.createSecureServer({
		key: fs.readFileSync(path.join(dir, 's.key')),
		cert: fs.readFileSync(path.join(dir, 's.pem')),
	}).on('stream', (stream, headers) => {
		let body = '';

		stream.on('wantTrailers', () =>
			stream.sendTrailers({ 'grpc-status': '0' }));
		stream.on('data', (d) => { body += d; }).on('end', () => {
			stream.respond({ ':status': 200,
				'content-type': 'application/grpc' },
			{ waitForTrailers: true });
			stream.end(`${headers[':path']} ${body}`);
		});
	}));
});

after(closeAll);

function policy(changes = {}) {
	const local = { addrs: ['127.0.0.1/32'] };

	return {
		policy: 1, workflow: 'web', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		egress: { default: 'deny', rules: [
			{ host: 'api.test', port: plain, methods: ['GET', 'POST'],
				paths: ['/ok/**'], max_body: 100000,
				proto: ['http', 'ws'], ...local },
			{ host: 'api.test', port: tls, methods: ['GET', 'POST'],
				paths: ['/ok/**'], ca, ...local },
			{ host: 'other.test', port: tls, paths: ['/**'], ...local },
			{ host: 'pin.test', port: tls, tls: 'pin', ...local },
			{ host: 'git.test', port: tls, paths: ['/bare.git/**'], ca,
				...local },
			{ host: 'two.test', port: two, paths: ['/ok/**'], ca, ...local },
			{ host: 'sim.test', respond: { status: 201,
				json: { id: 'sim_1' } } },
			{ host: 'rebound.test', port: plain, paths: ['/**'] },
		] },
		...changes,
	};
}

// Runs a shell script in a sandbox under that policy.
async function inside(script, document = policy()) {
	const file = path.join(place.dir, 'policy.json');

	fs.writeFileSync(file, JSON.stringify(document));
	return place.command(['run', '--state', place.state, '--dir', work, file,
		'--', 'sh', '-c', 'curl() { command curl -sS -m 10 ' +
			`--noproxy '*' "$@"; }\n${script}`],
	{ input: '', env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } }).end();
}

async function says(script, wanted, document) {
	const r = await inside(script, document);

	assert.match(r.out, wanted, r.out + r.err);
	return r;
}

describe('plain HTTP', () => {
	test('what a rule allows arrives as it was sent', async () => {
		seen.length = 0;
		await says(`curl "http://api.test:${plain}/ok/a?x=1"`,
			/^GET \/ok\/a\?x=1 0 /);
		assert.deepStrictEqual(seen[0].headers, {
			host: `api.test:${plain}`, accept: '*/*',
			'user-agent': seen[0].headers['user-agent'],
		});
		await says(`curl http://api.test:${plain}/ok/chunks ` +
			`http://api.test:${plain}/ok/b`, /^one,twoGET \/ok\/b 0 /);
	});

	test('bodies pass whole, both ways, of either framing', async () => {
		const hash = crypto.createHash('sha256')
			.update('y'.repeat(90000)).digest('hex');

		await says('head -c 90000 /dev/zero | tr "\\0" y > f; ' +
			`curl --data-binary @f http://api.test:${plain}/ok/p; echo; ` +
			'cat f | curl -T - -X POST -H "Content-Type: text/plain" ' +
			`http://api.test:${plain}/ok/p`,
		new RegExp(`^POST /ok/p 90000 ${hash}\\nPOST /ok/p 90000 ${hash}$`));
		await says(`curl http://api.test:${plain}/ok/large | wc -c`,
			/^5000000\n$/);
	});

	test('the proxy variables lead to the same rules', async () => {
		await says(`command curl -sS --noproxy "" -x $HTTP_PROXY ` +
			`http://api.test:${plain}/ok/c`, /^GET \/ok\/c 0 /);
		await says('python3 -c "import urllib.request as u; print(u.urlopen(' +
			`'http://api.test:${plain}/ok/py').read().decode())"`,
		/^GET \/ok\/py 0 /);
	});

	test('path, method, host and body size are judged, with a reason', async () => {
		const at = `http://api.test:${plain}`;

		await says(`curl ${at}/no`, /"code":"path","error":"policy_denied"/);
		await says(`curl -X DELETE ${at}/ok/x`, /"code":"method"/);
		await says(`curl ${at}/ok/../no --path-as-is`, /policy_denied/);
		await says(`curl ${at}/ok/%2e%2e/no`, /policy_denied/);
		await says('head -c 200000 /dev/zero > f; ' +
			`curl --data-binary @f ${at}/ok/p`, /policy_denied/);
		await says('head -c 200000 /dev/zero | curl -T - -X POST ' +
			`-H "Content-Type: text/plain" ${at}/ok/p`,
		/body_too_large/);
		await says(`command curl -sS --noproxy "" -x $HTTP_PROXY ` +
			'http://evil.test/x', /"code":"no_rule"/);
		const r = await inside('curl http://evil.test/x');

		assert.match(r.err, /Could not resolve host/);
	});

	test('a redirect is asked about again', async () => {
		seen.length = 0;
		await says(`curl -L http://api.test:${plain}/ok/moved`,
			/"path":"\/secret"/);
		assert.strictEqual(seen.length, 1);
	});

	test('another Host on an allowed connection gets nowhere', async () => {
		seen.length = 0;
		await says('curl -H "Host: other.example" ' +
			`http://api.test:${plain}/ok/x`, /the Host is not the one/);
		assert.strictEqual(seen.length, 0);
	});

	test('a canned answer is given and nothing leaves', async () => {
		await says('curl -w " %{http_code}" http://sim.test/charge',
			/^\{"id":"sim_1"\} 201$/);
	});

	test('a name that has moved to this machine is not dialled', async () => {
		await says(`curl http://rebound.test:${plain}/x`, /not_reached/);
	});

	test('requests that can be read in two ways are refused and on record',
		async () => {
			const r = await says(`python3 - <<'P'
import socket
for t in (b'POST /ok/a HTTP/1.1\\r\\nHost: api.test:${plain}\\r\\nContent-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n',
          b'GET /ok/a HTTP/1.1\\r\\nHost: api.test:${plain}\\r\\nHost: b\\r\\n\\r\\n',
          b'GET /ok/a HTTP/1.1\\nHost: api.test:${plain}\\n\\n',
          b'CONNECT api.test:${plain} HTTP/1.1\\r\\nHost: api.test:${plain}\\r\\n\\r\\n',
          b'GET http://api.test:${plain}/ok/a HTTP/1.1\\r\\nHost: api.test:${plain}\\r\\n\\r\\n'):
    s = socket.create_connection(('api.test', ${plain}), 5)
    s.sendall(t)
    print(s.recv(60).split(b'\\r\\n')[0].decode())
P
curl http://api.test:${plain}/ok/after`,
			/^(HTTP\/1\.1 4\d\d [A-Za-z ]+\n){5}GET \/ok\/after 0 /);

			assert.strictEqual(r.status, 0);
			const log = await place.cli(['trace', 'show',
				r.err.match(/run (r-\w+)/)[1], '--json']);

			assert.ok((log.out.match(/not_judged/g) ?? []).length >= 4,
				log.out + log.err);
		});

	test('a WebSocket passes under its rule', async () => {
		await says(`python3 - <<'P'
import socket
s = socket.create_connection(('api.test', ${plain}), 5)
s.sendall(b'GET /ok/ws HTTP/1.1\\r\\nHost: api.test:${plain}\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n')
got = b''
while b'\\r\\n\\r\\n' not in got: got += s.recv(1000)
print(got.split(b'\\r\\n')[0].decode())
s.sendall(b'echo me')
print(s.recv(100).decode())
P`, /^HTTP\/1\.1 101 Switching Protocols\necho me\n$/);
	});
});

describe('TLS that is opened', () => {
	test('curl, python, node and openssl trust the run\'s own CA', async () => {
		const at = `https://api.test:${tls}/ok`;

		await says(`curl ${at}/a; echo; command curl -sS -m 10 --noproxy "" ` +
			`-x $HTTPS_PROXY ${at}/b; echo; ` +
			`env -u SSL_CERT_FILE -u CURL_CA_BUNDLE curl ${at}/c`,
		/^GET \/ok\/a 0 .*\nGET \/ok\/b 0 .*\nGET \/ok\/c 0 /);
		await says('python3 -c "import urllib.request as u; print(u.urlopen(' +
			`'${at}/py').read().decode())"`, /^GET \/ok\/py 0 /);
		await says(`node -e "fetch('${at}/node').then(async (r) => ` +
			'console.log(r.status, await r.text()))"',
		/^200 GET \/ok\/node 0 /);
		await says(`echo | openssl s_client -connect api.test:${tls} ` +
			'-servername api.test -brief 2>&1',
		/Verification: OK/);
	});

	test('each request within it is judged', async () => {
		seen.length = 0;
		await says(`curl https://api.test:${tls}/no`, /"code":"path"/);
		await says(`curl -d x https://api.test:${tls}/ok/p`,
			/^POST \/ok\/p 1 /);
		await says(`curl -H "Host: pin.test" https://api.test:${tls}/ok/x`,
			/the Host is not the one/);
		assert.deepStrictEqual(seen.map((q) => q.url), ['/ok/p']);
	});

	test('a server with another\'s certificate is not spoken to', async () => {
		seen.length = 0;
		await says(`curl https://other.test:${tls}/x`, /tls_failed/);
		assert.strictEqual(seen.length, 0);
	});

	test('a name in the hello that is another\'s is cut off', async () => {
		const r = await inside('curl --connect-to ' +
			`api.test:${tls}:pin.test:${tls} https://api.test:${tls}/ok/x`);

		assert.notStrictEqual(r.status, 0);
		assert.strictEqual(r.out, '');
	});

	test('a pinned host keeps its own certificate', async () => {
		fs.writeFileSync(path.join(work, 'ca.pem'), ca);
		await says(`curl --cacert ca.pem https://pin.test:${tls}/x`,
			/^GET \/x 0 /);
	});

	test('git clones over it', async () => {
		await says(`git clone -q https://git.test:${tls}/bare.git c 2>&1; ` +
			'cat c/file', /^cloned\n$/);
	});

	test('HTTP/2 passes from end to end, many at once, with trailers', async () => {
		await says(`node - <<'P'
const c = require('http2').connect('https://two.test:${two}');
let open = 20;
c.on('error', (e) => { console.log(e.message); process.exit(1); });
for (let i = 0; i < 20; i++) {
	const q = c.request({ ':method': 'POST', ':path': '/ok/' + i });
	let body = '', status, trailer;
	q.on('response', (h) => { status = h[':status']; });
	q.on('trailers', (t) => { trailer = t['grpc-status']; });
	q.on('data', (d) => { body += d; }).on('end', () => {
		if (status !== 200 || trailer !== '0' || body !== '/ok/' + i + ' ping' + i)
			console.log('wrong', i, status, trailer, body);
		if (--open === 0) c.request({ ':path': '/no' })
			.on('response', (h) => { console.log('all', h[':status']); c.close(); });
	});
	q.end('ping' + i);
}
P`, /^all 403\n$/);
	});

	test('what is no TLS ends that connection and no other', async () => {
		await says(`python3 - <<'P'
import socket
s = socket.create_connection(('api.test', ${tls}), 5)
s.sendall(b'\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00')
try: print(s.recv(10))
except OSError as e: print('reset')
P
curl https://api.test:${tls}/ok/after`, /^(reset|b'')\nGET \/ok\/after 0 /);
	});
});

describe('secrets', () => {
	const value = 'tk_live_0123456789abcdef';
	const file = path.join(place.state, 'secrets', 'tickets.key');

	function withSecret() {
		const document = policy({ secrets: { TICKETS: {
			from: 'file:tickets.key', env: 'TICKETS_TOKEN',
			inject: { header: 'authorization', format: 'Bearer {}' },
		} } });

		document.egress.rules.push({ host: 'api.test', port: tls,
			proto: 'https', methods: ['GET'], paths: ['/ok/tickets/**'],
			ca, addrs: ['127.0.0.1/32'], secrets: ['TICKETS'] });
		return document;
	}

	before(() => {
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, `${value}\n`, { mode: 0o600 });
	});

	test('the server sees the secret, the sandbox what stands for it',
		async () => {
			seen.length = 0;
			const r = await says('env | grep ^TICKETS_TOKEN=; curl -H ' +
				'"Authorization: Bearer $TICKETS_TOKEN" ' +
				`https://api.test:${tls}/ok/tickets/1`,
			/^TICKETS_TOKEN=pdk_\w+\nGET \/ok\/tickets\/1 0 /, withSecret());

			assert.strictEqual(seen[0].headers.authorization,
				`Bearer ${value}`);
			assert.ok(!(r.out + r.err).includes(value));
			const log = await place.cli(['trace', 'show',
				r.err.match(/run (r-\w+)/)[1], '--json']);

			assert.ok(log.out.includes('TICKETS'), log.out);
			assert.ok(!log.out.includes(value));
		});

	test('a request that its rule is not about keeps the placeholder',
		async () => {
			seen.length = 0;
			await says('curl -H "Authorization: Bearer $TICKETS_TOKEN" ' +
				`https://api.test:${tls}/ok/elsewhere`,
			/^GET \/ok\/elsewhere 0 /, withSecret());
			assert.match(seen[0].headers.authorization, /^Bearer pdk_/);
		});

	test('one that others can read, or that is not there, opens no run',
		async () => {
			fs.chmodSync(file, 0o644);
			let r = await inside('echo ran', withSecret());

			assert.match(r.err, /secrets\.TICKETS: .*chmod 600/);
			assert.strictEqual(r.out, '');
			fs.rmSync(file);
			r = await inside('echo ran', withSecret());
			assert.match(r.err, /secrets\.TICKETS: open tickets\.key: No such/);
			assert.strictEqual(r.out, '');
		});
});
