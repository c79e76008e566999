#include "supervisor/digest.h"

#include <dlfcn.h>
#include <openssl/sha.h>

#define LIBRARY "libcrypto.so.3" /* OpenSSL 3, as the headers are */

/* Below it loading takes longer than hashing: 5 ms, at 250 MB/s. */
enum { LARGE_BYTES = 1 << 20 };

struct hash
digest_of(const void *p, size_t n)
{
	static __typeof__(SHA256) *large;
	static bool asked;
	struct hash h;

	if (n >= LARGE_BYTES && !asked) {
		void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

		asked = true;
		if (library != NULL)
			large = (__typeof__(large))dlsym(library, "SHA256");
	}
	if (n < LARGE_BYTES || large == NULL)
		return hash_of(p, n);
	(void)large(p, n, h.b); /* it gives back h.b */
	return h;
}
