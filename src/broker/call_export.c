#include <stdlib.h>

#include "base/must.h"
#include "broker/approval.h"
#include "broker/call_int.h"
#include "broker/export.h"

static void on_export(struct run *r, struct call *c, bool whole);

void
call_propose_export(struct run *r, struct call *c, const struct verdict *v,
    const struct json *args)
{
	struct err e = {};

	/* Whatever the policy calls it, it changes what is outside. */
	if (c->risk < RISK_EXTERNAL_WRITE)
		c->risk = RISK_EXTERNAL_WRITE;
	if (export_check(args, &e) < 0) {
		own_buf struct buf why = {};

		buf_add_c(&why, "{\"code\":\"bad_arguments\",\"error\":");
		json_put_str(&why, str_of(e.text));
		buf_add_c(
		    &why, ",\"suggested_next_step\":\"Mend the paths.\"}");
		c->not_begun = true;
		call_finish(c, REPLY_TOOL_ERROR, buf_str(&why), false, "error");
		return;
	}
	if (v->kind == VERDICT_APPROVE) {
		c->verdict = malloc(sizeof(*c->verdict));
		must(c->verdict != NULL);
		*c->verdict = *v;
	}
	export_read(r, c, on_export);
}

/* The files are here as they will be written, or are not to be had. */
static void
on_export(struct run *r, struct call *c, bool whole)
{
	c->not_begun = !whole || export_is_empty(r, c->step);
	if (r->state != RUN_OPEN && r->state != RUN_OPENING) {
		call_finish(
		    c, REPLY_STOPPED, buf_str(&r->stop_json), false, "blocked");
	} else if (!whole) {
		call_finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"not_read\",\"error\":\"The files could "
			"not be read, or too many exports wait for a "
			"decision.\",\"suggested_next_step\":\"Ask again "
			"later.\"}"),
		    false, "error");
	} else if (export_is_empty(r, c->step)) {
		own_buf struct buf why = {};

		buf_add_c(&why,
		    "{\"code\":\"nothing_read\",\"error\":\"None of the files "
		    "could be read.\",\"found\":");
		export_preview(&why, r, c->step);
		buf_add_c(&why,
		    ",\"suggested_next_step\":\"Name regular files of the work "
		    "folder, together below 16 MiB.\"}");
		export_forget(r->id, c->step);
		call_finish(c, REPLY_TOOL_ERROR, buf_str(&why), false, "error");
	} else if (c->verdict == NULL) {
		call_execute(r, c);
	} else {
		own_arena struct arena a = {};
		struct err e = {};
		const struct json *args =
		    json_parse(buf_str(&c->args), NULL, &a, &e, NULL);

		const struct approval_ask ask = { .extends = BUDGET_KINDS };

		if (!approval_request(r, c->step, c->asker, c->verdict, &ask,
			str_of(c->tool), args, buf_str(&c->args),
			&c->args_hash))
			export_forget(r->id, c->step);
		must(r->calls_open > 0);
		r->calls_open--;
		call_free(c);
	}
}
