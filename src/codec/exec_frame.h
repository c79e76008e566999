/*
 * codec/exec_frame.h: what travels on a connection that was upgraded to
 * paddock-exec: frames of one byte of type, four of length (big-endian), and
 * so many bytes of data, in both directions.
 */
#ifndef CODEC_EXEC_FRAME_H
#define CODEC_EXEC_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum exec_frame_type {
	FRAME_STDIN, /* to the command */
	FRAME_STDOUT, /* from it; a terminal has no other */
	FRAME_STDERR,
	FRAME_EXIT, /* from it, the last one: JSON, as the plain answer */
	FRAME_WINSIZE, /* to it: rows and columns, two big-endian uint16 */
	FRAME_SIGNAL, /* to it: one byte, the number */
	FRAME_STDIN_EOF, /* to it, empty */
	FRAME_TYPES,
};

enum { FRAME_HEAD_BYTES = 5 };

struct exec_frame {
	enum exec_frame_type type;
	struct str data; /* in the caller's bytes */
};

/*
 * The frame at the start of p: its length with the head, 0 when more bytes
 * are needed, or -1 with e when the type is unknown or the data over
 * EXEC_FRAME_MAX_BYTES.
 */
ssize_t exec_frame_parse(
    const char *p, size_t n, struct exec_frame *out, struct err *e);

void exec_frame_put(struct buf *b, enum exec_frame_type type, struct str data);
void exec_frame_put_winsize(struct buf *b, uint16_t rows, uint16_t cols);
/* 0, or -1: the data is no window size. */
int exec_frame_winsize(
    const struct exec_frame *f, uint16_t *rows, uint16_t *cols);

#endif
