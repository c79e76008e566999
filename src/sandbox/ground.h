/*
 * sandbox/ground.h: what the roots of a caller's sandboxes have in common.
 *
 * A mount namespace that holds, read-only, what is the same in every root that
 * is not an image: /usr with the links that lead there, what of /etc the
 * programs in it depend on, the devices, the program itself. A builder that
 * starts there copies these few mounts in place of all of the host's, finds
 * the files made already, and has no old tree to let go of: each of the two
 * ends in a wait for RCU. No process ever runs there.
 *
 * It is made anew where the host has other files in these places by now, or
 * has mounted something.
 */
#ifndef SANDBOX_GROUND_H
#define SANDBOX_GROUND_H

#include "base/err.h"

struct ground;

/*
 * home_ns: the mount namespace of the caller, which has one thread; binary_fd:
 * the program itself. Both are borrowed. NULL with e where there is none. The
 * working directory is "/" afterwards.
 */
struct ground *ground_new(int home_ns, int binary_fd, struct err *e);

void ground_free(struct ground *g); /* NULL: nothing */

/* Between the two the caller is there; after an error it is at home. */
int ground_enter(struct ground *g, struct err *e);
void ground_leave(const struct ground *g);

#endif
