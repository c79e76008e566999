#include "cli/state.h"

#include <stdlib.h>
#include <unistd.h>

/* Set and not empty, else NULL. */
static const char *variable(const char *name);

int
state_dir(const char *option, struct buf *out, struct err *e)
{
	const char *dir = option != NULL ? option : variable("PADDOCK_STATE");
	const char *home;

	if (option != NULL && *option == '\0')
		return err_set(e, "--state: name a directory");
	if (dir != NULL) {
		buf_add_c(out, dir);
	} else if (geteuid() == 0) {
		buf_add_c(out, "/var/lib/paddock");
	} else {
		/* The XDG specification: a relative path is to be ignored. */
		home = variable("XDG_STATE_HOME");
		if (home != NULL && *home == '/') {
			buf_add_c(out, home);
			buf_add_c(out, "/paddock");
		} else if ((home = variable("HOME")) != NULL) {
			buf_add_c(out, home);
			buf_add_c(out, "/.local/state/paddock");
		} else {
			return err_set(e,
			    "no state directory: HOME is not set; "
			    "name one with --state DIR");
		}
	}
	if (out->failed)
		return err_set(e, "the state directory's name is too long");
	return 0;
}

int
state_store(const char *option, struct buf *out, struct err *e)
{
	if (state_dir(option, out, e) < 0)
		return -1;
	buf_add_c(out, "/store");
	if (out->failed)
		return err_set(e, "the state directory's name is too long");
	return 0;
}

static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}
