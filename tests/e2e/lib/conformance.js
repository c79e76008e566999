// Runs inside a sandbox: the conformance suite against paddock's door, as
// whatever agent is there. argv: the suite's program and its arguments.
import { spawnSync } from 'node:child_process';

const [program, ...args] = process.argv.slice(2);
const r = spawnSync(process.execPath, [program, 'server', '--url',
	process.env.PADDOCK_MCP_URL, ...args], { stdio: 'inherit' });

process.exit(r.status ?? 1);
