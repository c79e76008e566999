/*
 * sys/signals.h: signals that are read from a descriptor, in place of handlers.
 */
#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

#include <signal.h>

#include "base/err.h"

/* What asks a command to end. */
#define SIGNALS_TO_END ((const int[]){ SIGINT, SIGTERM, SIGHUP, 0 })

/*
 * A non-blocking signalfd of the signals in the list, which ends with 0; they
 * are blocked in this thread from now on. -1 with e.
 */
int signals_fd(const int *list, struct err *e);

#endif
