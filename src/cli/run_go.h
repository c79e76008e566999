/*
 * cli/run_go.h: a run whose command is ours to wait for, from the request to
 * its end: by the daemon that is there, or by one that is started for it.
 */
#ifndef CLI_RUN_GO_H
#define CLI_RUN_GO_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/run_open.h"
#include "core/id.h"

struct run_go {
	struct client_options where;
	bool quiet, json;

	char run[ID_BYTES]; /* its name, once it is open; else "" */
	bool closed; /* the command came to its end by itself */
};

/*
 * A closed standard descriptor would be taken by the next open file, and that
 * file would be the command's input: call this before any is opened.
 */
int run_go_stdio(struct err *e);
/*
 * body is that of POST /v1/runs. Returns the command's exit status, or 1 when
 * the run did not end by itself: then it has said why.
 */
int run_go(
    struct run_go *g, struct str body, const struct run_folders *folders);

#endif
