/*
 * cli/cmd_kill.h: the kill switch: one line to the supervisor's own socket.
 */
#ifndef CLI_CMD_KILL_H
#define CLI_CMD_KILL_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/client.h"

/*
 * run: "r-...", or NULL for all. 0 with the supervisor's answer ("killed 3"),
 * or -1 with e. Needs neither broker nor gateway.
 */
int kill_ask(
    const struct client *c, const char *run, struct buf *answer, struct err *e);
/* The same for any line that kill.sock takes (ipc/kill.h). */
int kill_say(const struct client *c, const char *line, struct buf *answer,
    struct err *e);

#endif
