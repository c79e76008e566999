#include "core/patterns.h"

#include <string.h>

enum {
	UPPER = 1,
	LOWER = 2,
	DIGIT = 4,
	UNDER = 8,
	DASH = 16,
	ALNUM = UPPER | LOWER | DIGIT,
	BASE64URL = ALNUM | UNDER | DASH,
};

enum {
	CARD_MIN = 13,
	CARD_MAX = 19,
	IBAN_MIN = 15,
	JWT_PART_MIN = 10, /* of head and claims: no JSON object has fewer */
	JWT_SIGNATURE_MIN = 16,
	LABEL_MAX = 48, /* between BEGIN and PRIVATE KEY */
};

struct token {
	enum pattern pattern;
	struct str prefix;
	uint8_t tail; /* kinds of characters behind the prefix */
	uint8_t min; /* of them */
	bool exact; /* no more than min, and no letter or digit behind */
	bool mixed; /* a capital and a digit among them: else it is words */
};

#define GITHUB(text)                                                       \
	{                                                                  \
		PATTERN_GITHUB_TOKEN, { text, 4 }, ALNUM, 36, false, false \
	}
#define SLACK(text)                                                        \
	{                                                                  \
		PATTERN_SLACK_TOKEN, { text, 5 }, ALNUM | DASH, 20, false, \
		    false                                                  \
	}

static const struct token tokens[] = {
	{ PATTERN_AWS_KEY, { "AKIA", 4 }, UPPER | DIGIT, 16, true, false },
	{ PATTERN_AWS_KEY, { "ASIA", 4 }, UPPER | DIGIT, 16, true, false },
	GITHUB("ghp_"),
	GITHUB("gho_"),
	GITHUB("ghu_"),
	GITHUB("ghs_"),
	GITHUB("ghr_"),
	{ PATTERN_GITHUB_TOKEN, { "github_pat_", 11 }, ALNUM | UNDER, 40, false,
	    false },
	SLACK("xoxa-"),
	SLACK("xoxb-"),
	SLACK("xoxe-"),
	SLACK("xoxo-"),
	SLACK("xoxp-"),
	SLACK("xoxr-"),
	SLACK("xoxs-"),
	SLACK("xapp-"),
	{ PATTERN_OPENAI_KEY, { "sk-", 3 }, BASE64URL, 20, false, true },
};

enum { TOKENS = sizeof(tokens) / sizeof(tokens[0]) };
_Static_assert((int)TOKENS <= (int)PATTERN_TOKENS_MAX, "each has its state");

