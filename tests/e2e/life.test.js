// Limits and life: a run is paused and goes on, ends by every limit with its
// figure, by its own time, and is found by its tags. As root with cgroups;
// rootless without them, what is lost is said.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { cgroupsLeft, cli, Daemon, isRoot, Place, scratch, trace, until,
	world }
	from './lib/paddock.js';
import { descendants } from './lib/proc.js';

let d;

before(async () => { d = await Daemon.start(); });
after(async () => {
	await d.stop();
	assert.deepStrictEqual(cgroupsLeft([d.supervisor]), []);
});

const sandbox = { memory_mb: 64, pids: 24, disk_mb: 16, wall_ms: 60000 };

function open(script, more = {}, changes = {}, by = d) {
	return by.post('/v1/runs', {
		policy: { policy: 1, workflow: 'life', stage: 5, tools: {},
			...more.policy, sandbox: { ...sandbox, ...changes } },
		argv: ['/bin/sh', '-c', script], ...more.open });
}

// Counts lines, a few a second, until it is stopped.
const counter = 'while :; do echo .; sleep 0.02; done';

async function lines(run, by = d) {
	const o = await by.get(`/v1/runs/${run}/output`);

	return o.stdout.split('\n').length;
}

async function moves(run, by = d) {
	const before = await lines(run, by);

	return until(async () => await lines(run, by) > before,
		`${run} counts on`);
}

async function ended(run, reason, by = d) {
	const r = await by.closed(run.run);

	assert.strictEqual(r.status, 'stopped', JSON.stringify(r));
	assert.strictEqual(r.stop_reason, reason);
	const records = await trace(by.state, run.run);
	const last = records.at(-1);

	assert.strictEqual(last.kind, 'run.closed');
	return last.body;
}

const rooted = isRoot ? test : test.skip;

