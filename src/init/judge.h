/*
 * init/judge.h: which programs may be started: a policy's sandbox.commands,
 * held against the files themselves.
 *
 * The broker has compared names already. Names can be other files, links and
 * copies, so here the file that is about to be executed is opened once, and
 * judged:
 *
 *   block  it is the file that the entry's path leads to, or a name in any
 *          folder of the sandbox's PATH; or it has the same bytes; or the
 *          digest that the entry is; or, of "sha256:D:P", both D and P
 *   allow  likewise, when there is a list: else it is refused
 *
 * A script is judged, and then the program on its first line. What is judged
 * is executed, by its descriptor; a script by its path, since its interpreter
 * opens that. What a command starts itself is judged when it is in place
 * (init/tracer.h): of a script, the interpreter. Where there are entries of
 * block alone, the dynamic loader as a program is refused as well.
 *
 * The rules come as one string of PID 1's environment that no one else can
 * make: its name is empty. It is taken out before there is a command.
 */
#ifndef INIT_JUDGE_H
#define INIT_JUDGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/sha256.h"

/* "=commands", and for each rule a line feed, 'a' or 'b', and the entry; or
 * 'l' alone: there is a list of what is allowed. */
#define JUDGE_WORD "=commands"

enum {
	JUDGE_READ_BYTES = 4096,
	JUDGE_TEXT_BYTES = 160, /* why not, for people */
	JUDGE_INTERPRETERS = 4, /* of scripts of scripts; Linux has 5 */
};

struct judge {
	const char *rules; /* NULL: everything may be started */
	const char *path; /* the sandbox's own PATH */
};

/* What a judgement works with: the caller's, since it has no stack to spare. */
struct judge_room {
	char text[JUDGE_TEXT_BYTES]; /* why not */
	char path[PATH_MAX]; /* of an entry */
	uint8_t one[JUDGE_READ_BYTES], other[JUDGE_READ_BYTES];
	struct sha256 hash;
	char digest[2 * SHA256_BYTES + 1]; /* of the file; "": not asked for */
};

/* Takes the rules out of the environment. */
void judge_take(struct judge *j, char **envp);

/*
 * May the open file, which `name` led to, be executed? 0, or a negative errno:
 * -EKEYREJECTED with room->text when a rule is against it. *script: it is one.
 */
long judge_file(const struct judge *j, struct judge_room *room, int fd,
    const char *name, bool *script);

#endif
