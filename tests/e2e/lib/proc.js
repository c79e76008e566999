// Processes as /proc shows them.
import fs from 'node:fs';

// [{pid, ppid, exe, cmd, role}], without those that ended while we looked.
export function processes() {
	const all = [];

	for (const name of fs.readdirSync('/proc')) {
		if (!/^\d+$/.test(name))
			continue;
		try {
			const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
			const rest = stat.slice(stat.lastIndexOf(')') + 2)
				.split(' ');
			const words = fs.readFileSync(`/proc/${name}/cmdline`,
				'utf8').split('\0');
			const at = words.indexOf('--role');

			// A zombie is over; its parent has not asked yet.
			if (rest[0] === 'Z' || rest[0] === 'X')
				continue;
			all.push({ pid: Number(name), ppid: Number(rest[1]),
				exe: link(`/proc/${name}/exe`),
				cmd: words.join(' ').trim(),
				role: at < 0 ? undefined : words[at + 1] });
		} catch (e) {
			if (e.code !== 'ENOENT' && e.code !== 'ESRCH')
				throw e;
		}
	}
	return all;
}

export function descendants(pid) {
	const all = processes();
	const found = [];

	for (const parents = [pid]; parents.length > 0;) {
		const parent = parents.pop();

		for (const p of all.filter((q) => q.ppid === parent)) {
			found.push(p);
			parents.push(p.pid);
		}
	}
	return found;
}

export function environHas(pid, assignment) {
	try {
		return fs.readFileSync(`/proc/${pid}/environ`, 'latin1')
			.split('\0').includes(assignment);
	} catch {
		return false;
	}
}

export function isAlive(pid) {
	return processes().some((p) => p.pid === pid);
}

function link(name) {
	try {
		return fs.readlinkSync(name);
	} catch {
		return '';
	}
}