/* Country and length, of the IBAN registry (ISO 13616). */
static const char ibans[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27"
    "DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28"
    "IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22"
    "MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24"
    "SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

static void escaped(struct patterns *p, uint8_t c);
static void plain(struct patterns *p, uint8_t c);
static void take(struct patterns *p, uint8_t c);
static void tokens_take(struct patterns *p, uint8_t c, uint8_t kind);
static void jwt_take(struct patterns *p, uint8_t c, uint8_t kind);
static void block_take(struct patterns *p, uint8_t c, uint8_t kind);
static void groups_take(struct patterns *p, uint8_t c, uint8_t kind);
static void group_add(struct patterns *p, uint8_t c);
static void groups_check(struct patterns *p);
static bool in_fours(uint64_t starts, size_t n);
static bool is_card(const char *digits, size_t n, uint64_t starts);
static bool is_issued(uint32_t first, size_t n);
static bool is_iban(const char *text, size_t n, uint64_t starts);
static uint8_t kind_of(uint8_t c);

uint32_t
patterns_feed(struct patterns *p, struct str bytes)
{
	uint32_t found;

	for (size_t i = 0; i < bytes.n; i++) {
		uint8_t c = (uint8_t)bytes.p[i];

		if (p->n_held > 0)
			escaped(p, c);
		else
			plain(p, c);
	}
	found = p->found;
	p->found = 0;
	return found;
}

uint32_t
patterns_end(struct patterns *p)
{
	uint32_t found;

	for (uint32_t i = 0; i < p->n_held; i++)
		take(p, (uint8_t)p->held[i]);
	take(p, '\n');
	found = p->found;
	explicit_bzero(p, sizeof(*p));
	return found;
}

const char *
pattern_name(enum pattern k)
{
	static const char *const names[PATTERNS] = {
		[PATTERN_AWS_KEY] = "aws_key",
		[PATTERN_CARD] = "card",
		[PATTERN_GITHUB_TOKEN] = "github_token",
		[PATTERN_IBAN] = "iban",
		[PATTERN_JWT] = "jwt",
		[PATTERN_OPENAI_KEY] = "openai_key",
		[PATTERN_PRIVATE_KEY] = "private_key",
		[PATTERN_SLACK_TOKEN] = "slack_token",
	};

	return names[k];
}

/* What begins no escape is what it is. */
static void
plain(struct patterns *p, uint8_t c)
{
	if (c == '%' || c == '\\')
		p->held[p->n_held++] = (char)c;
	else
		take(p, c);
}

/* The next byte of %XX, \uXXXX, or a backslash and one more. */
static void
escaped(struct patterns *p, uint8_t c)
{
	bool url = p->held[0] == '%';
	size_t skip = url ? 1 : 2, all = url ? 3 : 6;
	size_t n = p->n_held;
	uint32_t value = 0;

	if (!url && n == 1 && c != 'u') {
		p->n_held = 0;
		if (c == '"' || c == '/' || c == '\\') {
			take(p, c);
		} else if (strchr("bfnrt", c) != NULL && c != '\0') {
			take(p, '\n');
		} else {
			take(p, '\\');
			plain(p, c);
		}
		return;
	}
	if (n >= skip && str_hex_digit((char)c) < 0) {
		p->n_held = 0;
		for (size_t i = 0; i < n; i++)
			take(p, (uint8_t)p->held[i]);
		plain(p, c);
		return;
	}
	p->held[p->n_held++] = (char)c;
	if (p->n_held < all)
		return;
	for (size_t i = skip; i < all; i++)
		value = value * 16 + (uint32_t)str_hex_digit(p->held[i]);
	p->n_held = 0;
	take(p, value < 0x80 ? (uint8_t)value : 0x80);
}

static void
take(struct patterns *p, uint8_t c)
{
	uint8_t kind = kind_of(c);

	if (p->live != 0 || !p->in_word)
		tokens_take(p, c, kind);
	if (p->jwt_part != 0 || !p->in_word)
		jwt_take(p, c, kind);
	if (p->block_at != 0 || c == '-')
		block_take(p, c, kind);
	groups_take(p, c, kind);
	p->in_word = (kind & ALNUM) != 0;
}

static void
tokens_take(struct patterns *p, uint8_t c, uint8_t kind)
{
	for (uint32_t k = 0; k < TOKENS; k++) {
		const struct token *t = &tokens[k];
		uint32_t bit = 1U << k, tail;

		if ((p->live & bit) != 0 && p->at[k] < t->prefix.n) {
			if ((uint8_t)t->prefix.p[p->at[k]] == c) {
				p->at[k]++;
				continue;
			}
			p->live &= ~bit;
		} else if ((p->live & bit) != 0) {
			tail = p->at[k] - (uint32_t)t->prefix.n;
			if ((kind & t->tail) != 0 && tail <= t->min) {
				p->at[k]++;
				tail++;
			}
			p->seen[k] |= kind;
			if (t->exact && tail == t->min && (kind & ALNUM) == 0)
				p->found |= 1U << t->pattern;
			if (!t->exact && tail >= t->min &&
			    (!t->mixed || (~p->seen[k] & (UPPER | DIGIT)) == 0))
				p->found |= 1U << t->pattern;
			else if ((kind & t->tail) != 0)
				continue;
			p->live &= ~bit;
		}
		if (!p->in_word && (uint8_t)t->prefix.p[0] == c) {
			p->live |= bit;
			p->at[k] = 1;
			p->seen[k] = 0;
		}
	}
}

static void
jwt_take(struct patterns *p, uint8_t c, uint8_t kind)
{
	static const char object[] = "eyJ"; /* base64 of {" */

	if (p->jwt_part > 0 && p->jwt_part < 3 && p->jwt_at < 3) {
		if (c == (uint8_t)object[p->jwt_at]) {
			p->jwt_at++;
			return;
		}
	} else if (p->jwt_part > 0 && (kind & BASE64URL) != 0) {
		if (p->jwt_at < UINT8_MAX)
			p->jwt_at++;
		if (p->jwt_part < 3 || p->jwt_at < JWT_SIGNATURE_MIN)
			return;
		p->found |= 1U << PATTERN_JWT;
	} else if (p->jwt_part > 0 && p->jwt_part < 3 && c == '.' &&
	    p->jwt_at >= JWT_PART_MIN) {
		p->jwt_part++;
		p->jwt_at = 0;
		return;
	}
	p->jwt_part = !p->in_word && c == 'e';
	p->jwt_at = p->jwt_part;
}

static void
block_take(struct patterns *p, uint8_t c, uint8_t kind)
{
	static const struct str begin = { "-----BEGIN ", 11 };
	static const struct str key = { "PRIVATE KEY", 11 };

	if (c == '+') /* a blank, in forms */
		c = ' ';
	if (p->block_at < begin.n) {
		if (c == (uint8_t)begin.p[p->block_at])
			p->block_at++;
		else if (c != '-')
			p->block_at = 0;
		else if (p->block_at != 5) /* more dashes than needed */
			p->block_at = 1;
		p->label_at = p->n_label = 0;
		return;
	}
	p->n_label++;
	if (c == (uint8_t)key.p[p->label_at])
		p->label_at++;
	else if (c == ' ' || (kind & (UPPER | DIGIT)) != 0)
		p->label_at = c == 'P';
	else
		p->n_label = LABEL_MAX;
	if (p->label_at == key.n)
		p->found |= 1U << PATTERN_PRIVATE_KEY;
	if (p->label_at == key.n || p->n_label >= LABEL_MAX)
		p->block_at = c == '-';
}

static void
groups_take(struct patterns *p, uint8_t c, uint8_t kind)
{
	if ((kind & (UPPER | DIGIT)) != 0) {
		if (!p->skips)
			group_add(p, c);
		return;
	}
	if ((kind & LOWER) == 0) {
		if (p->in_word && !p->skips)
			groups_check(p);
		p->joined = p->in_word && !p->skips && p->n_group > 0 &&
		    (c == ' ' || c == '-' || c == '+');
	} else {
		p->joined = false;
	}
	if (!p->joined) {
		p->n_group = 0;
		p->starts = 0;
	}
	/* Behind a point are the decimals of a number. */
	p->skips = (kind & LOWER) != 0 || c == '.';
}

static void
group_add(struct patterns *p, uint8_t c)
{
	if (!p->in_word)
		p->starts |= 1ULL << p->n_group;
	if (p->n_group == PATTERN_GROUPS_BYTES) {
		uint64_t later = p->starts & ~1ULL;
		uint32_t drop = 0;

		while (drop < PATTERN_GROUPS_BYTES && (later >> drop & 1) == 0)
			drop++;
		p->n_group -= (uint8_t)drop;
		p->starts = later >> drop;
		memmove(p->group, p->group + drop, p->n_group);
		if (p->starts == 0) { /* it was one, and is too long */
			p->skips = true;
			return;
		}
	}
	p->group[p->n_group++] = (char)c;
}

/* A group is complete: it may be the last one of something. */
static void
groups_check(struct patterns *p)
{
	for (uint32_t i = 0; i + CARD_MIN <= p->n_group; i++) {
		uint64_t starts = p->starts >> i;
		size_t n = p->n_group - i;

		if ((starts & 1) == 0)
			continue;
		if (n <= CARD_MAX && is_card(p->group + i, n, starts))
			p->found |= 1U << PATTERN_CARD;
		if (n >= IBAN_MIN && is_iban(p->group + i, n, starts))
			p->found |= 1U << PATTERN_IBAN;
	}
}

static bool
in_fours(uint64_t starts, size_t n)
{
	return starts == (0x111111111ULL & ((1ULL << n) - 1));
}

static bool
is_card(const char *digits, size_t n, uint64_t starts)
{
	const uint64_t amex = 1ULL | 1ULL << 4 | 1ULL << 10;
	uint32_t first = 0, sum = 0;

	if (starts != 1 && !in_fours(starts, n) && (n > 15 || starts != amex))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint32_t d = (uint8_t)digits[i] - (uint32_t)'0';

		if (d > 9)
			return false;
		if (i < 4)
			first = first * 10 + d;
		if ((n - i) % 2 == 0)
			d = d < 5 ? 2 * d : 2 * d - 9;
		sum += d;
	}
	return sum % 10 == 0 && is_issued(first, n);
}

