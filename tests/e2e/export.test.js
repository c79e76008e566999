// files.export: files leave a sandbox as a tool call, judged, shown to a person
// and recorded; what a file is or becomes inside leads nowhere outside.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { Daemon, assertRecorded, policy, scratch, until }
	from './lib/paddock.js';

const tool = (row) => policy({ budgets: { max_tool_calls: 100000 },
	tools: { 'files.export':
	{ risk: 'external_write', ...row } } });

async function make(d, row, prepare) {
	const s = await d.post('/v1/sandboxes', { policy: tool(row) });

	s.sh = async (argv, more = {}) => d.post(`/v1/sandboxes/${s.run}/exec`,
		{ argv, ...more });
	s.export = (...paths) => d.ask('POST', `/v1/runs/${s.run}/calls`,
		{ name: 'files.export', arguments: { paths } });
	if (prepare !== undefined) {
		const done = await s.sh(['sh', '-ec', prepare]);

		assert.strictEqual(done.exit_status, 0, JSON.stringify(done));
	}
	return s;
}

function place(d, body, name = '') {
	return path.join(d.state, 'store', body.to, name);
}

function all(dir) {
	return fs.existsSync(dir) ? fs.readdirSync(dir, { recursive: true })
		: [];
}

test('files leave as they are, and only files', async () => {
	const d = await Daemon.start();
	const s = await make(d, { mode: 'allow' }, `
		mkdir -p out/deep && printf hello > out/deep/a && mkfifo pipe &&
		ln -s /etc/passwd link && ln -s out/deep/a good && : > empty &&
		printf x > tool && chmod 0777 tool && truncate -s 1M sparse &&
		(cd out/deep && ln a hard) && printf y > "$(printf 'new\\nline')" &&
		truncate -s 17M large`);
	const a = await s.export('out/deep/a', 'pipe', 'good', 'empty', 'tool',
		'sparse', 'out/deep/hard', 'new\nline', 'missing', 'out', 'large');

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	assert.deepStrictEqual(a.body.files.map((f) => f.path), ['out/deep/a',
		'good', 'empty', 'tool', 'sparse', 'out/deep/hard', 'new\nline']);
	assert.deepStrictEqual(a.body.left_out.map((f) => f.path),
		['pipe', 'missing', 'out', 'large']);
	for (const f of a.body.files) {
		const at = place(d, a.body, f.path);
		const st = fs.lstatSync(at);
		const bytes = fs.readFileSync(at);

		assert.ok(st.isFile() && st.nlink === 1, f.path);
		assert.strictEqual(st.mode & 0o7777, 0o600);
		assert.strictEqual(bytes.length, f.size);
		assert.strictEqual(crypto.createHash('sha256').update(bytes)
			.digest('hex'), f.sha256);
	}
	assert.strictEqual(fs.readFileSync(place(d, a.body, 'good'), 'utf8'),
		'hello');
	assert.strictEqual(all(place(d, a.body)).length, 9); // with two folders

	// The sandbox's own, or nothing: never the host's.
	const b = await s.export('link');

	if (b.status === 200)
		assert.notStrictEqual(fs.readFileSync(place(d, b.body, 'link'),
			'utf8'), fs.readFileSync('/etc/passwd', 'utf8'));
	for (const paths of [[], ['/etc/passwd'], ['../x'], ['a/../../x'], [''],
		['a//b'], ['a', 'a'], [7], ['a/'], Array(65).fill().map((_, i) =>
			`f${i}`)]) {
		const bad = await s.export(...paths);

		assert.strictEqual(bad.status, 422, JSON.stringify(paths));
		assert.strictEqual(bad.body.code, 'bad_arguments');
	}
	assert.strictEqual((await s.export('missing')).body.code,
		'nothing_read');
	await d.ask('DELETE', `/v1/sandboxes/${s.run}`);
	await d.closed(s.run);
	const records = await d.trace(s.run);
	const end = records.find((r) => r.kind === 'tool.finished');

	assertRecorded(records);
	assert.strictEqual(end.res.effect, 'real');
	for (const asked of records.filter((e) => e.kind === 'tool.proposed'))
		assert.ok(records.some((e) => e.kind === 'tool.finished' &&
			e.step === asked.step), `step ${asked.step}`);
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('a disk that is full keeps nothing of an export', async (t) => {
	if (process.getuid() !== 0) {
		t.skip('a small disk is mounted for it: only root may');
		return;
	}
	const d = await Daemon.start();
	const s = await make(d, { mode: 'allow' }, `mkdir -p x/y &&
		printf small > x/y/small && head -c 300000 /dev/urandom > x/large`);
	const dir = path.join(d.state, 'store/exports');
	const { uid, gid } = fs.statSync(path.join(d.state, 'store'));

	fs.mkdirSync(dir);
	execFileSync('mount', ['-t', 'tmpfs', '-o',
		`size=128k,mode=700,uid=${uid},gid=${gid}`, 'exports', dir]);
	try {
		const a = await s.export('x/y/small', 'x/large');

		assert.strictEqual(a.body.code, 'not_written', JSON.stringify(a.body));
		assert.deepStrictEqual(all(dir), [s.run]);
		const b = await s.export('x/y/small');

		assert.strictEqual(b.status, 200, JSON.stringify(b.body));
	} finally {
		await d.stop();
		execFileSync('umount', [dir]);
	}
	await d.place.nothingLeft([d.supervisor]);
});

test('a person decides about exactly the bytes that leave', async () => {
	const d = await Daemon.start();
	const s = await make(d, { mode: 'approve' }, 'printf before > a');
	const asked = s.export('a', 'missing');
	const approval = await Promise.race([d.approval(s.run),
		asked.then((a) => assert.fail(JSON.stringify(a.body) +
			d.command.err))]);
	const shown = await d.get(`/v1/approvals/${approval}`);
	const sha256 = crypto.createHash('sha256').update('before').digest('hex');

	assert.deepStrictEqual(shown.detail.preview, {
		files: [{ path: 'a', sha256, size: 6 }],
		left_out: [{ error: 'No such file or directory',
			path: 'missing' }],
	});
	assert.match((await d.place.cli(['approvals', approval])).out,
		new RegExp(`a {2}6 bytes {2}sha256 ${sha256}`));
	await s.sh(['sh', '-c', 'printf evil > a; rm a; ln -s /etc/passwd a']);
	assert.deepStrictEqual(all(path.join(d.state, 'store/exports')), []);
	assert.strictEqual((await d.decide(approval, 'approve')).status, 200);
	const a = await asked;

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	assert.strictEqual(fs.readFileSync(place(d, a.body, 'a'), 'utf8'),
		'before');

	// A no leaves nothing, and makes room for the next question.
	await s.sh(['sh', '-c', 'rm a; printf after > a']);
	for (let i = 0; i < 6; i++) {
		const next = s.export('a');
		const id = await until(async () => (await d.get(
			'/v1/approvals?state=pending')).approvals[0]?.approval,
		'a question');

		assert.strictEqual((await d.decide(id, 'reject')).status, 200);
		assert.strictEqual((await next).status, 403);
	}
	assert.deepStrictEqual(fs.readdirSync(path.join(d.state, 'store/exports',
		s.run)), ['1']);
	await d.ask('DELETE', `/v1/sandboxes/${s.run}`);
	await d.closed(s.run);
	assertRecorded(await d.trace(s.run));
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('what is blocked, simulated, unlisted or of no sandbox writes nothing',
	async () => {
		const d = await Daemon.start();
		const blocked = await make(d, { mode: 'block' }, 'echo > a');
		const played = await make(d, { mode: 'simulate' }, 'echo > a');
		const elsewhere = await d.open({ tools: { 'files.export':
			{ risk: 'external_write', mode: 'allow' } } });
		const tools = async (s) => (await d.get(`/v1/runs/${s.run}/tools`))
			.tools.map((t) => t.name);

		assert.strictEqual((await blocked.export('a')).status, 403);
		assert.strictEqual((await played.export('a')).status, 200);
		assert.strictEqual((await d.call(elsewhere, 'files.export',
			{ paths: ['a'] })).status, 403);
		assert.ok((await tools(played)).includes('files.export'));
		assert.ok(!(await tools(blocked)).includes('files.export'));
		assert.ok(!(await tools(elsewhere)).includes('files.export'));
		assert.deepStrictEqual(all(path.join(d.state, 'store/exports')), []);
		await d.stop();
		await d.place.nothingLeft([d.supervisor]);
	});

test('a folder that becomes a link in a loop gives no byte from outside',
	async () => {
		const d = await Daemon.start();
		const s = await make(d, { mode: 'allow' });
		const secret = path.join(scratch, 'secret');

		// Where a link that was followed outside would lead.
		fs.mkdirSync(secret);
		for (let i = 0; i < 50; i++)
			fs.writeFileSync(path.join(secret, `f${i}`), 'from outside');
		await s.sh(['python3', '-c', `
import os
os.makedirs('swap/real')
for i in range(50): open('swap/real/f%d' % i, 'w').write('from inside')
os.symlink('${secret}', 'swap/evil')
while True:
    for way in ('real', 'evil'):
        os.symlink(way, 'swap/next')
        os.rename('swap/next', 'swap/d')
`], { background: true });
		const paths = Array.from({ length: 50 }, (_, i) => `swap/d/f${i}`);
		let seen = 0, next = 0;

		await until(async () => (await s.export('swap/d/f0')).status === 200,
			'the loop');
		await Promise.all([1, 2, 3].map(async () => {
			while (next++ < 200) {
				const a = await s.export(...paths);

				assert.ok(a.status === 200 || a.status === 422);
				for (const f of a.body.files ?? []) {
					assert.strictEqual(fs.readFileSync(
						place(d, a.body, f.path), 'utf8'),
					'from inside');
					seen++;
				}
			}
		}));
		assert.ok(seen > 100, `${seen}`);
		for (let i = 0; i < 50; i++)
			assert.strictEqual(fs.readFileSync(
				path.join(secret, `f${i}`), 'utf8'), 'from outside');
		await d.stop();
		await d.place.nothingLeft([d.supervisor]);
	});
