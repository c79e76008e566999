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
	HTTP_MAX_TRAILER_BYTES = 8192, /* sums and states; a head is larger */
	/* A head must be whole within this time from its first byte, and a
	 * body keep arriving: a slow client holds a connection, not a role. */
	HTTP_HEAD_TIMEOUT_MS = 10 * 1000,
	HTTP_BODY_TIMEOUT_MS = 30 * 1000,
	HTTP_IDLE_TIMEOUT_MS = 300 * 1000, /* keep-alive between requests */
	HTTP_MAX_CONNECTIONS = 1024, /* per gateway */
	HTTP_MAX_CONNECTIONS_PER_RUN = 128, /* one agent starves no other */
	HTTP_RESERVED_CONNECTIONS = 64, /* for people, when runs use all */
	HTTP_SURPLUS_CONNECTIONS = 64, /* over the limit: told so, closed */
	/* After the last answer we wait this long for the client to close, so
	 * that a reset does not destroy what it has not read yet. */
	HTTP_LINGER_MS = 1000,
	HTTP_BODY_STEP_BYTES = 64 * 1024, /* a body's deadline starts anew */
	/* Waiting for a client that does not read: one large answer and what
	 * comes behind it. All connections together: a part of the machine. */
	HTTP_MAX_OUT_BYTES = 4 * HTTP_MAX_BODY_BYTES,
	HTTP_MAX_BUFFERED_BYTES = 256 * 1024 * 1024,
	HTTP_KEEP_BYTES = 64 * 1024, /* a buffer this small is not freed */
};

/* Secrets and what is searched for (core/scan, core/swap, broker, proxy) */
enum {
	/* A shorter word is found by chance: 8 bytes of text are not. */
	SCAN_MIN_WORD_BYTES = 8,
	SCAN_MAX_WORD_BYTES = 4096, /* an RSA key in PEM has 3300 */
	SCAN_MAX_WORDS = 64, /* secrets and canaries of one run */
	/* Line ends and backslashes in a row inside of base64: CR LF of MIME,
	 * escaped twice. More would let a server make us hold without end. */
	SCAN_MAX_SKIPPED = 4,
	/* What goes into a body must not change its length, and a placeholder
	 * has no fewer bytes than this: "pdk_", eight of the run's, more. */
	SECRET_MIN_BODY_BYTES = 16,
	SECRET_NAME_BYTES = 64, /* of a file's name, with its NUL */
	SECRET_FILE_MAX_BYTES = 16 * 1024, /* over any key; then SCAN_MAX_* */
	SECRETS_PER_RUN_MAX = 32, /* a page of locked memory each */
	SECRET_TEMPLATE_BYTES = 1024, /* of a file around a placeholder */
	SECRET_PATH_BYTES = 256, /* of that file */
	SECRET_COMMAND_BYTES = 4096, /* the words of a credential helper */
	SECRET_COMMAND_WORDS = 32,
	SECRET_COMMAND_MS = 10 * 1000, /* it may ask another machine */
	SECRET_COMMANDS_MAX = 64, /* at once; runs wait for them to open */
	/* Fields and a target with secrets in them, beside the originals. */
	FILTER_HEAD_BYTES = 2 * HTTP_MAX_HEAD_BYTES,
	FILTER_PLACE_BYTES = 80, /* "header " and the start of its name */
	SPOTTED_MAX = 16, /* patterns on the record of one request */
	/* An answer that pauses for so long gives out what may begin a secret:
	 * less than its first eight bytes. Pieces of what was written at once
	 * come sooner. More bytes are one, but for chance. */
	FILTER_HUSH_MS = 30,
	FILTER_BEGUN_MS = 2000,
	FILTER_HOLD_BYTES = 64 * 1024, /* held back, and given out at the end */
	/* Compressed bodies are unpacked to be searched. Text packs 10 to 1,
	 * and logs 50; the first megabyte is free: zeros pack 1000 to 1. */
	UNPACK_PIECE_BYTES = 16 * 1024,
	UNPACK_RATIO_MAX = 100,
	UNPACK_FREE_BYTES = 1024 * 1024,
	UNPACK_WINDOW_LOG = 23, /* zstd: 8 MiB, as browsers accept */
	FILTER_MAX_SIGNED_BYTES = 1024 * 1024, /* a body that AWS signs */
	/* A page whose text is read (codec/html_text). Deeper ones are made by
	 * programs; a tag longer than this has no end. */
	HTML_MAX_DEPTH = 256,
	HTML_MAX_TOKEN_BYTES = 256 * 1024,
	HTML_MAX_LINK_BYTES = 1024, /* a link's address is shown up to this */
	HTML_MAX_REPORT_BYTES = 2048, /* hidden text that is reported */
	/* A request as it is signed: its head, each byte encoded. */
	SIGV4_MAX_BYTES = 4 * HTTP_MAX_HEAD_BYTES,
};

