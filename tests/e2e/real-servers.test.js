// The reference servers behind the broker, each in a sandbox of its own, used
// by the official clients from inside a run.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Command, Daemon, example, here, isRoot, scratch, trace }
	from './lib/paddock.js';

const at = path.join(here, 'node_modules/@modelcontextprotocol');
const program = (name) => [process.execPath,
	path.join(at, `server-${name}/dist/index.js`)];
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

for (const client of ['v1', 'auto']) {
	test(`filesystem, memory and everything, client ${client}`, async () => {
		const data = fs.mkdtempSync(path.join(scratch, 'data-'));
		const file = path.join(scratch, `real-${client}.json`);

		if (isRoot)
			fs.chownSync(data, 12345, 12345);
		fs.writeFileSync(file, JSON.stringify({
			policy: 1, workflow: 'real', stage: 5,
			sandbox: { mounts: [
				{ from: data, to: '/data', mode: 'rw' }] },
			servers: {
				files: { command: [...program('filesystem'), '/data'],
					mounts: ['workspace', '/data'] },
				memory: { command: program('memory'),
					env: { MEMORY_FILE_PATH: '/tmp/m.jsonl' },
					mounts: ['workspace'] },
				every: { command: [...program('everything'), 'stdio'],
					mounts: ['workspace'] },
			},
			tools: {
				'files.read_*': { risk: 'read' },
				'files.write_file': { risk: 'internal_write',
					mode: 'allow' },
				'memory.*': { risk: 'internal_write', mode: 'allow' },
				'every.get-*': { risk: 'read' },
			},
		}));
		const r = await new Command(['run', file, '--state', d.state,
			'--world', path.join(example, 'world.json'),
			'--env', d.place.mark, '--', process.execPath,
			'lib/real_servers.js', client], { cwd: here, input: '' })
			.end();

		assert.strictEqual(r.status, 0, r.out + r.err);
		const got = JSON.parse(r.out.trim().split('\n').pop());

		assert.ok(got.tools.includes('files.read_text_file'));
		assert.ok(got.tools.includes('memory.read_graph'));
		assert.ok(!got.tools.includes('files.move_file'));
		assert.ok(!got.tools.includes('every.echo'));
		assert.strictEqual(got.written.error, false, got.written.text);
		assert.strictEqual(got.read.text, 'from inside');
		assert.strictEqual(got.outside.error, true);
		assert.match(got.moved.text, /unlisted_tool/);
		assert.strictEqual(got.created.error, false, got.created.text);
		assert.match(got.graph.text, /paddock/);
		assert.match(got.sum.text, /42/);
		assert.ok(got.image.kinds.includes('image'));
		assert.strictEqual(fs.readFileSync(path.join(data, 'a.txt'),
			'utf8'), 'from inside');

		const all = await trace(d.state);
		const done = all.filter((e) => e.kind === 'tool.finished');
		const write = done.find((e) => e.tool.name === 'files.write_file');

		assert.strictEqual(all.filter((e) => e.kind === 'note' &&
			e.body.note === 'server' && e.body.state === 'ready')
			.length, 3);
		assert.strictEqual(write.res.effect, 'real');
		assert.strictEqual(write.res.origin, 'server');
	});
}
