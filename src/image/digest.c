#include "image/digest.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/must.h"

int
digest_init(struct digest *d, struct err *e)
{
	d->ctx = EVP_MD_CTX_new();
	if (d->ctx == NULL)
		return err_set(e, "SHA-256: out of memory");
	if (EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
		digest_fini(d);
		return err_set(e, "SHA-256 cannot be started");
	}
	return 0;
}

void
digest_fini(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}

void
digest_add(struct digest *d, const void *p, size_t n)
{
	must(EVP_DigestUpdate(d->ctx, p, n) == 1);
}

struct hash
digest_end(struct digest *d)
{
	struct hash h;
	unsigned n = 0;

	must(EVP_DigestFinal_ex(d->ctx, h.b, &n) == 1 && n == HASH_BYTES);
	return h;
}

void
digest_text(const struct hash *h, char out[static DIGEST_TEXT_BYTES])
{
	char hex[HASH_HEX_BYTES];

	hash_hex(h, hex);
	(void)snprintf(out, DIGEST_TEXT_BYTES, "sha256:%s", hex);
}

int
digest_parse(struct str text, struct hash *out, struct err *e)
{
	const struct str prefix = STR("sha256:");

	if (!str_starts(text, prefix))
		return err_set(e, "digest %.*s: only sha256 is known",
		    (int)(text.n < 80 ? text.n : 80), text.p);
	if (hash_from_hex(
		(struct str){ text.p + prefix.n, text.n - prefix.n }, out) < 0)
		return err_set(e, "digest %.*s: 64 hexadecimal digits expected",
		    (int)(text.n < 80 ? text.n : 80), text.p);
	return 0;
}
