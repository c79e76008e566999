#include "codec/sse.h"

enum { RETRY_MAX_MS = 60 * 60 * 1000 };

static bool line_take(struct sse *s, struct str *line);
static void on_line(struct sse *s, struct str line);
static void set(struct buf *b, struct str value);
static void set_retry(struct sse *s, struct str digits);

void
sse_fini(struct sse *s)
{
	buf_fini(&s->in);
	buf_fini(&s->name);
	buf_fini(&s->data);
	buf_fini(&s->id);
}

int
sse_feed(struct sse *s, struct str bytes)
{
	/* Once per feed, not once per line: short lines stay cheap. */
	buf_drop(&s->in, s->at);
	s->at = 0;
	buf_add_str(&s->in, bytes);
	s->failed = s->failed || s->in.failed;
	return s->failed ? -1 : 0;
}

bool
sse_next(struct sse *s, struct sse_event *ev)
{
	struct str line;

	while (!s->failed && line_take(s, &line)) {
		if (line.n > 0) {
			on_line(s, line);
			s->failed =
			    s->name.failed || s->data.failed || s->id.failed;
			continue;
		}
		*ev = (struct sse_event){
			.name =
			    s->name.n > 0 ? buf_str(&s->name) : STR("message"),
			.data = buf_str(&s->data),
			.id = buf_str(&s->id),
		};
		/* The bytes stay until something is added. */
		buf_reset(&s->name);
		buf_reset(&s->data);
		if (s->has_data) {
			s->has_data = false;
			return true;
		}
	}
	return false;
}

/* The next whole line. A line ends in LF, CR or CRLF. */
static bool
line_take(struct sse *s, struct str *line)
{
	size_t n = s->in.n - s->at;
	size_t end = s->looked;
	const char *p;

	if (n == 0)
		return false;
	p = s->in.p + s->at;
	if (s->after_cr) {
		s->after_cr = false;
		if (p[0] == '\n') {
			s->at++;
			p++;
			n--;
		}
	}
	while (end < n && p[end] != '\n' && p[end] != '\r')
		end++;
	s->looked = end;
	if (end == n)
		return false;
	s->looked = 0;
	s->after_cr = p[end] == '\r';
	s->at += end + 1;
	*line = (struct str){ p, end };
	return true;
}

static void
on_line(struct sse *s, struct str line)
{
	size_t colon = str_find(line, ':');
	struct str field = { line.p, colon };
	struct str value = STR("");

	if (colon < line.n) {
		value = (struct str){ line.p + colon + 1, line.n - colon - 1 };
		if (value.n > 0 && value.p[0] == ' ')
			value = (struct str){ value.p + 1, value.n - 1 };
	}
	if (str_eq_c(field, "event")) {
		set(&s->name, value);
	} else if (str_eq_c(field, "id")) {
		/* A NUL could not be sent back in a header. */
		if (str_find(value, '\0') == value.n)
			set(&s->id, value);
	} else if (str_eq_c(field, "data")) {
		if (s->has_data)
			buf_add_byte(&s->data, '\n');
		buf_add_str(&s->data, value);
		s->has_data = true;
	} else if (str_eq_c(field, "retry")) {
		set_retry(s, value);
	}
	/* A comment (no field) and unknown fields mean nothing. */
}

/* Digits only, as the standard has it; else it says nothing. */
static void
set_retry(struct sse *s, struct str digits)
{
	uint32_t ms = 0;

	for (size_t i = 0; i < digits.n; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return;
		if (ms < RETRY_MAX_MS)
			ms = ms * 10 + (uint32_t)(digits.p[i] - '0');
	}
	if (digits.n == 0)
		return;
	s->has_retry = true;
	s->retry_ms = ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static void
set(struct buf *b, struct str value)
{
	buf_reset(b);
	buf_add_str(b, value);
}
