#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(char *dst, size_t cap, size_t at, const char *text);

int
err_set(struct err *e, const char *fmt, ...)
{
	va_list ap;

	e->sys = 0;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	e->sys = saved;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	put(e->text, sizeof(e->text), strlen(e->text), ": ");
	put(e->text, sizeof(e->text), strlen(e->text), strerror(saved));
	errno = saved;
	return -1;
}

int
err_add(struct err *e, const char *fmt, ...)
{
	char was[ERR_TEXT_BYTES];
	va_list ap;

	memcpy(was, e->text, sizeof(was));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	put(e->text, sizeof(e->text), strlen(e->text), ": ");
	put(e->text, sizeof(e->text), strlen(e->text), was);
	return -1;
}

/* Copies text to dst + at, cut to fit, always terminated. */
static void
put(char *dst, size_t cap, size_t at, const char *text)
{
	while (at + 1 < cap && *text != '\0')
		dst[at++] = *text++;
	dst[at] = '\0';
}
