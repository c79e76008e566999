/*
 * supervisor/digest.h: SHA-256 of what may be large.
 *
 * libcrypto is several times as fast as our own, and more than half of the
 * memory of a supervisor that is linked with it. So it is loaded by the first
 * large one, which is in a child that takes or checks a snapshot, and ends with
 * it. Where there is none, our own takes its time.
 */
#ifndef SUPERVISOR_DIGEST_H
#define SUPERVISOR_DIGEST_H

#include "base/hash.h"

struct hash digest_of(const void *p, size_t n);

#endif
