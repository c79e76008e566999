/*
 * Records of the kernel's audit, whose names whoever is refused has chosen.
 *
 * Holds: the bytes are a name, which is written as the kernel writes one into
 * a record, and is read back as it was, whatever it says; no other member of
 * the record changes by it. Taken as a record themselves, of each type, they
 * are read or not, every text has its end, and what is joined of them stays
 * within its bounds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "codec/audit.h"

enum { NAME_BYTES = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* audit_log_n_untrustedstring() of the kernel. */
static size_t
put_name(char *out, const uint8_t *name, size_t n)
{
	bool digits = false;
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		digits |= name[i] == '"' || name[i] < 0x21 || name[i] > 0x7e;
	if (!digits)
		out[at++] = '"';
	for (size_t i = 0; i < n; i++) {
		if (digits) {
			out[at++] = "0123456789ABCDEF"[name[i] >> 4];
			out[at++] = "0123456789ABCDEF"[name[i] & 15];
		} else {
			out[at++] = (char)name[i];
		}
	}
	if (!digits)
		out[at++] = '"';
	return at;
}

static void
name_comes_back(const uint8_t *name, size_t n)
{
	char text[64 + 2 * NAME_BYTES + 64];
	struct audit_record r;
	size_t at;

	at = (size_t)snprintf(text, sizeof(text),
	    "audit(1.2:3): domain=4 blockers=fs.refer path=");
	at += put_name(text + at, name, n);
	at += (size_t)snprintf(text + at, sizeof(text) - at, " ino=5");
	must(audit_record_parse(AUDIT_TYPE_LANDLOCK_ACCESS,
		 (struct str){ text, at }, &r) == 0);
	must(r.serial == 3 && r.domain == 4 && r.is_path);
	must(strcmp(r.blockers, "fs.refer") == 0);
	must(strlen(r.about) == n);
	for (size_t i = 0; i < n; i++)
		must(r.about[i] == (name[i] == 0 ? '@' : (char)name[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t types[] = { AUDIT_TYPE_LANDLOCK_ACCESS,
		AUDIT_TYPE_LANDLOCK_DOMAIN, AUDIT_TYPE_SYSCALL, AUDIT_TYPE_EOE,
		1302 };
	static struct audit_join j;
	static int64_t now_ms;
	struct audit_denied d;

	if (size > 0 && size <= NAME_BYTES)
		name_comes_back(data, size);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct audit_record r;

		if (audit_record_parse(types[i],
			(struct str){ (const char *)data, size }, &r) < 0)
			continue;
		must(memchr(r.about, '\0', sizeof(r.about)) != NULL);
		must(memchr(r.comm, '\0', sizeof(r.comm)) != NULL);
		must(memchr(r.blockers, '\0', sizeof(r.blockers)) != NULL);
		audit_join_add(&j, &r, ++now_ms);
	}
	while (audit_join_next(&j, now_ms, &d))
		must(d.maker != 0 && d.blockers[0] != '\0');
	return 0;
}
