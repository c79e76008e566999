#include "image/inflate.h"

#include <archive.h>
#include <errno.h>
#include <string.h>

static ssize_t next_packed(struct inflate *s, const void **p);
static int open_packed(struct inflate *s, int filter);
static la_ssize_t on_read(struct archive *a, void *arg, const void **p);
static ssize_t fail_archive(struct inflate *s);

int
inflate_init(struct inflate *s, const struct untar_source *source,
    const struct untar_limits *limits, struct err *e)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b };
	static const uint8_t zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	int r = 0;

	*s = (struct inflate){ .source = source, .limits = limits };
	if (digest_init(&s->digest, e) < 0)
		return -1;
	s->first_n = next_packed(s, &s->first);
	if (s->first_n >= (ssize_t)sizeof(gzip) &&
	    memcmp(s->first, gzip, sizeof(gzip)) == 0)
		r = open_packed(s, ARCHIVE_FILTER_GZIP);
	else if (s->first_n >= (ssize_t)sizeof(zstd) &&
	    memcmp(s->first, zstd, sizeof(zstd)) == 0)
		r = open_packed(s, ARCHIVE_FILTER_ZSTD);
	if (r < 0 || s->failed) {
		*e = s->e;
		return -1;
	}
	return 0;
}

void
inflate_fini(struct inflate *s)
{
	if (s->packed != NULL)
		(void)archive_read_free(s->packed); /* nothing to lose */
	s->packed = NULL;
	digest_fini(&s->digest);
}

ssize_t
inflate_next(struct inflate *s, const void **p)
{
	const struct untar_limits *l = s->limits;
	/* Content, and no more than a page of headers an entry. */
	uint64_t most = l->bytes + l->entries * 4096;
	ssize_t n;

	if (s->failed)
		return -1;
	if (s->packed == NULL) {
		n = next_packed(s, p);
	} else {
		la_int64_t at;
		size_t size = 0;
		int r = archive_read_data_block(s->packed, p, &size, &at);

		if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
			return fail_archive(s);
		n = r == ARCHIVE_EOF ? 0 : (ssize_t)size;
	}
	if (n <= 0)
		return n;
	s->out_bytes += (uint64_t)n;
	if (s->out_bytes > l->ratio_free_bytes &&
	    s->out_bytes / l->ratio > s->in_bytes) {
		s->failed = true;
		return err_set(&s->e,
		    "unpacks to more than %u times its size: a "
		    "decompression bomb",
		    l->ratio);
	}
	if (s->out_bytes > most) {
		s->failed = true;
		return err_set(&s->e,
		    "unpacks to more than %llu bytes, the limit",
		    (unsigned long long)most);
	}
	digest_add(&s->digest, *p, (size_t)n);
	return n;
}

static ssize_t
next_packed(struct inflate *s, const void **p)
{
	ssize_t n = s->first_n;

	if (n > 0) {
		*p = s->first;
		s->first_n = 0;
		return n;
	}
	n = s->source->read(s->source->arg, p);
	if (n < 0) {
		s->failed = true;
		return err_set(&s->e, "the stream cannot be read");
	}
	s->in_bytes += (uint64_t)n;
	return n;
}

static int
open_packed(struct inflate *s, int filter)
{
	struct archive_entry *entry;
	int r;

	s->packed = archive_read_new();
	if (s->packed == NULL) {
		s->failed = true;
		return err_set(&s->e, "libarchive: out of memory");
	}
	if (archive_read_support_format_raw(s->packed) != ARCHIVE_OK ||
	    archive_read_append_filter(s->packed, filter) != ARCHIVE_OK ||
	    archive_read_open(s->packed, s, NULL, on_read, NULL) != ARCHIVE_OK)
		return (int)fail_archive(s);
	r = archive_read_next_header(s->packed, &entry);
	if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
		return (int)fail_archive(s);
	return 0;
}

static la_ssize_t
on_read(struct archive *a, void *arg, const void **p)
{
	ssize_t n = next_packed(arg, p);

	if (n < 0)
		archive_set_error(a, EIO, "cannot be read");
	return n;
}

static ssize_t
fail_archive(struct inflate *s)
{
	const char *why = archive_error_string(s->packed);

	if (!s->failed)
		(void)err_set(&s->e, "%s", why == NULL ? "damaged" : why);
	s->failed = true;
	return -1;
}
