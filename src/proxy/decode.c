#include "proxy/decode.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/limits.h"

struct decode {
	ZSTD_DStream *zstd; /* NULL: it is zlib's */
	z_stream z;
	bool ended; /* a member or frame has; another may follow */
	uint64_t in, out;
	char room[UNPACK_PIECE_BYTES];
};

static int feed_zlib(struct decode *u, struct str *bytes, size_t *n);
static int feed_zstd(struct decode *u, struct str *bytes, size_t *n);

bool
decode_knows(struct str coding)
{
	return str_eq_nocase(coding, STR("zstd")) ||
	    str_eq_nocase(coding, STR("gzip")) ||
	    str_eq_nocase(coding, STR("x-gzip")) ||
	    str_eq_nocase(coding, STR("deflate"));
}

struct decode *
decode_new(struct str coding)
{
	bool zstd = str_eq_nocase(coding, STR("zstd"));
	struct decode *u;

	if (!decode_knows(coding))
		return NULL;
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NULL;
	if (zstd) {
		u->zstd = ZSTD_createDStream();
		if (u->zstd != NULL &&
		    ZSTD_isError(ZSTD_DCtx_setParameter(
			u->zstd, ZSTD_d_windowLogMax, UNPACK_WINDOW_LOG)) == 0)
			return u;
	} else if (inflateInit2(&u->z, 15 + 32) == Z_OK) {
		return u; /* 32: zlib sees which of the two it is */
	}
	(void)ZSTD_freeDStream(u->zstd); /* takes NULL */
	free(u);
	return NULL;
}

void
decode_free(struct decode *u)
{
	if (u == NULL)
		return;
	if (u->zstd != NULL)
		(void)ZSTD_freeDStream(u->zstd); /* never fails */
	else
		(void)inflateEnd(&u->z); /* never fails for one that began */
	explicit_bzero(u->room, sizeof(u->room));
	free(u);
}

int
decode_feed(struct decode *u, struct str bytes,
    int (*give)(void *arg, struct str bytes, struct err *e), void *arg,
    struct err *e)
{
	size_t n = sizeof(u->room);

	u->in += bytes.n;
	/* A full room may mean that more waits behind it. */
	while (bytes.n > 0 || n == sizeof(u->room)) {
		size_t before = bytes.n;

		n = 0;
		if ((u->zstd != NULL ? feed_zstd(u, &bytes, &n)
				     : feed_zlib(u, &bytes, &n)) < 0)
			return err_set(
			    e, "a body is not what its content encoding says");
		u->out += n;
		if (u->out > UNPACK_FREE_BYTES + u->in * UNPACK_RATIO_MAX)
			return err_set(
			    e, "a body is too large for what it is packed in");
		if (n > 0 && give(arg, (struct str){ u->room, n }, e) < 0)
			return -1;
		if (n == 0 && bytes.n == before)
			break;
	}
	return bytes.n == 0
	    ? 0
	    : err_set(e, "a body goes on behind its compressed end");
}

bool
decode_ended(const struct decode *u)
{
	return u->in == 0 || u->ended;
}

static int
feed_zlib(struct decode *u, struct str *bytes, size_t *n)
{
	int rc;

	/* RFC 1952 section 2.2: members follow one another. */
	if (u->ended && bytes->n > 0) {
		if (inflateReset(&u->z) != Z_OK)
			return -1;
		u->ended = false;
	}
	if (u->ended)
		return 0;
	u->z.next_in = (Bytef *)(uintptr_t)bytes->p;
	u->z.avail_in = (uInt)bytes->n;
	u->z.next_out = (Bytef *)u->room;
	u->z.avail_out = sizeof(u->room);
	rc = inflate(&u->z, Z_SYNC_FLUSH);
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return -1;
	u->ended = rc == Z_STREAM_END;
	bytes->p += bytes->n - u->z.avail_in;
	bytes->n = u->z.avail_in;
	*n = sizeof(u->room) - u->z.avail_out;
	return 0;
}

static int
feed_zstd(struct decode *u, struct str *bytes, size_t *n)
{
	ZSTD_inBuffer in = { bytes->p, bytes->n, 0 };
	ZSTD_outBuffer out = { u->room, sizeof(u->room), 0 };
	size_t before = in.size, left;

	left = ZSTD_decompressStream(u->zstd, &out, &in);
	if (ZSTD_isError(left) != 0)
		return -1;
	/* Without input it asks for the head of another frame. */
	if (before > 0)
		u->ended = left == 0;
	bytes->p += in.pos;
	bytes->n -= in.pos;
	*n = out.pos;
	return 0;
}
