/*
 * probe/probe.h: attempts to get out of a sandbox, each with its number in
 * docs/ESCAPES.md.
 *
 * A probe is a function that tries, undoes what worked, and says how it went.
 * The same code runs inside a sandbox, where it has to be held, and outside,
 * where it has to be open: else it would prove nothing. It is in the small
 * static program, so that it runs in any image: `paddock selftest`.
 */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum probe_outcome {
	PROBE_HELD, /* it was refused */
	PROBE_OPEN, /* it worked */
	PROBE_NOT_HERE, /* this machine or place has nothing to try it on */
	PROBE_KNOWN, /* it worked, and no sandbox of this kind prevents it */
	PROBE_OUTCOMES,
};

enum probe_flags {
	PROBE_PLAIN = 1 << 0, /* no argument, no bomb: part of the selftest */
	PROBE_SERVER = 1 << 1, /* not an attempt: the other side of one */
};

struct probe_result {
	enum probe_outcome outcome;
	int error; /* errno of the refusal; 0: none */
	char detail[160];
};

struct probe {
	uint8_t id; /* 1 to PROBE_IDS */
	const char *name;
	int (*run)(const char *argument); /* "" without one */
	unsigned flags;
};

enum { PROBE_IDS = 77 };

/* Each ends with a row without a name. */
extern const struct probe probes_files[];
extern const struct probe probes_overlay[];
extern const struct probe probes_kernel[];
extern const struct probe probes_ipc[];
extern const struct probe probes_net[];
extern const struct probe probes_limits[];
extern const struct probe probes_memory[];

/* The n-th of all tables; NULL past the last. */
const struct probe *probe_at(size_t n);
const struct probe *probe_find(const char *name);
const char *probe_outcome_name(enum probe_outcome o);

/* In a process of its own, with a time limit. */
void probe_run(
    const struct probe *p, const char *argument, struct probe_result *out);

/* One line of JSON on standard output. */
void probe_print(const struct probe *p, const struct probe_result *r);

/*
 * The program: `NAME[=ARGUMENT]...`, `--all` for those of the selftest, or
 * `--list`. Exit status 0: none is open; 1: one is; 2: usage.
 */
int probe_main(int argc, char **argv);

/* For probes: say how it went, and return. held() keeps errno. */
int held(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int open_(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int not_here(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int known(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* 1 when the file can be opened. It is closed again, and not written. */
int try_open(const char *path, int flags);

#endif
