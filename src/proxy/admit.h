/*
 * proxy/admit.h: whether one more connection of a run is taken.
 *
 * A run has so many at once and so many new ones a second as its policy says.
 * Of all connections that a proxy can hold, the last ones are kept for runs
 * that have few: a run that opens whatever it can keeps no other from its
 * work. What is not taken is reset, and told about once a second.
 */
#ifndef PROXY_ADMIT_H
#define PROXY_ADMIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct admit {
	uint32_t most; /* open at once */
	uint32_t per_s; /* new ones; a second's worth at once */
	int64_t full_ns; /* when a second's worth is there again */
	uint64_t refused; /* that nobody has been told of */
	int64_t told_ns; /* when somebody was */
};

/* payload: that of MSG_DOOR_OPEN; what it does not say has a default. */
void admit_init(struct admit *a, struct str payload);
/*
 * NULL when it is taken. Else why not. open is what the run has, room what
 * the proxy has left.
 */
const char *admit_one(
    struct admit *a, uint32_t open, size_t room, int64_t now_ns);
/* What was refused and is to be told of now; 0: not yet. */
uint64_t admit_told(struct admit *a, int64_t now_ns);

#endif
