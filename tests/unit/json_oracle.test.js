'use strict';
/*
 * Our JSON parser and writer against node's, on documents that a seeded
 * generator makes and on the same ones broken at random.
 *
 * What JSON.parse refuses, ours must refuse. What JSON.parse takes, ours must
 * take with the same value, or refuse by one of the rules in which it is
 * stricter on purpose; each such rule is computed here a second time, so that
 * "stricter" excuses nothing else. Canonical bytes are those of
 * JSON.stringify with sorted keys.
 *
 * JSON_CLI names the program of json_cli.c. SEED chooses other documents.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { test } = require('node:test');

const seed = Number(process.env.SEED ?? 20260728);
const defaults = {
	depth: 64, members: 10000, bytes: 4 * 1024 * 1024, number: 64,
};

/* What each stricter rule says when it refuses. */
const says = {
	duplicate: /duplicate key/,
	surrogate: /half of a surrogate pair/,
	integer: /beyond 9007199254740991/,
	range: /too (large|small) for a double/,
	number: /a number of \d+ characters/,
	depth: /inside each other/,
	members: /members in one object/,
	bytes: /the document has \d+ bytes/,
};

/* mulberry32: a number in [0, 1) from 32 bits of state. */
function generator(state) {
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

function tools(state) {
	const random = generator(state);
	const below = (n) => Math.floor(random() * n);
	const pick = (list) => list[below(list.length)];
	const times = (n, f) => Array.from({ length: n }, f);

	return { random, below, pick, times };
}

/* All answers to all documents, from one process. */
function ask(documents, limits) {
	const frames = [];
	for (const document of documents) {
		const length = Buffer.alloc(4);
		length.writeUInt32LE(document.length);
		frames.push(length, document);
	}
	const args = limits === undefined ? [] :
	    [limits.depth, limits.members, limits.bytes].map(String);
	const run = spawnSync(process.env.JSON_CLI, args, {
		input: Buffer.concat(frames), maxBuffer: 2 ** 30,
	});
	assert.equal(run.status, 0, String(run.stderr));
	const answers = [];
	for (let at = 0; at < run.stdout.length;) {
		const end = at + 4 + run.stdout.readUInt32LE(at);
		answers.push({
			taken: run.stdout[at + 4] === 0x61,
			text: run.stdout.subarray(at + 5, end),
		});
		at = end;
	}
	assert.equal(answers.length, documents.length);
	return answers;
}

/* What JSON.parse makes of the bytes: the text and value, or null. */
function reference(document) {
	try {
		const text = new TextDecoder('utf-8', {
			fatal: true, ignoreBOM: true,
		}).decode(document);
		return { text, value: JSON.parse(text) };
	} catch (e) {
		assert.ok(e instanceof SyntaxError || e instanceof TypeError, e);
		return null;
	}
}

function canonical(value) {
	if (Array.isArray(value))
		return '[' + value.map(canonical).join(',') + ']';
	if (value === null || typeof value !== 'object')
		return JSON.stringify(value);
	/* sort() compares UTF-16 code units. */
	return '{' + Object.keys(value).sort().map((key) =>
		JSON.stringify(key) + ':' + canonical(value[key])).join(',') + '}';
}

function numberRules(token, limits, rules) {
	const value = Math.abs(Number(token));
	const digits = token.replace(/[eE].*/, '');

	if (token.length > limits.number)
		rules.add('number');
	if (value === Infinity || (value === 0 && /[1-9]/.test(digits)))
		rules.add('range');
	if (value > Number.MAX_SAFE_INTEGER && value < 1e21)
		rules.add('integer');
	if (value > Number.MAX_SAFE_INTEGER && /^-?\d+$/.test(token))
		rules.add('integer');
}

/* The stricter rules that a text breaks which JSON.parse takes. */
function brokenRules(text, limits) {
	const rules = new Set();
	const open = [];
	const token =
	    /"(?:[^"\\]|\\[^])*"|-?\d[\d.eE+-]*|[{}[\],:]|[a-z]+|[ \t\r\n]+/gy;

	if (Buffer.byteLength(text) > limits.bytes)
		rules.add('bytes');
	for (let m; (m = token.exec(text)) !== null;) {
		const t = m[0];
		const top = open.at(-1);

		if (t === '{' || t === '[') {
			open.push({ keys: t === '{' ? new Set() : null, key: true });
			if (open.length > limits.depth)
				rules.add('depth');
		} else if (t === '}' || t === ']') {
			open.pop();
		} else if (t === ',') {
			top.key = true;
		} else if (t === ':') {
			top.key = false;
		} else if (t[0] === '"') {
			const s = JSON.parse(t);
			if (!s.isWellFormed())
				rules.add('surrogate');
			if (top?.keys && top.key) {
				if (top.keys.has(s))
					rules.add('duplicate');
				top.keys.add(s);
				top.count = (top.count ?? 0) + 1;
				if (top.count > limits.members)
					rules.add('members');
			}
		} else if (/[-\d]/.test(t[0])) {
			numberRules(t, limits, rules);
		}
	}
	return rules;
}

