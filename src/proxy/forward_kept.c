/*
 * What the trace keeps of a request and its answer, so that a later run can be
 * answered the same: contents as the client has them, that is behind the
 * filter, which has put placeholders for secrets.
 */
#include "base/limits.h"
#include "codec/json.h"
#include "proxy/forward_int.h"

static void add(struct forward *f, struct buf *b, struct str content);

void
kept_request(struct forward *f, struct str content)
{
	if (f->kept.on)
		add(f, &f->kept.request, content);
}

void
kept_head(struct forward *f, const struct http1_head *h)
{
	struct buf *b = &f->kept.fields;
	bool any = false;

	if (!f->kept.on)
		return;
	buf_reset(b);
	buf_add_byte(b, '[');
	for (uint32_t i = 0; i < h->n; i++) {
		struct str name = h->field[i].name;

		/* Framing is made anew, and a session is not for keeping. */
		if (head_is_hop(h, name) ||
		    str_eq_nocase(name, STR("Content-Length")) ||
		    str_eq_nocase(name, STR("Transfer-Encoding")) ||
		    str_eq_nocase(name, STR("Trailer")) ||
		    str_eq_nocase(name, STR("Set-Cookie")))
			continue;
		buf_add_c(b, any ? ",[" : "[");
		any = true;
		json_put_str(b, name);
		buf_add_byte(b, ',');
		json_put_str(b, h->field[i].value);
		buf_add_byte(b, ']');
	}
	buf_add_byte(b, ']');
}

void
kept_body(struct forward *f, struct str content)
{
	if (f->kept.on)
		add(f, &f->kept.body, content);
}

const struct forward_kept *
kept_whole(const struct forward *f)
{
	const struct forward_kept *k = &f->kept;

	return k->on && !k->lost && f->answering && f->answer.done &&
		!k->fields.failed && k->fields.n > 0
	    ? k
	    : NULL;
}

void
kept_reset(struct forward *f)
{
	buf_fini(&f->kept.fields);
	buf_fini(&f->kept.body);
	buf_fini(&f->kept.request);
	f->kept = (struct forward_kept){};
}

static void
add(struct forward *f, struct buf *b, struct str content)
{
	b->max = EGRESS_RECORD_BYTES;
	buf_add_str(b, content);
	f->kept.lost = f->kept.lost || b->failed;
}
