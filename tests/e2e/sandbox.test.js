// Sandboxes that stay: commands, files and ports of one, from outside.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';

import { Command, Daemon, freePort, policy, scratch, until, within }
	from './lib/paddock.js';

// A sandbox, and the command line with the daemon's state.
async function make(d, more = {}) {
	const r = await d.post('/v1/sandboxes', more);

	return { ...r, at: `/v1/sandboxes/${r.run}` };
}

function cli(d, args, options) {
	return d.place.cli(args, options);
}

// `paddock exec --in`: --state must stand before the command.
function execIn(d, s, argv, options = {}, flags = []) {
	return new Command(['exec', '--in', s.run, '--state', d.state, ...flags,
		'--', ...argv], { program: d.place.paddock, input: '',
		...options }).end();
}

// The events of a stream until one has this name.
async function events(d, target, { last, method = 'GET', body } = {}) {
	const all = [];
	const text = body === undefined ? undefined : JSON.stringify(body);
	const a = await within(new Promise((done, fail) => http.request({
		...d.where.at, agent: false, method, path: target, headers: {
			Accept: 'text/event-stream',
			...text && { 'Content-Type': 'application/json' },
		},
	}, done).on('error', fail).end(text)), target);
	let got = '';

	assert.strictEqual(a.statusCode, 200);
	return within((async () => {
		for await (const part of a.setEncoding('utf8')) {
			got += part;
			for (let at; (at = got.indexOf('\n\n')) >= 0;) {
				const ev = Object.fromEntries(got.slice(0, at)
					.split('\n').map((l) => l.split(/: (.*)/s)));

				got = got.slice(at + 2);
				all.push(ev);
				if (last?.(ev))
					return all;
			}
		}
		return all;
	})(), `events of ${target}`).finally(() => a.destroy());
}

function text(evs, name) {
	return Buffer.concat(evs.filter((e) => e.event === name)
		.map((e) => Buffer.from(e.data, 'base64'))).toString();
}

// A connection of frames.
async function frames(d, s, body) {
	const json = JSON.stringify(body);
	const q = http.request({ ...d.where.at, agent: false, method: 'POST',
		path: `${s.at}/exec`, headers: { 'Content-Type': 'application/json',
			Connection: 'Upgrade', Upgrade: 'paddock-exec' } });
	const [, socket, head] = await within(new Promise((done, fail) => {
		q.on('upgrade', (...all) => done(all)).on('error', fail)
			.on('response', (r) => fail(new Error(`${r.statusCode}`)));
		q.end(json);
	}), 'the upgrade');
	const c = { socket, out: '', err: '' };
	let bytes = head;

	c.ended = new Promise((done) => {
		const take = (part) => {
			bytes = Buffer.concat([bytes, part]);
			while (bytes.length >= 5 &&
			    bytes.length >= 5 + bytes.readUInt32BE(1)) {
				const n = bytes.readUInt32BE(1);
				const data = bytes.subarray(5, 5 + n);

				if (bytes[0] === 1)
					c.out += data;
				else if (bytes[0] === 2)
					c.err += data;
				else if (bytes[0] === 3)
					done(JSON.parse(data));
				bytes = bytes.subarray(5 + n);
			}
		};

		take(Buffer.alloc(0));
		socket.on('data', take).on('close', () => done(undefined))
			.on('error', () => done(undefined));
	});
	c.send = (type, data = '') => {
		const b = Buffer.from(data);
		const h = Buffer.alloc(5);

		h[0] = type;
		h.writeUInt32BE(b.length, 1);
		socket.write(Buffer.concat([h, b]));
	};
	c.end = () => within(c.ended, 'the end of a command');
	return c;
}

