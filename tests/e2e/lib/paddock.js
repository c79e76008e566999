// What every test needs: private copies of the two programs, a daemon, a
// client of its API, and a way to see what is left afterwards. Nothing here
// waits for time to pass: it waits for something to become true, with a limit.
import assert from 'node:assert';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

import { descendants, environHas, processes } from './proc.js';

export const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const top = path.resolve(here, '../..');
export const example = path.join(top, 'examples/support_refund');
export const isRoot = process.getuid() === 0;

const build = path.resolve(process.env.PADDOCK_BUILD ?? path.join(top, 'build'));

// Sanitizers make everything several times slower.
export const slow = fs.readFileSync(path.join(build, 'src/paddockd'))
	.includes('__asan_init') ? 4 : 1;
// Only what hangs may meet it, not what a busy machine does late.
const LIMIT_MS = 60000 * slow;

// Of this test file alone, so that its processes can be told from others'.
export const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'paddock-e2e-'));
fs.chmodSync(scratch, 0o755);
fs.mkdirSync(path.join(scratch, 'bin'));
// All that an installation has.
const programs = ['paddock', 'paddockd', ...['broker', 'gateway', 'image',
	'proxy', 'supervisor', 'tools', 'world'].map((n) => `paddock-${n}`)];
for (const name of programs)
	fs.copyFileSync(path.join(build, 'src', name),
		path.join(scratch, 'bin', name));
export const paddock = path.join(scratch, 'bin/paddock');

// Whatever names no state of its own must not find the machine's.
process.env.PADDOCK_STATE = path.join(scratch, 'nobody');

// A confined role cannot look for leaks: that takes ptrace(2).
process.env.ASAN_OPTIONS ??= 'detect_leaks=0';

const running = new Set();

after(async () => {
	for (const d of running)
		await d.stop().catch(() => undefined);
	fs.rmSync(scratch, { recursive: true, force: true });
});

export function world() {
	return JSON.parse(fs.readFileSync(path.join(example, 'world.json')));
}

// Every tool of the world, with one of each verdict.
export function policy(changes = {}) {
	return {
		policy: 1, workflow: 'e2e', tenant: 'tenant_a', actor: 'agent_a',
		roles: ['support'], stage: 5,
		...changes,
		tools: {
			'kb.search': { risk: 'read' },
			'ticket.read': { risk: 'read' },
			'ticket.list': { risk: 'read' },
			'customer.find': { risk: 'read' },
			'billing.invoices': { risk: 'read' },
			'ticket.reply_draft': { risk: 'draft' },
			'billing.refund': { risk: 'external_write',
				mode: 'block' },
			'email.send': { risk: 'external_write',
				mode: 'approve' },
			...changes.tools,
		},
	};
}

export const email = {
	to: 'dana.whitfield@acme.example.com', subject: 'About T-1041',
	body: 'We are looking into it.', ticket: 'T-1041',
};

// Asks again and again until fn gives something; fails after the limit.
export async function until(fn, what, limitMs = LIMIT_MS) {
	const end = Date.now() + limitMs;

	for (let pause = 2; ; pause = Math.min(pause * 2, 50)) {
		const got = await fn();

		if (got)
			return got;
		assert.ok(Date.now() < end, `not in ${limitMs} ms: ${
			typeof what === 'function' ? what() : what}`);
		await new Promise((done) => setTimeout(done, pause));
	}
}

// Rejects when promise takes longer than the limit.
export async function within(promise, what, limitMs = LIMIT_MS) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(
			new Error(`not in ${limitMs} ms: ${what}`)), limitMs);
	});

	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

// A program with its output, and its end as a promise.
export class Command {
	constructor(args, options = {}) {
		this.out = this.err = '';
		const { program = paddock, input, ...more } = options;

		this.child = spawn(program, args, more);
		this.child.stdin.on('error', () => undefined);
		if (input !== undefined)
			this.child.stdin.end(input);
		this.child.stdout.setEncoding('utf8')
			.on('data', (s) => { this.out += s; });
		this.child.stderr.setEncoding('utf8')
			.on('data', (s) => { this.err += s; });
		this.ended = new Promise((done) => this.child.on('close',
			(status, signal) => done({ status, signal,
				out: this.out, err: this.err })));
		this.pid = this.child.pid;
	}

	end(limitMs) {
		return within(this.ended, `the end of ${this.child.spawnargs
			.join(' ')}`, limitMs).catch((e) => {
			this.child.kill('SIGKILL');
			e.message += `\n${this.out}${this.err}`;
			throw e;
		});
	}

	says(pattern, limitMs) {
		return until(() => {
			assert.ok(this.child.exitCode === null ||
				pattern.test(this.out + this.err),
			`ended without ${pattern}: ${this.out}${this.err}`);
			return (this.out + this.err).match(pattern);
		}, `${pattern} in the output: ${this.out}${this.err}`, limitMs);
	}
}

// One command line to its end.
export function cli(args, options) {
	return new Command(args, { input: '', ...options }).end();
}

export async function freePort() {
	const s = net.createServer().listen(0, '127.0.0.1');

	await new Promise((done) => s.on('listening', done));
	const { port } = s.address();

	await new Promise((done) => s.close(done));
	return port;
}

