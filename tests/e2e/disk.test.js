// The disk under the state is full, or may not be written: nothing begins that
// could not be recorded, who asks is told so, nothing is done twice, and the
// daemon goes on by itself when there is room again.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { Daemon, Place, assertRecorded, email, isRoot, trace, until, verify } from
	'./lib/paddock.js';

const sending = { tools: { 'email.send':
	{ risk: 'external_write', mode: 'allow' } } };

// A place whose state is on a small disk of its own, while test t runs.
function onDisk(t) {
	const place = new Place();

	fs.mkdirSync(place.state);
	execFileSync('mount', ['-t', 'tmpfs', '-o',
		'size=6m,mode=755', 'paddock-test', place.state]);
	t.after(() => execFileSync('umount', ['-l', place.state]));
	return place;
}

// Its file system finds itself damaged, as a disk that fails makes it: from
// then on nothing can be written, and mounting it anew mends that.
function onFailingDisk(t) {
	const place = new Place();
	const image = path.join(place.dir, 'image');

	fs.mkdirSync(place.state);
	fs.closeSync(fs.openSync(image, 'w'));
	fs.truncateSync(image, 32 << 20);
	execFileSync('mkfs.ext4', ['-q', '-F', image]);
	const mount = () => execFileSync('mount', ['-o',
		'loop,errors=remount-ro', image, place.state]);
	const umount = () => execFileSync('umount', [place.state]);

	mount();
	t.after(() => execFileSync('umount', ['-l', place.state]));
	const from = fs.readFileSync('/proc/self/mountinfo', 'utf8')
		.split('\n').find((l) => l.includes(` ${place.state} `))
		.match(/ ext4 \/dev\/(\S+) /)[1];
	const trigger = `/sys/fs/ext4/${from}/trigger_fs_error`;

	fs.accessSync(trigger, fs.constants.W_OK);
	place.fail = () => fs.writeFileSync(trigger, 'paddock-test');
	place.mend = () => { umount(); mount(); };
	return place;
}

const canFail = ['/dev/loop-control', '/sbin/mkfs.ext4'].every((f) =>
	fs.existsSync(f));

// Not a byte is left.
function fill(place) {
	const fd = fs.openSync(path.join(place.state, 'filler'), 'w');

	for (let n = 1 << 16; n > 0;)
		try {
			n = fs.writeSync(fd, Buffer.alloc(n)) > 0 ? n : 0;
		} catch (e) {
			assert.strictEqual(e.code, 'ENOSPC');
			n = n > 1 ? n >> 1 : 0;
		}
	fs.closeSync(fd);
}

function room(place) {
	fs.rmSync(path.join(place.state, 'filler'));
}

const codeOf = (a) => a.body.code ?? a.body.error.code;
const health = (d) => d.ask('GET', '/v1/health');

async function sentTo(d, run) {
	const all = await trace(d.state, run.run);

	assertRecorded(all);
	return all.filter((r) => r.kind === 'tool.finished' &&
		r.res?.status === 'ok').map((r) =>
		JSON.parse(r.res.out.preview).id);
}

