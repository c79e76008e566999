// What a tool server's page looks like before and after a call: when it is
// asked for, what becomes of it, and servers that show what they should not.
// browser.test.js does the same with a real browser.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Daemon, here, scratch, until, verify } from './lib/paddock.js';

const code = fs.readFileSync(path.join(here, 'lib/shown.py'), 'utf8');
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

const server = (mode, capture, more = {}) => ({ command: ['python3', '-c',
	code, mode], capture: { with: ['shot', 'text'], ...capture }, ...more });

const open = (mode = '', capture = {}, more = {}) => d.open({
	servers: { s: server(mode, capture) },
	tools: { 's.do': { risk: 'external_write', mode: 'allow' },
		's.look': { risk: 'read' } }, ...more });

const of = async (run, kind) =>
	(await d.trace(run.run)).filter((e) => e.kind === kind);
const shown = (e) => [e.body.when, e.body.via, e.res.status];
const did = (a) => a.body.content?.[0].text;

test('a call that does something is captured on both sides, one that reads ' +
	'is not', async () => {
	const run = await open();

	assert.strictEqual(did(await d.call(run, 's.do')), 'did 1');
	assert.strictEqual(did(await d.call(run, 's.look')), 'page 1');
	const all = await of(run, 'page.captured');
	const [a, , b] = all.map((e) => e.res.out.h);

	assert.deepStrictEqual(all.map(shown), [
		['before', 'shot', 'ok'], ['before', 'text', 'ok'],
		['after', 'shot', 'ok'], ['after', 'text', 'ok']]);
	assert.notStrictEqual(a, b);
	assert.deepStrictEqual([all[0].body.width, all[0].body.height], [8, 4]);
	assert.strictEqual(all[1].res.out.preview, 'page 0 of ');
	assert.strictEqual(all[3].res.out.preview, 'page 1 of ');
	for (const e of all)
		assert.strictEqual(e.body.label, 'untrusted:s.do');
});

test('`of` says around which calls, `before` and `after` on which side',
	async () => {
		const run = await open('', { of: ['l*'], before: false });

		await d.call(run, 's.do');
		await d.call(run, 's.look');
		// Who reads is answered before the end is on disk.
		await until(async () => (await of(run, 'tool.finished'))
			.length === 2, 'both ends');
		assert.deepStrictEqual((await of(run, 'page.captured')).map((e) =>
			[e.tool.name, e.body.when]), [['s.look', 'after'],
			['s.look', 'after']]);
	});

describe('without a capture before it a call is not made', () => {
	for (const [mode, why] of [['fail', /no page is open/],
		['fake', /no PNG/], ['svg', /neither PNG nor JPEG/],
		['big', /over 2097152 bytes/], ['b64', /character/],
		['nothing', /showed nothing/], ['slow', /in time/],
		['link', /neither picture nor text/], ['die', /did not answer/]]) {
		test(`the picture is wrong: ${mode}`, async () => {
			const run = await open(mode, { timeout_ms: 1000 });
			const a = await d.call(run, 's.do');
			const all = await of(run, 'page.captured');
			const [end] = await of(run, 'tool.finished');

			assert.strictEqual(a.status, 422);
			// Of a server that ends the next one would be asked.
			assert.match(a.body.code, mode === 'die'
				? /no_capture|server_ended/ : /^no_capture$/);
			assert.strictEqual(all[0].res.status, 'error');
			assert.strictEqual(all[0].dec.code, 'no_capture');
			assert.match(all[0].dec.reason, why);
			assert.strictEqual(all[0].res.out, undefined);
			assert.strictEqual(end.res.effect, 'none');
			if (mode !== 'die')
				assert.match(did(await d.call(run, 's.look')),
					/page 0/);
		});
	}

	test('unless the policy says so', async () => {
		const run = await open('fail', { on_failure: 'record' });

		assert.strictEqual(did(await d.call(run, 's.do')), 'did 1');
		assert.deepStrictEqual((await of(run, 'page.captured')).map(shown), [
			['before', 'shot', 'error'], ['before', 'text', 'ok'],
			['after', 'shot', 'error'], ['after', 'text', 'ok']]);
	});
});

