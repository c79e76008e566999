// `paddock policy`: what needs no daemon.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

const program = path.join(process.env.PADDOCK_BUILD, 'src/paddock');
const dir = mkdtempSync(path.join(os.tmpdir(), 'policy-'));

after(() => rmSync(dir, { recursive: true }));

function file(name, value) {
	const at = path.join(dir, name);

	writeFileSync(at, typeof value === 'string' ? value :
		JSON.stringify(value));
	return at;
}

const paddock = (...argv) => spawnSync(program, ['policy', ...argv],
	{ encoding: 'utf8' });

const policy = file('policy.json', { policy: 1, workflow: 'refunds', stage: 4,
	tools: { 'billing.refund': { risk: 'external_write', mode: 'approve',
		reversible: true, when: [
			{ if: 'args.amount <= 25 && !labels.untrusted',
				then: 'allow', from_stage: 4 },
			{ if: "args.invoice.startsWith('INV-LIVE')",
				then: 'block', reason: 'live_invoice' }] } } });
const call = (amount, invoice, verdict, more) => ({ tool: 'billing.refund',
	args: { amount, invoice }, verdict, ...more });

test('a table of expected verdicts passes, and names what differs', () => {
	const good = file('good.json', [call(5, 'I', 'allow'),
		call(26, 'I', 'approve', { code: 'tool_mode' }),
		call(5, 'I', 'approve', { labels: ['untrusted:web'] }),
		call(5, 'INV-LIVE-1', 'block', { rule:
			'tools.billing.refund.when' }),
		{ tool: 'none', verdict: 'block', code: 'unlisted_tool' }]);
	const bad = file('bad.json', [call(5, 'I', 'allow'),
		call(5, 'INV-LIVE-1', 'approve', { name: 'live' })]);
	let got = paddock('test', policy, good);

	assert.equal(got.status, 0, got.stderr);
	assert.match(got.stdout, /5 cases, 5 as expected, 0 not/);
	got = paddock('test', policy, bad);
	assert.equal(got.status, 1);
	assert.match(got.stdout, /case 2 \(live\): billing\.refund: expected approve, got block when by tools\.billing\.refund\.when: live_invoice/);
	got = paddock('test', policy, bad, '--json');
	assert.equal(got.status, 1);
	assert.deepEqual(JSON.parse(got.stdout).map((c) => c.ok),
		[true, false]);
});

test('what a run can read, write and execute is shown, for people too', () => {
	const empty = { allow_read: [], deny_read: [], allow_write: [],
		deny_write: [], mode: 'deny' };
	const rows = [
		[undefined, { commands: { allow: 'any', block: [] }, image: 'host',
			mounts: [], protect: empty, user: 'agent' },
		['root         host', 'execute      any program']],
		[{ mounts: [{ from: './a', to: '/a' }, { from: './b', to: '/b',
			mode: 'rw', noexec: true }], user: 'root',
		protect: { deny_read: ['*.key'], allow_write: ['Makefile'],
			mode: 'flag' }, commands: { allow: ['sh', '/bin/ls'],
			block: ['curl'] }, image: 'it' },
		{ commands: { allow: ['sh', '/bin/ls'], block: ['curl'] },
			image: 'it', mounts: [
				{ from: './a', mode: 'ro', noexec: false, to: '/a' },
				{ from: './b', mode: 'rw', noexec: true, to: '/b' }],
			protect: { ...empty, deny_read: ['*.key'],
				allow_write: ['Makefile'], mode: 'flag' },
			user: 'root' },
		['root         it', 'mount        /a from ./a: read',
			'mount        /b from ./b: read and written for good; ' +
				'no program starts from it', 'not read     *.key',
			'also write   Makefile', 'execute      /bin/ls',
			'not execute  curl']],
		[{ commands: { allow: [] } }, { commands: { allow: [], block: [] },
			image: 'host', mounts: [], protect: empty, user: 'agent' },
		['execute      no program']],
	];

	for (const [sandbox, expected, lines] of rows) {
		const at = file('view.json', { policy: 1, workflow: 'w', stage: 5,
			tools: {}, ...sandbox && { sandbox } });
		const shown = paddock('explain', at, '--json');

		assert.equal(shown.status, 0, shown.stderr);
		assert.deepEqual(JSON.parse(shown.stdout), expected);
		assert.deepEqual(JSON.parse(paddock('check', at, '--json')
			.stdout)[0].sandbox, expected);
		const text = paddock('explain', at).stdout.split('\n');

		for (const l of lines)
			assert.ok(text.includes(l), `${l} in ${text.join('|')}`);
	}
	assert.equal(paddock('explain', policy, '--labels', 'pii').status, 2);
});

