#include "world/result.h"

#include <stddef.h>

#include "codec/json.h"

static void put_key(struct buf *b, const char *key);

void
result_open(struct buf *b, const char *key, char bracket)
{
	put_key(b, key);
	buf_add_byte(b, bracket);
}

void
result_close(struct buf *b, char bracket)
{
	buf_add_byte(b, bracket);
}

void
result_text(struct buf *b, const char *key, struct str value)
{
	put_key(b, key);
	if (value.p == NULL)
		buf_add_c(b, "null");
	else
		json_put_str(b, value);
}

void
result_cents(struct buf *b, const char *key, int64_t cents)
{
	put_key(b, key);
	json_put_num(b, (double)cents / 100);
}

void
result_number(struct buf *b, const char *key, double value)
{
	put_key(b, key);
	json_put_num(b, value);
}

void
result_id(struct buf *b, const char *key, const char *prefix, int64_t n)
{
	put_key(b, key);
	buf_printf(b, "\"%s%lld\"", prefix, (long long)n);
}

/* A string ends in a quote, so a last byte that opens is really one. */
static void
put_key(struct buf *b, const char *key)
{
	char last = b->n > 0 ? b->p[b->n - 1] : '{';

	if (last != '{' && last != '[')
		buf_add_byte(b, ',');
	if (key == NULL)
		return;
	json_put_str(b, str_of(key));
	buf_add_byte(b, ':');
}
