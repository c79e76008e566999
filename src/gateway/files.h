/*
 * gateway/files.h: what files.c (how bytes move) and file_show.c (how an
 * answer looks) share.
 */
#ifndef GATEWAY_FILES_H
#define GATEWAY_FILES_H

#include "gateway/inside.h"

enum file_kind {
	FILE_NOTHING, /* the worker's answer says all */
	FILE_BYTES, /* of a file, as they come */
	FILE_LINES, /* of a listing, as they come */
	FILE_LIST, /* lines, collected: {"entries":[...]} */
	FILE_ONE, /* one line, as JSON */
	FILE_CHANGES, /* lines, each an event */
	FILE_UPLOAD,
};

struct file_job {
	struct visit visit; /* without a client: nobody waits */
	struct gateway *gateway;
	uint64_t run, grant;
	enum file_kind kind;
	struct inside_ask ask;
	struct loop_watch pipe; /* our end; fd -1: closed */
	unsigned busy; /* must not be freed now */
	bool asked; /* the worker has not answered */
	bool done; /* it has */
	bool lost; /* or never will */
	bool paused; /* the pipe is not read now */
	bool began; /* a stream is being written */
	bool sent; /* all of an upload */
	bool over; /* more lines than fit */
	struct rpc_reply answer;
	struct http1_body decoder;
	struct buf text; /* lines so far; of an upload, what waits */
};

/* Bytes of the worker. May lose the client. */
void file_show(struct file_job *j, struct str bytes);
/* All is there: the answer, or its end. The visit ends. */
void file_show_end(struct file_job *j);

#endif
