/*
 * codec/audit.h: what the kernel's audit says of accesses that Landlock has
 * refused.
 *
 * Pure. A record is one message: its type, and a line of text such as
 *   audit(1729738800.268:30): domain=195ba459b blockers=fs.refer path="/a" ...
 * Names in it were chosen by whoever was refused: the kernel writes one with a
 * blank, a quote or a control character as hexadecimal digits without quotes,
 * so that none can look like another member. One access is told by several
 * records of the same number (30 above), of which the domain's says only once
 * which process made the domain.
 */
#ifndef CODEC_AUDIT_H
#define CODEC_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/str.h"

enum audit_type { /* linux/audit.h; older headers have not all of them */
	AUDIT_TYPE_SYSCALL = 1300,
	AUDIT_TYPE_EOE = 1320,
	AUDIT_TYPE_LANDLOCK_ACCESS = 1423,
	AUDIT_TYPE_LANDLOCK_DOMAIN = 1424,
};

enum {
	AUDIT_COMM_BYTES = 32, /* 16 in the kernel */
	AUDIT_BLOCKERS_BYTES = 128, /* "fs.make_reg,fs.refer" */
	AUDIT_ABOUT_BYTES = 256,
};

struct audit_record {
	enum audit_type type;
	uint64_t serial; /* of the event that it is part of */
	uint64_t domain; /* ACCESS, DOMAIN */
	uint32_t pid; /* DOMAIN: who made it; SYSCALL: who called */
	bool gone; /* DOMAIN: it is no more */
	uint32_t call; /* SYSCALL: its number */
	uint32_t error; /* SYSCALL: errno; 0: it went well, after all */
	char comm[AUDIT_COMM_BYTES]; /* SYSCALL */
	char blockers[AUDIT_BLOCKERS_BYTES]; /* ACCESS */
	/* ACCESS: the path, or who or what else it was about; bytes as they
	 * are, without NUL, cut if need be. */
	char about[AUDIT_ABOUT_BYTES];
	bool is_path;
};

/* 0, or -1: another type, or not such a line. */
int audit_record_parse(
    uint32_t type, struct str text, struct audit_record *out);

/* A refused access, of all that was said of it. */
struct audit_denied {
	uint32_t maker; /* pid of who made the domain that refused it */
	uint32_t pid; /* who tried, in the machine's numbers; 0: not known */
	uint32_t call; /* system call; known when pid is */
	uint32_t error; /* errno; known when pid is */
	uint32_t is_path;
	char comm[AUDIT_COMM_BYTES];
	char blockers[AUDIT_BLOCKERS_BYTES];
	char about[AUDIT_ABOUT_BYTES];
};
_Static_assert(sizeof(struct audit_denied) == 436, "no padding");

/* Joins records to accesses. Zeroed to begin with; bounded, whatever comes. */
struct audit_join {
	struct audit_domain {
		uint64_t id; /* 0: free */
		uint32_t maker;
		uint32_t told; /* accesses; EXPLAIN_REPORTS_MAX at most */
		uint64_t used; /* when, for the one to give way */
	} domain[AUDIT_DOMAINS_MAX];
	struct audit_waiting {
		bool used, whole;
		uint64_t serial, domain;
		int64_t since_ms;
		struct audit_denied denied;
	} waiting[AUDIT_WAITING_MAX];
	uint64_t clock; /* counts uses */
};

void audit_join_add(
    struct audit_join *j, const struct audit_record *r, int64_t now_ms);
/* True with *out: one that is whole, or has waited AUDIT_WAIT_MS. */
bool audit_join_next(
    struct audit_join *j, int64_t now_ms, struct audit_denied *out);
/* Something waits: ask again later. */
bool audit_join_waits(const struct audit_join *j);

#endif