/* first: the first four digits, which say who gave it out. */
static bool
is_issued(uint32_t first, size_t n)
{
	static const struct {
		uint16_t from, to;
		uint32_t lengths; /* a bit each */
	} rows[] = {
		{ 2221, 2720, 1U << 16 }, /* Mastercard */
		{ 3000, 3059, 1U << 14 }, /* Diners Club */
		{ 3400, 3499, 1U << 15 }, /* American Express */
		{ 3528, 3589, 15U << 16 }, /* JCB */
		{ 3600, 3699, 1U << 14 },
		{ 3700, 3799, 1U << 15 },
		{ 3800, 3999, 1U << 14 },
		{ 4000, 4999, 1U << 13 | 1U << 16 | 1U << 19 }, /* Visa */
		{ 5100, 5599, 1U << 16 },
		{ 6011, 6011, 15U << 16 }, /* Discover */
		{ 6200, 6299, 15U << 16 }, /* UnionPay */
		{ 6440, 6599, 15U << 16 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (first >= rows[i].from && first <= rows[i].to)
			return (rows[i].lengths >> n & 1) != 0;
	}
	return false;
}

static bool
is_iban(const char *text, size_t n, uint64_t starts)
{
	uint32_t left = 0;
	const char *row = ibans;

	if (starts != 1 && !in_fours(starts, n))
		return false;
	while (*row != '\0' && memcmp(row, text, 2) != 0)
		row += 4;
	if (*row == '\0' ||
	    (size_t)(row[2] - '0') * 10 + (size_t)(row[3] - '0') != n ||
	    kind_of((uint8_t)text[2]) != DIGIT ||
	    kind_of((uint8_t)text[3]) != DIGIT)
		return false;
	/* The first four stand behind the rest; a letter is two digits. */
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)text[(i + 4) % n];

		if (kind_of(c) == DIGIT)
			left = (left * 10 + (c - (uint32_t)'0')) % 97;
		else
			left = (left * 100 + (c - (uint32_t)'A') + 10) % 97;
	}
	return left == 1;
}

static uint8_t
kind_of(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return LOWER;
	if (c >= 'A' && c <= 'Z')
		return UPPER;
	if (c >= '0' && c <= '9')
		return DIGIT;
	return c == '_' ? UNDER : c == '-' ? DASH : 0;
}