describe('pause', () => {
	rooted('freezes what runs inside, and resume lets it go on',
		async () => {
			const { run } = await open(counter);

			await moves(run);
			const paused = await d.post(`/v1/sandboxes/${run}/pause`);

			assert.strictEqual(paused.status, 'paused');
			const stat = await d.get(`/v1/sandboxes/${run}/stat`);
			const then = await lines(run);

			assert.strictEqual(stat.paused, true);
			// A frozen one uses no time, however long it is looked at.
			for (let i = 0; i < 20; i++) {
				const now = await d.get(`/v1/sandboxes/${run}/stat`);

				assert.strictEqual(now.cpu_ms, stat.cpu_ms);
			}
			assert.strictEqual(await lines(run), then);
			assert.strictEqual((await d.post(
				`/v1/sandboxes/${run}/pause`)).status, 'paused');
			assert.strictEqual((await d.post(
				`/v1/sandboxes/${run}/resume`)).status, 'open');
			await moves(run);
			await d.ask('DELETE', `/v1/sandboxes/${run}`);
			await d.closed(run);
			const kinds = (await trace(d.state, run)).map((e) => e.kind);

			assert.deepStrictEqual(kinds, ['run.opened', 'note',
				'run.paused', 'run.resumed', 'kill', 'run.closed']);
		});

	rooted('stops the clock of the run, and kill works all the same',
		async () => {
			const { run } = await open(counter, {},
				{ wall_ms: 1500 });

			await d.post(`/v1/sandboxes/${run}/pause`);
			const early = await d.get(
				`/v1/runs/${run}/wait?timeout_ms=2500`);

			assert.strictEqual(early.status, 'paused');
			const killed = await cli(['kill', run, '--state', d.state]);

			assert.strictEqual(killed.status, 0, killed.err);
			const end = await d.closed(run);

			assert.strictEqual(end.stop_reason, 'killed');
		});

	rooted('of a run that is resumed leaves it the time it had',
		async () => {
			const run = await open(counter, {}, { wall_ms: 1500 });

			await d.post(`/v1/sandboxes/${run.run}/pause`);
			await d.get(`/v1/runs/${run.run}/wait?timeout_ms=2000`);
			await d.post(`/v1/sandboxes/${run.run}/resume`);
			await moves(run.run);
			await ended(run, 'wall_time_exceeded');
		});

	rooted('holds the calls that were under way, each once and in order',
		async () => {
			const policy = { tools: { 'kb.search': { risk: 'read' } },
				budgets: { max_tool_calls: 100000,
					max_retries_per_tool: 100 } };
			const { run } = await open(`exec python3 -u -c '
import http.client, json, os
url = os.environ["PADDOCK_MCP_URL"].split("/")[2]
n = 0
while not os.path.exists("/tmp/enough"):
    c = http.client.HTTPConnection(url)
    c.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", "id": n,
        "method": "tools/call", "params": {"name": "kb.search",
        "arguments": {"query": "q%d" % n}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}}}}),
        {"Content-Type": "application/json", "Mcp-Method": "tools/call",
         "MCP-Protocol-Version": "2026-07-28", "Mcp-Name": "kb.search",
         "Accept": "application/json, text/event-stream"})
    r = c.getresponse()
    assert r.status == 200, (r.status, r.read())
    r.read()
    n += 1
print("asked", n)
'`, { policy, open: { world: world() } });

			await d.event(run, (e) => e.kind === 'tool.finished', 'a call');
			for (let i = 0; i < 12; i++) {
				await d.post(`/v1/sandboxes/${run}/pause`);
				// What was recorded is on its way to the disk.
				let n = 0;

				await until(async () => {
					const was = n;

					n = (await trace(d.state, run)).length;
					return n === was;
				}, 'it stands still');
				await d.post(`/v1/sandboxes/${run}/resume`);
				await until(async () => (await trace(d.state, run)).length
					> n + 4, 'it goes on');
			}
			await d.post(`/v1/sandboxes/${run}/exec`,
				{ argv: ['touch', '/tmp/enough'] });
			await d.closed(run);
			const asked = Number((await d.get(`/v1/runs/${run}/output`))
				.stdout.match(/asked (\d+)/)[1]);
			const records = await trace(d.state, run);
			const proposed = records.filter((e) =>
				e.kind === 'tool.proposed').map((e) => e.tool.args.preview);

			assert.deepStrictEqual(proposed, Array.from({ length: asked },
				(_, i) => JSON.stringify({ query: `q${i}` })));
			let paused = false;

			for (const e of records) {
				if (e.kind === 'run.paused' || e.kind === 'run.resumed')
					paused = e.kind === 'run.paused';
				assert.ok(!paused || !['tool.proposed', 'tool.started']
					.includes(e.kind), `${e.kind} ${e.seq}`);
			}
		});

	rooted('takes a no, and no yes', async () => {
		const policy = { tools: { 'kb.search': { risk: 'read',
			mode: 'approve' } } };
		const { run } = await open('sleep 60', { policy,
			open: { world: world() } });
		const ask = (query) => d.ask('POST', `/v1/runs/${run}/calls`,
			{ name: 'kb.search', arguments: { query } });
		const calls = [ask('one'), ask('two')];
		const first = await d.approval(run);

		await d.post(`/v1/sandboxes/${run}/pause`);
		const yes = await d.decide(first, 'approve');

		assert.strictEqual(yes.status, 409);
		assert.strictEqual(yes.body.error.code, 'paused');
		await d.decide(first, 'reject');
		await d.post(`/v1/sandboxes/${run}/resume`);
		const second = (await d.event(run, (e) =>
			e.kind === 'approval.requested' && e.body.approval !== first,
		'another')).body.approval;

		await d.decide(second, 'approve');
		await Promise.all(calls);
		await d.post(`/v1/runs/${run}/stop`);
		await d.closed(run);
		const kinds = (await trace(d.state, run)).map((e) => e.kind);

		assert.strictEqual(kinds.filter((k) => k === 'tool.started').length, 1);
		assert.ok(kinds.indexOf('tool.started')
			> kinds.indexOf('run.resumed'));
	});

	test('is for sandboxes only', async () => {
		const run = await d.open();
		const a = await d.ask('POST', `/v1/sandboxes/${run.run}/pause`);

		assert.strictEqual(a.status, 409);
		assert.strictEqual(a.body.error.code, 'no_sandbox');
		const none = await d.ask('POST',
			'/v1/sandboxes/r-111111111111/pause');

		assert.strictEqual(none.status, 404);
	});

	rooted('by the command line says what the run is now', async () => {
		const { run } = await open(counter);
		const paused = await cli(['pause', run, '--state', d.state]);

		assert.strictEqual(paused.out, `${run} is paused\n`, paused.err);
		const resumed = await cli(['resume', run, '--state', d.state]);

		assert.strictEqual(resumed.out, `${run} is open\n`, resumed.err);
		await d.post(`/v1/runs/${run}/stop`);
	});

	test('without a cgroup is refused, with where to look', async (t) => {
		if (isRoot) {
			t.skip('root has a cgroup');
			return;
		}
		const { run } = await open(counter);
		const a = await d.ask('POST', `/v1/sandboxes/${run}/pause`);

		// Where the user has a delegated v2 group, it works.
		if (a.status !== 200) {
			assert.strictEqual(a.status, 409);
			assert.strictEqual(a.body.error.code, 'not_possible');
			assert.match(a.body.error.message, /cgroup/);
		}
		await d.post(`/v1/runs/${run}/stop`);
	});
});

