/*
 * The first byte is where the rest is cut off for a first look.
 *
 * Holds: what was done or bad for the start of some bytes is so for all of
 * them; a name is a name; and nobody's hello is read past its end.
 */
#include <string.h>

#include "base/must.h"
#include "codec/tls_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_hello some, all;
	enum tls_hello_result first, whole;
	const char *why;
	struct str in;
	size_t cut;

	if (size < 1)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	cut = in.n * data[0] / 255;
	first = tls_hello_parse((struct str){ in.p, cut }, &some, &why);
	must((first == TLS_HELLO_BAD) == (why != NULL));
	whole = tls_hello_parse(in, &all, &why);
	if (first == TLS_HELLO_DONE)
		must(memcmp(&some, &all, sizeof(all)) == 0);
	if (first != TLS_HELLO_MORE)
		must(first == whole);
	must(strlen(all.name) < TLS_NAME_BYTES);
	for (const char *p = all.name; *p != '\0'; p++)
		must((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
		    *p == '-' || *p == '.' || *p == '_');
	must(all.has_alpn || (!all.offers_h2 && !all.offers_http11));
	return 0;
}
