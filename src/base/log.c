#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 }; /* one write(2), so that roles do not interleave */

static void line(enum log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static const char *who = "paddock";
static enum log_level most = LOG_WARN;

void
log_init(const char *role, enum log_level level)
{
	who = role;
	most = level;
}

bool
log_on(enum log_level level)
{
	return level <= most;
}

#define LOG_BODY(level)               \
	do {                          \
		va_list ap;           \
		va_start(ap, fmt);    \
		line(level, fmt, ap); \
		va_end(ap);           \
	} while (0)

void
log_error(const char *fmt, ...)
{
	LOG_BODY(LOG_ERROR);
}

void
log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_WARN);
}

void
log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_INFO);
}

void
log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_DEBUG);
}

static void
line(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error", "warn ", "info ",
		"debug" };
	char out[LINE_BYTES];
	size_t n;
	int r;

	if (level > most)
		return;
	r = snprintf(out, sizeof(out), "%s %-10s ", names[level], who);
	if (r < 0)
		return;
	n = (size_t)r;
	r = vsnprintf(out + n, sizeof(out) - n - 1, fmt, ap);
	if (r < 0)
		return;
	n += (size_t)r;
	if (n > sizeof(out) - 2)
		n = sizeof(out) - 2;

	/* A peer's bytes may be in the text: no control character gets out. */
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			out[i] = '?';
	}
	out[n++] = '\n';
	if (write(STDERR_FILENO, out, n) < 0)
		return; /* nobody is left to tell */
}