describe('a limit', () => {
	rooted('of memory ends a run with its figure', async () => {
		const run = await open('exec dd if=/dev/zero of=/dev/null bs=200M');
		const { stop } = await ended(run, 'memory_exceeded');

		assert.strictEqual(stop.limit_bytes, 64 << 20);
		assert.ok(stop.used_bytes > 32 << 20 &&
			stop.used_bytes <= 64 << 20, `${stop.used_bytes}`);
	});

	rooted('of processes ends a run that fails on it', async () => {
		const run = await open(
			'for i in $(seq 40); do sleep 5 & done; wait; exit 3');
		const { stop } = await ended(run, 'pids_exceeded');

		assert.strictEqual(stop.limit_pids, 24);
		assert.ok(stop.used_pids > 24);
	});

	test('of wall time ends a run with its figure', async () => {
		const run = await open('sleep 60', {}, { wall_ms: 200 });
		const { stop } = await ended(run, 'wall_time_exceeded');

		assert.strictEqual(stop.limit_ms, 200);
		assert.ok(stop.used_ms >= 200 && stop.used_ms < 10000);
	});

	test('of disk is an error to the program, and on the record',
		async () => {
			const { run } = await open(
				'cat /dev/zero > /tmp/full; exit 9');
			const end = await d.closed(run);

			assert.strictEqual(end.exit_status, 9);
			const { body } = (await trace(d.state, run)).at(-1);

			assert.strictEqual(body.disk_full, true);
			assert.strictEqual(body.disk_bytes, 16 << 20);
		});

	test('of open files is an error to the program', async () => {
		// What bash could open last is its exit status.
		const { run } = await open('exec bash -c \'while { exec {f}</dev/null;'
			+ ' } 2>/dev/null; do last=$f; done; exit $last\'', {},
		{ open_files: 100 });

		assert.strictEqual((await d.closed(run)).exit_status, 99);
	});

	rooted('of disk traffic holds it back', async (t) => {
		const dir = path.join(scratch, 'io');

		fs.mkdirSync(dir);
		const { dev } = fs.statSync(dir);
		// The numbers of glibc's makedev, as far as disks have them.
		const disk = `${(dev >> 8) & 0xfff}:${dev & 0xff}`;

		if (!fs.existsSync(`/sys/dev/block/${disk}`)) {
			t.skip('the folder is on no disk');
			return;
		}
		fs.writeFileSync(path.join(dir, 'big'), Buffer.alloc(3 << 20, 1));
		fs.writeFileSync(path.join(dir, 'policy.json'), JSON.stringify({
			policy: 1, workflow: 'io', stage: 5, tools: {},
			sandbox: { io_mb_per_s: 1, cpu_weight: 50,
				limits: 'required' } }));
		const from = Date.now();
		const r = await cli(['run', path.join(dir, 'policy.json'),
			'--dir', dir, '--state', d.state, '--quiet', '--', 'dd',
			'if=big', 'of=/dev/null', 'bs=64k', 'iflag=direct']);

		assert.strictEqual(r.status, 0, r.err);
		assert.ok(Date.now() - from > 1000, r.err);
	});

	test('of inodes likewise', async () => {
		const { run } = await open('i=0; while : > /tmp/$i; do i=$((i+1));'
			+ ' done 2>/dev/null; exit 9', {}, { inodes: 200 });

		await d.closed(run);
		const { body } = (await trace(d.state, run)).at(-1);

		assert.strictEqual(body.disk_full, true);
		assert.strictEqual(body.inodes, 200);
	});
});

