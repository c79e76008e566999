// The main job as an ordinary user: programs, state and work folder are the
// user's own, nothing is asked of root.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Place, example, isRoot, until } from './lib/paddock.js';

const user = isRoot ? { uid: 65534, gid: 65534 } : {};
const may = spawnSync('unshare', ['-Ur', 'true'], user).status === 0;
const skip = may ? false
	: 'this machine gives ordinary users no user namespaces';

// A place whose folder is the user's.
function home() {
	const place = new Place();

	fs.chmodSync(place.dir, 0o755);
	for (const name of fs.readdirSync(example))
		fs.copyFileSync(path.join(example, name),
			path.join(place.dir, name));
	if (isRoot)
		fs.chownSync(place.dir, user.uid, user.gid);
	return place;
}

function options(place) {
	return { ...user, cwd: place.dir, input: '',
		env: { PATH: process.env.PATH, HOME: place.dir,
			ASAN_OPTIONS: process.env.ASAN_OPTIONS } };
}

function verified(r) {
	assert.strictEqual(r.status, 0, r.out + r.err);
	assert.strictEqual(JSON.parse(r.out).sound, true);
}

describe('as an ordinary user', { skip }, () => {
	test('exec runs a command that is not root and has no network',
		async () => {
			const place = home();
			const r = await place.command(['exec', '--', '/bin/sh', '-c',
				'id -u; ls /sys/class/net 2>/dev/null; ' +
				'echo new >file; cat file; exit 5'],
			options(place)).end();

			assert.strictEqual(r.status, 5, r.err);
			assert.match(r.out, /new/);
			assert.doesNotMatch(r.out, /^0$/m);
			assert.ok(!fs.existsSync(path.join(place.dir, 'file')));
			await place.nothingLeft([]);
		});

	test('programs inside reach each other over 127.0.0.1, not the host',
		async () => {
			const outside = net.createServer((c) => c.end('host'));

			await new Promise((done) => outside.listen(0, '127.0.0.1',
				done));
			const script = `
import socket, sys, threading
for family, address in ((socket.AF_INET, '127.0.0.1'),
    (socket.AF_INET, '127.9.9.9'), (socket.AF_INET6, '::1')):
    try:
        s = socket.socket(family)
        s.bind((address, 0))
    except OSError:
        if family == socket.AF_INET6:
            continue # a kernel without it
        raise
    s.listen()
    threading.Thread(target=lambda: s.accept()[0].send(b'inside')).start()
    c = socket.create_connection(s.getsockname()[:2])
    assert c.recv(9) == b'inside'
u = socket.socket(type=socket.SOCK_DGRAM)
u.bind(('127.0.0.1', 0))
u.sendto(b'x', u.getsockname())
assert u.recv(1) == b'x'
try:
    socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)
    print('the host')
except ConnectionRefusedError:
    print('refused')
`;
			const place = home();
			const { port } = outside.address();

			for (const as of isRoot ? [user, {}] : [{}]) {
				const r = await place.command(['exec', '--', 'python3',
					'-c', script, String(port)],
				{ ...options(place), uid: undefined, gid: undefined,
					...as }).end();

				assert.strictEqual(r.out, 'refused\n', r.err);
			}
			outside.close();
		});

	test('what a command starts is judged', async () => {
		const place = home();
		const file = path.join(place.dir, 'lists.json');

		fs.writeFileSync(file, JSON.stringify({ policy: 1, workflow: 'w',
			tools: { 'kb.search': { risk: 'read' } },
			sandbox: { commands: { block: ['id'] } } }));
		fs.chmodSync(file, 0o644);
		const r = await place.command(['run', file, '--state', place.state,
			'--env', place.mark, '--', 'sh', '-c',
			'cp /usr/bin/id x; ./x; echo $?; env id; echo $?; date +%Y'],
		options(place)).end();

		assert.match(r.out, /^137\n137\n20\d\d$/m, r.out + r.err);
		assert.doesNotMatch(r.out, /uid=/);
	});

	test('the agent works the ticket without a daemon', async () => {
		const place = home();
		const c = place.command(['run', 'policy.json', '--world',
			'world.json', '--state', place.state, '--env', place.mark,
			'--', '/usr/bin/python3', 'agent.py'], options(place));
		const [, approval] = await c.says(/approve (a-\w+)/);
		const yes = await place.cli(['approve', approval],
			options(place));

		assert.strictEqual(yes.status, 0, yes.err);
		const end = await c.end();

		assert.strictEqual(end.status, 0, end.out + end.err);
		assert.match(end.out, /EMAIL-\d+ sent/);
		verified(await place.cli(['trace', 'verify', '--json'],
			options(place)));
		await place.nothingLeft([]);
	});

	test('the hostile agent reaches nothing', async () => {
		const place = home();
		const end = await place.command(['run', 'policy.json', '--world',
			'world.json', '--state', place.state, '--env', place.mark,
			'--', '/usr/bin/python3', 'agent_hostile.py'],
		options(place)).end(60000);

		assert.strictEqual(end.status, 1, end.err);
		assert.doesNotMatch(end.out, /REACHED/);
		assert.match(end.err, /tool_call_budget_exceeded/);
		await place.nothingLeft([]);
	});

	test('programs that share memory run where it is only counted',
		async () => {
			const place = home();

			fs.writeFileSync(path.join(place.dir, 'work.sh'), `set -e
python3 - <<'P'
import multiprocessing as m
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory
def f(x): return x * x
with m.Pool(3) as p: assert sum(p.map(f, range(10))) == 285
v = m.Value('i', 5); a = m.Array('d', 10); q = m.Queue()
q.put(v.value); assert q.get() == 5
s = shared_memory.SharedMemory(create=True, size=1 << 20)
s.close(); s.unlink()
with ProcessPoolExecutor() as x: assert list(x.map(f, [1, 2])) == [1, 4]
P
node -e 'const { Worker } = require("worker_threads");
new Worker("new SharedArrayBuffer(1 << 20)", { eval: true });
require("child_process").execSync("true")'
git init -q g; cd g; git config user.email a@example.com
git config user.name n; echo 'int main(void) { return 0; }' >a.c
git add .; git commit -qm x; git gc -q
printf 'all: a b\na b: a.c\n\tgcc -O2 -o $@ a.c\n' >Makefile
make -s -j4; ./a; test "$(head -c 9 /dev/zero | wc -c)" = 9; echo well
`);
			const r = await place.command(['exec', '--memory', '512',
				'--', '/bin/sh', 'work.sh'], options(place)).end(60000);

			assert.strictEqual(r.status, 0, r.out + r.err);
			assert.match(r.out, /well/);
			await place.nothingLeft([]);
		});

	test('what is shared, or borrowed for a moment, counts once',
		async () => {
			const place = home();

			// 200 MiB of 512, in nine processes.
			fs.writeFileSync(path.join(place.dir, 'fork.py'), `
import os, time
x = bytearray(200 << 20)
for i in range(0, len(x), 4096): x[i] = 1
k = []
for i in range(8):
    p = os.fork()
    if p == 0:
        time.sleep(1)
        os._exit(0)
    k.append(p)
for p in k: os.waitpid(p, 0)
print('well')
`);
			// 300 MiB, with copies that are about to execute.
			fs.writeFileSync(path.join(place.dir, 'spawn.py'), `
import subprocess
x = bytearray(300 << 20)
for i in range(0, len(x), 4096): x[i] = 1
for i in range(100): subprocess.run(['/bin/true'])
for i in range(20): subprocess.run(['/bin/true'], preexec_fn=lambda: None)
print('well')
`);
			for (const name of ['fork.py', 'spawn.py']) {
				const r = await place.command(['exec', '--memory', '512',
					'--disk', '64', '--', '/usr/bin/python3', name],
				options(place)).end(60000);

				assert.strictEqual(r.status, 0, name + r.err);
				assert.match(r.out, /well/);
			}
			await place.nothingLeft([]);
		});

	test('limits that are required are kept, or there is no run',
		async () => {
			const place = home();
			const policy = (sandbox) => {
				fs.writeFileSync(path.join(place.dir, 'p.json'),
					JSON.stringify({ policy: 1, workflow: 'w',
						stage: 1, tools: {}, sandbox: {
							limits: 'required', memory_mb: 64,
							disk_mb: 16, ...sandbox } }));
				return ['run', 'p.json', '--state', place.state, '--env',
					place.mark, '--'];
			};
			// Eight of them hold 30 MiB each.
			const bomb = ['/bin/sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do ' +
				'python3 -c "import time; x = bytearray(30 << 20); ' +
				'x[::4096] = b\'1\' * len(x[::4096]); ' +
				'time.sleep(20)" & done; wait'];
			const from = Date.now();
			const r = await place.command([...policy({}), ...bomb],
				options(place)).end(60000);

			assert.notStrictEqual(r.status, 0, r.out);
			assert.match(r.err, /memory_exceeded/);
			assert.ok(Date.now() - from < 15000);
			const info = JSON.parse((await place.cli(['exec', '--json',
				'--', 'true'], options(place))).err.trim());

			if (info.walls.includes('cpu'))
				return;
			const no = await place.command([...policy({ cpu: 0.5 }),
				'/bin/true'], options(place)).end();

			assert.strictEqual(no.status, 1);
			assert.match(no.err, /requires the wall cpu/);
			await place.nothingLeft([]);
		});

	test('what may leave leaves, with its secret, and nothing else does',
		async () => {
			const place = home();
			const seen = [];
			const answer = (q, s) => {
				seen.push(`${q.headers.host.split(':')[0]} ` +
					`${q.method} ${q.url} ${q.headers.authorization}`);
				s.end(`answer to ${q.url}\n`);
			};
			const keys = path.join(place.dir, 'keys');
			const secrets = path.join(place.state, 'secrets');

			fs.mkdirSync(keys);
			const ca = certificates(keys, ['api.test']);
			const plain = await listen(http.createServer(answer));
			const tls = await listen(https.createServer({
				key: fs.readFileSync(path.join(keys, 's.key')),
				cert: fs.readFileSync(path.join(keys, 's.pem')),
			}, answer));
			const dns = await resolver();

			fs.mkdirSync(secrets, { recursive: true, mode: 0o700 });
			fs.writeFileSync(path.join(secrets, 'key'), 'real-0123456789',
				{ mode: 0o600 });
			if (isRoot)
				for (const name of [place.state, secrets,
					path.join(secrets, 'key')])
					fs.chownSync(name, user.uid, user.gid);
			fs.writeFileSync(path.join(place.dir, 'p.json'), JSON.stringify({
				policy: 1, workflow: 'w', tenant: 'a', actor: 'b', stage: 5,
				defaults: { by_risk: { external_write: 'allow' } }, tools: {},
				secrets: { KEY: { from: 'file:key', env: 'KEY',
					inject: { header: 'authorization',
						format: 'Bearer {}' } } },
				egress: { rules: [
					{ host: 'api.test', port: tls, proto: 'https', ca,
						addrs: ['127.0.0.1/32'], methods: ['GET'],
						paths: ['/in/**'], secrets: ['KEY'] },
					{ host: 'free.test', port: plain, proto: 'http',
						addrs: ['127.0.0.1/32'] },
				] } }));
			// By the settings for proxies, and as if there were none.
			const r = await place.command(['run', 'p.json', '--state',
				place.state, '--env', place.mark, '--', 'sh', '-c',
				`ask() { curl -sS -m 20 "$@"; echo " $?"; }
				for how in '' '--noproxy *'; do set -f
				ask $how https://api.test:${tls}/in/1
				ask $how -X DELETE https://api.test:${tls}/in/1
				ask $how http://free.test:${plain}/2
				ask $how http://other.test:${plain}/3
				ask $how http://127.0.0.1:${plain}/4; done; echo $KEY`],
			{ ...options(place), env: { ...options(place).env,
				PADDOCK_RESOLVER: `127.0.0.1:${dns}` } }).end();

			closeAll();
			assert.deepStrictEqual(seen, Array(2).fill([
				'api.test GET /in/1 Bearer real-0123456789',
				'free.test GET /2 undefined']).flat(), r.out + r.err);
			assert.strictEqual(r.out.match(/answer to \/in\/1\n 0/g)?.length,
				2, r.out + r.err);
			assert.doesNotMatch(r.out, /real-/);
			assert.match(r.out, /^pdk_\w+$/m);
			verified(await place.cli(['trace', 'verify', '--json'],
				options(place)));
			await place.nothingLeft([]);
		});

	test('a daemon serves, and a killed role leaves nothing', async () => {
		const place = home();
		const serve = place.command(['serve', '--state', place.state],
			options(place));

		await serve.says(/serving on/);
		const c = place.command(['run', 'policy.json', '--state',
			place.state, '--env', place.mark, '--', '/bin/sleep', '600'],
		options(place));

		await c.says(/run (r-\w+)/);
		const pid = await until(() => place.processes().find(
			(p) => p.role === 'broker'), 'the broker');

		process.kill(pid.pid, 'SIGKILL');
		const end = await c.end();

		assert.strictEqual(end.status, 1, end.err);
		serve.child.kill('SIGTERM');
		assert.strictEqual((await serve.end()).status, 0);
		verified(await place.cli(['trace', 'verify', '--json'],
			options(place)));
		await place.nothingLeft([]);
	});
});
