/*
 * Answers that a failure on purpose has changed: members of JSON, and text.
 */
#include <string.h>

#include "base/limits.h"
#include "core/fault.h"

enum {
	SECONDS_PER_DAY = 86400,
	DAYS_PER_ERA = 146097, /* 400 years */
	DATE_TIME_BYTES = 19, /* 2026-01-31T23:59:59 */
};

static const struct json *at_path(
    const struct json *v, struct str path, const struct json **key);
static void put_changed(struct buf *out, const struct policy_fault *f,
    struct str answer, const struct json *v, const struct json *key);
static bool put_items(
    struct buf *out, const struct policy_fault *f, const struct json *v);
static void put_failed(struct buf *out, uint32_t i);
static void put_other_type(struct buf *out, const struct json *v);
static void put_latin(struct buf *out, struct str s);
static void put_utf16(struct buf *out, struct str s);
static void put_skewed(struct buf *out, struct str text, int64_t by_s);
static bool date_time(const char *p, int64_t *t);
static void put_date_time(struct buf *out, int64_t t);

int
fault_result_write(
    struct buf *out, const struct policy_fault *f, struct str answer)
{
	own_arena struct arena a = {};
	own_buf struct buf changed = {};
	struct err ignored;
	const struct json *root, *v, *key = NULL;
	size_t cut = f->kind == FAULT_MALFORMED ? answer.n / 2 : f->bytes;

	if (f->kind == FAULT_LATENCY || f->kind == FAULT_BUDGET_LOW ||
	    f->kind == FAULT_STALE_READ)
		return -1;
	if (f->kind == FAULT_EMPTY) {
		buf_add_c(out, "{}");
		return 0;
	}
	if (f->kind == FAULT_TRUNCATE || f->kind == FAULT_MALFORMED) {
		if (cut >= answer.n)
			return -1;
		/* Half a character is none. */
		while (cut > 0 && ((uint8_t)answer.p[cut] & 0xc0) == 0x80)
			cut--;
		json_put_str(out, (struct str){ answer.p, cut });
		return 0;
	}
	root = json_parse(answer, NULL, &a, &ignored, NULL);
	v = root != NULL ? at_path(root, f->at, &key) : NULL;
	if (v == NULL)
		return -1;
	put_changed(&changed, f, answer, v, key);
	/* Names may have changed, and with them the order; or there are two. */
	root = json_parse(buf_str(&changed), NULL, &a, &ignored, NULL);
	if (root == NULL)
		return -1;
	json_write(out, root);
	return 0;
}

int
fault_body_write(struct buf *out, const struct policy_fault *f, struct str body)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	struct err ignored;
	const struct json *root;

	if (f->kind == FAULT_MALFORMED) {
		buf_add(out, body.p, body.n / 2);
		return 0;
	}
	if (f->kind == FAULT_WRONG_LENGTH)
		return -1; /* the length is what is wrong */
	if (f->kind == FAULT_WRONG_ENCODING) {
		if (str_eq_c(f->encoding, "gzip"))
			return -1; /* the head says so */
		put_utf16(out, body);
		return 0;
	}
	if (f->kind == FAULT_CLOCK_SKEW) {
		put_skewed(out, body, f->skew_s);
		return 0;
	}
	root = json_parse(body, NULL, &a, &ignored, NULL);
	if (root == NULL && f->kind == FAULT_HOSTILE) {
		buf_add_str(out, body);
		buf_add_byte(out, '\n');
		buf_add_str(out, f->text);
		return 0;
	}
	if (root == NULL)
		return -1;
	json_write(&text, root);
	return fault_result_write(out, f, buf_str(&text));
}

/* "$.a.b", members only; *key is that of the last, NULL for "$". */
static const struct json *
at_path(const struct json *v, struct str path, const struct json **key)
{
	*key = NULL;
	path.p += path.n > 0;
	path.n -= path.n > 0;
	while (v != NULL && path.n > 0) {
		struct str name = { path.p + 1, path.n - 1 };
		const struct json *found = NULL;

		name.n = str_find(name, '.');
		for (const struct json *k =
			 json_is(v, JSON_OBJECT) ? json_first(v) : NULL;
		     k != NULL; k = json_next(v, k)) {
			if (str_eq(json_str(k), name))
				found = k;
		}
		*key = found;
		v = found != NULL ? json_value(found) : NULL;
		path.p += 1 + name.n;
		path.n -= 1 + name.n;
	}
	return v;
}