/* MCP and REST (gateway) */
enum {
	MCP_MAX_ID_BYTES = 256, /* a request's id or progress token, as JSON */
	/* Requests that say two things, of one run: each is a record. */
	MCP_BAD_RECORDED_MAX = 100,
	MCP_PARAMS_MAX = 64, /* fields Mcp-Param-* of one request */
	MCP_MAX_SESSIONS = 4096, /* of clients that know initialize */
	MCP_MAX_SESSIONS_PER_RUN = 16, /* the least recently used one goes */
	MCP_HELD_MS = 2000, /* no answer yet: the answer becomes a stream */
	MCP_PROGRESS_MS = 5000, /* between signs of life on a stream */
	/* Of a session without a stream: what it is told when it has one. */
	MCP_WAITING_BYTES = 16 * 1024,
	/* A tool list may be kept this long: policies change by new runs. */
	MCP_LIST_TTL_MS = 60 * 1000,
	REST_MAX_TOKEN_BYTES = 512, /* a bearer token that is not signed */
	REST_STREAM_MS = 250, /* no event yet: the stream begins without */
	OUTPUT_KEEP_RUNS = 64, /* ended runs whose output is kept */
	TRUST_MAX_BYTES = 1024 * 1024, /* a machine's roots, as PEM */
	/* Certificates that a run's CA keeps: the one used longest ago goes. */
	TLS_LEAVES_MAX = 256,
	/* Of a request or an answer on its way, each way. */
	FORWARD_BUFFER_BYTES = 64 * 1024,
	FORWARD_READ_BYTES = 16 * 1024, /* at once: a record of TLS */
	/* Requests at once on one connection of HTTP/2: what browsers expect,
	 * and RFC 9113 section 6.5.2 wants at least. */
	H2_STREAMS_MAX = 100,
	H2_WINDOW_BYTES = 256 * 1024, /* of one body, not yet taken */
	H2_CONNECTION_WINDOW_BYTES = 1024 * 1024, /* of all of them */
	/* Requests at once on one connection to a server, however many it
	 * takes: what is lost with one that breaks has an end. */
	H2_LINK_STREAMS_MAX = 100,
	H2_IDLE_LINKS_MAX = 8, /* kept by a run without a request on them */
	H2_PLACES_MAX = 64, /* that a run remembers of what was spoken there */
	/* For the broker's answer, which takes microseconds; one that a person
	 * gives has no end here. */
	EGRESS_VERDICT_MS = 60 * 1000,
	/* Nothing moves: a model may think for minutes before it answers. */
	EGRESS_STALLED_MS = 10 * 60 * 1000,
	/* A request that the broker is asked about: a request line whose
	 * every byte is escaped, and a few names beside it. */
	/* Of a body that waits for a person, what that person sees: a screen
	 * of text, which as JSON may be six times as long. */
	EGRESS_SHOWN_BODY_BYTES = 2048,
	EGRESS_MAX_ASK_BYTES =
	    2 * HTTP_MAX_LINE_BYTES + 4096 + 6 * EGRESS_SHOWN_BODY_BYTES,
	EGRESS_ASK_REST_BYTES = 512, /* of it: what only the connection knows */
	/* A body, of a request or an answer, that is kept in the trace: as
	 * text it still fits a message. */
	EGRESS_RECORD_BYTES = 1024 * 1024,
	EGRESS_REPLAY_MAX = 16 * 1024, /* answers of one run that are known */
	RERUN_CALLS_MAX =
	    16 * 1024, /* of a run that another is answered from */
	RERUN_BYTES = 32 * 1024 * 1024, /* what is kept in memory of those */
	/* Requests that wait for a person: of one run, of all, and the body
	 * of one, which is kept until the answer. */
	EGRESS_HELD_PER_RUN = 16,
	EGRESS_HELD_MAX = 128,
	EGRESS_HELD_BODY_BYTES = 1024 * 1024,
	/* Between a sandbox's end and that of its run, at most: what it has
	 * sent last is told of within PEER_LAZY_MS. */
	EGRESS_SETTLE_MS = 50,
	EGRESS_MAX_RESPOND_BYTES = 64 * 1024, /* a canned answer's body */
};

/* connections out of sandboxes (proxy) */
enum {
	EGRESS_FLOWS_MAX = 12 * 1024, /* of all runs; 10,000 with some room */
	EGRESS_FLOWS_KEPT = 1024, /* of those, for runs that have few */
	EGRESS_FLOWS_FEW = 32, /* what a run can always have */
	/* Of one run whose policy does not say: more than any build or browser
	 * opens, and new ones in one second. */
	EGRESS_CONNECTIONS = 1024,
	EGRESS_CONNECTIONS_PER_S = 1000,
	EGRESS_NAMES_MAX = 1024, /* that one run may ask for; each is kept */
	EGRESS_NAMES_BYTES = 1024 * 1024, /* of those, and of the patterns */
	EGRESS_DNS_TCP_MAX = 16, /* of one run: a stub asks one at a time */
	EGRESS_PEEK_MS = 10 * 1000, /* for a first word that tells what it is */
	EGRESS_REFUSE_MS = 1000, /* likewise, when the answer is no already */
	EGRESS_LOOKUP_MS = 4000, /* one question to a resolver, tried again */
	EGRESS_DIAL_MS = 10 * 1000, /* one address */
	DIAL_ADDRS_MAX = 8, /* of one name that are tried */
	/* A relay in which nothing moves at all: a database's idle session. */
	EGRESS_IDLE_MS = 2 * 3600 * 1000,
	EGRESS_PIPE_BYTES = 256 * 1024, /* moved by one call */
	EGRESS_PIPES_KEPT = 16, /* empty ones */
};

/* inside sandboxes (gateway) */
enum {
	EXEC_FRAME_MAX_BYTES = 64 * 1024, /* one frame: a pipe's size */
	/* Output kept of one command: what a plain answer holds, and what one
	 * who comes back finds. When all of them keep EXEC_KEEP_ALL_BYTES, or
	 * when a client reads along, it is the smaller one. */
	EXEC_KEEP_BYTES = 1024 * 1024,
	EXEC_KEEP_LEAST_BYTES = 64 * 1024,
	EXEC_KEEP_ALL_BYTES = 128 * EXEC_KEEP_BYTES,
	EXEC_KEEP_ENDED = 64, /* ended commands of a sandbox that are kept */
	EXEC_READ_BYTES = 16 * 1024, /* of output, in one piece */
	EXEC_STDIN_BYTES = 256 * 1024, /* waiting for a command to read it */
	/* Output that a client has not read: more, and the command waits. */
	EXEC_AHEAD_BYTES = 256 * 1024,
	/* A terminal's last bytes come after the end of its command. */
	EXEC_DRAIN_MS = 500,
	FILE_MAX_BYTES = 1024 * 1024 * 1024, /* one file, either way */
	FILE_LIST_MAX_BYTES = 3 * 1024 * 1024, /* one listing, as JSON */
	/* Of one files.export: shown to a person, and kept in memory until
	 * that person has decided. */
	EXPORT_MAX_BYTES = 16 * 1024 * 1024,
	EXPORT_MAX_FILES = 64,
	EXPORTS_PER_RUN = 4, /* that are read or wait for a person */
	TUNNEL_BYTES = 64 * 1024, /* of a port, on their way, each way */
	/* A web server inside has not begun to answer: it hangs. */
	PORT_HTTP_HEAD_MS = 120 * 1000,
	COPY_MAX_DEPTH = 64, /* folders in folders that are taken out */
	COPY_NAME_BYTES = 4095, /* PATH_MAX without the NUL */
};

