// What people run inside: interpreters, a version control system, a compiler
// and make, as root and without, by the short path, under a policy and in a
// sandbox that stays.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { Daemon, Place, isRoot, policy } from './lib/paddock.js';

const users = isRoot
	? [{ name: 'root' }, { name: 'rootless', uid: 65534, gid: 65534 }]
	: [{ name: 'rootless' }];
const has = (name) => spawnSync('sh', ['-c', `command -v ${name}`])
	.status === 0;

const jobs = [
	['python3', ['python3'], `
cat >t.py <<'P'
import json, os, socket, sqlite3, subprocess, tempfile, threading, unittest
class T(unittest.TestCase):
    def test_files(self):
        with tempfile.TemporaryDirectory() as d:
            c = sqlite3.connect(os.path.join(d, 'x.db'))
            c.execute('create table t (n)')
            c.executemany('insert into t values (?)', [(i,) for i in range(500)])
            c.commit()
            self.assertEqual(c.execute('select sum(n) from t').fetchone()[0], 124750)
    def test_processes(self):
        self.assertEqual(subprocess.check_output(['sh', '-c', 'echo $((6*7))']), b'42\\n')
    @unittest.skipIf('ALONE' in os.environ, 'exec has no network at all')
    def test_threads_and_the_loopback(self):
        s = socket.create_server(('127.0.0.1', 0))
        t = threading.Thread(target=lambda: s.accept()[0].sendall(b'hi'))
        t.start()
        c = socket.create_connection(s.getsockname())
        self.assertEqual(c.recv(9), b'hi')
        t.join()
unittest.main(verbosity=0)
P
python3 -m venv --without-pip v && v/bin/python t.py 2>&1 | tail -n 1 |
cut -c 1-2`, 'OK'],
	['node', ['node'], `
cat >m.mjs <<'J'
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { Worker } from 'node:worker_threads';
fs.writeFileSync('f.txt', 'text');
async function served() {
	const s = http.createServer((q, a) => a.end(fs.readFileSync('f.txt')));
	await new Promise((done) => s.listen(0, '127.0.0.1', done));
	const a = await fetch('http://127.0.0.1:' + s.address().port);
	s.close();
	return a.text();
}
const text = process.env.ALONE ? 'text' : await served();
const n = await new Promise((done) => new Worker(
	'require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true })
	.on('message', done));
console.log(text, n, execFileSync('echo', ['child']).toString().trim());
J
node m.mjs`, 'text 42 child'],
	['git', ['git'], `
export HOME=$PWD/h; mkdir h
git config --global user.email a@example.com
git config --global user.name a
git init -q --bare up.git
git clone -q up.git one 2>/dev/null; cd one
for i in 1 2 3; do echo $i >f$i; git add f$i; git commit -qm $i; done
git checkout -qb side HEAD~1; echo s >s; git add s; git commit -qm s
git checkout -q -; git merge -q -m m side; git push -q origin HEAD
cd ..; git clone -q up.git two; cd two; git gc -q; git fsck --no-progress
git log --oneline | wc -l`, '5'],
	['gcc and make', ['gcc', 'make'], `
cat >add.c <<'C'
#include "add.h"
int add(int a, int b) { return a + b; }
C
printf 'int add(int a, int b);\\n' >add.h
cat >main.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include "add.h"
static void *f(void *p) { *(int *)p = add(40, 2); return 0; }
int main(void) {
	int n = 0; pthread_t t;
	if (pthread_create(&t, 0, f, &n) != 0 || pthread_join(t, 0) != 0) return 1;
	printf("built %d\\n", n);
	return 0;
}
C
printf 'app: main.o libadd.a\\n\\tgcc -pthread -o $@ main.o -L. -ladd\\n' >Makefile
printf 'libadd.a: add.o\\n\\tar rcs $@ add.o\\n' >>Makefile
printf '%%.o: %%.c add.h\\n\\tgcc -O2 -g -c -o $@ $<\\n' >>Makefile
make -s -j4; ./app; make -q app && echo done`, 'built 42\ndone'],
	// No copies, as mv would make them: package managers rely on it.
	['moves and links from folder to folder', ['python3'], `
python3 - <<'P'
import os
for top in ('.', '/tmp'):
    os.chdir(top)
    for d in ('a', 'b', 'a/tree'): os.mkdir(d)
    for f in ('a/f', 'a/tree/x'): open(f, 'w').write(f)
    n = os.stat('a/f').st_ino
    os.link('a/f', 'b/g'); os.rename('a/f', 'b/f'); os.rename('a/tree', 'b/tree')
    assert os.stat('b/f').st_ino == n == os.stat('b/g').st_ino
    assert open('b/tree/x').read() == 'a/tree/x' and os.listdir('a') == []
print('moved')
P`, 'moved'],
];

function home(user) {
	const place = new Place();

	fs.chmodSync(place.dir, 0o755);
	place.work = path.join(place.dir, 'work');
	fs.mkdirSync(place.work);
	if (user.uid !== undefined)
		for (const dir of [place.dir, place.work])
			fs.chownSync(dir, user.uid, user.gid);
	fs.writeFileSync(path.join(place.dir, 'policy.json'), JSON.stringify(
		policy({ sandbox: { memory_mb: 1024, pids: 256 } })));
	return place;
}

for (const user of users) {
	describe(`as ${user.name}`, () => {
		const options = (place) => ({ uid: user.uid, gid: user.gid, input: '',
			cwd: place.work, env: { PATH: process.env.PATH,
				HOME: place.dir,
				ASAN_OPTIONS: process.env.ASAN_OPTIONS } });

		for (const [name, needs, script, said] of jobs) {
			const skip = needs.every(has) ? false : `no ${needs.join(', ')}`;

			test(`${name}: alone`, { skip }, async () => {
				const place = home(user);
				const r = await place.command(['exec', '--memory', '1024',
					'--env', 'ALONE=1', '--', 'sh', '-ec', script],
				options(place)).end(90000);

				assert.strictEqual(r.status, 0, r.out + r.err);
				assert.strictEqual(r.out.trim(), said, r.err);
				assert.deepStrictEqual(fs.readdirSync(place.work), []);
				await place.nothingLeft([]);
			});

			test(`${name}: under a policy`, { skip }, async () => {
				const place = home(user);
				const r = await place.command(['run', '../policy.json',
					'--state', place.state, '--', 'sh', '-ec', script],
				options(place)).end(90000);

				assert.strictEqual(r.status, 0, r.out + r.err);
				assert.strictEqual(r.out.trim(), said, r.err);
				assert.deepStrictEqual(fs.readdirSync(place.work), []);
				await place.nothingLeft([]);
			});
		}
	});
}

test('each of them in one sandbox that stays', async () => {
	const d = await Daemon.start();
	const { run } = await d.post('/v1/sandboxes',
		{ memory_mb: 1024, pids: 256 });

	for (const [name, needs, script, said] of jobs) {
		if (!needs.every(has))
			continue;
		const r = await d.place.command(['exec', '--in', run, '--state',
			d.state, '--', 'sh', '-ec', `mkdir '${name}'; cd '${name}'\n` +
			script], { input: '' }).end(90000);

		assert.strictEqual(r.status, 0, `${name}: ${r.out}${r.err}`);
		assert.strictEqual(r.out.trim(), said, r.err);
	}
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});
