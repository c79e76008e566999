/*
 * What the user has said to a run: whoever opens it says so, and the agent
 * never does.
 */
#include "base/limits.h"
#include "broker/record.h"
#include "broker/run_int.h"
#include "core/provenance.h"

int
run_input_take(struct run *r, const struct json *args, struct err *e)
{
	const struct json *prompt = json_get(args, STR("prompt"));

	if (prompt != NULL &&
	    (!json_is(prompt, JSON_STRING) || prompt->n == 0 ||
		prompt->n > PROV_USER_BYTES))
		return err_set(e, "`prompt` is not a text of 1 to %d bytes",
		    PROV_USER_BYTES);
	if (prompt == NULL && !r->policy->locates)
		return 0;
	r->prov = prov_new();
	if (prompt == NULL)
		return 0;
	prov_user(r->prov, json_str(prompt));
	json_write(&r->prompt, prompt);
	return 0;
}

bool
run_input_record(struct run *r)
{
	struct event ev = record_of(r, EVENT_CONTEXT_INPUT);
	bool recorded;

	if (r->prompt.n == 0)
		return true;
	ev.origin = STR("user");
	ev.out.bytes = buf_str(&r->prompt);
	recorded = record_add(&ev) != 0;
	buf_fini(&r->prompt);
	return recorded;
}
