#include "cli/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/term.h"
#include "codec/json_text.h"
#include "sys/fd.h"

enum { NOTE_BYTES = 4096 };

static void note(struct str text);

void
out_note(const char *fmt, ...)
{
	char text[NOTE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note(str_of(text));
}

int
out_fail(const struct err *e)
{
	note(str_of(e->text));
	return EXIT_FAILED;
}

int
out_write(struct buf *b)
{
	struct err e = {};

	if (b->failed)
		(void)err_set(&e, "out of memory");
	else if (b->n == 0 || fd_write_all(STDOUT_FILENO, b->p, b->n, &e) == 0)
		return EXIT_DONE;
	(void)err_add(&e, "standard output");
	return out_fail(&e);
}

void
out_json_text(struct buf *b, struct str json, int fd)
{
	size_t i = 0;

	if (!isatty(fd)) {
		buf_add_str(b, json);
		return;
	}
	while (i < json.n) {
		const uint8_t *p = (const uint8_t *)json.p + i;
		size_t n = json_text_utf8(json.p + i, json.n - i);
		uint32_t code = p[0];

		/* Pretty JSON has line ends between values: they are ours. */
		if (n <= 1 && (code == '\n' || (code >= ' ' && code < 0x7f))) {
			buf_add_byte(b, (char)code);
		} else {
			static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f,
				0x07 };

			code &= first[n];
			for (size_t k = 1; k < n; k++)
				code = code << 6 | (p[k] & 0x3f);
			if (n == 0)
				code = 0xfffd;
			if (code > 0xffff)
				buf_printf(b, "\\u%04x\\u%04x",
				    0xd7c0 + (code >> 10),
				    0xdc00 + (code & 0x3ff));
			else
				buf_printf(b, "\\u%04x", code);
		}
		i += n > 0 ? n : 1;
	}
}

void
out_time(struct buf *b, int64_t utc_ns)
{
	time_t at = (time_t)(utc_ns / 1000000000);
	char text[32];
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0) {
		buf_add_c(b, "?");
		return;
	}
	buf_add_c(b, text);
}

static void
note(struct str text)
{
	own_buf struct buf line = {};
	struct err e;

	buf_add_c(&line, "paddock: ");
	term_text(&line, text);
	buf_add_byte(&line, '\n');
	/* Nobody is left to tell when standard error is gone. */
	if (!line.failed)
		(void)fd_write_all(STDERR_FILENO, line.p, line.n, &e);
}

int
out_json(const struct json *v)
{
	own_buf struct buf text = {}, out = {};

	json_write_pretty(&text, v);
	out_json_text(&out, buf_str(&text), STDOUT_FILENO);
	buf_add_byte(&out, '\n');
	return out_write(&out);
}
