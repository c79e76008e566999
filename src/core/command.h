/*
 * core/command.h: tools that are commands of a run's own sandbox: `exec` of a
 * row.
 *
 * A row names a program and the words that it is given. A word stands in the
 * policy, or is the value of one argument of the call; a value is a whole word,
 * or all of it behind a fixed beginning. Nothing splits it, and no shell reads
 * it: whatever it holds, the program gets it as that one word. What begins with
 * '-' would be an option to most programs, so a call with such a value is not
 * made unless the word says that it may.
 *
 * Pure: the same arguments make the same command, which is decided, approved
 * and executed as they are.
 */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/json.h"

struct command_word {
	struct str text; /* as it is; of an argument: what stands before it */
	struct str arg; /* whose value it is; "": none */
	bool flag; /* it is text, where the argument is true */
	bool dash; /* the value may begin with '-' */
};

struct command_tool {
	uint32_t n_words, n_env;
	const struct command_word *words; /* the program's path first */
	const struct str *env; /* "NAME=value" */
	struct str cwd; /* "": the work folder */
	struct str stdin_arg; /* whose value it reads; "": none */
	struct str description; /* of the tool, for the agent */
	bool json; /* what it prints is JSON */
	uint32_t output_bytes; /* that it may print, both streams together */
	uint64_t good[4]; /* a bit for each exit status that is no failure */
};

/* Why a call cannot be made; text is NULL when it can. */
struct command_fault {
	struct str arg; /* the argument that is to blame */
	const char *text; /* "begins with '-', ..." */
};

struct command_fault command_check(
    const struct command_tool *c, const struct json *args);
/*
 * Appends {"argv":[...],"cwd":"...","env":{...},"stdin":"..."} of arguments
 * that command_check has let pass.
 */
void command_write(
    struct buf *out, const struct command_tool *c, const struct json *args);
bool command_is_good(const struct command_tool *c, uint64_t exit_status);

#endif