describe('a state on a disk of its own', { skip: isRoot ? false
	: 'only root mounts' }, () => {
	test('that is full: what began waits, what begins is refused, and all ' +
	    'goes on when there is room', async (t) => {
		const d = await Daemon.start({ place: onDisk(t) });
		const run = await d.open(sending);
		const ids = [(await d.call(run, 'email.send', email)).body.id];

		fill(d.place);
		// Somebody's record meets the full disk, and waits for room.
		const held = d.call(run, 'email.send', email);

		await until(async () => (await health(d)).status === 503,
			'the full disk seen');
		assert.strictEqual(codeOf(await health(d)), 'store_full');
		for (const what of [() => d.call(run, 'email.send', email),
			() => d.call(run, 'kb.search', { query: 'refund' }),
			() => d.ask('POST', '/v1/runs', { policy: {
				policy: 1, workflow: 'w', tenant: 't', actor: 'a',
				roles: [], tools: {} } })]) {
			const a = await what();

			assert.strictEqual(a.status, 503, JSON.stringify(a.body));
			assert.strictEqual(codeOf(a), 'store_failed');
		}
		// Reading goes on.
		await verify(d.state);
		assert.ok((await trace(d.state, run.run)).length > 0);

		room(d.place);
		ids.push((await held).body.id);
		await until(async () => (await health(d)).status === 200, 'room');
		ids.push((await d.call(run, 'email.send', email)).body.id);
		assert.strictEqual(new Set(ids).size, 3, ids);
		await d.post(`/v1/runs/${run.run}/stop`, {});
		await d.closed(run.run);
		assert.deepStrictEqual(await sentTo(d, run), ids);
		await d.stop();
		assert.match(d.command.err, /store is full.*\n[^]*has room again/);
		await verify(d.state);
	});

	test('that is full when its daemon is killed: the next one closes the ' +
	    'run on record', async (t) => {
		const d = await Daemon.start({ place: onDisk(t) });
		const run = await d.open(sending);
		const { id } = (await d.call(run, 'email.send', email)).body;

		await until(async () => (await trace(d.state, run.run)).some(
			(r) => r.kind === 'tool.finished'), 'the end of the call');
		fill(d.place);
		const held = d.call(run, 'email.send', email)
			.catch(() => undefined);

		await until(async () => (await health(d)).status === 503,
			'the full disk seen');
		process.kill(d.supervisor, 'SIGKILL');
		await d.command.end();
		await held;
		await verify(d.state);
		room(d.place);
		const again = await Daemon.start({ place: d.place });

		assert.ok((await again.closed(run.run)).stop_reason);
		assert.deepStrictEqual(await sentTo(again, run), [id]);
		const other = await again.open(sending);
		const a = await again.call(other, 'email.send', email);

		assert.strictEqual(a.status, 200);
		await again.stop();
		await verify(d.state);
	});

	test('that turns read-only while a run is open: nothing happens without ' +
	    'a record, and the next daemon closes the run', { skip: canFail
		? false : 'needs loop devices and mkfs.ext4' }, async (t) => {
		let place;

		try {
			place = onFailingDisk(t);
		} catch (e) {
			t.skip(`no file system that can be made to fail: ${e.message}`);
			return;
		}
		const d = await Daemon.start({ place });
		const run = await d.open(sending);
		const ids = [(await d.call(run, 'email.send', email)).body.id];

		await d.recorded();
		place.fail();
		// Each is refused, or nobody is there to answer any more.
		for (let n = 0; n < 5; n++) {
			const a = await d.call(run, 'email.send', email)
				.catch(() => undefined);

			assert.ok(a === undefined || a.status >= 400,
				JSON.stringify(a?.body));
		}
		await d.stop();
		assert.match(d.command.err, /read-only|disk I\/O|attempt to write/i);
		place.mend();
		const next = await Daemon.start({ place });
		const closed = await next.closed(run.run);

		assert.ok(['failed', 'stopped'].includes(closed.status),
			JSON.stringify(closed));
		assert.deepStrictEqual(await sentTo(next, run), ids);
		await next.stop();
		await verify(place.state);
	});

	test('that may not be written is refused plainly', async (t) => {
		const place = onDisk(t);
		const first = await Daemon.start({ place });

		await first.open();
		await first.stop();
		execFileSync('mount', ['-o', 'remount,ro', place.state]);
		const r = await place.cli(['serve']);

		assert.strictEqual(r.status, 1, r.err);
		assert.match(r.err, /Read-only file system/);
		await verify(place.state);
	});

	test('that is full from the beginning is refused plainly, until there ' +
	    'is room', async (t) => {
		const place = onDisk(t);

		fill(place);
		const r = await place.cli(['serve']);

		assert.strictEqual(r.status, 1, r.err);
		assert.match(r.err, /No space left|full/);
		room(place);
		const d = await Daemon.start({ place });

		await d.open();
		await d.stop();
		await verify(place.state);
	});
});
