/*
 * The first byte says which: t, the text of a bundle, which is packed before it
 * is read; anything else, a file as somebody may send it.
 *
 * Holds: what is refused is refused with a reason, and what is not sound says
 * how. What is sound proves itself: it has as many records as it says, all of
 * the one run and in the log's order, and a bit turned behind its first line
 * is found, or is one that says nothing: an escape that means the same, the
 * case of a digit, a policy's or a blob's that none of the records names.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <zstd.h>

#include "base/limits.h"
#include "base/must.h"
#include "store/bundle.h"
#include "sys/fd.h"

enum { FUZZ_MAX_BYTES = 1 << 20 };

struct seen {
	uint64_t n, last, run, size;
};

static bool
on_row(void *arg, const struct store_row *row)
{
	struct seen *s = arg;

	must(row->run == s->run && row->seq > s->last && row->seq <= s->size);
	s->last = row->seq;
	s->n++;
	return true;
}

/* The verdict; *head: what it was about. */
static enum store_fault
read_one(struct str file, struct hash *head)
{
	own_fd int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct store_verdict v;
	struct err e = {}, other = {};
	struct bundle b;
	struct store *s;

	must(fd >= 0 && fd_write_all(fd, file.p, file.n, &e) == 0);
	must(lseek(fd, 0, SEEK_SET) == 0);
	s = bundle_open(fd, NULL, &b, &v, &e);
	if (s == NULL) {
		must(e.text[0] != '\0');
		return STORE_BAD_RECORD;
	}
	if (v.fault == STORE_SOUND) {
		struct seen seen = { .run = b.run, .size = b.size };

		must(v.records > 0 && v.records <= BUNDLE_MAX_RECORDS &&
		    b.run != 0 && v.text[0] == '\0');
		must(store_events(s, b.run, 0, 0, on_row, &seen, &e) == 0);
		must(seen.n == v.records);
		must(hash_eq(&b.digest, &(struct hash){}) == 0);
	} else {
		must(v.text[0] != '\0');
	}
	*head = v.head;
	must(store_close(s, &other) == 0);
	return v.fault;
}

static enum store_fault
read_packed(struct str text, struct hash *head)
{
	static char out[ZSTD_COMPRESSBOUND(FUZZ_MAX_BYTES)];
	size_t n = ZSTD_compress(out, sizeof(out), text.p, text.n, 1);

	must(!ZSTD_isError(n));
	return read_one((struct str){ out, n }, head);
}

/* In a record: each byte of it is hashed. */
static void
turn_one(struct str text)
{
	static char copy[FUZZ_MAX_BYTES];
	struct str line = { text.p, str_find(text, '\n') };
	const size_t before =
	    sizeof("{\"hash\":\"\",\"prev\":\"\",\"record\":") - 1 +
	    2 * (HASH_HEX_BYTES - 1);
	struct hash head = {};
	size_t at;

	/* A sound one has a record behind its first line. */
	at = line.n + 1 + before + (uint8_t)text.p[line.n / 2] % 40;
	must(at < text.n);
	memcpy(copy, text.p, text.n);
	copy[at] = (char)(copy[at] ^ 1);
	must(read_packed((struct str){ copy, text.n }, &head) != STORE_SOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hash head = {};
	struct str in;

	if (size < 1 || size > FUZZ_MAX_BYTES)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	if (data[0] != 't')
		(void)read_one(in, &head);
	else if (read_packed(in, &head) == STORE_SOUND)
		turn_one(in);
	return 0;
}
