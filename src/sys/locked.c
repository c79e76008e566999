#include "sys/locked.h"

#include <string.h>
#include <sys/mman.h>

int
locked_init(struct locked *l, size_t cap, struct err *e)
{
	size_t size = (cap + 4095) & ~(size_t)4095;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*l = (struct locked){};
	if (p == MAP_FAILED)
		return err_sys(e, "memory for secrets");
	/* Without a lock it may be swapped out: then rather no secret. */
	if (mlock(p, size) < 0 || madvise(p, size, MADV_DONTDUMP) < 0 ||
	    madvise(p, size, MADV_DONTFORK) < 0) {
		err_sys(e, "lock memory for secrets (see ulimit -l)");
		(void)munmap(p, size); /* nothing was in it */
		return -1;
	}
	l->p = p;
	l->cap = size;
	return 0;
}

void
locked_fini(struct locked *l)
{
	if (l->p == NULL)
		return;
	explicit_bzero(l->p, l->cap);
	(void)munmap(l->p, l->cap); /* fails for addresses that are none */
	*l = (struct locked){};
}

void *
locked_alloc(struct locked *l, size_t n)
{
	size_t size = (n + 15) & ~(size_t)15;
	char *p = l->p + l->n;

	if (size < n || size > l->cap - l->n)
		return NULL;
	l->n += size;
	return p;
}

struct str
locked_copy(struct locked *l, struct str s)
{
	char *p = locked_alloc(l, s.n + 1);

	if (p == NULL)
		return (struct str){ NULL, 0 };
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}
