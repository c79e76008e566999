/*
 * cli/doctor.h: what the facts about a machine mean for runs on it.
 *
 * Pure: facts in, findings out.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>

#include "base/err.h"
#include "core/policy.h"
#include "sandbox/machine.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_INFO, /* nothing hangs on it */
	DOCTOR_WEAKER, /* runs are possible, one wall is not there */
	DOCTOR_MISSING, /* no run is possible */
};

struct doctor_finding {
	const char *name; /* "landlock" */
	enum doctor_state state;
	char found[600]; /* what there is */
	const char *effect; /* what is weaker without it; NULL when OK */
	const char *remedy; /* NULL when OK, or when there is none */
};

enum { DOCTOR_FINDINGS = 16 };

/* Fills in one finding per fact. Returns how many. */
size_t doctor_findings(
    const struct machine *m, struct doctor_finding out[static DOCTOR_FINDINGS]);

/*
 * 0 when a run of p can start on this machine, else -1 with e: the wall that
 * is missing and, if it is only this policy's wish, who asks for it.
 */
int doctor_admits(
    const struct machine *m, const struct policy *p, struct err *e);

enum doctor_stands {
	DOCTOR_WALL_HERE, /* for every run */
	DOCTOR_WALL_ASKED, /* for a run that asks for what it hangs on */
	DOCTOR_WALL_MISSING, /* a run that requires it is refused */
};

struct doctor_wall {
	const char *name; /* as in `required` of a policy */
	enum doctor_stands stands;
	const char *why; /* it is missing, or when it stands; NULL when HERE */
	const char *remedy; /* NULL but for one that is missing */
};

/* doctor_walls.c: what this machine says to a policy that requires this wall,
 * a bit of base/walls.h; another wall that keeps the same limit does for it. */
struct doctor_wall doctor_wall(const struct machine *m, uint32_t wall);
/* 0, or -1 with e: a wall that p requires and does not get here. */
int doctor_admits_walls(
    const struct machine *m, const struct policy *p, struct err *e);
const char *doctor_stands_name(enum doctor_stands s); /* "missing" */

const char *doctor_state_name(enum doctor_state s); /* "weaker" */

#endif
