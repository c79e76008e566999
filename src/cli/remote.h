/*
 * cli/remote.h: files of a run's sandbox, named RUN:PATH.
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include <stdint.h>

#include "cli/client.h"

struct remote {
	char run[24];
	const char *path; /* bytes; "." when none was given */
};

/* False when text does not begin with the name of a run and a colon. */
bool remote_parse(const char *text, struct remote *out);
/* "/v1/sandboxes/RUN/files" and what follows, with ?path=. */
void remote_target(
    struct buf *b, const struct remote *r, const char *what, struct str path);

/* One entry of a listing. */
struct remote_entry {
	struct buf name; /* bytes, relative to what was listed */
	struct buf target; /* of a symbolic link */
	char type[12];
	uint64_t size, mode;
	int64_t mtime_ns;
};

/*
 * Calls each for every entry below the path, until it returns -1 (with e). 0,
 * or -1. *cut is true when the sandbox did not list all.
 */
int remote_list(const struct client *c, const struct remote *r, bool recursive,
    int (*each)(void *arg, const struct remote_entry *x, struct err *e),
    void *arg, bool *cut, struct err *e);
/* What the path itself is. */
int remote_stat(const struct client *c, const struct remote *r,
    struct remote_entry *out, struct err *e);
void remote_entry_fini(struct remote_entry *x);

#endif
