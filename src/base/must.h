/*
 * base/must.h: our own bugs. must() is always on; it ends this role, and the
 * supervisor deals with that. Never use it on anything a peer can influence.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

/* The attribute, not _Noreturn: cppcheck understands only this spelling. */
void must_fail(const char *what, const char *file, int line)
    __attribute__((noreturn));

#define must(cond)                                            \
	do {                                                  \
		if (!(cond))                                  \
			must_fail(#cond, __FILE__, __LINE__); \
	} while (0)

#endif