describe('a run ends by itself', () => {
	test('when its time to live is over, paused or not', async () => {
		const run = await open(counter, { open: { ttl_ms: 300 } });
		const held = await open(counter, { open: { ttl_ms: 600 } });

		if (isRoot)
			await d.post(`/v1/sandboxes/${held.run}/pause`);
		const { stop } = await ended(run, 'ttl_exceeded');

		assert.strictEqual(stop.limit_ms, 300);
		assert.ok(stop.used_ms >= 300);
		await ended(held, 'ttl_exceeded');
	});

	test('when it is idle for too long', async () => {
		const run = await open('sleep 60', { open: { idle_ms: 300 } });
		const { stop } = await ended(run, 'idle_timeout');

		assert.strictEqual(stop.limit_ms, 300);
	});

	test('but not while it works', async () => {
		const run = await open('while :; do :; done',
			{ open: { idle_ms: 200, ttl_ms: 1500 } });

		await ended(run, 'ttl_exceeded');
	});

	test('and a time that is none is refused', async () => {
		for (const bad of [{ ttl_ms: 0 }, { ttl_ms: -1 }, { idle_ms: 1 },
			{ idle_ms: 1e15 }, { ttl_ms: '5' }]) {
			const a = await d.ask('POST', '/v1/runs', { policy: { policy: 1,
				workflow: 'life', stage: 5, tools: {} }, ...bad });

			assert.strictEqual(a.status, 400, JSON.stringify(bad));
		}
	});
});

describe('stop', () => {
	test('asks the command first', async () => {
		const { run } = await open(
			"trap 'echo bye; exit 7' TERM; echo up; "
			+ 'while :; do sleep 0.05; done');

		await until(async () => await lines(run) > 1, 'its trap is set');
		const r = await cli(['stop', run, '--state', d.state]);

		assert.strictEqual(r.status, 0, r.err);
		const end = await d.closed(run);

		assert.strictEqual(end.exit_status, 7);
		assert.match((await d.get(`/v1/runs/${run}/output`)).stdout, /bye/);
	});

	test('kills what does not listen', async () => {
		const { run } = await open("trap '' TERM; " + counter);

		await moves(run);
		await cli(['stop', run, '--grace', '1', '--state', d.state]);
		assert.strictEqual((await d.closed(run)).exit_status, 137);
	});
});

describe('tags', () => {
	test('find runs, open and closed', async () => {
		const red = await d.open({}, { tags: { team: 'red', 'n/1': '' } });
		const blue = await d.open({}, { tags: { team: 'blue' } });
		const names = async (query) => (await d.get(`/v1/runs?${query}`))
			.runs.map((r) => r.run);

		assert.deepStrictEqual(red.tags, { team: 'red', 'n/1': '' });
		assert.deepStrictEqual(await names('tag=team=red'), [red.run]);
		assert.deepStrictEqual((await names('tag=team')).sort(),
			[red.run, blue.run].sort());
		assert.deepStrictEqual(await names('tag=team=green'), []);
		await d.post(`/v1/runs/${red.run}/stop`);
		await d.closed(red.run);
		assert.deepStrictEqual(await names('tag=team=red&all=true'),
			[red.run]);
		const ps = await cli(['ps', '--tag', 'team=blue', '--state',
			d.state]);

		assert.match(ps.out, new RegExp(blue.run));
		assert.match(ps.out, /team=blue/);
	});

	test('that are no names and values are refused', async () => {
		for (const tags of [{ 'a b': 'c' }, { a: 1 }, [], { '': 'x' },
			{ a: 'x'.repeat(64) }, { a: '\u001b[2J' }]) {
			const a = await d.ask('POST', '/v1/runs', { policy: { policy: 1,
				workflow: 'life', stage: 5, tools: {} }, tags });

			assert.strictEqual(a.status, 400, JSON.stringify(tags));
		}
	});
});

