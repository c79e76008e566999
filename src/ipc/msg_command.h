/*
 * ipc/msg_command.h: messages between broker and gateway about tool calls that
 * are commands; a part of ipc/msg.h, whose rules hold.
 */
#ifndef IPC_MSG_COMMAND_H
#define IPC_MSG_COMMAND_H

#include <stdint.h>

/*
 * A tool call that is a command of the run's sandbox (core/command.h). Payload
 * of COMMAND: {"argv":[...],"cwd":"...","env":{...},"stdin":"..."}; of KILL
 * none.
 */
struct msg_command {
	uint64_t run;
	uint64_t call; /* the broker's number */
	uint64_t grant; /* MSG_INSIDE_DONE tells of its end, too */
	uint64_t output_bytes; /* that it may print; more ends it */
	uint32_t json; /* 1: its standard output has to be JSON */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_command) == 40, "no padding");

enum command_end {
	COMMAND_ENDED,
	COMMAND_TOO_MUCH, /* it printed more than it may, and was ended */
	COMMAND_NO_JSON, /* it ended, and what it printed is none */
	COMMAND_NOT_BEGUN, /* payload: {"why":"..."} */
	COMMAND_ENDS,
};

/*
 * One for each COMMAND. Payload: {"exit_status":0,"signal":9,"stderr":"...",
 * "stdout":"...","value":...}, signal where one ended it, value where JSON was
 * wanted. A text that is not UTF-8 stands beside it in base64: "stdout_b64".
 */
struct msg_command_end {
	uint64_t run;
	uint64_t call;
	uint32_t kind; /* enum command_end */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_command_end) == 24, "no padding");

#endif
