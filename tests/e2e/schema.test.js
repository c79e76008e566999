// The schemas of arguments against other implementations, on schemas and values
// that a seeded generator makes: ajv, and @hyperjump/json-schema where ajv
// departs from the specification: with unevaluatedItems and -Properties it
// counts what a branch of oneOf that failed has looked at, and beside
// prefixItems an empty list always has what `contains` asks for.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

import { registerSchema, unregisterSchema, validate } from
	'@hyperjump/json-schema/draft-2020-12';
import Ajv2020 from 'ajv/dist/2020.js';

const program = path.join(process.env.PADDOCK_BUILD, 'tests/unit/schema_cli');
const seed = Number(process.env.SEED ?? 20261121);
const schemas = Number(process.env.SCHEMAS ?? 4000);
const valuesEach = 12;

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
const often = (p) => random() < p;

const names = ['a', 'b', 'c', 'id', 'x-y', 'ü'];
const texts = ['', 'a', 'ab', 'abc', 'INV-1', 'INV-22', 'ü', '😀', 'a b', '12'];
const patterns = ['^a', 'b$', '^INV-[0-9]+$', '^.{2}$', '[^a-z]', '^(a|b)+$',
	'\\d', '^\\S*$', '(?:a)(?=b)', 'x{2,3}', '^\\u0061', '[\\d-]'];
const numbers = [0, 1, 2, 3, -1, 0.5, 1.5, 10, 100, 1e15, -0.25];
const types = ['null', 'boolean', 'number', 'integer', 'string', 'array',
	'object'];

function value(depth) {
	const kind = below(depth > 0 ? 8 : 5);

	if (kind === 0)
		return null;
	if (kind === 1)
		return often(0.5);
	if (kind <= 3)
		return often(0.5) ? pick(numbers) : pick(texts);
	if (kind === 4)
		return pick(texts);
	if (kind === 5)
		return Array.from({ length: below(4) }, () => value(depth - 1));
	return Object.fromEntries(Array.from({ length: below(4) },
		() => [pick(names), value(depth - 1)]));
}

const some = (make, most = 3) =>
	Array.from({ length: 1 + below(most) }, make);
const named = (make, keys = names) =>
	Object.fromEntries(some(() => [pick(keys), make()]));

/* A schema of a few keywords; each is as likely as any other. */
function schema(depth, defs) {
	const sub = () => schema(depth - 1, defs);
	const leaf = {
		type: () => often(0.7) ? pick(types) : [...new Set(some(
			() => pick(types)))],
		enum: () => some(() => value(1), 4),
		const: () => value(1),
		maximum: () => pick(numbers),
		minimum: () => pick(numbers),
		exclusiveMaximum: () => pick(numbers),
		exclusiveMinimum: () => pick(numbers),
		multipleOf: () => pick([1, 2, 0.5, 3]),
		maxLength: () => below(4),
		minLength: () => below(4),
		pattern: () => pick(patterns),
		maxItems: () => below(4),
		minItems: () => below(3),
		uniqueItems: () => often(0.8),
		maxProperties: () => below(4),
		minProperties: () => below(3),
		required: () => [...new Set(some(() => pick(names)))],
		dependentRequired: () => named(
			() => [...new Set(some(() => pick(names)))]),
	};
	const inner = {
		not: sub, if: sub, then: sub, else: sub, items: sub,
		additionalProperties: sub, propertyNames: sub,
		unevaluatedItems: sub, unevaluatedProperties: sub,
		allOf: () => some(sub), anyOf: () => some(sub),
		oneOf: () => some(sub), prefixItems: () => some(sub),
		properties: () => named(sub),
		patternProperties: () => named(sub, patterns),
		dependentSchemas: () => named(sub),
		$ref: () => pick(defs),
	};
	const made = {};

	if (often(0.06))
		return often(0.5);
	for (let i = 1 + below(3); i > 0; i--) {
		const from = depth > 0 && often(0.6) ? inner : leaf;
		const key = pick(Object.keys(from));

		made[key] = from[key]();
	}
	if (depth > 0 && often(0.1)) {
		made.contains = sub();
		if (often(0.5))
			made.minContains = below(3);
		if (often(0.5))
			made.maxContains = below(3);
	}
	return made;
}

function document() {
	const defs = ['#/$defs/one', '#/$defs/t~1wo'];

	/* References only from the root, so that none goes in circles. */
	return Object.assign({}, often(0.9) ? schema(3, defs) : { $ref: '#/$defs/one' },
		{ $defs: { one: schema(1, ['#/$defs/t~1wo']),
			't/wo': schema(0, []) } });
}

