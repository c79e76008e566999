/*
 * base/err.h: why something failed, in the caller's own storage.
 *
 * A function that can fail takes a struct err and returns -1 with it filled
 * in. A caller adds what it was doing, once, in front. Nothing here allocates.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum { ERR_TEXT_BYTES = 512 };

struct err {
	int sys; /* errno, or 0 when no system call failed */
	char text[ERR_TEXT_BYTES]; /* one line, no full stop, NUL-terminated */
};

/* The text is fmt. Returns -1. */
int err_set(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The text is fmt, ": " and errno's description; e->sys is errno. */
int err_sys(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts fmt and ": " in front of the text. A long text loses its end. */
int err_add(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
