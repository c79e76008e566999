// Snapshots of open runs, and forks: what they share, and what they must not.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test as tried } from 'node:test';

import { Command, Daemon, isRoot, policy, scratch, until } from './lib/paddock.js';

// An ordinary user's group of processes can seldom be frozen.
const test = (name, fn) => tried(name, { skip: isRoot ? false
	: 'needs a group of processes that can be frozen' }, fn);

let nFolders = 0;

// A work folder, of a user's own where there are users.
function folder(files) {
	const dir = path.join(scratch, `work${++nFolders}`);

	fs.mkdirSync(dir);
	for (const [name, text] of Object.entries(files)) {
		fs.mkdirSync(path.dirname(path.join(dir, name)),
			{ recursive: true });
		fs.writeFileSync(path.join(dir, name), text);
	}
	if (isRoot)
		assert.strictEqual(spawnSync('chown', ['-R', '1234:1234', dir])
			.status, 0);
	return dir;
}

async function make(d, dir) {
	const r = await d.place.cli(['sandbox', 'create',
		...dir ? ['--dir', dir] : []]);

	assert.strictEqual(r.status, 0, r.err);
	return r.out.trim();
}

function inside(d, run, script) {
	return new Command(['exec', '--in', run, '--state', d.state, '--',
		'sh', '-c', script], { program: d.place.paddock, input: '' })
		.end();
}

async function says(d, run, script) {
	const r = await inside(d, run, script);

	assert.strictEqual(r.status, 0, r.err);
	return r.out;
}

async function snapshot(d, run) {
	const r = await d.place.cli(['snapshot', run, '--json']);

	assert.strictEqual(r.status, 0, r.err);
	return JSON.parse(r.out);
}

// `paddock fork`: --state must stand before the command.
function forkRun(d, run, more, argv = []) {
	return new Command(['fork', run, '--state', d.state, ...more,
		...argv.length > 0 ? ['--', ...argv] : []],
	{ program: d.place.paddock, input: '' }).end();
}

async function fork(d, run, ...more) {
	const r = await forkRun(d, run, more);

	assert.strictEqual(r.status, 0, r.err);
	return r.out.trim();
}

async function events(d, run, kind) {
	const { events: all } = await d.get(`/v1/runs/${run}/events`);

	return all.filter((e) => e.kind === kind);
}

test('a fork begins on the files of a snapshot, and keeps to itself', async () => {
	const d = await Daemon.start();
	const dir = folder({ 'a.txt': 'base\n', 'd/x': 'x\n', 'gone': 'g\n' });
	const run = await make(d, dir);

	await says(d, run, 'echo changed >a.txt; rm -r d gone; mkdir d n;' +
		' echo y >d/y; echo new >n/f; ln n/f n/g; ln -s /etc/passwd n/l;' +
		' mkfifo n/p; mv n m');
	const s = await snapshot(d, run);

	assert.strictEqual(s.run, run);
	assert.strictEqual(s.left_out, 1, 'the pipe');
	await says(d, run, 'echo later >a.txt; touch later');

	const one = await fork(d, run, '--snapshot', s.snapshot);
	const two = await fork(d, run, '--snapshot', s.snapshot);
	const seen = 'cat a.txt; find . | LC_ALL=C sort; readlink m/l; cat m/g';
	const want = 'changed\n.\n./a.txt\n./d\n./d/y\n./m\n./m/f\n./m/g\n' +
		'./m/l\n/etc/passwd\nnew\n';

	assert.strictEqual(await says(d, one, seen), want);
	assert.strictEqual(await says(d, two, seen), want);
	await says(d, one, 'echo one >a.txt; echo one >m/f; rm d/y; touch one');
	assert.strictEqual(await says(d, two, seen), want);
	assert.strictEqual(await says(d, run, 'cat a.txt; ls m'),
		'later\nf\ng\nl\np\n');
	assert.strictEqual(fs.readFileSync(path.join(dir, 'a.txt'), 'utf8'),
		'base\n');

	const [opened] = await events(d, one, 'fork.opened');

	assert.strictEqual(opened.body.parent, run);
	assert.strictEqual(opened.body.snapshot, s.snapshot);
	const v = await d.place.cli(['trace', 'verify']);

	assert.strictEqual(v.status, 0, v.out + v.err);
	await d.stop();
});

