#include "base/clock.h"

#include <time.h>

#include "base/must.h"

static int64_t read_ns(clockid_t id);

int64_t
clock_utc_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

int64_t
clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

static int64_t
read_ns(clockid_t id)
{
	struct timespec t;

	must(clock_gettime(id, &t) == 0);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
