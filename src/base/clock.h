/*
 * base/clock.h: the two clocks. Pure code takes time as an argument; only
 * roles and the command line read a clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_utc_ns(void); /* nanoseconds since 1970, UTC */
int64_t clock_mono_ns(void); /* nanoseconds since boot, never back */

#endif
