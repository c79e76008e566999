/*
 * The first byte chooses: bit 0 a response, bit 1 to HEAD, bit 2 a body in
 * small pieces; the second byte the size of the pieces. The rest is a message.
 *
 * Holds: the same answer whole or cut, in memory of exactly the size that was
 * told; every view inside the input; no head with two framings; content never
 * over the limit; what the head takes parses again to the same head when its
 * fields are written out anew.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "codec/http1.h"

enum { MAX_CONTENT = 4096 };

static struct http1_head head, again;

static ssize_t
parse(bool response, bool to_head, const char *p, size_t n,
    struct http1_head *h, uint16_t *status)
{
	struct err e = {};
	ssize_t r;

	*status = 0;
	r = response ? http1_response(p, n, to_head, h, status, &e)
		     : http1_request(p, n, h, status, &e);
	must((r < 0) == (*status != 0));
	must((r < 0) == (e.text[0] != '\0'));
	return r;
}

static bool
inside(struct str view, const char *p, size_t n)
{
	return view.n == 0 ||
	    (view.p >= p && view.n <= n && view.p + view.n <= p + n);
}

/* The prefix p[0..n) in memory of its own, so that a read past it is seen. */
static ssize_t
parse_prefix(
    bool response, bool to_head, const char *p, size_t n, uint16_t *status)
{
	char *copy = malloc(n > 0 ? n : 1);
	ssize_t r;

	must(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	r = parse(response, to_head, copy, n, &again, status);
	free(copy);
	return r;
}

static void
framing_is_one(bool response)
{
	uint32_t lengths = http1_count(&head, STR("content-length"));
	uint32_t codings = http1_count(&head, STR("transfer-encoding"));

	must(lengths + codings <= 1);
	must(codings == 0 || head.minor == 1);
	must(head.n <= HTTP_MAX_FIELDS);
	if (response) {
		must(head.status >= 100 && head.status <= 599);
		return;
	}
	must((head.body == HTTP1_BODY_CHUNKED) == (codings == 1));
	must((head.body == HTTP1_BODY_LENGTH) == (lengths == 1));
	must(head.body != HTTP1_BODY_UNTIL_CLOSE);
	must(http1_count(&head, STR("host")) <= 1);
	must(head.minor == 0 || http1_get(&head, STR("host")) != NULL);
	must(http1_is_token(head.method));
}

static void
views_are_inside(const char *p, size_t n)
{
	must(inside(head.method, p, n) && inside(head.target, p, n));
	for (uint32_t i = 0; i < head.n; i++) {
		must(http1_is_token(head.field[i].name));
		must(inside(head.field[i].name, p, n));
		must(inside(head.field[i].value, p, n));
		must(str_find(head.field[i].value, '\r') ==
		    head.field[i].value.n);
		must(str_find(head.field[i].value, '\n') ==
		    head.field[i].value.n);
	}
}

static void
writes_and_parses_to_the_same(bool response, bool to_head)
{
	own_buf struct buf b = {};
	uint16_t status;

	if (response)
		buf_printf(&b, "HTTP/1.%u %u x\r\n", head.minor, head.status);
	else
		buf_printf(&b, "%.*s %.*s HTTP/1.%u\r\n", STR_FMT(head.method),
		    STR_FMT(head.target), head.minor);
	for (uint32_t i = 0; i < head.n; i++) {
		buf_add_str(&b, head.field[i].name);
		/* No blank: it could take a line over its limit. */
		buf_add_byte(&b, ':');
		buf_add_str(&b, head.field[i].value);
		buf_add_c(&b, "\r\n");
	}
	buf_add_c(&b, "\r\n");
	must(!b.failed);
	must(parse(response, to_head, b.p, b.n, &again, &status) ==
	    (ssize_t)b.n);
	must(again.n == head.n && again.body == head.body);
	must(again.length == head.length);
	must(again.keep_alive == head.keep_alive);
	must(again.expect_continue == head.expect_continue);
	for (uint32_t i = 0; i < head.n; i++)
		must(str_eq(head.field[i].value, again.field[i].value));
}

/* Returns the bytes taken, or -1. */
static ssize_t
decode(const char *p, size_t n, size_t step, struct buf *out, bool *done,
    uint16_t *status)
{
	struct http1_body b;
	struct err e = {};
	size_t at = 0;

	*status = 0;
	http1_body_init(&b, &head, MAX_CONTENT);
	do {
		size_t piece = n - at < step ? n - at : step;
		ssize_t r = http1_body_feed(&b, p + at, piece, out, status, &e);

		must((r < 0) == (*status == 400 || *status == 413));
		if (r < 0)
			return -1;
		must((size_t)r == piece || b.done);
		must(b.total == out->n && out->n <= MAX_CONTENT);
		at += (size_t)r;
	} while (at < n && !b.done);
	*done = b.done;
	return (ssize_t)at;
}

static void
body_is_the_same_whole_or_cut(const char *p, size_t n, size_t step)
{
	own_buf struct buf whole = {};
	own_buf struct buf cut = {};
	uint16_t status, status_cut;
	bool done = false, done_cut = false;
	ssize_t r = decode(p, n, n + 1, &whole, &done, &status);
	ssize_t r_cut = decode(p, n, step, &cut, &done_cut, &status_cut);

	must(r == r_cut && status == status_cut && done == done_cut);
	must(r < 0 || str_eq(buf_str(&whole), buf_str(&cut)));
	must(r < 0 || done || (size_t)r == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p;
	size_t n, step;
	bool response, to_head;
	uint16_t status, status_cut = 0;
	ssize_t r, r_cut = 0;

	if (size < 2)
		return 0;
	response = (data[0] & 1) != 0;
	to_head = (data[0] & 2) != 0;
	step = 1 + (size_t)data[1];
	p = (const char *)data + 2;
	n = size - 2;

	r = parse(response, to_head, p, n, &head, &status);
	must(r <= (ssize_t)n);
	for (size_t at = 0; at < n && r_cut == 0; at += step)
		r_cut = parse_prefix(response, to_head, p, at, &status_cut);
	if (r_cut == 0)
		r_cut = parse_prefix(response, to_head, p, n, &status_cut);
	must(r == r_cut && status == status_cut);

	if (r > 0) {
		views_are_inside(p, n);
		framing_is_one(response);
		writes_and_parses_to_the_same(response, to_head);
		body_is_the_same_whole_or_cut(
		    p + r, n - (size_t)r, (data[0] & 4) ? 1 : step);
	}

	/* Any bytes are a body to be refused or taken, whatever came first. */
	head.body = response ? HTTP1_BODY_CHUNKED : HTTP1_BODY_LENGTH;
	head.length = data[1];
	body_is_the_same_whole_or_cut(p, n, (data[0] & 4) ? 1 : step);
	return 0;
}
