#include "base/limits.h"
#include "tools/server_int.h"

/*
 * Numbers only: what a server says about its progress in words is a stranger's
 * text that belongs to no result. They have to rise, as the protocol wants.
 */
void
server_on_progress(struct server *s, const struct json *params)
{
	const struct json *now = json_get(params, STR("progress"));
	const struct json *total = json_get(params, STR("total"));
	own_buf struct buf out = {};
	struct ask *a = s->asks;
	uint64_t id;

	if (json_u64(json_get(params, STR("progressToken")), &id) < 0 ||
	    !json_is(now, JSON_NUMBER) ||
	    (total != NULL && !json_is(total, JSON_NUMBER)))
		return;
	while (a != NULL && a->id != id)
		a = a->next;
	if (a == NULL || a->kind != ASK_CALL ||
	    a->told >= SERVER_PROGRESS_MAX ||
	    (a->told > 0 && now->num <= a->progress))
		return;
	a->told++;
	a->progress = now->num;
	buf_add_c(&out, "{\"progress\":");
	json_write(&out, now);
	if (total != NULL) {
		buf_add_c(&out, ",\"total\":");
		json_write(&out, total);
	}
	buf_add_byte(&out, '}');
	s->hear.on_progress(s->hear.arg, s->id, a->call, buf_str(&out));
}

void
server_cancel(struct server *s, uint64_t call)
{
	struct ask *a = s->asks;

	while (a != NULL && (a->kind != ASK_CALL || a->call != call))
		a = a->next;
	if (a == NULL)
		return; /* its answer is on its way */
	server_tell_cancel(s, a, "nobody waits for it any more");
	server_ask_fail(a, "cancelled",
	    STR("Who asked does not wait for the answer any more; it is not "
		"known whether the call had an effect."));
}

void
server_tell_cancel(struct server *s, const struct ask *a, const char *why)
{
	own_buf struct buf params = {};

	buf_printf(&params, "{\"reason\":\"%s\",\"requestId\":%llu}", why,
	    (unsigned long long)a->id);
	/* To the newer one over HTTP the end of its stream says that. */
	if (!s->over_http || !s->modern)
		server_notify(s, "notifications/cancelled", buf_str(&params));
	if (s->over_http)
		http_cut(&s->http, a->id);
}