test('a fork of a fork has all that lies below it', async () => {
	const d = await Daemon.start();
	const run = await make(d);

	await says(d, run, 'echo 1 >one; echo 1 >all');
	const f = await fork(d, run);

	await says(d, f, 'echo 2 >two; echo 2 >all');
	const g = await fork(d, f);

	assert.strictEqual(await says(d, g, 'cat one two all'), '1\n2\n2\n');
	await says(d, g, 'rm one; echo 3 >all');
	const h = await fork(d, g);

	assert.strictEqual(await says(d, h, 'ls; cat all'), 'all\ntwo\n3\n');
	assert.strictEqual(await says(d, f, 'ls; cat all'),
		'all\none\ntwo\n2\n');
	await d.stop();
});

test('a fork runs a command as paddock run does, several at once', async () => {
	const d = await Daemon.start();
	const run = await make(d);

	await says(d, run, 'echo hello >f');
	const r = await forkRun(d, run, ['-n', '3', '--quiet'],
		['sh', '-c', 'cat f; exit 3']);

	assert.strictEqual(r.status, 3, r.err);
	assert.strictEqual(r.out, 'hello\nhello\nhello\n');
	await d.stop();
});

test('a snapshot that was changed on the disk is refused, with the place', async () => {
	const ways = {
		'a byte of a file': (l) => fs.writeFileSync(`${l}/d/f`, 'evil'),
		'a file more': (l) => fs.writeFileSync(`${l}/d/evil`, ''),
		'a file less': (l) => fs.rmSync(`${l}/d/f`),
		'a set-user-id bit': (l) => fs.chmodSync(`${l}/d/f`, 0o4755),
		'a link in place of a file': (l) => {
			fs.rmSync(`${l}/d/f`);
			fs.symlinkSync('/etc/shadow', `${l}/d/f`);
		},
		'a pipe': (l) => spawnSync('mkfifo', [`${l}/d/evil`]),
		...isRoot && {
			'a device': (l) => spawnSync('mknod',
				[`${l}/d/evil`, 'c', '1', '1']),
			'a way out of the folder': (l) => spawnSync('setfattr',
				['-n', 'trusted.overlay.redirect', '-v',
					'/../../etc', `${l}/d`]),
			'a capability': (l) => spawnSync('setcap',
				['cap_sys_admin+ep', `${l}/d/f`]),
		},
	};
	const d = await Daemon.start();

	for (const [what, tamper] of Object.entries(ways)) {
		const run = await make(d);

		await says(d, run, 'mkdir d; echo good >d/f');
		const s = await snapshot(d, run);
		const layer = path.join(d.state, 'snapshots', s.snapshot, 'layer');
		const before = spawnSync('find', [layer, '-printf',
			'%p %m %s %y\n']).stdout.toString();

		const done = tamper(layer);

		if (done?.error !== undefined || done?.status > 0)
			continue; // the tool is not there to tamper with
		const r = await forkRun(d, run, ['--snapshot', s.snapshot]);

		assert.strictEqual(r.status, 1, `${what}: ${r.out} ${before}`);
		assert.match(r.err, /d(\/|")/, what);
		await d.ask('DELETE', `/v1/sandboxes/${run}`);
	}
	await d.stop();
});

test('the record of a snapshot is held against what is kept of it', async () => {
	let d = await Daemon.start();
	const run = await make(d);

	await says(d, run, 'echo good >f');
	const s = await snapshot(d, run);

	await d.stop();
	// Somebody who can write to the store gives the fork other labels.
	const changed = spawnSync('python3', ['-c',
		'import sqlite3,sys\n' +
		'c=sqlite3.connect(sys.argv[1])\n' +
		'b=c.execute("select body from snapshot").fetchone()[0]\n' +
		'b=bytes(b).replace(b\'"labels":[]\',b\'"labels":["x"]\')\n' +
		'c.execute("update snapshot set body=?",(b,))\n' +
		'c.commit()\n',
		path.join(d.state, 'store', fs.readdirSync(
			path.join(d.state, 'store')).find((n) =>
			n.endsWith('.db')))]);

	assert.strictEqual(changed.status, 0, changed.stderr.toString());
	d = await Daemon.start({ place: d.place });
	const r = await forkRun(d, run, ['--snapshot', s.snapshot]);

	assert.strictEqual(r.status, 1);
	assert.match(r.err, /not what its record says/);
	await d.stop();
});

test('a snapshot under load is of one moment', async () => {
	const d = await Daemon.start();
	const run = await make(d);
	// Writes two files one after the other, and a third through a mapping.
	const writer = new Command(['exec', '--in', run, '--state', d.state,
		'--', 'python3', '-c', `
import mmap
a = open('a', 'w+b'); b = open('b', 'w+b'); m = open('m', 'w+b')
m.truncate(4096)
m = mmap.mmap(m.fileno(), 4096)
print('ready', flush=True)
n = 0
while True:
    n += 1
    t = b'%08d' % n
    a.seek(0); a.write(t); a.flush()
    b.seek(0); b.write(t); b.flush()
    m[0:8] = t
`], { program: d.place.paddock });

	await writer.says(/ready/);
	for (let i = 0; i < 5; i++) {
		const s = await snapshot(d, run);
		const f = await fork(d, run, '--snapshot', s.snapshot);
		const out = await says(d, f, 'cat a; echo; cat b; echo;' +
			' head -c 8 m');
		const [a, b, m] = out.split('\n').map(Number);

		// It stands still between two writes, so they are one apart.
		assert.ok(a - b === 0 || a - b === 1, out);
		assert.ok(b - m === 0 || b - m === 1, out);
	}
	writer.child.kill('SIGKILL');
	await d.ask('DELETE', `/v1/sandboxes/${run}`);
	await d.stop();
});

test('a fork goes on with what its parent had used, and no approval', async () => {
	const d = await Daemon.start();
	const p = policy({ budgets: { max_tool_calls: 2, max_runtime_ms: 600000 },
		tools: { 'files.export': { risk: 'external_write',
			mode: 'approve' } } });
	const { run } = await d.post('/v1/sandboxes', { policy: p });
	const call = (id, tool, args) => d.ask('POST',
		`/v1/runs/${id}/calls`, { name: tool, arguments: args });

	await says(d, run, 'echo x >f');
	const waiting = (of) => until(async () => (await d.get(
		'/v1/approvals?state=pending')).approvals
		.find((a) => a.run === of), `a question of ${of}`);
	const asked = call(run, 'files.export', { paths: ['f'] });
	const { approval } = await waiting(run);
	const s = await d.post(`/v1/runs/${run}/snapshots`);

	assert.strictEqual(s.used.max_tool_calls, 1);
	const f = await d.post('/v1/sandboxes', { fork: { run } });

	assert.strictEqual(f.tool_calls, 1);
	// The parent's call is let through: the fork's own is asked about anew.
	assert.strictEqual((await d.decide(approval, 'approve')).status, 200);
	assert.strictEqual((await asked).status, 200);
	const again = call(f.run, 'files.export', { paths: ['f'] });
	const own = await waiting(f.run);

	assert.notStrictEqual(own.approval, approval);
	// Nor can the fork use the parent's by its name.
	const stolen = await call(f.run, 'approval.wait',
		{ approval_id: approval });

	assert.notStrictEqual(stolen.status, 200, JSON.stringify(stolen.body));
	assert.strictEqual((await d.decide(own.approval, 'reject')).status, 200);
	assert.strictEqual((await again).status, 403);
	// Two calls in all, the parent's among them: the next is too many.
	const over = await call(f.run, 'files.export', { paths: ['f'] });

	assert.match(JSON.stringify(over.body), /tool_call_budget_exceeded/);
	await d.stop();
});

test('what a fork is given counts; what cannot be is refused', async () => {
	const d = await Daemon.start();
	const run = await make(d);

	await says(d, run, 'echo x >f');
	const s = await snapshot(d, run);
	const f = await d.post('/v1/sandboxes', { fork: { run,
		set: { 'budgets.max_tool_calls': 7, stage: 2 } } });
	const refused = [
		[{ fork: { run: 'r-000000000000' } }, 404],
		[{ fork: { run, snapshot: 's-000000000000' } }, 404],
		[{ fork: { run, at: 0, snapshot: s.snapshot } }, 400],
		[{ fork: { run, inject: {} } }, 400],
		[{ fork: { run, set: { '$.steps[1].res': 1 } } }, 400],
		[{ fork: { run, set: { stage: 9 } } }, 400],
		[{ fork: { run, faults: [{ kind: 'nonsense' }] } }, 400],
		[{ fork: { run }, mounts: [] }, 400],
		[{ fork: { run }, write_back: true }, 400],
		[{ fork: { run }, memory_mb: 64 }, 400],
		[{ fork: { run }, policy: policy() }, 409], // another tenant
	];

	assert.strictEqual(f.stage, 2);
	for (const [body, status] of refused) {
		const r = await d.ask('POST', '/v1/sandboxes', body);

		assert.strictEqual(r.status, status, JSON.stringify([body, r.body]));
		assert.ok(r.body.error.suggested_next_step.length > 0);
	}
	for (const more of [['--model', 'm'], ['--set', '$.steps[1].res=1'],
		['--at', 'x'], ['-n', '0'], ['--fault', '[]']]) {
		const r = await forkRun(d, run, more);

		assert.strictEqual(r.status, 2, r.err);
	}
	// What is wrong is named, and not only that something is.
	for (const [more, says_] of [[['--set', 'nonsense=1'], /nonsense/],
		[['--prompt', '@/nowhere'], /prompt.*\/nowhere/]]) {
		const r = await forkRun(d, run, more);

		assert.notStrictEqual(r.status, 0);
		assert.match(r.err, says_);
	}
	await d.stop();
});

test('many forks of one command are checked together, and fail together',
	async () => {
		const d = await Daemon.start();
		const run = await make(d, folder({ a: 'one' }));

		await says(d, run, 'echo kept >b; rm a; mkdir sub; ln -s b sub/l');
		const s = await snapshot(d, run);
		const names = (await fork(d, run, '--snapshot', s.snapshot,
			'-n', '40')).split('\n');

		assert.strictEqual(new Set(names).size, 40);
		await says(d, names[7], 'echo mine >b');
		for (const name of [names[0], names[39]])
			assert.strictEqual(await says(d, name, 'cat b; ls'),
				'kept\nb\nsub\n');
		assert.strictEqual((await events(d, names[39], 'fork.opened'))[0].body
			.snapshot, s.snapshot);
		// The stepper knows the files by the list on record.
		const r = await new Command(['replay', run, '--state', d.state],
			{ program: d.place.paddock, input: 'f\nq\n' }).end();

		assert.strictEqual(r.status, 0, r.err);
		assert.match(r.out, /files changed by step 0 \(snapshot s-/);
		assert.match(r.out, / 5 {2}b\n/);
		assert.match(r.out, / a {2}\(removed\)\n/);
		assert.match(r.out, / sub\/l -> b\n/);

		fs.writeFileSync(path.join(d.state, 'snapshots', s.snapshot, 'layer',
			'b'), 'kepT\n');
		const bad = await forkRun(d, run,
			['--snapshot', s.snapshot, '-n', '5']);

		assert.strictEqual(bad.status, 1);
		assert.strictEqual(bad.out, '');
		assert.match(bad.err, /the snapshot was changed.*"b"/);
		await d.stop();
	});

test('paddock diff knows what a fork has in common', async () => {
	const d = await Daemon.start();
	const p = policy({ tools: { 'files.export': { risk: 'draft' } } });
	const { run } = await d.post('/v1/sandboxes', { policy: p });
	const call = (id, name) => d.ask('POST', `/v1/runs/${id}/calls`,
		{ name: 'files.export', arguments: { paths: [name] } });

	await says(d, run, 'touch a b');
	await call(run, 'a');
	await d.post(`/v1/runs/${run}/snapshots`);
	await call(run, 'b');
	const f = await d.post('/v1/sandboxes', { fork: { run } });

	await call(f.run, 'b');
	for (const id of [run, f.run])
		await d.ask('DELETE', `/v1/sandboxes/${id}`);
	await d.closed(run);
	await d.closed(f.run);
	const r = await d.place.cli(['diff', run, f.run, '--json']);
	const all = JSON.parse(r.out);

	assert.deepStrictEqual(all.b_fork, { at: 1, parent: run });
	assert.deepStrictEqual(all.differences.filter((x) =>
		x.step !== undefined || x.what === 'asked'), [],
	JSON.stringify(all));
	const text = await d.place.cli(['diff', run, f.run]);

	assert.match(text.out, /B is a fork of r-\S+ at step 1/);
	await d.stop();
});

test('another folder, or one of a stranger, is no fork of it', async () => {
	const d = await Daemon.start();
	const dir = folder({ a: 'a' });
	const run = await make(d, dir);

	await says(d, run, 'echo b >a');
	await snapshot(d, run);
	// Over HTTP there is no folder to hand over.
	const r = await d.ask('POST', '/v1/sandboxes', { fork: { run } });

	assert.strictEqual(r.status, 400);
	fs.renameSync(dir, `${dir}.old`);
	fs.mkdirSync(dir);
	const other = await forkRun(d, run, ['--at', '0']);

	assert.strictEqual(other.status, 1);
	assert.match(other.err, /not the folder that the parent worked on/);
	await d.stop();
});

test('snapshots outlive the run and the daemon, and go when nobody needs them', async () => {
	let d = await Daemon.start();
	const run = await make(d);

	await says(d, run, 'echo kept >f');
	const s = await snapshot(d, run);
	const dir = path.join(d.state, 'snapshots');

	await d.ask('DELETE', `/v1/sandboxes/${run}`);
	await d.stop();
	// What a crash leaves.
	fs.mkdirSync(path.join(dir, '.new-s-000000000000', 'layer'),
		{ recursive: true });
	fs.mkdirSync(path.join(dir, 's-111111111111', 'layer'),
		{ recursive: true });
	d = await Daemon.start({ place: d.place });
	const f = await fork(d, run);

	assert.strictEqual(await says(d, f, 'cat f'), 'kept\n');
	assert.deepStrictEqual(fs.readdirSync(dir), [s.snapshot]);
	const used = await d.place.cli(['snapshot', 'rm', run, s.snapshot]);

	assert.strictEqual(used.status, 1);
	assert.match(used.err, /is made of it/);
	await d.place.cli(['snapshot', 'gc']);
	assert.deepStrictEqual(fs.readdirSync(dir), [s.snapshot]);
	await d.ask('DELETE', `/v1/sandboxes/${f}`);
	await d.get(`/v1/runs/${f}/wait`);
	const gone = await d.place.cli(['snapshot', 'rm', run, s.snapshot]);

	assert.strictEqual(gone.status, 0, gone.err);
	const none = await forkRun(d, run, ['--snapshot', s.snapshot]);

	assert.strictEqual(none.status, 1);
	await d.stop();
	assert.deepStrictEqual(fs.readdirSync(dir), []);
});