test('commands run in a sandbox that stays', async (t) => {
	const d = await Daemon.start();
	const s = await make(d, { tags: { who: 'test' } });
	const exec = (body) => d.post(`${s.at}/exec`, body);

	await t.test('a plain answer has output and exit status', async () => {
		const r = await exec({ argv: ['sh', '-c',
			'echo out; echo err >&2; exit 3'] });

		assert.strictEqual(r.stdout, 'out\n');
		assert.strictEqual(r.stderr, 'err\n');
		assert.strictEqual(r.exit_status, 3);
		assert.strictEqual(r.truncated, false);
	});

	await t.test('input, environment and folder are as given', async () => {
		const r = await exec({ argv: ['sh', '-c',
			'cat; echo $GIVEN; pwd'], env: { GIVEN: 'value' },
		cwd: '/tmp', stdin: 'input\n' });

		assert.strictEqual(r.stdout, 'input\nvalue\n/tmp\n');
	});

	await t.test('output that is not UTF-8 is also given as it was',
		async () => {
			const r = await exec({ argv: ['printf', '\\377\\n'] });

			assert.strictEqual(Buffer.from(r.stdout_b64, 'base64')
				.toString('latin1'), '\xff\n');
		});

	await t.test('output without end keeps its newest part', async () => {
		const r = await exec({ argv: ['sh', '-c',
			'yes 0123456789 | head -c 8000000; echo; echo last'] });

		assert.strictEqual(r.truncated, true);
		assert.ok(r.stdout.endsWith('\nlast\n'));
		assert.ok(r.stdout.length < 2.2 * 1024 * 1024);
		assert.ok(r.dropped_bytes > 5000000);
	});

	await t.test('events come while it runs', async () => {
		const evs = await events(d, `${s.at}/exec`, { method: 'POST',
			body: { argv: ['sh', '-c',
				'echo one; sleep 0.1; echo two >&2; exit 4'] } });

		assert.strictEqual(text(evs, 'stdout'), 'one\n');
		assert.strictEqual(text(evs, 'stderr'), 'two\n');
		assert.strictEqual(JSON.parse(evs.at(-1).data).exit_status, 4);
	});

	await t.test('a slow reader loses nothing and holds the command',
		async () => {
			const c = await frames(d, s, { argv: ['sh', '-c',
				'head -c 20000000 /dev/zero | tr "\\0" x'] });

			c.socket.pause();
			await new Promise((done) => setTimeout(done, 200));
			c.socket.resume();
			assert.strictEqual((await c.end()).exit_status, 0);
			assert.strictEqual(c.out.length, 20000000);
		});

	await t.test('frames carry input, its end, and signals', async () => {
		const c = await frames(d, s, { argv: ['sh', '-c',
			'trap "echo caught; exit 7" USR1; cat; echo end; ' +
			'while :; do sleep 0.05; done'] });

		c.send(0, 'hello ');
		c.send(0, 'world\n');
		c.send(6);
		await until(() => c.out === 'hello world\nend\n', () => c.out);
		c.send(5, Buffer.from([10]));
		assert.strictEqual((await c.end()).exit_status, 7);
		assert.strictEqual(c.out, 'hello world\nend\ncaught\n');
	});

	await t.test('a terminal has a size, and another one later', async () => {
		const c = await frames(d, s, { tty: true, rows: 31, cols: 71,
			argv: ['sh', '-c', 'while stty size; do sleep 0.02; done'] });

		await until(() => /31 71/.test(c.out), () => c.out);
		c.send(4, Buffer.from([0, 40, 0, 120]));
		await until(() => /40 120/.test(c.out), () => c.out);
		c.send(5, Buffer.from([9]));
		await c.end();
	});

	await t.test('nonsense in frames ends the connection', async () => {
		for (const bad of [[9, ''], [4, 'x'], [5, '\0'], [1, 'x']]) {
			const c = await frames(d, s, { argv: ['sleep', '60'] });

			c.send(bad[0], bad[1]);
			assert.strictEqual(await c.end(), undefined);
		}
	});

	await t.test('who hangs up takes the command along', async () => {
		const c = await frames(d, s, { argv: ['sh', '-c',
			'echo $$; exec sleep 61'] });

		await until(() => /\d+\n/.test(c.out), 'its pid');
		c.socket.destroy();
		await until(async () => (await d.get(`${s.at}/processes`)).entries
			.every((p) => p.argv0 !== 'sleep'), 'its end');
	});

	await t.test('one in the background is found again', async () => {
		const { exec: n } = await exec({ background: true, argv: ['sh', '-c',
			'echo first; while ! test -e go; do sleep 0.02; done; ' +
			'echo second; exit 9'] });
		const at = `${s.at}/exec/${n}`;
		let page;

		await until(async () => {
			page = await d.get(`${at}/output`);
			return page.chunks.length > 0;
		}, 'its first line');
		assert.strictEqual(page.over, false);
		const rest = events(d, `${at}/output?from=${page.next}`);

		await exec({ argv: ['touch', 'go'] });
		assert.strictEqual(text(await rest, 'stdout'), 'second\n');
		assert.strictEqual(
			JSON.parse((await rest).at(-1).data).exit_status, 9);
		const all = await d.get(`${s.at}/exec`);

		assert.ok(all.execs.find((x) => x.exec === n && x.over &&
			x.exit_status === 9));
	});

	await t.test('one in the background is signalled and killed', async () => {
		const start = () => exec({ background: true, argv: ['sleep', '62'] });
		const a = await start(), b = await start();

		await d.post(`${s.at}/exec/${a.exec}/signal`, { signal: 15 });
		assert.strictEqual((await d.ask('DELETE',
			`${s.at}/exec/${b.exec}`)).status, 202);
		for (const [x, status] of [[a, 143], [b, 137]])
			await until(async () => (await d.get(
				`${s.at}/exec/${x.exec}/output`)).exit_status === status,
			`status ${status}`);
	});

	await t.test('what cannot start is told, and nothing else', async () => {
		for (const [body, status] of [
			[{ argv: ['no-such-program'] }, 404],
			[{ argv: ['/etc/passwd'] }, 403],
			[{ argv: ['ls'], cwd: '/nowhere' }, 404],
			[{ argv: [] }, 400], [{ argv: [''] }, 400],
			[{ argv: 'ls' }, 400], [{ argv: ['a\0b'] }, 400],
			[{ argv: ['ls'], env: { 'A=B': 'c' } }, 400],
			[{ argv: ['ls'], rows: 0 }, 400],
			[{ argv: ['ls'], other: 1 }, 400],
			[{ argv: ['x'.repeat(70000)] }, 413],
		]) {
			const a = await d.ask('POST', `${s.at}/exec`, body);

			assert.strictEqual(a.status, status, JSON.stringify(a.body));
			assert.ok(a.body.error.suggested_next_step);
		}
	});

	await t.test('the command line is like a shell', async () => {
		let r = await execIn(d, s, ['sh', '-c', 'cat; exit 5'],
			{ input: 'through' });

		assert.strictEqual(r.out, 'through');
		assert.strictEqual(r.status, 5);
		r = await execIn(d, s, ['no-such-program']);
		assert.strictEqual(r.status, 127);
		r = await execIn(d, s, ['sh', '-c', 'kill -9 $$']);
		assert.strictEqual(r.status, 137);
		const c = new Command(['exec', '--in', s.run, '--state', d.state,
			'--', 'sh', '-c', 'trap "exit 6" TERM; echo up; ' +
			'while :; do sleep 0.05; done'], { program: d.place.paddock });

		await c.says(/up/);
		c.child.kill('SIGTERM');
		assert.strictEqual((await c.end()).status, 6);
	});

	await t.test('all of it is on the record', async () => {
		const notes = (await d.trace(s.run)).map((e) => e.body?.note);

		for (const note of ['command.started', 'command.finished',
			'command.signalled'])
			assert.ok(notes.includes(note), note);
	});

	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('files go in and out, and lead nowhere else', async (t) => {
	const d = await Daemon.start();
	const dir = path.join(scratch, 'work');

	fs.mkdirSync(path.join(dir, 'sub'), { recursive: true });
	fs.writeFileSync(path.join(dir, 'keep'), 'keep\n');
	fs.writeFileSync(path.join(dir, 'change'), 'change\n');
	fs.writeFileSync(path.join(dir, 'sub/gone'), 'gone\n');
	const made = await cli(d, ['sandbox', 'create', '--dir', dir,
		'--memory', '1024', '--tag', 'a=b']);

	assert.strictEqual(made.status, 0, made.err);
	const s = { run: made.out.trim() };

	s.at = `/v1/sandboxes/${s.run}`;
	const sh = async (line) => {
		const r = await d.post(`${s.at}/exec`, { argv: ['sh', '-c', line] });

		assert.strictEqual(r.exit_status, 0, r.stderr);
		return r.stdout;
	};
	const put = (name, body, more = '') => d.ask('PUT',
		`${s.at}/files?path=${encodeURIComponent(name)}${more}`, undefined,
		{ raw: body, headers: { 'Content-Type': 'application/octet-stream' } });
	const get = (name) => d.ask('GET',
		`${s.at}/files?path=${encodeURIComponent(name)}`);

	await t.test('what is put is there, and comes back', async () => {
		const big = 'x'.repeat(9 * 1024 * 1024);

		assert.strictEqual((await put('a b/c', 'x')).status, 404);
		assert.strictEqual((await put('file', 'text')).body.bytes, 4);
		assert.strictEqual(await sh('cat file'), 'text');
		await put('file', '+', '&how=append');
		assert.strictEqual((await get('file')).body, 'text+');
		assert.strictEqual((await put('file', 'x', '&how=new')).status, 409);
		assert.strictEqual((await put('big', big)).body.bytes, big.length);
		assert.ok((await get('big')).body === big);
		assert.strictEqual((await d.ask('GET',
			`${s.at}/files?path=big&offset=9437180&max=2`)).body, 'xx');
		assert.strictEqual((await get('sub')).status, 409);
		assert.strictEqual((await get('nowhere')).status, 404);
		assert.strictEqual((await put('/etc/x', 'x')).status, 403);
		assert.strictEqual((await get('a\0b')).status, 400);
	});

	await t.test('an upload that is cut off leaves nothing', async () => {
		await new Promise((done) => {
			const q = http.request({ ...d.where.at, agent: false,
				method: 'PUT', path: `${s.at}/files?path=cut`,
				headers: { 'Content-Length': 1000000 } });

			q.on('error', done);
			q.write('y'.repeat(300000), () => q.destroy(new Error('cut')));
		});
		await until(async () => /^0\n/.test(await sh(
			'ls -A | grep -c "cut\\|paddock\\|tmp" || true')), 'no trace');
	});

	await t.test('hostile names are only names', async () => {
		await sh('printf x > "$(printf "new\\nline")"; ' +
			'printf x > "$(printf "esc\\033[2J")"; ' +
			'printf x > "$(printf "bad\\377")"; printf x > "-rf"');
		const list = await d.get(`${s.at}/files/list?path=.`);
		const names = list.entries.map((e) => e.name);

		for (const name of ['new\nline', 'esc\x1b[2J', 'bad\ufffd', '-rf'])
			assert.ok(names.includes(name), name);
		assert.strictEqual((await d.ask('GET',
			`${s.at}/files?path=bad%FF`)).body, 'x');
		const shown = await cli(d, ['files', 'ls', `${s.run}:.`]);

		assert.ok(!shown.out.includes('\x1b'));
		await d.ask('DELETE', `${s.at}/files?path=bad%FF`);
		assert.ok(!(await d.get(`${s.at}/files/list?path=.`)).entries
			.some((e) => e.name_b64 !== undefined));
	});

	await t.test('changes are seen as they happen', async () => {
		const evs = events(d, `${s.at}/files/watch?path=sub`, { last: (e) => {
			const { event, name } = JSON.parse(e.data);

			if (event === 'ready')
				sh('touch sub/seen');
			return name === 'seen';
		} });

		assert.strictEqual(JSON.parse((await evs).at(-1).data).event,
			'create');
	});

	await t.test('diff tells what is new, changed and gone', async () => {
		await sh('rm -r -- * ; printf "keep\\n" > other; ' +
			'mkdir new; touch new/file; echo more > change');
		const r = await cli(d, ['diff', s.run, '--json']);
		const got = r.out.trim().split('\n').map((l) => JSON.parse(l))
			.map((c) => `${c.change} ${c.name}`).sort();

		assert.deepStrictEqual(got, ['added new', 'added new/file',
			'added other', 'changed change', 'removed keep',
			'removed sub']);
		assert.deepStrictEqual(fs.readdirSync(dir).sort(),
			['change', 'keep', 'sub']);
	});

	await t.test('diff flags names that are secret or run by others',
		async () => {
			await sh('mkdir -p new/.git/hooks; touch .env .npmrc ' +
				'.env.example new/.git/hooks/post-merge');
			const json = await cli(d, ['diff', s.run, '--json']);
			const as = Object.fromEntries(json.out.trim().split('\n')
				.map((l) => JSON.parse(l))
				.map((c) => [c.name, c.protected]));

			assert.strictEqual(as['.env'], 'secret');
			assert.strictEqual(as['.npmrc'], 'run by others');
			assert.strictEqual(as['new/.git/hooks/post-merge'],
				'run by others');
			for (const free of ['.env.example', 'new', 'other']) {
				assert.ok(free in as, free);
				assert.strictEqual(as[free], undefined, free);
			}
			const text = await cli(d, ['diff', s.run]);

			assert.match(text.out, /^A \.env {2}\(protected: secret\)$/m);
			assert.match(text.out, /^A \.env\.example$/m);
			await sh('rm -rf new .env .npmrc .env.example');
		});

	await t.test('a tree comes out without links, bits and holes',
		async () => {
			const out = path.join(scratch, 'out');

			await sh('rm -rf *; mkdir -p t/d; echo in > t/d/f; ' +
				'echo s > t/exec; chmod 6755 t/exec || chmod 755 t/exec; ' +
				'ln -s /etc t/link; ln -s /etc/passwd t/d/pw; ' +
				'mkfifo t/fifo; truncate -s 3M t/hole');
			const r = await cli(d, ['files', 'get', `${s.run}:t`, out,
				'--recursive']);

			assert.strictEqual(r.status, 1, r.err);
			assert.match(r.out, /3 files, 3 left out/);
			assert.deepStrictEqual(fs.readdirSync(out).sort(),
				['d', 'exec', 'hole']);
			assert.deepStrictEqual(fs.readdirSync(`${out}/d`), ['f']);
			assert.strictEqual(
				fs.statSync(`${out}/exec`).mode & 0o7777, 0o755);
			assert.strictEqual(fs.statSync(`${out}/hole`).size, 3 << 20);
			assert.ok(fs.statSync(`${out}/hole`).blocks < 64);
		});

	await t.test('a link where a folder was leads nothing out', async () => {
		const out = path.join(scratch, 'trap');
		const elsewhere = path.join(scratch, 'elsewhere');

		fs.mkdirSync(out);
		fs.mkdirSync(elsewhere);
		fs.symlinkSync(elsewhere, path.join(out, 'd'));
		const r = await cli(d, ['files', 'get', `${s.run}:t`, out,
			'--recursive']);

		assert.strictEqual(r.status, 1);
		assert.deepStrictEqual(fs.readdirSync(elsewhere), []);
	});

	await t.test('a folder that becomes a link while files are fetched ' +
		'gives no byte from outside', async () => {
		const secret = path.join(scratch, 'secret');

		// Where a link that was followed outside would lead.
		fs.mkdirSync(secret);
		fs.writeFileSync(path.join(secret, 'f'), 'from outside\n');
		await d.post(`${s.at}/exec`, { background: true, argv: ['python3',
			'-c', `
import os
os.makedirs('swap/real', exist_ok=True)
open('swap/real/f', 'w').write('from inside\\n')
os.symlink('${secret}', 'swap/evil')
while True:
    for way in ('real', 'evil'):
        os.symlink(way, 'swap/next')
        os.rename('swap/next', 'swap/d')
`] });
		await until(async () => (await get('swap/d/f')).status === 200,
			'the loop');
		let seen = 0, next = 0;

		await Promise.all(Array.from({ length: 8 }, async () => {
			while (next++ < 2000) {
				const a = await get('swap/d/f');

				assert.ok(a.status === 200 || a.status === 404,
					`${a.status}`);
				if (a.status === 200) {
					assert.strictEqual(a.body, 'from inside\n');
					seen++;
				}
			}
		}));
		assert.ok(seen > 0);
	});

	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('folders go in and out, and changes are told of', async () => {
	const d = await Daemon.start();
	const s = await make(d);
	const from = path.join(scratch, 'from');
	const back = path.join(scratch, 'back');

	fs.mkdirSync(path.join(from, 'a/b'), { recursive: true });
	fs.mkdirSync(path.join(from, 'empty'));
	fs.writeFileSync(path.join(from, 'a/b/\u00e9 \n x'), 'deep');
	fs.writeFileSync(path.join(from, 'run.sh'), '#!/bin/sh\n',
		{ mode: 0o755 });
	fs.symlinkSync('/etc/passwd', path.join(from, 'evil'));
	fs.symlinkSync('/etc', path.join(from, 'a/evil'));
	spawnSync('mkfifo', [path.join(from, 'pipe')]);

	assert.strictEqual((await cli(d, ['files', 'put', from, `${s.run}:t`]))
		.status, 1);
	const watch = d.place.command(['files', 'watch', `${s.run}:.`, '--json',
		'--state', d.state]);

	await watch.says(/"ready"/);
	const put = await cli(d, ['files', 'put', '-r', from, `${s.run}:t`]);

	assert.strictEqual(put.status, 1, put.err); // three were left out
	assert.match(put.out, /^2 files, 3 left out$/m);
	for (const name of ['evil: symlink', 'a/evil: symlink', 'pipe: neither'])
		assert.ok(put.err.includes(name), put.err);
	const created = await watch.says(/^.*"create".*$/m);

	assert.strictEqual(JSON.parse(created[0]).name, 't');
	watch.child.kill('SIGTERM');
	await watch.end();

	const ls = await cli(d, ['files', 'ls', '-r', '--json', `${s.run}:t`]);
	const names = ls.out.trim().split('\n').map((l) => JSON.parse(l));

	assert.deepStrictEqual(names.map((x) => `${x.type} ${x.name}`).sort(),
		['dir a', 'dir a/b', 'dir empty', 'file a/b/\u00e9 \n x',
			'file run.sh']);
	assert.strictEqual(names.find((x) => x.name === 'run.sh').mode, 0o755);
	const get = await cli(d, ['files', 'get', '-r', `${s.run}:t`, back]);

	assert.strictEqual(get.status, 0, get.err);
	assert.strictEqual(fs.readFileSync(path.join(back, 'a/b/\u00e9 \n x'),
		'utf8'), 'deep');
	fs.writeFileSync(path.join(from, 'large'), Buffer.alloc(2 << 20));
	const over = await cli(d, ['files', 'put', '-r', '--max', '1', from,
		`${s.run}:u`]);

	assert.strictEqual(over.status, 1);
	assert.match(over.err, /large: over the limit of --max/);
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('ports that the policy names are reached, and no others', async () => {
	const d = await Daemon.start();
	const s = await make(d, { ports: [8000] });

	await d.post(`${s.at}/files/mkdir?path=www`);
	await d.ask('PUT', `${s.at}/files?path=www/page`, undefined,
		{ raw: 'a page', headers: { 'Content-Type': 'text/plain' } });
	await d.post(`${s.at}/exec`, { background: true, cwd: 'www',
		argv: ['python3', '-m', 'http.server', '8000', '--bind',
			'127.0.0.1'] });
	const port = await freePort();
	const c = d.place.command(['port', s.run, '8000', '--listen',
		`127.0.0.1:${port}`, '--state', d.state]);

	await c.says(new RegExp(`127\\.0\\.0\\.1:${port}\n`));
	const page = () => new Promise((done) => {
		http.get({ host: '127.0.0.1', port, path: '/page', agent: false },
			(a) => {
				let all = '';

				a.on('data', (b) => { all += b; })
					.on('end', () => done(all));
			}).on('error', () => done(undefined));
	});

	await until(async () => await page() === 'a page', 'the page');
	assert.deepStrictEqual(await Promise.all(Array.from({ length: 20 }, page)),
		Array(20).fill('a page'));
	c.child.kill('SIGTERM');
	assert.strictEqual((await c.end()).status, 0);

	const upgrade = { headers: { Connection: 'Upgrade', Upgrade: 'tcp' } };

	for (const [target, status] of [['8001', 403], ['0', 404], ['x', 404],
		['65536', 404]])
		assert.strictEqual((await d.ask('GET', `${s.at}/ports/${target}`,
			undefined, upgrade)).status, status, target);
	assert.strictEqual((await d.ask('GET',
		`${s.at}/ports/8000`)).status, 400);
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('diff goes by what the policy of the run protects', async () => {
	const d = await Daemon.start();
	const s = await make(d, { policy: policy({ sandbox: { protect: {
		deny_write: ['ci'], deny_read: ['*.pem'],
		allow_read: ['.env'] } } }) });

	await d.post(`${s.at}/exec`, { argv: ['sh', '-c',
		'mkdir ci; touch ci/run key.pem .env .npmrc'] });
	const json = await cli(d, ['diff', s.run, '--json']);

	assert.deepStrictEqual(Object.fromEntries(json.out.trim().split('\n')
		.map((l) => JSON.parse(l)).map((c) => [c.name, c.protected])), {
		ci: 'run by others', 'ci/run': 'run by others',
		'key.pem': 'secret', '.env': undefined,
		'.npmrc': 'run by others' });
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('a policy blocks commands, and an agent may do none of this',
	async () => {
		const d = await Daemon.start();
		const s = await make(d, { policy: policy({
			sandbox: { commands: { block: ['curl', '/usr/bin/env'] } } }) });
		const agent = await d.open();

		for (const name of ['curl', '/usr/bin/curl', './curl', 'env']) {
			const a = await d.ask('POST', `${s.at}/exec`, { argv: [name] });

			assert.strictEqual(a.status, 403);
			assert.strictEqual(a.body.error.code, 'command_blocked');
		}
		assert.strictEqual((await d.post(`${s.at}/exec`,
			{ argv: ['true'] })).exit_status, 0);
		assert.ok((await d.trace(s.run)).some((e) =>
			e.body?.note === 'command.refused'));

		for (const [method, target, body] of [
			['POST', '/exec', { argv: ['true'] }], ['GET', '/exec'],
			['GET', '/exec/1/output'], ['DELETE', '/exec/1'],
			['GET', '/files?path=.'], ['GET', '/files/list?path=.'],
			['DELETE', '/files?path=x'], ['GET', '/processes'],
			['POST', '/files/mkdir?path=x']])
			for (const run of [s.run, agent.run])
				assert.strictEqual((await d.tcp().ask(method,
					`/v1/sandboxes/${run}${target}`, body,
					{ token: agent.token })).status, 403, target);
		assert.strictEqual((await d.tcp().ask('GET', `${s.at}/ports/1`,
			undefined, { token: agent.token, headers: {
				Connection: 'Upgrade', Upgrade: 'tcp' } })).status, 403);

		// Its own door knows none of these paths.
		const r = await d.post(`${s.at}/exec`, { argv: ['python3', '-c', `
import http.client
c = http.client.HTTPConnection('127.0.0.1', 7070)
c.request('POST', '${s.at}/exec', '{"argv":["true"]}',
    {'Content-Type': 'application/json'})
print(c.getresponse().status)`] });

		assert.strictEqual(r.stdout, '404\n', r.stderr);
		await d.stop();
		await d.place.nothingLeft([d.supervisor]);
	});

test('a gateway that dies takes what it had under way along', async () => {
	const d = await Daemon.start();
	const s = await make(d);
	const c = await frames(d, s, { argv: ['sh', '-c',
		'echo up; trap "" HUP PIPE; while :; do sleep 0.1; done'] });

	await until(() => /up/.test(c.out), 'the command');
	process.kill(d.roles().gateway, 'SIGKILL');
	assert.strictEqual(await c.end(), undefined);
	await until(async () => {
		try {
			return (await d.get(`${s.at}/processes`)).entries
				.every((p) => p.argv0 === 'paddock-init');
		} catch (e) {
			assert.ok(e.code !== undefined, e);
			return false;
		}
	}, 'the end of the command');
	assert.strictEqual((await d.post(`${s.at}/exec`,
		{ argv: ['echo', 'again'] })).stdout, 'again\n');
	assert.ok((await d.trace(s.run)).some((e) =>
		e.body?.error === 'the gateway was restarted'));
	assert.strictEqual((await cli(d, ['sandbox', 'rm', s.run])).status, 0);
	await d.closed(s.run);
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});
