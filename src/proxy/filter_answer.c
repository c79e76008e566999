#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "proxy/filter_int.h"

/* Where unpacked content goes on. */
struct onward {
	struct filter *f;
	struct buf *out;
};

static int coding_take(struct filter *f, struct http1_head *h, struct err *e);
static int page_take(struct filter *f, struct http1_head *h, struct err *e);
static int field_scrub(struct filter *f, struct str *s, struct err *e);
static int on_unpacked(void *arg, struct str bytes, struct err *e);
static int pass(struct filter *f, struct str bytes, bool last, struct buf *out,
    struct err *e);
static int pass_page(struct filter *f, struct str bytes, bool last,
    struct buf *out, struct err *e);

void
filter_answer_fini(struct filter *f)
{
	swap_fini(&f->back);
	hide_fini(&f->hide);
	decode_free(f->unpack_back);
	if (f->page != NULL)
		html_fini(f->page);
	free(f->page);
	buf_fini(&f->swapped);
	buf_fini(&f->hidden);
	arena_fini(&f->fields);
}

int
filter_answer_head(struct filter *f, struct http1_head *h, struct err *e)
{
	bool watches = f->watch != NULL && f->watch->set != NULL;

	if (watches && f->hide.leaks == NULL &&
	    hide_init(&f->hide, f->watch->set, f->watch->fakes) < 0)
		return err_set(e, "no memory");
	for (uint32_t i = 0; i < h->n; i++) {
		if (field_scrub(f, &h->field[i].name, e) < 0 ||
		    field_scrub(f, &h->field[i].value, e) < 0)
			return -1;
	}
	if (h->body == HTTP1_BODY_NONE)
		return 0;
	if ((watches || f->back.scan != NULL || f->strip_html) &&
	    coding_take(f, h, e) < 0)
		return -1;
	return page_take(f, h, e);
}

bool
filter_resizes(const struct filter *f)
{
	return f->page != NULL || f->unpack_back != NULL;
}

int
filter_answer_body(struct filter *f, struct str bytes, bool last,
    struct buf *out, struct err *e)
{
	struct onward on = { f, out };

	if (f->unpack_back == NULL)
		return pass(f, bytes, last, out, e);
	if (decode_feed(f->unpack_back, bytes, on_unpacked, &on, e) < 0)
		return -1;
	if (last && !decode_ended(f->unpack_back))
		return err_set(e, "a compressed answer was cut off");
	return last ? pass(f, STR(""), true, out, e) : 0;
}

bool
filter_answer_holds(const struct filter *f)
{
	return f->hide.hold.n > 0;
}

int
filter_answer_rest(struct filter *f, bool all, struct buf *out, struct err *e)
{
	buf_reset(&f->hidden);
	if (hide_rest(&f->hide, all, &f->hidden) < 0)
		return err_set(e, "no memory");
	return pass_page(f, buf_str(&f->hidden), false, out, e);
}

bool
filter_answer_found(const struct filter *f)
{
	return f->hide.hits > 0;
}

uint64_t
filter_watch_hide(
    const struct filter_watch *w, struct str text, struct buf *out)
{
	struct hide h;
	uint64_t hits;

	if (w == NULL || w->set == NULL) {
		buf_add_str(out, text);
		return 0;
	}
	if (hide_init(&h, w->set, w->fakes) < 0 ||
	    hide_feed(&h, text, true, out) < 0)
		out->failed = true;
	hits = h.hits;
	hide_fini(&h);
	return hits;
}

void
filter_field_drop(struct http1_head *h, struct str name)
{
	uint32_t keep = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		if (!str_eq_nocase(h->field[i].name, name))
			h->field[keep++] = h->field[i];
	}
	h->n = keep;
}

