#include "codec/exec_frame.h"

#include "base/limits.h"
#include "base/must.h"

ssize_t
exec_frame_parse(const char *p, size_t n, struct exec_frame *out, struct err *e)
{
	const uint8_t *b = (const uint8_t *)p;
	uint32_t len;

	if (n == 0)
		return 0;
	if (b[0] >= FRAME_TYPES)
		return err_set(e, "frame of unknown type %u", b[0]);
	if (n < FRAME_HEAD_BYTES)
		return 0;
	len = (uint32_t)b[1] << 24 | (uint32_t)b[2] << 16 |
	    (uint32_t)b[3] << 8 | b[4];
	if (len > EXEC_FRAME_MAX_BYTES)
		return err_set(
		    e, "frame of %u bytes, over %d", len, EXEC_FRAME_MAX_BYTES);
	if (n - FRAME_HEAD_BYTES < len)
		return 0;
	out->type = (enum exec_frame_type)b[0];
	out->data = (struct str){ p + FRAME_HEAD_BYTES, len };
	return (ssize_t)FRAME_HEAD_BYTES + (ssize_t)len;
}

void
exec_frame_put(struct buf *b, enum exec_frame_type type, struct str data)
{
	must(data.n <= EXEC_FRAME_MAX_BYTES);
	const char head[FRAME_HEAD_BYTES] = { (char)type, (char)(data.n >> 24),
		(char)(data.n >> 16), (char)(data.n >> 8), (char)data.n };

	buf_add(b, head, sizeof(head));
	buf_add_str(b, data);
}

void
exec_frame_put_winsize(struct buf *b, uint16_t rows, uint16_t cols)
{
	const char data[4] = { (char)(rows >> 8), (char)rows, (char)(cols >> 8),
		(char)cols };

	exec_frame_put(b, FRAME_WINSIZE, (struct str){ data, sizeof(data) });
}

int
exec_frame_winsize(const struct exec_frame *f, uint16_t *rows, uint16_t *cols)
{
	const uint8_t *b = (const uint8_t *)f->data.p;

	if (f->type != FRAME_WINSIZE || f->data.n != 4)
		return -1;
	*rows = (uint16_t)(b[0] << 8 | b[1]);
	*cols = (uint16_t)(b[2] << 8 | b[3]);
	return 0;
}