/* The text before v, what comes in its place, the text behind it. */
static void
put_changed(struct buf *out, const struct policy_fault *f, struct str answer,
    const struct json *v, const struct json *key)
{
	own_buf struct buf same = {}, more = {};
	size_t from = v->at, to;

	/* As it stands in the text: results are canonical. */
	json_write(&same, v);
	to = from + same.n;
	if (to > answer.n)
		return;
	if (f->kind == FAULT_MISSING_FIELD && key != NULL) {
		from = key->at;
		if (to < answer.n && answer.p[to] == ',')
			to++;
		else if (from > 0 && answer.p[from - 1] == ',')
			from--;
	}
	if (f->kind == FAULT_SCHEMA_DRIFT && key != NULL)
		from = key->at;
	buf_add(out, answer.p, from);
	if (f->kind == FAULT_NULL_FIELD ||
	    (f->kind == FAULT_MISSING_FIELD && key == NULL)) {
		buf_add_c(out, "null");
	} else if (f->kind == FAULT_WRONG_TYPE) {
		put_other_type(out, v);
	} else if (f->kind == FAULT_EXTRA_FIELD && json_is(v, JSON_OBJECT)) {
		buf_add(out, answer.p + from, same.n - 1);
		buf_add_c(out, v->n > 0 ? "," : "");
		buf_add_c(out, "\"zz_unexpected\":{\"version\":2}}");
	} else if (f->kind == FAULT_HOSTILE && json_is(v, JSON_STRING)) {
		buf_add_str(&more, json_str(v));
		buf_add_byte(&more, ' ');
		buf_add_str(&more, f->text);
		json_put_str(out, buf_str(&more));
	} else if (f->kind == FAULT_WRONG_ENCODING && json_is(v, JSON_STRING)) {
		/* A byte order mark, too, so that it shows in any text. */
		buf_add_c(&more, "\xc3\xaf\xc2\xbb\xc2\xbf");
		put_latin(&more, json_str(v));
		json_put_str(out, buf_str(&more));
	} else if (f->kind == FAULT_WRONG_ENCODING) {
		put_latin(out, buf_str(&same));
	} else if (f->kind == FAULT_CLOCK_SKEW) {
		put_skewed(out, buf_str(&same), f->skew_s);
	} else if (f->kind == FAULT_SCHEMA_DRIFT && key != NULL) {
		json_put_str(out, f->to);
		buf_add_byte(out, ':');
		buf_add_str(out, buf_str(&same));
	} else if (f->kind != FAULT_MISSING_FIELD && !put_items(out, f, v)) {
		buf_add_str(out, buf_str(&same)); /* nothing to do there */
	}
	buf_add(out, answer.p + to, answer.n - to);
}

/* A list whose items have failed, or come twice, or the other way round. */
static bool
put_items(struct buf *out, const struct policy_fault *f, const struct json *v)
{
	const bool turned = f->kind == FAULT_REORDER;
	const uint32_t times = f->kind == FAULT_DUPLICATE ? 2 : 1;
	own_arena struct arena a = {};
	const struct json **items;
	uint32_t good, n = 0;

	if (!json_is(v, JSON_ARRAY) ||
	    (times == 1 && !turned && f->kind != FAULT_PARTIAL_SUCCESS))
		return false;
	items = arena_alloc(&a, (v->n + 1) * sizeof(const struct json *));
	if (items == NULL)
		return false;
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x), n++)
		items[turned ? v->n - 1 - n : n] = x;
	/* The last ones fail, at least one of any. */
	good = f->kind == FAULT_PARTIAL_SUCCESS
	    ? (uint32_t)((uint64_t)n * (1000 - f->share_permille) / 1000)
	    : n;
	for (uint32_t i = 0; i < n * times; i++) {
		buf_add_c(out, i > 0 ? "," : "[");
		if (i / times < good)
			json_write(out, items[i / times]);
		else
			put_failed(out, i);
	}
	buf_add_c(out, n > 0 ? "]" : "[]");
	return true;
}