function ask(lines) {
	const done = spawnSync(program, { input: lines.join('\n') + '\n',
		encoding: 'utf8', maxBuffer: 1 << 28 });

	assert.equal(done.status, 0, done.stderr);
	return done.stdout.trimEnd().split('\n');
}

const ajv = new Ajv2020({ strict: false, validateFormats: false,
	allErrors: false, logger: false });
const dialect = 'https://json-schema.org/draft/2020-12/schema';

/* What another implementation says of each value: true is valid. */
async function others(s, values) {
	if (!/"(unevaluated|contains)/.test(JSON.stringify(s))) {
		const check = ajv.compile(s);

		try {
			return values.map((v) => check(v));
		} catch (e) {
			/* A fault of its own; the other one has to say. */
			assert.ok(e instanceof TypeError, e);
		}
	}
	const id = 'https://schema.example.com/one';

	registerSchema(s, id, dialect);
	try {
		const check = await validate(id);

		return values.map((v) => check(v).valid);
	} finally {
		unregisterSchema(id);
	}
}

test('schemas and values that are made at random mean what others say', async () => {
	const made = Array.from({ length: schemas }, () => [document(),
		...Array.from({ length: valuesEach }, () => value(3))]);
	const got = ask(made.map((m) => JSON.stringify(m)));
	let valid = 0;

	assert.equal(got.length, made.length);
	for (const [i, [s, ...values]] of made.entries()) {
		assert.notEqual(got[i][0], '!',
			`${got[i]}: ${JSON.stringify(s)}`);
		(await others(s, values)).forEach((v, k) => {
			valid += v;
			assert.equal(got[i][k], v ? 'v' : 'i',
				`seed ${seed}: ${JSON.stringify(s)} ` +
				`of ${JSON.stringify(values[k])}`);
		});
	}
	/* Both answers come often, or this proves nothing. */
	const all = schemas * valuesEach;
	assert.ok(valid > all / 10 && valid < all * 9 / 10, `${valid} of ${all}`);
});

test('what is no schema, or not one that is enforced, is refused by name', () => {
	const bad = [
		[{ typ: 'string' }, /`typ` is no keyword/],
		[{ type: 'text' }, /must be a type/],
		[{ $ref: 'https://example.com/x' }, /another document/],
		[{ $ref: '#/$defs/none' }, /refers to nothing/],
		[{ $dynamicRef: '#x' }, /`\$dynamicRef` is no keyword/],
		[{ properties: { a: 1 } }, /a schema is an object/],
		[{ maximum: '1' }, /must be a number/],
		[{ multipleOf: 0 }, /above 0/],
		[{ minLength: -1 }, /whole number/],
		[{ allOf: [] }, /not empty/],
		[{ pattern: '(' }, /no valid regular expression/],
		[{ pattern: '(?R)' }, /group of a kind/],
		[{ pattern: '(*ACCEPT)' }, /verb/],
		[{ pattern: '[[:alpha:]]' }, /POSIX class/],
		[{ pattern: '\\Z' }, /gives no meaning/],
		[{ pattern: 'a++' }, /possessive/],
		[{ pattern: 'x'.repeat(2000) }, /longer/],
		[{ $schema: 'http://json-schema.org/draft-07/schema#' },
			/2020-12/],
	];

	ask(bad.map(([s]) => JSON.stringify([s, 1]))).forEach((got, i) =>
		assert.match(got, bad[i][1], JSON.stringify(bad[i][0])));
});

test('what would take for ever is cut short, and is not valid', () => {
	const wide = { anyOf: Array.from({ length: 40 }, () =>
		({ $ref: '#/$defs/a' })), $defs: { a: { oneOf: Array.from(
		{ length: 40 }, () => ({ $ref: '#/$defs/b' })) }, b: { anyOf:
		Array.from({ length: 200 }, (_, i) => ({ const: i })) } } };
	const costly = [
		[{ $ref: '#' }, 1],
		[{ $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } },
			$ref: '#/$defs/a' }, 1],
		[{ pattern: '^(a+)+$' }, 'a'.repeat(64) + 'b'],
		[{ pattern: '^(a|a)*$' }, 'a'.repeat(64) + 'b'],
		[{ not: { pattern: '^(a+)+$' } }, 'a'.repeat(64) + 'b'],
		[{ uniqueItems: true }, Array.from({ length: 3000 }, (_, i) => i)],
		[wide, 'x'],
	];
	const before = process.hrtime.bigint();

	assert.deepEqual(ask(costly.map((c) => JSON.stringify(c))),
		costly.map(() => 'c'));
	/* Far from for ever, on the slowest machine. */
	assert.ok(process.hrtime.bigint() - before < 20_000_000_000n);
});