describe('top', () => {
	test('shows what a sandbox uses of its limits', async () => {
		const { run } = await open('while :; do :; done',
			{ open: { tags: { who: 'top' } } });

		await d.get(`/v1/sandboxes/${run}/stat`);
		const table = await cli(['top', '--once', '--state', d.state]);

		assert.strictEqual(table.status, 0, table.err);
		assert.match(table.out, /^RUN +STATUS +CPU%/);
		assert.match(table.out, new RegExp(`${run} +open`));
		const json = await cli(['top', '--json', '--tag', 'who=top',
			'--state', d.state]);
		const [row] = JSON.parse(json.out);

		assert.strictEqual(row.run, run);
		assert.strictEqual(row.disk.limit_bytes, 16 << 20);
		if (isRoot) {
			assert.strictEqual(row.memory.limit_bytes, 64 << 20);
			assert.strictEqual(row.pids.limit, 24);
			assert.ok(row.memory.bytes > 0 && row.pids.now >= 2);
		}
		assert.ok(row.cpu_percent > 5, `${row.cpu_percent}`);
		await d.post(`/v1/runs/${run}/stop`);
	});
});

describe('a sandbox that was built before it was needed', () => {
	rooted('is called after what it does once it has a run', async () => {
		const own = await Daemon.start(); // what it parks is like the first
		const inits = () => descendants(own.supervisor).filter((p) =>
			p.cmd.startsWith('paddock-init '));
		const isParked = (p) => p.cmd.startsWith('paddock-init park');

		await open(counter, {}, {}, own);
		const parked = (await until(() => {
			const all = inits().filter(isParked);

			return all.length > 0 && all;
		}, 'one is parked')).map((p) => p.pid);
		const second = await open(counter, {}, {}, own);

		await moves(second.run, own);
		assert.match((await until(() => inits().find((p) =>
			parked.includes(p.pid) && !isParked(p)),
		'a parked one has the run')).cmd, /^paddock-init (serve|keep|run)$/);
		await own.stop();
	});
});

describe('a supervisor that is killed', () => {
	rooted('takes paused sandboxes along, and the next one sweeps',
		async () => {
			const place = new Place();
			const first = await Daemon.start({ place });
			const { run } = await open(counter, {}, {}, first);

			await moves(run, first);
			await first.post(`/v1/sandboxes/${run}/pause`);
			process.kill(first.supervisor, 'SIGKILL');
			await first.command.ended;
			const second = await Daemon.start({ place });

			assert.deepStrictEqual(cgroupsLeft([first.supervisor]), []);
			const r = await second.closed(run);

			assert.strictEqual(r.status, 'stopped');
			await second.stop();
			assert.deepStrictEqual(cgroupsLeft([first.supervisor,
				second.supervisor]), []);
		});
});

describe('a broker that is killed', () => {
	test('leaves the walls of its runs to the next one', async () => {
		const own = await Daemon.start();
		const { run } = await open(counter, {}, {}, own);
		const { broker } = own.roles();

		await moves(run, own);
		const { walls } = await own.get(`/v1/runs/${run}`);

		assert.ok(walls.includes('net_ns'), JSON.stringify(walls));
		await until(async () => (await own.trace(run)).some((e) =>
			e.body?.note === 'sandbox.started'), 'its walls on record');
		process.kill(broker, 'SIGKILL');
		const last = await until(async () => {
			const all = await own.trace(run).catch(() => []);

			return all.at(-1)?.kind === 'run.closed' && all.at(-1);
		}, 'its end');

		assert.strictEqual(last.body.stop_reason, 'broker_lost');
		assert.deepStrictEqual(last.body.walls, walls);
		assert.deepStrictEqual((await until(() => own.get(`/v1/runs/${run}`)
			.catch(() => undefined), 'an answer')).walls, walls);
		await own.stop();
	});
});