/* messages between roles (ipc) */
enum {
	/* One SOCK_SEQPACKET frame with its header; a larger payload goes as
	 * a sealed memfd. Well under the default socket buffer of 208 KiB. */
	IPC_MAX_FRAME_BYTES = 32768,
	IPC_MAX_PAYLOAD_BYTES = JSON_MAX_BYTES,
	/* Frames on their way between two roles, each way: some hundred calls
	 * of common size before one has to wait in a queue. */
	IPC_RING_BYTES = 128 * 1024,
	/* A report that nobody waits for is read at the latest after that. */
	PEER_LAZY_MS = 2,
	/* Descriptors in one message: three streams, a work folder, mounts
	 * (MOUNTS_MAX), certificates, and some to come. */
	IPC_MAX_FDS = 16,
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
	ATTRIBUTES_MAX = 16, /* of one identity: looked through for each */
	ATTRIBUTE_MAX_BYTES = 256, /* one value: a name or an id */
	ATTRIBUTE_LIST_MAX = 64, /* values of one: things of an owner */
	TOKENS_MAX = 1024, /* API tokens that are good, of one daemon */
	TOKEN_TTL_MAX_S = 366 * 24 * 3600, /* a year: then make another */
	TOKEN_TTL_S = 30 * 24 * 3600, /* when nobody says */
	TOKEN_USE_S = 60, /* a last use is stored at most this often */
	TOKEN_KEEP_S = 30 * 24 * 3600, /* an ended one is listed so long */
	JWT_MAX_BYTES = 7680, /* a signed token: a header line has 8192 */
	JWK_KID_MAX_BYTES = 256, /* the name of a key: SHA-512 in hex, twice */
	JWKS_MAX_BYTES = 64 * 1024, /* a set of keys; the largest have 10 KiB */
	JWKS_MAX_KEYS = 64, /* in one set: those of today and of yesterday */
	ISSUERS_MAX = 16, /* of signed tokens: their keys stay in memory */
	ISSUER_UIDS_MAX = 256, /* users of this machine who are let in */
	ISSUER_ROLES_MAX = 256, /* rows of one issuer's map */
	ISSUER_LEEWAY_S = 30, /* clocks differ by so much, when nobody says */
	ISSUER_LEEWAY_MAX_S = 300, /* more would make expiry mean little */
	BEARERS_MAX = 1024, /* signed tokens whose check is remembered */
	IDENTITY_NAME_BYTES = 64, /* of a file in identity/, with its NUL */
	/* Keys that are fetched (broker/jwks.h): how often at most, how long a
	 * set is good whose server does not say, or says more, and how long one
	 * is used while it cannot be fetched, when nobody says otherwise. */
	JWKS_REFRESH_S = 30,
	JWKS_REFRESH_MAX_S = 24 * 3600,
	JWKS_LIFE_S = 3600,
	JWKS_LIFE_MAX_S = 24 * 3600,
	JWKS_STALE_S = 24 * 3600,
	JWKS_STALE_MAX_S = 7 * 24 * 3600,
	WEB_TARGET_MAX_BYTES = 2048, /* a URL that the operator names */
	WEB_TARGET_HOST_BYTES = 253, /* a name: RFC 1035 */
	WEBHOOKS_MAX = 8, /* who is told of approvals */
	WEBHOOK_APPROVALS_MAX = 16, /* rules that one is told of */
	WEBHOOK_KEY_MIN_BYTES = 16, /* 128 bits, if they are random */
	WEBHOOK_ANSWER_MAX_BYTES = 16 * 1024, /* nobody reads it */
	/* A second, then twice as long each time: some nine minutes. */
	WEBHOOK_TRIES_MAX = 12,
	WEBHOOK_WAIT_MS = 1000,
	WEBHOOK_WAIT_MAX_MS = 60 * 1000,
	FETCHES_MAX = 32, /* that the daemon itself makes, at once */
	FETCH_TIMEOUT_MS = 10 * 1000, /* of one, with name and handshake */
	IDENTITY_FILES_MAX = 32, /* the configuration and its sets of keys */
	LABELS_MAX = 256, /* labels one run can carry */
	ARGV_MAX_BYTES = 256 * 1024, /* command and environment of a run */
};