/* What is compressed is given on unpacked: else it could not be changed. */
static int
coding_take(struct filter *f, struct http1_head *h, struct err *e)
{
	const struct str *coding = http1_get(h, STR("content-encoding"));

	if (coding == NULL || coding->n == 0 ||
	    str_eq_nocase(*coding, STR("identity")))
		return 0;
	if (http1_count(h, STR("content-encoding")) == 1)
		f->unpack_back = decode_new(*coding);
	if (f->unpack_back == NULL)
		return err_set(e,
		    "the answer has a content encoding that was not asked for, "
		    "and cannot be searched");
	filter_field_drop(h, STR("content-encoding"));
	filter_field_drop(h, STR("content-length"));
	/* They are about the bytes as they were packed. */
	filter_field_drop(h, STR("content-digest"));
	filter_field_drop(h, STR("content-md5"));
	filter_field_drop(h, STR("etag"));
	return 0;
}

static int
page_take(struct filter *f, struct http1_head *h, struct err *e)
{
	const struct str *type = http1_get(h, STR("content-type"));

	if (!f->strip_html || type == NULL ||
	    !((type->n >= 9 &&
		  str_eq_nocase(
		      (struct str){ type->p, 9 }, STR("text/html"))) ||
		(type->n >= 21 &&
		    str_eq_nocase((struct str){ type->p, 21 },
			STR("application/xhtml+xml")))))
		return 0;
	f->page = calloc(1, sizeof(*f->page));
	if (f->page == NULL)
		return err_set(e, "no memory");
	filter_field_drop(h, STR("content-length"));
	filter_field_drop(h, STR("etag"));
	for (uint32_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->field[i].name, STR("content-type")))
			h->field[i].value = STR("text/plain; charset=utf-8");
	}
	return 0;
}

/* A stream of its own: heads come before the body, trailers behind it. */
static int
field_scrub(struct filter *f, struct str *s, struct err *e)
{
	own_buf struct buf swapped = { .max = HTTP_MAX_HEAD_BYTES };
	own_buf struct buf hidden = { .max = HTTP_MAX_HEAD_BYTES };
	struct swap one = {
		.scan = f->back.scan,
		.to = f->back.to,
		.hits = f->back.hits,
	};
	struct str clean = *s;
	char *kept;
	int rc = 0;

	if (s->n == 0)
		return 0;
	if (one.scan != NULL) {
		scan_reset(one.scan);
		rc = swap_feed(&one, *s, &swapped);
		if (rc == 0)
			rc = swap_end(&one, &swapped);
		scan_reset(one.scan);
		swap_fini(&one);
		clean = buf_str(&swapped);
	}
	if (rc == 0 && f->hide.leaks != NULL) {
		rc = hide_feed(&f->hide, clean, true, &hidden);
		clean = buf_str(&hidden);
	}
	if (rc < 0)
		return err_set(e, "a head is too long to be changed");
	must(clean.n == s->n);
	if (memcmp(clean.p, s->p, s->n) == 0)
		return 0;
	kept = arena_copy(&f->fields, clean);
	if (kept == NULL)
		return err_set(e, "no memory");
	*s = (struct str){ kept, clean.n };
	return 0;
}

static int
on_unpacked(void *arg, struct str bytes, struct err *e)
{
	struct onward *on = arg;

	return pass(on->f, bytes, false, on->out, e);
}

static int
pass(struct filter *f, struct str bytes, bool last, struct buf *out,
    struct err *e)
{
	if (f->back.scan != NULL) {
		buf_reset(&f->swapped);
		if (swap_feed(&f->back, bytes, &f->swapped) < 0 ||
		    (last && swap_end(&f->back, &f->swapped) < 0))
			return err_set(e, "no memory");
		bytes = buf_str(&f->swapped);
	}
	if (f->hide.leaks != NULL) {
		buf_reset(&f->hidden);
		if (hide_feed(&f->hide, bytes, last, &f->hidden) < 0)
			return err_set(e, "no memory");
		bytes = buf_str(&f->hidden);
	}
	return pass_page(f, bytes, last, out, e);
}

static int
pass_page(struct filter *f, struct str bytes, bool last, struct buf *out,
    struct err *e)
{
	if (f->page == NULL)
		buf_add_str(out, bytes);
	else if (html_feed(f->page, bytes, out) < 0 ||
	    (last && html_end(f->page, out) < 0))
		return err_set(e, "no memory");
	return out->failed ? err_set(e, "no memory") : 0;
}