/* Compares all answers; returns how often each outcome was seen. */
function compare(documents, limits) {
	const seen = { taken: 0, refused: 0 };
	const answers = ask(documents, limits);

	documents.forEach((document, i) => {
		const answer = answers[i];
		const expected = reference(document);
		const what = `seed ${seed}, document ${i}: ` +
		    JSON.stringify(document.toString('latin1').slice(0, 500)) +
		    ` answered ${answer.text}`.slice(0, 500);

		if (!answer.taken) {
			const place =
			    /^line (\d+), column (\d+): [^\n]+$/.exec(answer.text);
			const lines = document.toString('latin1').split('\n');
			assert.ok(place, what);
			assert.ok(Number(place[1]) <= lines.length, what);
			assert.ok(Number(place[2]) <=
			    lines[Number(place[1]) - 1].length + 1, what);
		}
		if (expected === null) {
			assert.ok(!answer.taken, what);
			seen.refused++;
			return;
		}
		const rules = brokenRules(expected.text, limits ?? defaults);
		assert.equal(answer.taken, rules.size === 0, what);
		if (answer.taken) {
			seen.taken++;
			assert.equal(answer.text.toString(),
			    canonical(expected.value), what);
			return;
		}
		const named = [...rules].filter((r) => says[r].test(answer.text));
		assert.ok(named.length > 0, what);
		for (const rule of named)
			seen[rule] = (seen[rule] ?? 0) + 1;
	});
	return seen;
}

/* Texts of documents: any value in any of its spellings. */
function writer(state) {
	const { random, below, pick, times } = tools(state);
	const spaces = ['', '', '', '', ' ', '\n', '\t', '\r\n', '  '];
	const space = () => pick(spaces);
	const characters = [
		...'abcxyz019 -_./~', '\u007f', '\u0080', '\u00e9', '\u07ff',
		'\u0800', '\u20ac', '\u2028', '\ud7ff', '\ue000', '\ufeff',
		'\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}',
	];
	const hex = (unit) => '\\u' + pick([
		(s) => s, (s) => s.toUpperCase()])(
		unit.toString(16).padStart(4, '0'));
	const escapes = [
		'\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t',
	];
	const keys = [
		'', 'a', 'b', 'id', 'name', 'tools', '__proto__', 'constructor',
		'toString', '0', '10', '9', '-1', '\u00e9', '\ue000', '\u{1f600}',
	];

	function character() {
		const r = random();

		if (r < 0.72)
			return pick(characters);
		if (r < 0.84)
			return pick(escapes);
		if (r < 0.92)
			return hex(below(0xd800));
		if (r < 0.998) {
			return hex(0xd800 + below(0x400)) +
			    hex(0xdc00 + below(0x400));
		}
		return hex(0xd800 + below(0x800));
	}
	const string = () => '"' +
	    times(below(random() < 0.1 ? 60 : 9), character).join('') + '"';

	function number() {
		const digits = (n) => times(1 + below(n), () => below(10)).join('');
		const r = random();

		if (r < 0.4)
			return String(below(2 ** 31) - 2 ** 30);
		if (r < 0.5)
			return (below(1e7) / 100).toString();
		if (r < 0.52)
			return pick(['0', '-0', '-0.0', '0e0', '0E-5']);
		if (r < 0.54) {
			const near = 2n ** 53n + BigInt(below(5) - 4);
			return (random() < 0.5 ? '-' : '') + near;
		}
		return (random() < 0.3 ? '-' : '') +
		    (random() < 0.5 ? '0' : (1 + below(9)) + digits(8)) +
		    (random() < 0.7 ? '.' + digits(random() < 0.02 ? 80 : 19) : '') +
		    (random() < 0.3 ? pick(['e', 'E']) + pick(['', '+', '-']) +
			digits(random() < 0.1 ? 3 : 2) : '');
	}

	function key(used) {
		for (;;) {
			const text = random() < 0.5 ? JSON.stringify(pick(keys)) :
			    string();
			const name = JSON.parse(text);

			/* Twice only now and then. */
			if (!used.has(name) || random() < 0.003) {
				used.add(name);
				return text;
			}
		}
	}

	function value(depth) {
		const r = random();

		if (depth <= 0 || r < 0.35) {
			return pick([string, string, number, number,
				() => pick(['null', 'true', 'false'])])();
		}
		if (r < 0.65) {
			return '[' + space() + times(below(6), () =>
				value(depth - 1) + space()).join(',' + space()) + ']';
		}
		const used = new Set();
		return '{' + space() + times(below(random() < 0.05 ? 40 : 7), () =>
			key(used) + space() + ':' + space() + value(depth - 1) +
			space()).join(',' + space()) + '}';
	}

	function deep() {
		let text = value(1);

		for (let n = 55 + below(15); n > 0; n--) {
			text = random() < 0.5 ? `[${text}]` :
			    `{${JSON.stringify(pick(keys))}:${text}}`;
		}
		return text;
	}

	return () => space() +
	    (random() < 0.02 ? deep() : value(1 + below(6))) + space();
}