/* policy documents (core/policy) */
enum {
	POLICY_MAX_BYTES = 1024 * 1024, /* TOOLS_MAX tools of 1 KiB each */
	POLICY_MAX_DEPTH = 48, /* a schema in a document of its bases */
	POLICY_PARTS_MAX = 16, /* a policy and what it extends: each decides */
	POLICY_EXTENDS_DEPTH = 4, /* a base of a base: few are real */
	POLICY_ROWS_MAX = 4 * TOOLS_MAX, /* tools of all parts, and overlaps */
	POLICY_MAX_VALUES = 200 * 1000, /* nodes: 1 MiB rarely has more */
	POLICY_MAX_MEMBERS = 2 * TOOLS_MAX, /* so that TOOLS_MAX is told */
	POLICY_ARENA_BYTES = 64 * 1024 * 1024, /* the tape of all of these */
	POLICY_PATH_BYTES = 4096, /* of a path that a call names: PATH_MAX */
	POLICY_LIST_MAX = 64, /* scopes, labels or paths of one tool or rule */
	POLICY_FLOW_MAX = 64, /* flow rules: each is tried at every call */
	POLICY_WHEN_MAX = 32, /* rules of one tool: likewise */
	POLICY_FAULTS_MAX = 32, /* each is tried at every call */
	FAULT_STALE_VERSIONS = 8, /* answers that are kept of one call, */
	FAULT_STALE_CALLS = 64, /* of so many calls, */
	FAULT_STALE_BYTES = 64 * 1024, /* none larger than this */
	FAULT_SKEW_MAX_S =
	    3650 * 86400, /* ten years: what tests of dates need */
	FAULT_BODY_BYTES = 4 * 1024 * 1024, /* of an answer that is changed */
	FAULT_HANG_REQUEST_MS = 60 * 1000, /* what hangs, unless it says less */
	POLICY_FAULT_MAX_MS = 3600 * 1000, /* a tool's own longest deadline */
	POLICY_APPROVALS_MAX = 64, /* kinds of approval in one policy */
	EGRESS_RULES_MAX = 256, /* every one is tried: a bit each, in a mask */
	EGRESS_OPEN_MAX = 32 * 1024, /* asks of a run under way at once */
	EGRESS_HEADERS_MAX = 32, /* of a canned answer */
	/* Bytes of bodies that a run may send, and of one: a mistyped zero is
	 * caught. */
	EGRESS_CA_MAX_BYTES = 32 * 1024, /* a few certificates, as PEM */
	EGRESS_SPEED_MAX = 1000 * 1000 * 1000, /* bytes a second of a rule */
	EGRESS_BODY_MAX_BYTES = 1024 * 1024 * 1024,
	POLICY_BREAKER_OPEN_S = 30, /* when a breaker names no time */
	BREAKER_FAILURES_MAX = 16, /* of a tool: each has a time of its own */
	EGRESS_RATE_MAX = 1000 * 1000, /* requests, in one period */
	POLICY_TEXT_MAX_BYTES = 160, /* a reason: one line of a screen */
	POLICY_QUORUM_MAX = 20, /* votes: more people never meet a deadline */
	POLICY_RETRIES_MAX = 100, /* of one tool */
	POLICY_CALLS_MAX = 1000 * 1000, /* tool calls of one run */
	DRAFTS_MAX = 256, /* of one run, in memory: of `commit` */
	RETRY_TIMES_MAX = 8, /* of one call, by ourselves */
	RETRY_BASE_MS = 200, /* when a policy names no wait */
	RETRY_MAX_MS = 10 * 1000,
	RETRY_LIMIT_MS = 600 * 1000, /* of a wait: the agent waits, too */
	/* Calls with a key, of all open runs, and what is kept of a result to
	 * be given again. */
	IDEM_MAX = 256 * 1024,
	IDEM_RESULT_BYTES = 64 * 1024,
	/* What is over is forgotten only this much later, and what is open as
	 * much before it is: for clocks that are set. */
	FORGET_LATE_MS = 24 * 3600 * 1000,
	POLICY_COST_MAX = 2000 * 1000 * 1000, /* of one kind of budget */
	POLICY_COST_MAX_USD = 1000 * 1000, /* exact as nano-dollars in JSON */
	POLICY_RUN_MAX_MS = 7 * 24 * 3600 * 1000, /* a run: a week */
	/* What a policy without budgets gets: a run ends by itself, even
	 * when its author forgot to say when. */
	POLICY_RETRIES = 2,
	POLICY_CALLS = 100,
	POLICY_RUN_MS = 10 * 60 * 1000,
	/* A sandbox whose policy says nothing: an interpreter with a few
	 * libraries. Wall time includes waiting for people. */
	SANDBOX_MEMORY_MB = 512,
	/* Memory that files leave to processes, at least. */
	SANDBOX_BESIDE_DISK_MB = 8,
	SANDBOX_PIDS = 128,
	SANDBOX_INODES = 20000,
	SANDBOX_OPEN_FILES = 1024, /* of each process; what select(2) knows */
	SANDBOX_WALL_MS = 3600 * 1000,
	/* The most that a policy may give: a mistyped zero is caught. */
	SANDBOX_MEMORY_MAX_MB = 1024 * 1024,
	SANDBOX_DISK_MAX_MB = 1024 * 1024,
	SANDBOX_PIDS_MAX = 32768,
	SANDBOX_INODES_MAX = 100 * 1000 * 1000,
	/* PID 1 has it, too, and serves a few commands with this many. */
	SANDBOX_OPEN_FILES_MIN = 64,
	SANDBOX_OPEN_FILES_MAX = 1024 * 1024, /* fs.nr_open, as it comes */
	SANDBOX_CPUS_MAX = 1024,
	SANDBOX_CPU_WEIGHT = 100, /* what the kernel gives everybody */
	SANDBOX_CPU_WEIGHT_MAX = 10000, /* cgroup-v2.rst, cpu.weight */
	SANDBOX_IO_MAX_MB = 1024 * 1024, /* a second */
	SANDBOX_OUTPUT_MAX_MB = 1024 * 1024, /* of what a command prints */
	MOUNTS_MAX = 8, /* folders beside the work folder, a descriptor each */
	PLACE_MAX_BYTES = 4096, /* of a path inside: PATH_MAX, with its NUL */
	POLICY_TOOL_TIMEOUT_MS = 30 * 1000, /* when a tool names none */
	POLICY_TOOL_TIMEOUT_MAX_MS = 3600 * 1000, /* one call: an hour */
	/* Where arguments come from. A run keeps of what it was told: */
	PROV_USER_BYTES = 64 * 1024, /* the user's text: a long prompt */
	PROV_TEXT_BYTES = 256 * 1024, /* results: in a millisecond searched */
	PROV_RESULT_BYTES = 64 * 1024, /* of one: so that others have room */
	PROV_PARSE_BYTES = 1024 * 1024, /* a longer result is not read at all */
	PROV_SOURCES_MAX = 1024, /* results that have a place in it */
	PROV_FIELDS_MAX = 1024, /* values of trusted fields */
	PROV_FIELD_BYTES = 128, /* one of them: a longer one is no id */
	/* And of a call: */
	PROV_ARGS_MAX = 64, /* texts and numbers that are looked for */
	PROV_PATH_BYTES = 96, /* with its NUL: a line of a screen */
	PROV_VALUE_BYTES = 4096, /* longer ones are not looked for */
	PROV_MIN_BYTES = 4, /* shorter ones stand everywhere by chance */
	PROV_STEPS_MAX = 4 * 1000 * 1000, /* bytes compared: milliseconds */
	POLICY_DESTINATIONS_MAX = 32, /* paths of one tool */
	REDACT_STEPS_MAX = 31, /* parts of one path: bits of a 32-bit mask */
};

