/*
 * ipc/kill.h: what the kill switch is about: everything, a run, or the runs of
 * a tenant or workflow; as a line of kill.sock and as the name of a file.
 *
 *     kill-all            STATE/kill
 *     kill r-...          STATE/kill.d/r-...
 *     kill-tenant acme    STATE/kill.d/tenant-acme
 *     kill-workflow w     STATE/kill.d/workflow-w
 *
 * The supervisor knows tenants and workflows by numbers only. Pure.
 */
#ifndef IPC_KILL_H
#define IPC_KILL_H

#include <stdbool.h>

#include "base/limits.h"
#include "base/str.h"

enum kill_what { KILL_ALL, KILL_RUN, KILL_TENANT, KILL_WORKFLOW, KILL_WHATS };

struct kill_order {
	enum kill_what what;
	uint64_t number; /* of the run, or kill_number of the name */
	char name[NAME_MAX_BYTES]; /* "" of all */
};

/* What stands for a tenant or a workflow: 64 bits of its SHA-256. */
uint64_t kill_number(struct str name);

/* 0, or -1: nothing is killed by what is not understood. */
int kill_order_make(
    enum kill_what what, struct str name, struct kill_order *out);
int kill_parse_line(struct str line, struct kill_order *out);
int kill_parse_file(struct str name, struct kill_order *out);

bool kill_same(const struct kill_order *a, const struct kill_order *b);
/* Is a run of this tenant and workflow, by number, meant? */
bool kill_hits(const struct kill_order *k, uint64_t run, uint64_t tenant,
    uint64_t workflow);
const char *kill_what_name(enum kill_what w); /* "tenant" */

#endif