/* As an answer 207 has it. */
static void
put_failed(struct buf *out, uint32_t i)
{
	buf_printf(out,
	    "{\"code\":\"failed\",\"error\":\"This item was not done.\","
	    "\"index\":%u,\"status\":500}",
	    i);
}

static void
put_other_type(struct buf *out, const struct json *v)
{
	switch ((enum json_type)v->type) {
	case JSON_NULL:
	case JSON_STRING:
		buf_add_c(out, "0");
		return;
	case JSON_FALSE:
	case JSON_TRUE:
		buf_add_c(out, "\"yes\"");
		return;
	case JSON_NUMBER:
		buf_add_c(out, "\"1\"");
		return;
	case JSON_ARRAY:
		buf_add_c(out, "{}");
		return;
	case JSON_OBJECT:
		buf_add_c(out, "[]");
		return;
	}
}

/* UTF-8 that was taken for ISO 8859-1: each byte is a character. */
static void
put_latin(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const uint8_t b = (uint8_t)s.p[i];

		if (b >= 0x80) {
			buf_add_byte(out, (char)(0xc0 | b >> 6));
			buf_add_byte(out, (char)(0x80 | (b & 0x3f)));
		} else {
			buf_add_byte(out, s.p[i]);
		}
	}
}

/* Little-endian, with its mark; bytes beyond ASCII as they are, widened. */
static void
put_utf16(struct buf *out, struct str s)
{
	buf_add_c(out, "\xff\xfe");
	for (size_t i = 0; i < s.n; i++) {
		buf_add_byte(out, s.p[i]);
		buf_add_byte(out, '\0');
	}
}

/* Every date with a time, as RFC 3339 writes it, is so many seconds off. */
static void
put_skewed(struct buf *out, struct str text, int64_t by_s)
{
	size_t i = 0;

	while (i < text.n) {
		int64_t t;

		if (text.n - i >= DATE_TIME_BYTES &&
		    date_time(text.p + i, &t) &&
		    (i == 0 || text.p[i - 1] < '0' || text.p[i - 1] > '9')) {
			put_date_time(out, t + by_s);
			i += DATE_TIME_BYTES;
		} else {
			buf_add_byte(out, text.p[i++]);
		}
	}
}

/* Seconds since 1970, of the nineteen characters at p. */
static bool
date_time(const char *p, int64_t *t)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	int64_t n[6] = {}, y, doy;
	size_t k = 0;

	for (size_t i = 0; i < DATE_TIME_BYTES; i++) {
		if (form[i] == 'd' && p[i] >= '0' && p[i] <= '9')
			n[k] = n[k] * 10 + (p[i] - '0');
		else if (form[i] != 'd' && p[i] == form[i])
			k++;
		else
			return false;
	}
	if (n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[3] > 23 ||
	    n[4] > 59 || n[5] > 60)
		return false;
	/* Years begin in March here, so that the leap day is the last one. */
	y = n[0] - (n[1] > 2 ? 0 : 1) + 400;
	doy = (153 * (n[1] > 2 ? n[1] - 3 : n[1] + 9) + 2) / 5 + n[2] - 1;
	*t = (y * 365 + y / 4 - y / 100 + y / 400 + doy - DAYS_PER_ERA -
		 719468) *
		SECONDS_PER_DAY +
	    n[3] * 3600 + n[4] * 60 + n[5];
	return true;
}

static void
put_date_time(struct buf *out, int64_t t)
{
	/* From March of the year 0 on; all that four digits can say. */
	const int64_t least = -719468LL * SECONDS_PER_DAY, most = 253402300799;
	int64_t s, days, era, doe, yoe, doy, month;

	t = t < least ? least : t > most ? most : t;
	s = t - least;
	days = s / SECONDS_PER_DAY;
	s %= SECONDS_PER_DAY;
	era = days / DAYS_PER_ERA;
	doe = days % DAYS_PER_ERA;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	month = (5 * doy + 2) / 153;
	const long long year = yoe + era * 400 + (month >= 10);
	const long long day = doy - (153 * month + 2) / 5 + 1;
	const long long in_year = month < 10 ? month + 3 : month - 9;
	const long long h = s / 3600, m = s / 60 % 60, rest = s % 60;

	buf_printf(out, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld", year,
	    in_year, day, h, m, rest);
}