/* Tool servers (core/policy_servers, broker/server, tools) */
enum {
	TOOL_SERVERS_MAX = 16, /* of one policy: a sandbox each */
	SERVER_NAME_BYTES = 32, /* leaves room for the tool's in its label */
	SERVER_ARGV_MAX = 64, /* words of a command, and variables */
	SERVER_WORD_BYTES = 16 * 1024, /* one of them: a short script */
	/* Until its tools are known: an interpreter that loads a library on a
	 * machine that is busy. */
	SERVER_START_MS = 30 * 1000,
	SERVER_START_MAX_MS = 10 * 60 * 1000,
	/* Without an answer to server/discover we try the older opening. */
	SERVER_PROBE_MS = 5000,
	SERVER_RESTARTS = 3, /* of one server in one run, when none is said */
	SERVER_RESTARTS_MAX = 1000,
	/* Between the end of a server and its next start; doubles each time. */
	SERVER_BACKOFF_MS = 250,
	SERVER_BACKOFF_MAX_MS = 30 * 1000,
	/* The broker's own clock runs this much behind the server's, so that
	 * who talks to it is the one who tells. */
	SERVER_LATE_MS = 2000,
	/* One message of a server: its canonical form, which may be longer,
	 * still has to fit a message of ours. */
	SERVER_MAX_LINE_BYTES = 3 * 1024 * 1024,
	/* What is read past in search of the end of a longer one. */
	SERVER_MAX_SKIP_BYTES = 64 * 1024 * 1024,
	SERVER_READ_BYTES =
	    64 * 1024, /* at once: one server starves no other */
	/* Waiting for a server that does not read: some calls of full size. */
	SERVER_MAX_OUT_BYTES = 8 * 1024 * 1024,
	SERVER_TOOLS_MAX = 512, /* of one server */
	SERVER_PAGES_MAX = 64, /* of one list */
	SERVER_DEFINITION_BYTES = 64 * 1024, /* one tool's, canonical */
	SERVER_LIST_BYTES = 2 * 1024 * 1024, /* those of one server together */
	/* Names of resources, their templates and prompts: each list's. */
	SERVER_OTHERS_BYTES = 256 * 1024,
	SERVER_URI_BYTES = 2048, /* of a resource or a template */
	SERVER_VALUES_MAX = 100, /* completions in one answer: the protocol's */
	SERVER_PROGRESS_MAX = 1000, /* of one call that are passed on */
	SERVER_NOISE_MAX = 1000, /* lines that are no message, then it ends */
	SERVER_LISTS_MAX = 100, /* times that it may say they have changed */
	SERVER_ASKS_MAX = 1000, /* requests to us, in one start: likewise */
	SERVER_STDERR_BYTES = 1024, /* its last words, for who reads why */
	/* Requests of one server over HTTP at once, connections and all. */
	SERVER_LINES_MAX = 40,
	SERVER_LINES_KEPT = 4, /* of these, that wait for a next one */
	SERVER_ENTRY_BYTES = 4096, /* host and path of its url, as JSON */
	SERVER_SESSION_BYTES = 512, /* a session's identifier, or an event's */
	/* A stream that has given its answer has this long to end. */
	SERVER_LINGER_MS = 2000,
	SERVER_NOTIFY_MS = 30 * 1000, /* for a message that has no answer */
	/* When a stream that broke off says nothing, and what it may say. */
	SERVER_RETRY_MS = 1000,
	SERVER_RETRY_MAX_MS = 60 * 1000,
	SERVER_RESUMES_MAX = 100, /* times that one stream is taken up again */
	SERVER_ERROR_BYTES = 2000, /* of an error's text that is passed on */
	/* Between two times that a server's changes of resources are told:
	 * those of one resource in between are one. */
	SERVER_UPDATE_MS = 100,
	/* Resources that a run's agent is told of, by all its clients. */
	SUBSCRIPTIONS_MAX = 64,
	/* Each is a record: made and refused in one run, and told to it. */
	SUBSCRIPTIONS_MADE_MAX = 1000,
	SUBSCRIPTIONS_TOLD_MAX = 10000,
	SUBSCRIBE_MS = 10 * 1000, /* until the server has agreed */
	SERVER_LEAVE_MS = 2000, /* of a run's end: its session is ended */
};

/* What tools were said to be (broker/pin) */
enum {
	/* Of one daemon and of one tenant. Half a KiB each in memory, and their
	 * definitions on disk; eight servers' worth of the largest list. */
	PINS_MAX = 16 * 1024,
	PINS_TENANT_MAX = 4096,
	PIN_BUCKETS = 4096,
	/* Definitions of one tool in one run that are kept for a reviewer: a
	 * server that changes without end fills no disk. */
	PIN_CHANGES_MAX = 8,
	PIN_REASON_BYTES = 255, /* of a reviewer, on the record */
};

/* Captures of what a tool server shows (core/policy_capture, broker/capture) */
enum {
	CAPTURE_TOOLS_MAX = 4, /* that one capture asks: picture, text, ... */
	CAPTURE_PARTS_MAX = 8, /* of one answer: pictures and texts */
	CAPTURE_PART_BYTES = 2 * 1024 * 1024, /* a page as a picture, or text */
	/* Of one run together, so that a run cannot fill the disk by clicks. */
	CAPTURE_RUN_BYTES = 256 * 1024 * 1024,
	CAPTURE_MS = 10 * 1000, /* for each of its tools: a page may be slow */
	CAPTURE_MAX_MS = 60 * 1000,
	CAPTURE_ARGS_BYTES = 4096, /* what one of its tools is asked with */
};