for (const mode of ['fail_after', 'die_after', 'slow_after']) {
	test(`that one behind it is missing is on record: ${mode}`, async () => {
		const run = await open(mode, { timeout_ms: 1000 });

		assert.strictEqual(did(await d.call(run, 's.do')), 'did 1');
		const all = (await of(run, 'page.captured')).map(shown);

		assert.deepStrictEqual(all.slice(0, 3), [['before', 'shot', 'ok'],
			['before', 'text', 'ok'], ['after', 'shot', 'error']]);
		assert.strictEqual((await of(run, 'tool.finished'))[0].res.status,
			'ok');
	});
}

test('calls that come together have their turns, each with its own captures',
	async () => {
		const run = await open();

		await Promise.all([1, 2, 3, 4].map(() => d.call(run, 's.do')));
		const all = await of(run, 'page.captured');
		const texts = new Map();

		for (const e of all.filter((e) => e.body.via === 'text'))
			texts.set(e.step, [...texts.get(e.step) ?? [],
				Number(e.res.out.preview.match(/page (\d)/)[1])]);
		assert.deepStrictEqual([...texts.values()].sort(),
			[[0, 1], [1, 2], [2, 3], [3, 4]]);
	});

test('what a person approves is captured when it is done', async () => {
	const run = await open('', {}, { tools: {
		's.do': { risk: 'external_write', mode: 'approve' } } });
	const asked = d.call(run, 's.do');
	const id = await d.approval(run.run);

	assert.deepStrictEqual(await of(run, 'page.captured'), []);
	await d.decide(id, 'approve');
	assert.strictEqual(did(await asked), 'did 1');
	assert.strictEqual((await of(run, 'page.captured')).length, 4);
});

test('the agent gets nothing of it, and texts lose the run\'s secrets',
	async () => {
		const folder = path.join(d.state, 'secrets');
		const secret = 'correct-horse-battery-staple-7';

		fs.mkdirSync(folder, { recursive: true });
		fs.writeFileSync(path.join(folder, 'key'), secret,
			{ mode: 0o600 });
		const run = await open('', {}, {
			servers: { s: server('', {}, { env: { WHAT: `${secret} ${
				Buffer.from(`a ${secret}`).toString('base64')}` } }) },
			secrets: { key: { from: 'file:key', inject: {
				header: 'x-key' } } },
		});
		const a = await d.call(run, 's.do');
		const texts = (await of(run, 'page.captured')).filter((e) =>
			e.body.via === 'text');

		assert.deepStrictEqual(a.body, { content: [
			{ text: 'did 1', type: 'text' }], isError: false });
		for (const e of texts) {
			const b = await d.place.cli(['trace', 'blob', run.run,
				e.res.out.h]);

			assert.strictEqual(e.res.out.kept, 'redacted', b.out);
			assert.match(b.out, /^page \d of pdk_/);
			assert.ok(!b.out.includes(secret));
			assert.doesNotMatch(Buffer.from(b.out.split(' ').pop(),
				'base64').toString(), /horse/);
		}
	});

test('what the policy redacts of a tool\'s result is redacted', async () => {
	const run = await open('', {}, { tools: {
		's.do': { risk: 'external_write', mode: 'allow' },
		's.text': { risk: 'read', redact: { result:
			['$.content[*].text'] } },
		's.shot': { risk: 'read', redact: { result:
			['$.content[*].data'] } } } });

	await d.call(run, 's.do');
	for (const e of await of(run, 'page.captured'))
		assert.deepStrictEqual([e.res.out.kept, e.res.out.preview],
			['redacted', '[redacted]']);
});

test('a capture of a picture is a file again, by a few digits of its hash',
	async () => {
		const run = await open();

		await d.call(run, 's.do');
		const [e] = await of(run, 'page.captured');
		const blob = (hash, ...more) => d.place.cli(['trace', 'blob',
			run.run, hash, ...more]);
		const file = path.join(scratch, 'picture.png');
		const a = await blob(e.res.out.h.slice(0, 10), '-o', file);

		assert.strictEqual(a.status, 0, a.err);
		assert.strictEqual(fs.readFileSync(file).readUInt32BE(16), 8);
		for (const [r, why] of [[await blob(e.res.out.h, '-o', file),
			/File exists/], [await blob('123'), /not a hash/],
			[await blob('0'.repeat(64)), /no record of the run/]]) {
			assert.strictEqual(r.status, 1, r.out);
			assert.match(r.err, why);
		}
	});

test('the trace of all of them is sound', () => verify(d.state));
