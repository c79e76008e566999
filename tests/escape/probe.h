/*
 * tests/escape/probe.h: the tables of attempts.
 */
#ifndef TESTS_ESCAPE_PROBE_H
#define TESTS_ESCAPE_PROBE_H

struct probe {
	const char *name;
	int (*run)(const char *argument);
};

/* Each ends with a row without a name. */
extern const struct probe probes_files[];
extern const struct probe probes_kernel[];
extern const struct probe probes_limits[];
extern const struct probe probes_net[];

/* Say it, and return the exit status. held() adds errno's text. */
int held(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int open_(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* 1 when the file can be opened. It is closed again, and not written. */
int try_open(const char *path, int flags);

#endif
