/*
 * cli/state.h: where paddock keeps what outlives a run.
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Appends the state directory: the option when it is not NULL, else
 * $PADDOCK_STATE, else /var/lib/paddock as root, else $XDG_STATE_HOME/paddock
 * or ~/.local/state/paddock. Makes nothing. The records are in state_store().
 */
int state_dir(const char *option, struct buf *out, struct err *e);
/* The same with "/store" behind it: what store_open() takes. */
int state_store(const char *option, struct buf *out, struct err *e);

#endif