/* runs */
enum {
	RUNS_MAX = 1024, /* open at once on one node */
	/* Arguments of one call, canonical: with what travels around them they
	 * still fit a message, and a page of the trace. */
	CALL_MAX_ARGS_BYTES = 1024 * 1024,
	RUN_PENDING_MAX = 64, /* calls of one run under way at once */
	APPROVAL_DEADLINE_MS = 15 * 60 * 1000, /* when a policy names none */
	APPROVAL_DEADLINE_MAX_MS = 7 * 24 * 3600 * 1000, /* a week */
	STATS_PEOPLE_MAX = 256, /* whose decisions are counted apart */
	STATS_DECISIONS_MAX = 1024, /* of each, whose median is told */
	LINKS_MAX = 16, /* reply links of one approval: one for each voter */
	APPROVAL_REFUSED_MAX = 100, /* states of no call that a run records */
	APPROVAL_HOLD_MS = 45 * 1000, /* a door holds a request this long */
	/* Between the structured stop and the kill: the agent may read why, and
	 * end by itself. */
	RUN_STOP_GRACE_MS = 2000,
	/* For a client to come back to its run after a gateway has died. */
	RUN_ORPHAN_MS = 5000,
	RUN_STOP_GRACE_MAX_MS = 5 * 60 * 1000, /* when who stops it says so */
	BOX_MIN_MS = 100, /* a time to live: less and nothing could start */
	RUN_TAGS_MAX = 32, /* that its opener gives a run */
	RUN_TAG_BYTES = 63, /* a name or a value: as Kubernetes has it */
	WORLD_TIMEOUT_MS = 30 * 1000, /* a tool's answer, unless it says less */
	TOOLS_USED_MAX = 256, /* tools of a run whose retries are counted */
	OUTPUT_KEEP_BYTES = 1024 * 1024, /* output kept of a detached run */
	/* Commands, files and connections of one sandbox that people have
	 * under way: RPC_MAX_EXECS commands, and as many connections. */
	INSIDE_MAX_GRANTS = 512,
};

/* paddock mcp: the bridge between standard input and an MCP door (init) */
enum {
	/* Calls under way at once: no run may have more pending. */
	BRIDGE_MAX_CALLS = 64,
	BRIDGE_MAX_URL_BYTES = 2048, /* fits a request line with ease */
	BRIDGE_MAX_TOKEN_BYTES = 4096, /* a signed token of any kind */
	BRIDGE_MAX_SESSION_BYTES = 256, /* ours has far fewer */
	BRIDGE_MAX_VERSION_BYTES = 32, /* "2026-07-28" and some */
	/* One message and its tape of JSON_MAX_VALUES. */
	BRIDGE_MAX_PARSE_BYTES = 64 * 1024 * 1024,
	BRIDGE_READ_BYTES = 64 * 1024, /* taken from a pipe or socket at once */
	BRIDGE_CONNECT_MS = 10 * 1000, /* the door is on this machine */
	/* Messages that hold up the ones behind them: initialize, and
	 * whatever gets no answer but 202. A door never holds those. */
	BRIDGE_ORDERED_MS = 30 * 1000,
	/* An unused connection is closed before a server would do it (5 s is
	 * the shortest in use): a request never meets a closing one. */
	BRIDGE_IDLE_MS = 4 * 1000,
	/* Answers waited for after the end of standard input: a little more
	 * than APPROVAL_HOLD_MS, so that a held call still gets its own. */
	BRIDGE_DRAIN_MS = 60 * 1000,
	BRIDGE_CLOSE_MS = 2 * 1000, /* for the answer to DELETE */
};

/* what PID 1 of a sandbox does for the gateway (sandbox/rpc.h) */
enum {
	/* Arguments and environment of one command, or two paths: three such
	 * frames fit the default socket buffer. */
	RPC_MAX_PAYLOAD_BYTES = 64 * 1024,
	RPC_MAX_STRINGS = 4096, /* arguments and variables of one command */
	RPC_MAX_BASE_ENV = 1024, /* variables of the sandbox itself */
	RPC_MAX_FDS = 3, /* descriptors in one frame: standard streams */
	RPC_TEXT_BYTES = 200, /* of an error: a path's end and a reason */
	/* A program that is held against a digest: hashing this much takes PID
	 * 1 about a second. */
	COMMAND_HASH_MAX_BYTES = 256 * 1024 * 1024,
	/* Programs that were refused, told of one run: the rest is the same. */
	COMMANDS_TOLD_MAX = 64,
	RPC_MAX_EXECS = 256, /* commands of one sandbox under way at once */
	RPC_SHARED_BYTES = 8192, /* what their results take */
	RPC_MAX_WORKERS = 32, /* file operations and the like, likewise */
	/* Commands between their request and execve. That takes microseconds,
	 * unless the file system hangs; memory is held for each. */
	RPC_MAX_STARTING = 16,
	/* All of them in use for so long: the file system does hang. */
	RPC_START_STUCK_MS = 2000,
	/* A worker for which nothing moves, neither file nor reader, ends. */
	RPC_IDLE_MS = 60 * 1000,
	RPC_CONNECT_MS = 10 * 1000, /* to a port inside */
	RPC_MAX_DEPTH = 64, /* folders in folders: one open file for each */
	RPC_MAX_ENTRIES = 100 * 1000, /* one listing: about 15 MiB of JSON */
	RPC_MAX_PROCESSES = 10 * 1000, /* one listing */
	RPC_COPY_BYTES = 64 * 1024, /* between file and pipe: a pipe's size */
};

/* tools that are commands (core/command) */
enum {
	/* What arguments make of one: half of what a frame to PID 1 holds. */
	COMMAND_TOOL_BYTES_MAX = 32 * 1024,
	COMMAND_TOOL_WORDS_MAX = 1024,
	COMMAND_TOOL_OUTPUT_BYTES = 64 * 1024, /* unless its row says */
	/* As JSON it still fits an answer, which escapes up to six for one. */
	COMMAND_TOOL_OUTPUT_MAX_BYTES = 256 * 1024,
};

/* OpenAPI documents (core/openapi) */
enum {
	OPENAPI_OPS_MAX = 512, /* as many as one tool server may have tools */
	OPENAPI_PARAMS_MAX = 64, /* of one operation, with those of its path */
	OPENAPI_HOPS_MAX = 8, /* references that lead to references */
	OPENAPI_DEFS_MAX = 128, /* schemas that those of one refer to */
	OPENAPI_TEXT_BYTES = 2000, /* of a description that is passed on */
	OPENAPI_SCHEMA_BYTES = 64 * 1024, /* of one operation's arguments */
	OPENAPI_URL_BYTES = 8 * 1024, /* path and query: what servers take */
	OPENAPI_FIELD_BYTES = 8 * 1024, /* one line of a head */
};

