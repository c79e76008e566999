/*
 * image/jail.h: what the process that unpacks can still do.
 */
#ifndef IMAGE_JAIL_H
#define IMAGE_JAIL_H

#include <stdint.h>

#include "base/err.h"

enum { JAIL_LINK = 3, JAIL_DIR = 4 }; /* the only two descriptors it has */

/*
 * Confines this process, which has just been forked: link and dir become
 * JAIL_LINK and JAIL_DIR. file_bytes bounds each file it writes. On -1 it
 * must end.
 */
int jail_enter(int link, int dir, uint64_t file_bytes, struct err *e);

#endif
