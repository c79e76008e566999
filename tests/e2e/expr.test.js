// Expressions against another implementation of CEL, on expressions and values
// that a seeded generator makes. Only the kind of error is not compared: where
// one says that there is no value, so does the other.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

import { isCelError, isCelUint, run } from '@bufbuild/cel';

const program = path.join(process.env.PADDOCK_BUILD, 'tests/unit/expr_cli');
const seed = Number(process.env.SEED ?? 20261121);
const count = Number(process.env.EXPRESSIONS ?? 8000);

/* mulberry32: a number in [0, 1) from 32 bits of state. */
function generator(state) {
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

const random = generator(seed);
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

/* What args may hold; members are missing now and then. */
const members = {
	n: [0, 1, 25, -3, 2.5, 500, 1e15],
	m: [1, 2, 4], /* also an index: a fraction breaks the other one */
	s: ['', 'INV-1', 'INV-LIVE-2', 'ü', '😀a', 'abc'],
	t: ['a', 'INV-', 'abc'],
	b: [true, false],
	z: [null],
	l: [[], [1, 2, 25], ['a', 'abc', 'ü'], [[1], [2]], [1, 'a', null, true]],
	o: [{}, { a: 1, s: 'abc' }, { l: [1, 2] }],
};

const args = () => Object.fromEntries(Object.entries(members)
	.filter(() => random() < 0.85).map(([k, v]) => [k, pick(v)]));
const text = () => pick(["'a'", "'abc'", '"INV-"', "''", "r'ü'", "'\\u00fc'",
	"'\\x61'"]);
const number = () => pick(['0', '1', '25', '-3', '2.5', '500.0', '1u', '25u',
	'1e3', '0x10', '9223372036854775807', '-9223372036854775808',
	'18446744073709551615u', '.5']);
const names = Object.keys(members);
/* The other one takes a member that is null for one that is not there; the
 * specification asks for the key. */
const present = names.filter((n) => n !== 'z');

/* Mostly of types that fit each other, so that there are values, too. */
function num(d) {
	if (d <= 0 || random() < 0.3)
		return random() < 0.5 ? number() : pick(['args.n', 'args.m']);
	return pick([
		() => `(${num(d - 1)} ${pick(['+', '-', '*', '/', '%'])} ${num(d - 1)})`,
		() => `size(${pick([str, list])(d - 1)})`,
		/* Texts are no numbers here. */
		() => `${pick(['int', 'double', 'uint'])}(${num(0)})`,
		() => `${list(d - 1)}[${pick(['0', '1', '2.0', '1u', 'args.m'])}]`,
		() => `-args.n`, () => `args.o.a`, () => `(${choice(num, d)})`,
	])();
}

function str(d) {
	if (d <= 0 || random() < 0.5)
		return random() < 0.5 ? text() : pick(['args.s', 'args.t']);
	return pick([
		() => `(${str(d - 1)} + ${str(d - 1)})`, () => `args.o["s"]`,
		() => `(${choice(str, d)})`,
		() => `string(${pick(['1', '-25', '7u', 'true', str(d - 1)])})`,
	])();
}

function list(d) {
	return random() < 0.4 ? pick(['args.l', 'args.o.l']) :
		`[${Array.from({ length: below(4) }, () => any(d - 1)).join(', ')}]`;
}

const choice = (make, d) => `${bool(d - 1)} ? ${make(d - 1)} : ${make(d - 1)}`;
const any = (d) => pick([num, str, bool, num, str, list, () => 'null',
	() => `args.${pick(names)}`])(d - 1);

function bool(d) {
	if (d <= 0)
		return pick(['true', 'false', 'args.b', '!args.b',
			`has(args.${pick(present)})`]);
	return pick([
		() => `${bool(d - 1)} && ${bool(d - 1)}`,
		() => `${bool(d - 1)} || ${bool(d - 1)}`,
		/* Not twice: the other one has !!null == null. */
		() => `!(${bool(d - 1)} || args.b)`,
		() => `(${bool(d - 1)})`,
		() => `(${choice(bool, d)})`,
		() => `${num(d - 1)} ${pick(['<', '<=', '>', '>=', '==', '!='])} ${num(d - 1)}`,
		() => `${str(d - 1)} ${pick(['<', '<=', '>', '>=', '==', '!='])} ${str(d - 1)}`,
		() => `${any(d)} ${pick(['==', '!='])} ${any(d)}`,
		() => `${any(d)} in ${list(d)}`,
		() => `${str(d)} in args.o`,
		() => `${str(d - 1)}.${pick(['startsWith', 'endsWith', 'contains'])}(${str(d - 1)})`,
		() => `${str(d - 1)}.matches(${pick(["'^INV-[0-9]+$'", "'a'", "'^.$'", "r'\\d'"])})`,
		() => `${list(d)}.${pick(['exists', 'all'])}(i, ${
			pick(['i == 1', 'i > 1', "i == 'a'", 'i in args.l',
				'i.exists(k, k == 2)', bool(d - 1)])})`,
		() => `args.o.all(k, k.size() ${pick(['<', '=='])} 1)`,
		() => `has(args.o.${pick(['a', 'l', 'q'])})`,
		() => any(d),
	])();
}

const toMaps = (v) => Array.isArray(v) ? v.map(toMaps) :
	v !== null && typeof v === 'object' ?
		new Map(Object.entries(v).map(([k, x]) => [k, toMaps(x)])) : v;

function other(expression, vars) {
	let v;

	try {
		v = run(expression, { args: toMaps(vars) });
	} catch (e) {
		return `error ${e.message}`;
	}
	if (isCelError(v))
		return `error ${v.message}`;
	if (v === null)
		return 'null';
	if (typeof v === 'boolean')
		return String(v);
	if (typeof v === 'bigint')
		return `int ${v}`;
	if (typeof v === 'number')
		return `double ${v}`;
	if (typeof v === 'string')
		return JSON.stringify(v);
	if (isCelUint(v))
		return `uint ${v.value}`;
	return v[Symbol.iterator] && v.size !== undefined && v.get &&
		v.has ? 'map' : 'list';
}

function ask(lines) {
	const done = spawnSync(program, { input: lines.join('\n') + '\n',
		encoding: 'utf8', maxBuffer: 1 << 28 });

	assert.equal(done.status, 0, done.stderr);
	return done.stdout.trimEnd().split('\n');
}

/* The same number, however many digits it is written with. */
const plain = (s) => s.startsWith('error') ? 'error' :
	s.startsWith('double') ? `double ${Number(s.slice(7).replace('inf',
		'Infinity').replace(/-?nan/, 'NaN'))}` : s;

test('expressions that are made at random mean what CEL says', () => {
	const made = Array.from({ length: count }, () => [bool(3), args()])
		.filter(([x]) => x.length < 2000);
	const got = ask(made.map(([x, a]) => JSON.stringify([x, a, []])));
	const seen = {};

	assert.equal(got.length, made.length);
	for (const [i, [x, a]] of made.entries()) {
		const want = plain(other(x, a));

		assert.notEqual(got[i][0], '!', `${got[i]}: ${x}`);
		assert.equal(plain(got[i]), want,
			`seed ${seed}: ${x} of ${JSON.stringify(a)}: ${got[i]}`);
		seen[want] = (seen[want] ?? 0) + 1;
	}
	/* All three answers come often, or this proves nothing. */
	for (const kind of ['true', 'false', 'error'])
		assert.ok(seen[kind] > made.length / 20, JSON.stringify(seen));
});