/* schemas of arguments (core) */
enum {
	SCHEMA_MAX_DEPTH = 64, /* schemas in schemas, or references, at once */
	SCHEMA_MAX_NODES = 10 * 1000, /* schemas in one document */
	SCHEMA_MAX_PATTERN_BYTES = 1024,
	/* Schemas applied, members looked up and values compared in one check:
	 * about 10 ms. What needs more is no check but an attack. */
	SCHEMA_MAX_STEPS = 200 * 1000,
	/* Backtracking of one match: PCRE2 counts in this unit, about 5 ms. */
	SCHEMA_MAX_MATCH_STEPS = 50 * 1000,
	SCHEMA_MAX_MATCH_KIB = 1024, /* and its memory */
};

/* expressions (core) */
enum {
	EXPR_MAX_BYTES = 2048, /* of the text: a screenful */
	EXPR_MAX_CODE = 1024, /* instructions: a text rarely has half as many */
	EXPR_MAX_STACK = 64, /* values under way, and brackets in brackets */
	EXPR_MAX_PATTERNS = 16, /* of matches() */
	EXPR_MAX_LOOPS = 4, /* exists and all in each other */
	EXPR_MAX_ITEMS = 256, /* that exists and all look at; of one literal */
	/* Instructions, members looked up, and blocks of 16 bytes compared, of
	 * one evaluation: about 1 ms. */
	EXPR_MAX_STEPS = 50 * 1000,
	EXPR_MAX_TEXT_BYTES = 4096, /* that one evaluation puts together */
};

/* world: the fake services of one run */
enum {
	WORLD_MAX_ROWS = 10 * 1000, /* of one section of a world document */
	WORLD_MAX_TOOLS = 256, /* that a world document answers for */
	WORLD_MAX_NESTED = 100, /* comments of a ticket, lines of an invoice */
	WORLD_MAX_ID = 64, /* characters of an identifier */
	WORLD_MAX_LINE = 256, /* characters of a name, subject or title */
	WORLD_MAX_TEXT = 32 * 1024, /* characters of a body */
	WORLD_MAX_CENTS = 100 * 1000 * 1000, /* one amount: a million */
	WORLD_MAX_QUERY_WORDS = 32, /* more never make a search better */
	/* Instructions of SQLite's machine in one call: about 50 ms. */
	WORLD_MAX_STEPS = 2 * 1000 * 1000,
	/* Pages of 4 KiB: a run that writes without end fills 256 MiB. */
	WORLD_MAX_PAGES = 64 * 1024,
	/* Databases that are open, of all runs: a quarter of a MiB each. One
	 * that is not takes a call that wakes it a third of a millisecond. */
	WORLDS_AWAKE_MAX = 32,
	WORLD_CHANGES_MAX = 64, /* rows that a preview of a call shows */
	/* A world that a call is tried in a copy of: 10 ms to copy. */
	WORLD_TRY_MAX_BYTES = 32 * 1024 * 1024,
	/* A document is larger in memory than as text: a tape, 24 bytes a
	 * value, stands beside it. */
	WORLD_MAX_PARSE_BYTES = 64 * 1024 * 1024,
};

/* images (image); a registry's largest images stay well below */
enum {
	IMAGE_MAX_ENTRIES = 1000 * 1000, /* of all layers together */
	IMAGE_MAX_MB = 64 * 1024, /* content of all files together */
	IMAGE_MAX_FILE_MB = 16 * 1024, /* one file, holes included */
	IMAGE_MAX_PATH_BYTES = 4095, /* PATH_MAX without the NUL */
	/* Directories below each other: a stack of descriptors is this deep
	 * when a tree is removed. */
	IMAGE_MAX_DEPTH = 128,
	IMAGE_MAX_LAYERS = 128, /* Docker stops at 127 */
	/* Bytes that come out for one that goes in, once IMAGE_RATIO_FREE_MB
	 * have come out: real layers stay under 20, gzip ends at 1032. */
	IMAGE_MAX_RATIO = 200,
	IMAGE_RATIO_FREE_MB = 256,
	IMAGE_MAX_INDEX_DEPTH = 4, /* an index in an index; two are in use */
	IMAGE_MAX_DESCRIPTORS = 256, /* platforms of one image: under 40 */
	IMAGE_ACCOUNTS_BYTES = 64 * 1024, /* of its passwd or group */
	IMAGE_MAX_STRINGS = 1024, /* variables, or words of a command */
	IMAGE_MAX_NAME_BYTES = 255, /* registry, path and tag */
	IMAGE_PLAN_BYTES = 64 * 1024 * 1024, /* tapes of all its JSON */
	/* Of the process that unpacks: zstd's window is 128 MiB at most. */
	IMAGE_UNPACK_MEMORY_MB = 1024,
	IMAGE_UNPACK_CPU_S = 1800,
	IMAGE_PROGRESS_MS = 1000, /* nothing is shown before, or more often */
};

/* sandboxes parked before they are needed (sandbox/pool.h) */
enum {
	POOL_SHAPES_MAX = 16, /* kinds of run that are kept in stock */
	POOL_SHAPE_FIRST = 2, /* of a kind asked for once: one, and its next */
	POOL_SHAPE_MAX = 16, /* of a kind asked for again and again */
	POOL_PARKED_MAX = 64, /* together: 20 MiB, and one netns each */
	POOL_FILL_MS = 5, /* between two: building one takes one or two */
	POOL_KEEP_MS = 2 * 60 * 1000, /* after the last of its kind */
};

