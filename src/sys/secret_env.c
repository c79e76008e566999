#include "sys/secret_env.h"

#include <string.h>
#include <unistd.h>

int
secret_env_take(struct locked *mem, struct err *e)
{
	const struct str prefix = STR(SECRET_ENV_PREFIX);
	size_t room = 0;
	int result = 0;

	for (char **p = environ; p != NULL && *p != NULL; p++) {
		if (str_starts(str_of(*p), prefix))
			room += strlen(*p) + 32;
	}
	if (room > 0)
		result = locked_init(mem, room, e);
	for (char **p = environ; result == 0 && room > 0 && *p != NULL; p++) {
		struct str pair = str_of(*p);

		if (str_starts(pair, prefix))
			(void)locked_copy(mem, pair); /* there is room */
	}
	secret_env_wipe();
	return result;
}

void
secret_env_wipe(void)
{
	char **keep = environ;

	for (char **p = environ; p != NULL && *p != NULL; p++) {
		if (str_starts(str_of(*p), STR(SECRET_ENV_PREFIX)))
			explicit_bzero(*p, strlen(*p));
		else
			*keep++ = *p;
	}
	if (keep != NULL)
		*keep = NULL;
}

struct str
secret_env_find(const struct locked *mem, struct str name)
{
	const size_t prefix = sizeof(SECRET_ENV_PREFIX) - 1;

	/* As locked_copy laid them: each with a NUL, at multiples of 16. */
	for (size_t at = 0; at < mem->n;) {
		struct str pair = str_of(mem->p + at);
		struct str rest = { pair.p + prefix, pair.n - prefix };
		size_t eq = str_find(rest, '=');

		if (eq < rest.n && str_eq((struct str){ rest.p, eq }, name))
			return (struct str){ rest.p + eq + 1, rest.n - eq - 1 };
		at += (pair.n + 1 + 15) & ~(size_t)15;
	}
	return (struct str){ NULL, 0 };
}