test('a table that cannot be meant is refused with the case', () => {
	const rows = [
		[[], /empty/],
		[[{ tool: 't' }], /case 1: verdict must be/],
		[[{ tool: 't', verdict: 'yes' }], /case 1: verdict must be/],
		[[{ verdict: 'block' }], /case 1: the tool is missing/],
		[[{ tool: 't', verdict: 'block', arg: {} }],
			/unknown member "arg": did you mean args\?/],
		[[{ tool: 't', verdict: 'block', labels: [1] }], /label/],
		['{', /line 1/],
	];

	for (const [cases, why] of rows) {
		const got = paddock('test', policy, file('cases.json', cases));

		assert.equal(got.status, 1);
		assert.match(got.stderr, why);
		assert.equal(got.stdout, '');
	}
});

test('what a policy extends is read beside it, and goes into its version', () => {
	file('base@3.yaml', 'policy: 1\nworkflow: base\nversion: "3"\nstage: 5\n' +
		'tools:\n  kb.*: { risk: read }\n' +
		'  mail: { risk: external_write, mode: approve }\n');
	const child = file('child.json', { policy: 1, workflow: 'w',
		extends: ['base@3'], tools: { 'kb.search': { risk: 'read',
			mode: 'simulate' } } });
	const check = paddock('check', '--json', child);
	const explain = (tool) =>
		JSON.parse(paddock('explain', '--json', child, tool).stdout);

	assert.equal(check.status, 0, check.stdout);
	assert.equal(explain('kb.search').verdict, 'simulate');
	assert.equal(explain('kb.other').verdict, 'allow');
	assert.equal(explain('mail').rule, 'base@3 tools.mail.mode');
	assert.equal(explain('else').verdict, 'block');
	file('base@3.yaml', 'policy: 1\nworkflow: base\nversion: "3"\nstage: 4\n' +
		'tools: { "kb.*": { risk: read } }\n');
	assert.notEqual(
		JSON.parse(paddock('check', '--json', child).stdout)[0].version,
		JSON.parse(check.stdout)[0].version);

	const loose = paddock('check', file('loose.yaml',
		'policy: 1\nworkflow: w\nextends: [base@3]\nstage: 5\n'));

	assert.equal(loose.status, 1);
	assert.match(loose.stdout, /loose\.yaml:4:8: stage: is looser than in base@3, which says 4/);

	const lost = paddock('check', file('lost.json', { policy: 1,
		workflow: 'w', extends: ['none@1'] }));

	assert.equal(lost.status, 1);
	assert.match(lost.stdout, /lost\.json:1:\d+: extends\[0\]: there is no none@1\.json, none@1\.yaml or none@1\.yml beside/);
});

test('a diff tells what became looser, and exits with 1 then', () => {
	const row = (mode) => ({ policy: 1, workflow: 'w', stage: 5, tools: {
		mail: { risk: 'external_write', mode } } });
	const a = file('a.json', row('approve'));
	const b = file('b.json', row('allow'));
	let got = paddock('diff', a, b);

	assert.equal(got.status, 1);
	assert.match(got.stdout, /looser +tools\.mail\.mode: allow, was approve/);
	got = paddock('diff', '--json', b, a);
	assert.equal(got.status, 0);
	assert.deepEqual(JSON.parse(got.stdout).looser, []);
	assert.equal(JSON.parse(got.stdout).tighter[0].path, 'tools.mail.mode');
	assert.equal(paddock('diff', a, a).status, 0);
	assert.equal(paddock('diff', a).status, 2);
	assert.equal(paddock('diff', a, 'nowhere.json').status, 1);
});