/* protected names in a work folder (sandbox/protect.h) */
enum {
	PROTECT_PATTERN_BYTES = 512, /* .git/hooks and the like: under 40 */
	PROTECT_RULES_MAX = 128, /* of the operator's own, for one sandbox */
	/* Names that are looked at before a start; a kernel's tree has 90,000.
	 * What was not looked at is not known to be free of secrets. */
	GUARD_ENTRIES_MAX = 1000 * 1000,
	GUARD_DEPTH_MAX = 128, /* folders below each other, a descriptor each */
	/* Mounts for one sandbox: its kernel allows 100,000 in all. */
	GUARD_COVERS_MAX = 4096,
	REMOVE_DEPTH_MAX =
	    160, /* folders of what is removed: those, and ours */
	COMMIT_DEPTH_MAX = 128, /* as above, when changes are written back */
	COMMIT_TOLD_MAX = 64, /* files that are named in a message */
	/* Snapshots below each other: overlayfs takes 500, and the names of
	 * these fit the 256 bytes that a mount option may have. */
	SNAPSHOT_LAYERS_MAX = 16,
	SNAPSHOT_ENTRIES_MAX = 64 * 1000, /* files of one: 16 MiB of list */
	SNAPSHOT_LIST_BYTES = 16 * 1024 * 1024, /* a line each, 256 bytes */
	/* Files of one, holes included: what has to be hashed has an end. */
	SNAPSHOT_MAX_MB = 16 * 1024,
	/* Files of one that are copied before its run stands still, a
	 * descriptor each. */
	SNAPSHOT_EARLY_MAX = 4096,
	/* Of small files that are read while it does: 10 ms. */
	SNAPSHOT_PILE_BYTES = 32 * 1024 * 1024,
	SNAPSHOT_LINKS_MAX = 4096, /* files of one with several names */
	SNAPSHOTS_MAX = 4096, /* kept: a document in memory each, of some KiB */
	FORKS_MAX = 512, /* of one command: half of RUNS_MAX */
	FORK_SET_DEPTH = 16, /* parts of a path into a policy */
	/* For a world's data, while its run stands still: 256 MiB are 200 ms.
	 */
	SNAPSHOT_WORLD_MS = 10 * 1000,
	SNAPSHOTS_BUSY_MAX = 4, /* taken at once: each holds a run still */
	/* Files under protected names of a folder that is written for good: an
	 * editor's extensions are 20,000, at 100 bytes each. */
	PLANTED_FILES_MAX = 200 * 1000,
};

/* paddock exec --explain */
enum {
	/* Refused calls that are told one by one: a program may try for ever.
	 */
	EXPLAIN_REPORTS_MAX = 100,
	/* What Landlock refuses, as the kernel's audit tells it: domains whose
	 * maker is known, that many sandboxes at once and some of others; */
	AUDIT_DOMAINS_MAX = 1024,
	/* accesses of which not all is said yet: those of a moment; */
	AUDIT_WAITING_MAX = 64,
	/* and how long the rest of it may take, which is written when the call
	 * returns. Where auditing began after the process, it never comes. */
	AUDIT_WAIT_MS = 100,
	/* A record; the kernel cuts it at 8970 (MAX_AUDIT_MESSAGE_LENGTH). */
	AUDIT_RECORD_BYTES = 16 * 1024,
};

/* store (group commit, EVIDENCE.md decision 4) */
enum {
	STORE_GROUP_EVENTS = 64,
	/* Of what has come to wait while the one before was written: fewer
	 * pages are written twice, and it is over within some 20 ms. */
	STORE_GROUP_MOST = 512,
	STORE_SLAB_BYTES = 64 * 1024, /* of items that wait for the disk */
	STORE_GROUP_MS = 2,
	STORE_MAX_EVENT_BYTES = 8 * 1024 * 1024, /* payload plus its frame */
	STORE_MAX_QUEUE_EVENTS = 65536, /* waiting for the disk */
	/* The same in bytes: what a role may hold while a disk hangs. */
	/* Records that are not on disk: with more, whoever reads waits for
	 * the disk as who writes does, long before the queue is full. */
	STORE_BEHIND_EVENTS = 8192,
	/* Rows that are over and go with one that comes: more than come, so
	 * that there are ever fewer, and as little work as the one is. */
	STORE_FORGET_ROWS = 4,
	STORE_MAX_QUEUE_BYTES = 256 * 1024 * 1024,
	/* Between two tries to write while the disk is full: soon enough for
	 * whoever waits, and seldom enough to be no load. */
	STORE_ROOM_MS = 250,
	/* The log is signed after so many records, or so long after the first
	 * that is not signed, and when a run closes. */
	STORE_CHECKPOINT_RECORDS = 1024,
	STORE_CHECKPOINT_MS = 5000,
	/* Of checkpoints.txt, from its end, to find the last whole one: what a
	 * power cut leaves behind it is less. */
	TOLD_END_BYTES = 64 * 1024,
	/* Of one log, one after the other: one a week for twenty years. */
	STORE_MAX_KEYS = 1024,
	/* Smaller blobs are kept as they are: zstd saves less than its frame
	 * and the time to read it back. */
	STORE_PACK_BYTES = 512,
	/* Hashes of blobs just written: a hit spares the copy and the disk. */
	STORE_RECENT_BLOBS = 4096,
	/* Retention (store/keep.h). Rules are looked through for each record.
	 */
	KEEP_RULES_MAX = 1024,
	KEEP_AFTER_MAX_S = 50 * 365 * 24 * 3600, /* longer is for ever */
	/* A pass over all runs begins so long after the last one; in it, so
	 * many rows are looked at, and of so many runs content is removed, at
	 * once: some milliseconds. */
	KEEP_PASS_MS = 30 * 1000,
	KEEP_STEP_MS = 100,
	KEEP_STEP_ROWS = 2048,
	KEEP_STEP_RUNS = 16,
	/* What a bundle may hold (store/bundle.h): it is read into memory. */
	BUNDLE_MAX_RECORDS = 1000 * 1000,
	BUNDLE_MAX_LINE_BYTES = 16 * 1024 * 1024, /* a blob, in base64 */
	BUNDLE_MAX_BYTES = 1024 * 1024 * 1024, /* unpacked */
	BUNDLE_MAX_PROOF = 4 * 1000 * 1000, /* hashes */
	BUNDLE_WINDOW_LOG = 23, /* of zstd: 8 MiB to unpack it */
	/* What `trace import` takes of transcripts: one transaction, which the
	 * disk holds twice until it is over. */
	IMPORT_MAX_MIB = 8 * 1024, /* of a file */
	IMPORT_MAX_FILES = 512, /* of one command: all are open at once */
	IMPORT_MAX_RUNS = 1000 * 1000, /* of a file */
	IMPORT_MAX_CALLS = 100 * 1000, /* of a run */
	/* A row's texts: they are shown, and nothing proves them. */
	IMPORT_MAX_TEXT_BYTES = 4096,
	/* Of arguments and results, in the record: for a person's eye. */
	EVENT_PREVIEW_BYTES = 256,
};

#endif