let nPlaces = 0;

// A state directory and programs under names of its own, so that what one
// paddock leaves behind can be told from what another one is doing.
export class Place {
	constructor() {
		this.dir = path.join(scratch, `p${++nPlaces}`);
		this.state = path.join(this.dir, 'state');
		this.paddock = path.join(this.dir, 'paddock');
		this.mark = `E2E_MARK=${this.dir}`;
		fs.mkdirSync(this.dir);
		for (const name of programs)
			fs.linkSync(path.join(scratch, 'bin', name),
				path.join(this.dir, name));
	}

	command(args, options) {
		return new Command(args, { program: this.paddock, ...options });
	}

	// Those that read the store see all that has happened before.
	async cli(args, options) {
		if (['diff', 'egress', 'replay', 'trace'].includes(args[0]))
			await this.daemon?.recorded();
		return this.command([...args, '--state', this.state],
			{ input: '', ...options }).end();
	}

	// Its processes, and those that runs with its mark have started.
	processes() {
		return processes().filter((p) =>
			p.exe.startsWith(`${this.dir}/`) ||
			environHas(p.pid, this.mark));
	}

	// Nothing that these supervisors made is there any more.
	async nothingLeft(supervisors) {
		await until(() => this.processes().length === 0,
			() => `the end of ${JSON.stringify(this.processes())}`);
		assert.deepStrictEqual(fs.readFileSync('/proc/self/mountinfo',
			'utf8').split('\n').filter((l) =>
			l.includes(this.dir)), []);
		await until(() => cgroupsLeft(supervisors).length === 0,
			() => `${cgroupsLeft(supervisors)} removed`);
	}
}

// A client of /v1: over the Unix socket, or over TCP with a token.
export class Api {
	constructor(where) {
		this.where = where;
	}

	// {status, headers, body}; body is parsed when it is JSON.
	ask(method, target, body, { token = this.where.token, headers = {},
		raw, signal } = {}) {
		const text = raw ??
			(body === undefined ? undefined : JSON.stringify(body));
		const h = { ...headers };

		if (token !== undefined)
			h.Authorization = `Bearer ${token}`;
		if (text !== undefined) {
			h['Content-Type'] ??= 'application/json';
			h['Content-Length'] = Buffer.byteLength(text);
		}
		return within(new Promise((done, fail) => {
			const q = http.request({ ...this.where.at, agent: false,
				method, path: target, headers: h, signal },
			(a) => {
				let all = '';

				a.setEncoding('utf8').on('data',
					(s) => { all += s; });
				a.on('error', fail).on('end', () => {
					let parsed = all;

					if (/json/.test(a.headers['content-type']) &&
					    method !== 'HEAD')
						parsed = JSON.parse(all);
					done({ status: a.statusCode,
						headers: a.headers, body: parsed });
				});
			});

			q.on('error', fail).end(text);
		}), `${method} ${target}`, /wait|calls/.test(target)
			? 70000 * slow : LIMIT_MS);
	}

	async get(target, options) {
		const a = await this.ask('GET', target, undefined, options);

		assert.strictEqual(a.status, 200, JSON.stringify(a.body));
		return a.body;
	}

	async post(target, body, options) {
		const a = await this.ask('POST', target, body, options);

		assert.ok(a.status < 300, JSON.stringify(a.body));
		return a.body;
	}

	// A run without a command: an agent elsewhere calls with its token.
	open(changes = {}, more = {}) {
		return this.post('/v1/runs', { policy: policy(changes),
			world: world(), ...more });
	}

	call(run, name, args = {}, more = {}) {
		return this.ask('POST', `/v1/runs/${run.run}/calls`,
			{ name, arguments: args, ...more },
			{ token: run.token ?? this.where.token });
	}

	// The records of a run as they come, until the run has closed.
	async *events(run, from = 0) {
		const { socket } = this.where;
		const headers = { Accept: 'text/event-stream' };
		const a = await within(new Promise((done, fail) => http.request({
			...this.where.at, agent: false, headers: this.where.token
				? { ...headers, Authorization:
					`Bearer ${this.where.token}` } : headers,
			path: `/v1/runs/${run}/events?from=${from}`,
		}, done).on('error', fail).end()), `events of ${run}`);
		let text = '';

		assert.strictEqual(a.statusCode, 200, socket);
		try {
			for await (const part of a.setEncoding('utf8')) {
				text += part;
				for (let at; (at = text.indexOf('\n\n')) >= 0;) {
					const data = text.slice(0, at).split('\n')
						.find((l) => l.startsWith('data: '));

					text = text.slice(at + 2);
					if (data !== undefined)
						yield JSON.parse(data.slice(6));
				}
			}
		} finally {
			a.destroy();
		}
	}

	// The first record that passes; fails when the run ends without it.
	event(run, test, what) {
		return within((async () => {
			for await (const ev of this.events(run))
				if (test(ev))
					return ev;
			throw new Error(`${run} ended without ${what}`);
		})(), `${what} of ${run}`);
	}

