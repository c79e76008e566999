/*
 * base/limits.h: every limit, with its unit and the reason for its value.
 * A limit that a policy may lower is named again there; none may be raised.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* memory */
enum {
	/* A buffer or arena whose owner named no limit: larger than any one
	 * message, small enough that a mistake cannot fill the machine. */
	BUF_DEFAULT_MAX_BYTES = 16 * 1024 * 1024,
};

/* JSON from strangers (codec/json) */
enum {
	/* A tool call's arguments or a policy: both are far smaller. */
	JSON_MAX_BYTES = 4 * 1024 * 1024,
	/* Deeper than any schema in use; a parser's own stack stays small. */
	JSON_MAX_DEPTH = 64,
	/* Values in one document: a tape of this size is 24 MiB. */
	JSON_MAX_VALUES = 1000 * 1000,
	/* Members of one object; the check for duplicates sorts them. */
	JSON_MAX_MEMBERS = 10 * 1000,
	/* Characters of one number: longer ones carry no more precision. */
	JSON_MAX_NUMBER_BYTES = 64,
};

/* HTTP/1.1 (codec/http1, gateway) */
enum {
	HTTP_MAX_LINE_BYTES = 8192, /* RFC 9112 section 3 recommends 8000 */
	HTTP_MAX_HEAD_BYTES = 32768, /* request line and fields together */
	HTTP_MAX_FIELDS = 100, /* what common servers accept */
	HTTP_MAX_BODY_BYTES = JSON_MAX_BYTES, /* all bodies here are JSON */
	HTTP_MAX_CHUNK_HEX = 16, /* digits of one chunk size: 64 bits */
	HTTP_MAX_TRAILER_BYTES = 8192, /* read past, never used */
	/* A head must be whole within this time from its first byte, and a
	 * body keep arriving: a slow client holds a connection, not a role. */
	HTTP_HEAD_TIMEOUT_MS = 10 * 1000,
	HTTP_BODY_TIMEOUT_MS = 30 * 1000,
	HTTP_IDLE_TIMEOUT_MS = 300 * 1000, /* keep-alive between requests */
	HTTP_MAX_CONNECTIONS = 1024, /* per gateway */
	HTTP_MAX_CONNECTIONS_PER_RUN = 128, /* one agent starves no other */
};

/* messages between roles (ipc) */
enum {
	/* One SOCK_SEQPACKET frame with its header; a larger payload goes as
	 * a sealed memfd. Well under the default socket buffer of 208 KiB. */
	IPC_MAX_FRAME_BYTES = 32768,
	IPC_MAX_PAYLOAD_BYTES = JSON_MAX_BYTES,
	IPC_MAX_FDS = 8, /* descriptors in one message */
	/* Frames waiting for a role that does not read: past this it is
	 * broken, and is treated as dead. */
	IPC_MAX_QUEUE_BYTES = 64 * 1024 * 1024,
};

/* names */
enum {
	RUN_ID_BYTES = 24, /* "r-" and 20 characters, NUL, one spare */
	NAME_MAX_BYTES = 128, /* tool, workflow, tenant, actor, role, scope */
	TOOLS_MAX = 1024, /* tools in one policy */
	SCOPES_MAX = 64, /* scopes of one identity */
	LABELS_MAX = 256, /* labels one run can carry */
	ARGV_MAX_BYTES = 256 * 1024, /* command and environment of a run */
};

/* runs */
enum {
	RUNS_MAX = 1024, /* open at once on one node */
	RUN_PENDING_MAX = 64, /* calls of one run under way at once */
	APPROVAL_DEADLINE_MS = 15 * 60 * 1000, /* when a policy names none */
	APPROVAL_DEADLINE_MAX_MS = 7 * 24 * 3600 * 1000, /* a week */
	APPROVAL_HOLD_MS = 45 * 1000, /* a door holds a request this long */
	OUTPUT_KEEP_BYTES = 1024 * 1024, /* output kept of a detached run */
};

/* store (group commit, EVIDENCE.md decision 4) */
enum {
	STORE_GROUP_EVENTS = 64,
	STORE_GROUP_MS = 2,
	STORE_MAX_EVENT_BYTES = 8 * 1024 * 1024, /* payload plus its frame */
	STORE_MAX_QUEUE_EVENTS = 65536, /* waiting for the disk */
};

#endif