/* A document broken at up to three places. Often it is still one. */
function breaker(state) {
	const { random, below, pick, times } = tools(state);
	const pieces = [
		'"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', '1e9',
		'null', 'tru', ' ', '\n', '\u000b', '\u00a0', '\ufeff', '\\u',
		'\\ud800', '\\u00', '\u0000', '\u001f', '//', '/**/', 'NaN', "'",
		'+', '"a":1,', ',,', '[]', '{}', '01',
	].map((s) => Buffer.from(s)).concat([
		[0x80], [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90],
		[0xe2, 0x82], [0xf8, 0x88, 0x80, 0x80, 0x80],
	].map((b) => Buffer.from(b)));

	function once(document) {
		const at = below(document.length + 1);
		const to = Math.min(document.length, at + 1 + below(4));
		const front = document.subarray(0, at);
		const back = document.subarray(at);

		return pick([
			() => front,
			() => Buffer.concat([front, document.subarray(to)]),
			() => Buffer.concat([front, pick(pieces), back]),
			() => Buffer.concat([front, pick(pieces),
				document.subarray(to)]),
			() => Buffer.concat([front, Buffer.from([below(256)]),
				document.subarray(to)]),
			() => Buffer.concat([front, document.subarray(at, to), back]),
		])();
	}
	return (document) => times(random() < 0.7 ? 1 : 3)
		.reduce((d) => once(d), document);
}

const write = writer(seed);
const documents = Array.from({ length: 6000 }, () => Buffer.from(write()));

test('generated documents are taken with the value that node reads', () => {
	const seen = compare(documents);

	assert.equal(seen.refused, 0);
	assert.ok(seen.taken > 4500, JSON.stringify(seen));
	for (const rule of ['duplicate', 'surrogate', 'integer', 'range',
		'number', 'depth'])
		assert.ok(seen[rule] >= 3, `${rule}: ${JSON.stringify(seen)}`);
});

test('broken documents are refused where node refuses them', () => {
	const broken = breaker(seed + 1);
	const seen = compare(documents.concat(documents).map((d) => broken(d)));

	assert.ok(seen.refused > 5000, JSON.stringify(seen));
	assert.ok(seen.taken > 1000, JSON.stringify(seen));
});

test('lower limits refuse exactly what is over them', () => {
	const seen = compare(documents,
	    { depth: 2, members: 4, bytes: 1000, number: defaults.number });

	assert.ok(seen.taken > 1000, JSON.stringify(seen));
	for (const rule of ['depth', 'members', 'bytes'])
		assert.ok(seen[rule] >= 100, `${rule}: ${JSON.stringify(seen)}`);
});

test('every single character and pair of them is judged as node does', () => {
	const alphabet = [...'{}[]",:0123e-+. \\/unlltruefalse\n\t', '\u00e9'];
	const all = alphabet.concat(
	    alphabet.flatMap((a) => alphabet.map((b) => a + b)),
	    alphabet.flatMap((a) => alphabet.map((b) => `[${a}${b}]`)),
	    alphabet.flatMap((a) => alphabet.map((b) => `"${a}${b}"`)),
	    alphabet.flatMap((a) => alphabet.map((b) => `{"a":1${a}${b}}`)));
	const seen = compare(all.map((s) => Buffer.from(s)));

	assert.ok(seen.taken > 500 && seen.refused > 1000, JSON.stringify(seen));
});

test('numbers of every size are written as ECMAScript writes them', () => {
	const { random, below } = tools(seed + 2);
	const bits = new DataView(new ArrayBuffer(8));
	const numbers = [];

	/* Above a power of two doubles are half as dense as below it. */
	for (let e = -1074; e <= 1023; e++)
		numbers.push(2 ** e, -(2 ** e) * (1 + Number.EPSILON),
		    2 ** e * (1 - Number.EPSILON / 2));
	for (let e = -323; e <= 308; e++) {
		const ten = Number(`1e${e}`);
		numbers.push(ten, ten * (1 + Number.EPSILON), -3 * ten, 9.5 * ten);
	}
	for (let i = 0; i < 20000; i++) {
		bits.setUint32(0, random() * 2 ** 32);
		bits.setUint32(4, random() * 2 ** 32);
		numbers.push(bits.getFloat64(0));
	}
	for (let i = 0; i < 20000; i++)
		numbers.push(below(1e9) / 10 ** below(12), below(1e15) / 1e3,
		    random(), random() * 1e-6, random() * 1e15);

	const documents = numbers.filter(Number.isFinite).flatMap((v) => [
		String(v), v.toExponential(), v.toPrecision(17),
	]).map((s) => Buffer.from(s));
	const seen = compare(documents);

	assert.equal(seen.refused, 0);
	assert.ok(seen.taken > 200000 && seen.integer > 500,
	    JSON.stringify(seen));
});
