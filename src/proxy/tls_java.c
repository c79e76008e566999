#include "proxy/tls_java.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/must.h"
#include "base/str.h"

enum {
	MAGIC = 0xfeedfeed,
	VERSION = 2,
	TRUSTED = 2, /* the kind of an entry: a certificate, and no key */
};

/* What is written of the machine's certificates, and its digest so far. */
static struct {
	bool made;
	struct buf text;
	EVP_MD_CTX *digest;
} begun;

static void begin(X509_STORE *machine);
static void put_entry(struct buf *out, struct str alias, X509 *cert);
static void put_int(struct buf *out, uint32_t v);
static void put_text(struct buf *out, struct str s);

void
java_store_write(struct buf *out, X509_STORE *machine, X509 *ca)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	EVP_MD_CTX *digest;
	size_t from;

	if (!begun.made)
		begin(machine);
	buf_add_str(out, buf_str(&begun.text));
	from = out->n;
	put_entry(out, STR("paddock"), ca);
	digest = EVP_MD_CTX_new();
	must(digest != NULL && EVP_MD_CTX_copy(digest, begun.digest) == 1 &&
	    !out->failed &&
	    EVP_DigestUpdate(digest, out->p + from, out->n - from) == 1 &&
	    EVP_DigestFinal_ex(digest, sum, &n) == 1);
	EVP_MD_CTX_free(digest);
	buf_add(out, (const char *)sum, n);
}

static void
begin(X509_STORE *machine)
{
	static const char password[] = "changeit";
	const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(machine);
	own_buf struct buf entries = {}, head = {};
	uint32_t n = 0;

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509 *cert =
		    X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
		own_buf struct buf alias = {};

		if (cert == NULL)
			continue; /* a list of revoked ones */
		buf_printf(&alias, "machine%u", n++);
		put_entry(&entries, buf_str(&alias), cert);
	}
	put_int(&begun.text, MAGIC);
	put_int(&begun.text, VERSION);
	put_int(&begun.text, n + 1); /* and the run's */
	buf_add_str(&begun.text, buf_str(&entries));
	/* Two bytes a character of the password, then a word of the format. */
	for (size_t i = 0; i + 1 < sizeof(password); i++) {
		buf_add_byte(&head, '\0');
		buf_add_byte(&head, password[i]);
	}
	buf_add_c(&head, "Mighty Aphrodite");
	begun.digest = EVP_MD_CTX_new();
	must(begun.digest != NULL && !begun.text.failed &&
	    EVP_DigestInit_ex(begun.digest, EVP_sha1(), NULL) == 1 &&
	    EVP_DigestUpdate(begun.digest, head.p, head.n) == 1 &&
	    EVP_DigestUpdate(begun.digest, begun.text.p, begun.text.n) == 1);
	begun.made = true;
}

static void
put_entry(struct buf *out, struct str alias, X509 *cert)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	must(n > 0);
	put_int(out, TRUSTED);
	put_text(out, alias);
	put_int(out, 0); /* when it was put in: never mind */
	put_int(out, 0);
	put_text(out, STR("X.509"));
	put_int(out, (uint32_t)n);
	buf_add(out, (const char *)der, (size_t)n);
	OPENSSL_free(der);
}

static void
put_int(struct buf *out, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_byte(out, (char)(v >> shift & 0xff));
}

static void
put_text(struct buf *out, struct str s)
{
	buf_add_byte(out, (char)(s.n >> 8));
	buf_add_byte(out, (char)(s.n & 0xff));
	buf_add_str(out, s);
}
