// What is outside of a sandbox: servers on this machine, a resolver that leads
// every name to them, certificates that they show.
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';

const servers = [];

export async function listen(s) {
	servers.push(s);
	await new Promise((done) => s.listen(0, '127.0.0.1', done));
	return s.address().port;
}

// Any name is 127.0.0.1.
export async function resolver() {
	const s = dgram.createSocket('udp4');

	s.on('message', (q, from) => {
		let at = 12;

		while (q[at] !== 0)
			at += q[at] + 1;
		const is4 = q.readUInt16BE(at + 1) === 1;
		const head = Buffer.from([...q.subarray(0, 2), 0x81, 0x80,
			...q.subarray(4, 6), 0, is4 ? 1 : 0, 0, 0, 0, 0]);

		s.send(Buffer.concat([head, q.subarray(12, at + 5), is4
			? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4,
				127, 0, 0, 1]) : Buffer.alloc(0)]),
		from.port, from.address);
	});
	await new Promise((done) => s.bind(0, '127.0.0.1', done));
	servers.push(s);
	return s.address().port;
}

// A CA and a certificate of it for these names; gives the CA as PEM.
export function certificates(dir, names) {
	const run = (...args) => execFileSync('openssl', args,
		{ cwd: dir, stdio: 'pipe' });
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
		'-nodes'];

	run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem',
		'-days', '2', '-subj', '/CN=a test', '-addext',
		'basicConstraints=critical,CA:TRUE');
	run('req', ...key, '-keyout', 's.key', '-out', 's.csr', '-subj',
		`/CN=${names[0]}`);
	fs.writeFileSync(path.join(dir, 'ext'),
		`subjectAltName=${names.map((n) => `DNS:${n}`).join()}`);
	run('x509', '-req', '-in', 's.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key',
		'-CAcreateserial', '-out', 's.pem', '-days', '2', '-extfile',
		'ext');
	return fs.readFileSync(path.join(dir, 'ca.pem'), 'utf8');
}

export function closeAll() {
	for (const s of servers)
		s.close();
}
