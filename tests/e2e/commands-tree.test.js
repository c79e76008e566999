// sandbox.commands, for what a command starts itself: every way in which a
// program can be executed, and that nothing else has changed for what may be.
import assert from 'node:assert';
import fs from 'node:fs';
import { after, before, test } from 'node:test';

import { Daemon, policy, until } from './lib/paddock.js';

let d;

before(async () => { d = await Daemon.start(); });
after(async () => {
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

async function make(commands) {
	const r = await d.post('/v1/sandboxes',
		{ policy: policy(commands ? { sandbox: { commands } } : {}) });

	return { run: r.run, ask: (argv, more = {}) => d.ask('POST',
		`/v1/sandboxes/${r.run}/exec`, { argv, ...more }) };
}

async function says(s, argv, more) {
	const a = await s.ask(argv, more);

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	return a.body;
}

// Each makes `id` run, by a way of its own, and prints what it says.
const ran = /uid=|no such user/;
const ways = {
	'a shell': ['sh', '-c', 'id; echo end'],
	'exec of a shell': ['sh', '-c', 'exec id'],
	'a program that starts others': ['env', 'id'],
	'another of them': ['sh', '-c', 'echo | xargs id'],
	'a copy': ['sh', '-c', 'cp /usr/bin/id a; ./a'],
	'a link': ['sh', '-c', 'ln -s /usr/bin/id b; ./b'],
	'a hard link to a copy': ['sh', '-c',
		'cp /usr/bin/id c; ln c d; rm c; ./d'],
	'a script': ['sh', '-c',
		'printf "#!/usr/bin/id\\n" >e; chmod +x e; ./e'],
	'the loader': ['sh', '-c',
		'for l in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1;'
		+ ' do [ -e $l ] && $l /usr/bin/id; done; echo end'],
	'a copy of the loader': ['sh', '-c',
		'cp -L /lib64/ld-linux-x86-64.so.2 f; ./f /usr/bin/id; echo end'],
	'a file that has no name': ['python3', '-c', `
import os
fd = os.memfd_create('x')
os.write(fd, open('/usr/bin/id', 'rb').read())
os.execve(fd, ['x'], os.environ)`],
	'a file that was removed': ['python3', '-c', `
import os, shutil
shutil.copy('/usr/bin/id', 'g')
fd = os.open('g', os.O_RDONLY)
os.remove('g')
os.execve(fd, ['x'], os.environ)`],
	vfork: ['python3', '-c', `
import os
os.waitpid(os.posix_spawn('/usr/bin/id', ['id'], os.environ), 0)`],
	'a thread': ['python3', '-c', `
import os, threading
t = threading.Thread(target=lambda: os.execv('/usr/bin/id', ['id']))
t.start()
t.join()`],
	'a session of its own': ['sh', '-c',
		'setsid sh -c "setsid id >out 2>&1 &"; sleep 0.3; cat out'],
	'an orphan': ['python3', '-c', `
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.1)
        os.execv('/usr/bin/id', ['id'])
    os._exit(0)
os.wait()
time.sleep(0.4)`],
	'who ignores signals': ['python3', '-c', `
import os, signal
for s in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv('/usr/bin/id', ['id'])`],
	'another name': ['python3', '-c', `
import os
os.execv('/usr/bin/id', ['true'])`],
	'node': ['node', '-e', `
require('child_process').spawnSync('id', { stdio: 'inherit' })`],
};

for (const lists of [{ block: ['id'] }, { allow: ['sh', 'env', 'xargs', 'cp',
	'ln', 'rm', 'chmod', 'python3', 'setsid', 'sleep', 'cat', 'node', 'true',
	'ls', 'seq'] }]) {
	const name = Object.keys(lists)[0];

	test(`a program that ${name} is against is executed in no way`,
		async () => {
			const s = await make(lists);
			let denied = 0;

			for (const [way, argv] of Object.entries(ways)) {
				const a = await s.ask(argv);

				assert.doesNotMatch(JSON.stringify(a.body), ran, way);
				denied++;
			}
			await until(async () => (await d.trace(s.run)).filter((e) =>
				e.kind === 'sandbox.denied' &&
				e.body.wall === 'commands').length >= denied - 2,
			'the refusals on the record');
			const told = (await d.trace(s.run)).filter((e) =>
				e.kind === 'sandbox.denied');

			assert.ok(told.some((e) => e.body.call === 'execve' &&
				/sandbox\.commands/.test(e.body.about) &&
				e.body.comm === 'id'), JSON.stringify(told[0]));
			await d.post(`/v1/runs/${s.run}/stop`, {});
		});
}

test('without a list each of these ways executes it', async () => {
	const s = await make();

	for (const [way, argv] of Object.entries(ways)) {
		const a = await s.ask(argv);

		assert.match(`${a.body.stdout}${a.body.stderr}`, ran,
			`${way}: ${JSON.stringify(a.body)}`);
	}
});

test('nobody inside traces, and nobody leaves', async () => {
	const s = await make({ block: ['id'] });
	const a = await says(s, ['python3', '-c', `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    r = libc.syscall(*args)
    return -ctypes.get_errno() if r < 0 else r
machine = os.uname().machine
ptrace, clone = (101, 56) if machine == 'x86_64' else (117, 220)
print(call(ptrace, 0, 0, 0, 0), call(ptrace, 16, os.getppid(), 0, 0))
r = call(clone, 0x00800000 | 17, 0, 0, 0, 0)
if r == 0:
    os.execv('/usr/bin/id', ['id'])
print(r)
r = call(clone, 0x00008000 | 17, 0, 0, 0, 0) # another parent, as a control
if r == 0:
    os._exit(0)
print(r > 0)
`]);

	assert.deepStrictEqual(a.stdout.trim().split('\n'),
		['-1 -1', '-1', 'True'], a.stderr);
});

test('who starts the commands can be ended, and then all is over',
	async () => {
		const s = await make({ block: ['id'] });
		const a = await s.ask(['sh', '-c', `
for p in /proc/[0-9]*; do
	case $(cat $p/comm) in paddock*) kill -9 \${p#/proc/};; esac
done; sleep 0.2; exec 3<&-; echo still`]);

		// The next command does not start outside of what is judged.
		const b = await s.ask(['sh', '-c', 'exec id']);

		assert.doesNotMatch(JSON.stringify([a.body, b.body]), /uid=/);
	});

test('jobs stop and go on, signals and ends are what they were', async () => {
	const s = await make({ block: ['id'] });
	const a = await says(s, ['python3', '-c', `
import os, signal, subprocess, time
def state(pid):
    return open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0]
def until(f):
    end = time.time() + 10
    while not f():
        assert time.time() < end, (f, state(p.pid))
        time.sleep(0.005)
# Stopped by another process, and waited for by its parent.
p = subprocess.Popen(['sh', '-c', 'while :; do sleep 0.01; echo x; done'],
    stdout=subprocess.PIPE, start_new_session=True)
assert p.stdout.readline()
for _ in range(20):
    os.kill(p.pid, signal.SIGSTOP)
    got, status = os.waitpid(p.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP
    until(lambda: state(p.pid) in 'tT')
    os.kill(p.pid, signal.SIGCONT)
    got, status = os.waitpid(p.pid, os.WCONTINUED)
    assert os.WIFCONTINUED(status)
    until(lambda: state(p.pid) in 'SR')
os.kill(p.pid, signal.SIGSTOP)
os.waitpid(p.pid, os.WUNTRACED)
os.killpg(p.pid, signal.SIGKILL) # also while it is stopped
assert p.wait() == -9
# Ends.
assert subprocess.call(['sh', '-c', 'exit 7']) == 7
assert subprocess.call(['sh', '-c', 'kill -TERM $$']) == -15
assert subprocess.call(['timeout', '0.2', 'sleep', '5']) == 124
assert subprocess.call('yes | head -1 >/dev/null', shell=True) == 0
# A handler, a blocked signal, one for itself.
hits = []
signal.signal(signal.SIGUSR1, lambda *a: hits.append(1))
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
assert len(hits) == 50
signal.signal(signal.SIGTRAP, lambda *a: hits.append(2))
os.kill(os.getpid(), signal.SIGTRAP)
assert hits[-1] == 2
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, lambda *a: hits.append(3))
time.sleep(0.2)
assert hits[-1] == 3
print('fine')
`]);

	assert.strictEqual(a.stdout, 'fine\n', a.stderr);
});

test('a shell at a terminal has its jobs', async () => {
	const s = await make({ block: ['id'] });
	const a = await says(s, ['python3', '-c', `
import os, pty, select, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp('bash', ['bash', '--norc', '-i'])
seen = b''
def until(text):
    global seen
    end = time.time() + 10
    while text not in seen:
        assert time.time() < end, seen
        if select.select([fd], [], [], 0.1)[0]:
            seen += os.read(fd, 4096)
def say(text):
    global seen
    seen = b''
    os.write(fd, text)
def front(is_shell):
    end = time.time() + 10
    while (os.tcgetpgrp(fd) == pid) != is_shell:
        assert time.time() < end, seen
        time.sleep(0.01)
until(b'$ ')
say(b'PS1=ready; sleep 100\\n'); front(False)
say(b'\\x1a'); until(b'Stopped')
say(b'jobs\\n'); until(b'sleep 100')
say(b'fg\\n'); until(b'sleep 100'); front(False)
say(b'\\x03'); front(True)
say(b'sleep 50 & echo $((40 + 2))\\n'); until(b'42')
say(b'kill %1; wait; echo all$((1 + 1))\\n'); until(b'all2')
say(b'exit 3\\n')
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`]);

	assert.strictEqual(a.stdout, '3\n', a.stderr);
});

test('a thousand short processes come and go', async () => {
	const s = await make({ block: ['id'] });
	const a = await says(s, ['sh', '-c',
		'seq 1000 | xargs -P 8 -n 1 /usr/bin/true; echo $?;'
		+ ' for i in $(seq 100); do (:) & done; wait; echo done']);

	assert.strictEqual(a.stdout, '0\ndone\n', a.stderr);
	const left = await says(s, ['python3', '-c', `
import os
for p in filter(str.isdigit, os.listdir('/proc')):
    s = open(f'/proc/{p}/stat').read()
    name, state = s[s.index('(') + 1:s.rindex(')')], s.rsplit(')', 1)[1].split()[0]
    if not name.startswith('paddock'):
        print(name, state)
`]);

	assert.match(left.stdout, /^python3\S* R\n$/);
});

test('programs that people use work under a list', async () => {
	const s = await make({ block: ['id'] });
	const a = await says(s, ['sh', '-ec', `
git init -q r; cd r; git config user.email a@b; git config user.name a
echo x >f; git add f; git commit -qm one; git log --oneline | wc -l
node -e 'console.log(require("child_process").execSync("echo n").toString().trim())'
python3 -c 'import subprocess; print(subprocess.check_output(["echo", "p"], text=True).strip())'
`]);

	assert.strictEqual(a.stdout, '1\nn\np\n', a.stderr);
	if (fs.existsSync('/usr/bin/gcc')) {
		const b = await says(s, ['sh', '-ec', `
printf '#include <stdio.h>\\nint main(void){puts("c");}\\n' >m.c
gcc -o m m.c; ./m`]);

		assert.strictEqual(b.stdout, 'c\n', b.stderr);
	}
});

test('the wall is on the record, and only where there is a list', async () => {
	for (const [commands, there] of [[{ block: ['id'] }, 1], [undefined, 0]]) {
		const s = await make(commands);
		const { posture } = await d.get(`/v1/runs/${s.run}`);

		assert.strictEqual(posture >> 26 & 1, there);
	}
});
