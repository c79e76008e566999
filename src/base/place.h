/*
 * base/place.h: where in a sandbox a folder of the host may be seen.
 *
 * A place is an absolute path without "." and "..", and not where the sandbox
 * has something of its own. Policies are checked with this when they are read,
 * and sandboxes before they are built.
 */
#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include <stdbool.h>

#include "base/str.h"

/* Certificates for the programs inside, with those of the machine: a file in a
 * folder, both made by the sandbox. */
#define PLACE_TRUST_DIR "/run/paddock/trust"
#define PLACE_TRUST_FILE "ca.pem"
#define PLACE_TRUST PLACE_TRUST_DIR "/" PLACE_TRUST_FILE
/* Of those, the one that is of this sandbox alone. */
#define PLACE_TRUST_OWN_FILE "own.pem"
#define PLACE_TRUST_JAVA_FILE "cacerts"
#define PLACE_TRUST_JAVA PLACE_TRUST_DIR "/" PLACE_TRUST_JAVA_FILE

/* NULL when the path can be a place, else what it must be. */
const char *place_fault(struct str path);

/* True when the path is dir, or lies below it; both are places. */
bool place_below(struct str path, struct str dir);

#endif
