#include "base/must.h"

#include <stdlib.h>

#include "base/log.h"

void
must_fail(const char *what, const char *file, int line)
{
	log_error("broken invariant at=%s:%d cond=\"%s\"", file, line, what);
	abort();
}
