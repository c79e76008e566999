/* From what audit says of an access to a denial like those of other walls. */
#include <stdio.h>
#include <string.h>

#include "sandbox/audit.h"
#include "sandbox/explain.h"

void
audit_denied_take(const struct audit_denied *a, struct denied *out)
{
	const char *call = explain_call_name(a->call);

	*out = (struct denied){
		.pid = a->pid,
		.is_path = a->is_path != 0,
		.error = (int)(a->error < 4096 ? a->error : 0),
		/* "scope.signal", "fs.make_reg,fs.refer" */
		.wall = strncmp(a->blockers, "scope.", 6) == 0
		    ? "landlock_scope"
		    : "landlock_fs",
	};
	(void)snprintf(out->comm, sizeof(out->comm), "%s", a->comm);
	(void)snprintf(out->about, sizeof(out->about), "%s", a->about);
	(void)snprintf(out->rule, sizeof(out->rule), "%s", a->blockers);
	/* Nothing is known of the call without its process. */
	if (a->pid == 0)
		(void)snprintf(out->call, sizeof(out->call), "access");
	else if (call != NULL)
		(void)snprintf(out->call, sizeof(out->call), "%s", call);
	else
		(void)snprintf(
		    out->call, sizeof(out->call), "call_%u", a->call);
}
