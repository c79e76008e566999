/*
 * core/backoff.h: how long to wait before a tool is asked again.
 *
 * Pure. The wait doubles with each try, up to a limit, and half of it is drawn
 * from the seed and the try, so that many who failed together do not come back
 * together, and the same run under the same seed waits as long again.
 */
#ifndef CORE_BACKOFF_H
#define CORE_BACKOFF_H

#include <stdint.h>

/* try is 1 for the first repetition. From half of base_ms to max_ms. */
uint64_t backoff_ms(
    uint32_t base_ms, uint32_t max_ms, uint32_t try, uint64_t seed);

#endif