	// The approval that a run waits for.
	async approval(run) {
		const ev = await this.event(run,
			(e) => e.kind === 'approval.requested',
			'a request for approval');

		return ev.body.approval;
	}

	decide(approval, verdict, more = {}, options) {
		return this.ask('POST', `/v1/approvals/${approval}/decide`,
			{ verdict, ...more }, options);
	}

	// The run as it is when it has closed.
	async closed(run) {
		return until(async () => {
			const r = await this.get(
				`/v1/runs/${run}/wait?timeout_ms=60000`);

			return r.closed_ms === undefined ? undefined : r;
		}, `the end of ${run}`);
	}
}

export class Daemon extends Api {
	static async start(options = {}) {
		const place = options.place ?? new Place();
		const { state } = place;
		const port = await freePort();
		const d = new Daemon({ at: { socketPath:
			path.join(state, 'paddock.sock') } });

		d.place = place;
		place.daemon = d;
		d.state = state;
		d.port = port;
		d.command = place.command(['serve', '--state', state,
			'--listen', `127.0.0.1:${port}`], { env: options.env });
		running.add(d);
		await d.command.says(/serving on http/, 60000);
		d.token = fs.readFileSync(path.join(state, 'operator.token'),
			'utf8').trim();
		d.url = `http://127.0.0.1:${port}`;
		d.supervisor = descendants(d.command.pid)
			.find((p) => p.role === 'supervisor').pid;
		return d;
	}

	// The same API over TCP, as whoever has this token.
	tcp(token = this.token) {
		return new Api({ token,
			at: { host: '127.0.0.1', port: this.port } });
	}

	// Roles by name, and as `init` a sandbox's PID 1 that has a run.
	roles() {
		return rolesBelow(this.supervisor);
	}

	async stop() {
		running.delete(this);
		if (this.command.child.exitCode === null &&
		    this.command.child.signalCode === null)
			this.command.child.kill('SIGTERM');
		return this.command.end();
	}

	// All that has happened so far: the disk is some milliseconds behind.
	async trace(...args) {
		await this.recorded();
		return trace(this.state, ...args);
	}

	// Answers when what has happened so far is on disk.
	async recorded() {
		const seen = () => this.get('/v1/health').catch(() => undefined);
		const now = await seen();

		// Without a daemon that answers, nothing more comes.
		if (now !== undefined)
			await until(async () => ((await seen())?.records ??
				Infinity) >= now.records_made, 'the disk');
	}
}

export function rolesBelow(supervisor) {
	const all = {};

	for (const p of processes()) {
		if (p.ppid !== supervisor)
			continue;
		if (p.role !== undefined)
			all[p.role] = p.pid;
		else if (!p.cmd.startsWith('paddock-init park'))
			all.init = p.pid; // a parked one has no run yet
	}
	return all;
}

// Records of a run, from the store itself.
export async function trace(state, run = 'last') {
	const r = await cli(['trace', 'show', run, '--json', '--state', state]);

	assert.strictEqual(r.status, 0, r.err);
	return r.out.trim().split('\n').map((l) => JSON.parse(l));
}

export async function verify(state) {
	const r = await cli(['trace', 'verify', '--json', '--state', state]);

	assert.strictEqual(r.status, 0, r.out + r.err);
	const v = JSON.parse(r.out);

	assert.strictEqual(v.sound, true, r.out);
	return v;
}

// Groups that one of these supervisors made: paddock-NS-PID-TIME-N.
export function cgroupsLeft(pids) {
	const found = [];
	const look = (dir, depth) => {
		let names;

		try {
			names = fs.readdirSync(dir, { withFileTypes: true });
		} catch {
			return;
		}
		for (const n of names.filter((f) => f.isDirectory())) {
			const m = n.name.match(/^paddock-\w+-(\d+)-/);

			if (m && pids.includes(Number(m[1])))
				found.push(path.join(dir, n.name));
			else if (!m && depth > 0)
				look(path.join(dir, n.name), depth - 1);
		}
	};

	look('/sys/fs/cgroup', 6);
	return found;
}

// Every effect has its decision on record before it, and every start an end.
export function assertRecorded(records) {
	const steps = new Map();

	for (const r of records) {
		const seen = steps.get(r.step) ?? [];

		if (r.kind === 'tool.started') {
			assert.ok(seen.includes('tool.proposed') &&
				seen.includes('policy.decision'),
			`step ${r.step} started without a decision`);
			if (r.dec?.verdict === 'approve')
				assert.ok(seen.includes('approval.decided'));
		}
		// What could not be begun has an end, too, and no effect.
		if (r.kind === 'tool.finished' && (r.res.status === 'ok' ||
			r.res.effect !== 'none'))
			assert.ok(seen.includes('tool.started'),
				`step ${r.step} finished without a start`);
		seen.push(r.kind);
		steps.set(r.step, seen);
	}
	for (const [step, seen] of steps)
		if (seen.includes('tool.started'))
			assert.ok(seen.includes('tool.finished'),
				`step ${step} started and has no end`);
	assert.strictEqual(records[0].kind, 'run.opened');
	assert.strictEqual(records.filter((r) => r.kind === 'run.closed').length,
		1, 'one end');
}
