/*
 * core/provenance.h: where the arguments of a call come from.
 *
 * For each run there is kept what it has been told: the user's own text, the
 * values of fields that the policy trusts, and the texts of all results. An
 * argument is looked for in them. A value is *known* when it stands whole in
 * the user's text, or is the one value that a trusted field had in the answer
 * to a call that was known itself. Nothing else makes it known: not that it
 * was found nowhere, and nothing that is over a limit. So what is left out of
 * the texts of results changes what people are shown, and no verdict.
 *
 * Pure: no clock, no I/O; memory and steps are bounded. Not for two threads at
 * once.
 */
#ifndef CORE_PROVENANCE_H
#define CORE_PROVENANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"

struct policy_tool;
struct prov;

enum prov_origin {
	PROV_USER, /* the user's text holds it */
	PROV_FIELD, /* a trusted field of the result of `step` had it */
	PROV_RESULT, /* the result of `step` holds it, or a part of it */
	PROV_GENERATED, /* it was found nowhere */
	PROV_UNREAD, /* over a limit: not looked for */
};

/* One text or number among the arguments. */
struct prov_arg {
	char path[PROV_PATH_BYTES]; /* "$.to[0]"; a long one ends with "..." */
	enum prov_origin origin;
	uint32_t step; /* of PROV_FIELD and PROV_RESULT */
	uint32_t bytes, found; /* of the value; how many of them in a row */
	bool known;
	bool destination; /* says where the effect lands */
};

struct prov_args {
	uint32_t n;
	/* There are more than are kept, or than may be looked for. */
	bool full;
	/*
	 * The call is in the user's words: every destination is known, and
	 * when it has none, every argument, of which there is one.
	 */
	bool known;
	/* What lands where nobody is known to have said; then which is the
	 * first of them, or n when it is not among those that are kept. */
	bool astray;
	uint32_t first_astray;
	struct prov_arg arg[PROV_ARGS_MAX];
};

struct prov *prov_new(void);
void prov_free(struct prov *p); /* p may be NULL */

/* The user's text. What is over the limit is as if it had not been said. */
void prov_user(struct prov *p, struct str text);
/*
 * What a call was answered; t is its row, or NULL. known: the call was, or was
 * made when nothing untrusted had been read, or approved by a person.
 */
void prov_result(struct prov *p, uint32_t step, const struct policy_tool *t,
    const struct json *result, bool known);

/* p may be NULL: then nothing is known. args is an object. */
void prov_look(const struct prov *p, const struct policy_tool *t,
    const struct json *args, struct prov_args *out);

/*
 * Appends [{"bytes","destination","found","origin","path","trusted"}, ...],
 * canonical; origin is "user", "field:3", "tool:3", "generated" or "unread".
 * Holds no value.
 */
void prov_write(struct buf *out, const struct prov_args *a);
/* For people: "the result of step 3". */
enum { PROV_SAID_BYTES = 64 };
void prov_say(const struct prov_arg *a, char out[static PROV_SAID_BYTES]);

#endif
