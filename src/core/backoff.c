#include "core/backoff.h"

#include "base/must.h"

/* splitmix64 (Steele, Lea and Flood, 2014): every bit depends on every one. */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t
backoff_ms(uint32_t base_ms, uint32_t max_ms, uint32_t try, uint64_t seed)
{
	uint64_t whole = base_ms, half;

	must(try > 0);
	for (uint32_t i = 1; i < try && whole < max_ms; i++)
		whole *= 2;
	if (whole > max_ms)
		whole = max_ms;
	half = whole / 2;
	return whole - half + mix(seed ^ mix(try)) % (half + 1);
}
