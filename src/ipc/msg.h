/*
 * ipc/msg.h: every message between roles.
 *
 * A frame is struct msg_head, the fixed body of its type, and a payload of
 * bytes that the sender has already checked (canonical JSON, or packed text
 * where said). A payload that does not fit in one frame travels as a sealed
 * memfd. Sized integers, no pointers, no padding. Who may send what to whom
 * is the table in ipc/route.c; anything else is a violation by that peer.
 */
#ifndef IPC_MSG_H
#define IPC_MSG_H

#include <stdint.h>

#include "base/hash.h"
#include "base/limits.h"
#include "ipc/msg_command.h"

enum role {
	ROLE_SUPERVISOR,
	ROLE_BROKER,
	ROLE_GATEWAY,
	ROLE_PROXY,
	ROLE_WORLD,
	ROLE_TOOLS,
	ROLES,
};

enum msg_type {
	MSG_READY = 1, /* role -> supervisor: confined, reading */
	MSG_WIRE, /* supervisor -> role, fd: your link to another role */
	MSG_LISTEN, /* supervisor -> gateway, fd: a listener for people */
	MSG_QUIT, /* supervisor -> broker: close all runs, then exit */
	MSG_IDENTITY, /* supervisor -> broker, fd: a file of identity/ */

	MSG_SANDBOX_START, /* broker -> supervisor */
	MSG_SANDBOX_STARTED, /* supervisor -> broker */
	MSG_SANDBOX_KILL, /* broker -> supervisor */
	MSG_KILL, /* supervisor -> broker: the kill switch was used */
	MSG_KILLED, /* broker -> supervisor: that is taken */
	MSG_SANDBOX_EXITED, /* supervisor -> broker */
	MSG_SANDBOX_ASK, /* broker -> supervisor: freeze, thaw or measure */
	MSG_SANDBOX_TOLD, /* supervisor -> broker: the answer */
	MSG_SNAPSHOT_ASK, /* broker -> supervisor: take, check, drop, keep */
	MSG_SNAPSHOT_TOLD, /* supervisor -> broker, fd: the answer */
	MSG_IMAGE_FIND, /* broker -> supervisor: open what an image is by */
	MSG_IMAGE_FOUND, /* supervisor -> broker, fd: the answer */
	MSG_SECRET_FIND, /* broker -> supervisor: read a secret */
	MSG_SECRET_FOUND, /* supervisor -> broker, fd: its bytes */
	MSG_SANDBOX_DENIED, /* supervisor -> broker: what a wall refused */

	MSG_DOOR_OPEN, /* broker -> gateway or proxy, fd: a run's listener */
	MSG_DOOR_CLOSE, /* broker -> gateway or proxy */

	MSG_CA_NEW, /* broker -> proxy: make a CA for a sandbox */
	MSG_CA, /* proxy -> broker: its certificate */

	MSG_TOOL_CALL, /* gateway -> broker */
	MSG_API, /* gateway -> broker: a request of REST /v1 */
	MSG_BEARER, /* gateway -> broker: a signed token, before its request */
	MSG_BAD_REQUEST, /* gateway -> broker: one that says two things */
	MSG_GONE, /* gateway -> broker: who asked has hung up */
	MSG_CANCEL, /* gateway -> broker: before GONE: who asked wants it no
		       more */
	MSG_REPLY, /* broker -> gateway: the answer to either */
	MSG_EVENT, /* broker -> gateway: one more for a subscriber */
	MSG_TOKEN_GONE, /* broker -> gateway: this token is good no more */
	MSG_LISTS, /* broker -> gateway: what a run's agent may see has changed
		    */
	MSG_INSIDE_DONE, /* gateway -> broker: what was granted has ended */
	MSG_COMMAND, /* broker -> gateway: start it in a sandbox, for a call */
	MSG_COMMAND_KILL, /* broker -> gateway: end it */
	MSG_COMMAND_END, /* gateway -> broker: what it came to */
	MSG_EXPORT, /* broker -> gateway: read these files of a sandbox */
	MSG_EXPORT_READ, /* gateway -> broker: what they were */

	MSG_WORLD_OPEN, /* broker -> world, fd: the run's database */
	MSG_WORLD_OPENED, /* world -> broker */
	MSG_WORLD_CALL, /* broker -> world */
	MSG_WORLD_RESULT, /* world -> broker */
	MSG_WORLD_CLOSE, /* broker -> world */
	MSG_WORLD_SAVE, /* broker -> world, fd: copy all that it is to there */
	MSG_WORLD_SAVED, /* world -> broker */
	MSG_WORLD_TRY, /* broker -> world: make a call in a copy */
	MSG_WORLD_TRIED, /* world -> broker: what it would change */

	MSG_SERVER_OPEN, /* broker -> tools: talk to one that is to start */
	MSG_SERVER_PIPES, /* tools -> broker, fds: its standard streams */
	MSG_SERVER_LINE, /* tools -> broker -> proxy, fd: a connection */
	MSG_SERVER_LISTED, /* tools -> broker: its tools, or its end */
	MSG_SERVER_CALL, /* broker -> tools */
	MSG_SERVER_RESULT, /* tools -> broker */
	MSG_SERVER_CANCEL, /* broker -> tools: nobody wants this call's answer
			    */
	MSG_SERVER_PROGRESS, /* tools -> broker: how far a call has come */
	MSG_SERVER_UPDATED, /* tools -> broker: a resource is another now */
	MSG_SERVER_LEAVE, /* broker -> tools: end its session, if it has one */
	MSG_SERVER_CLOSE, /* broker -> tools */

	MSG_EGRESS_ASK, /* proxy -> broker: may this go out? */
	MSG_EGRESS_VERDICT, /* broker -> proxy: the answer */
	MSG_EGRESS_DONE, /* proxy -> broker: how it ended */
	MSG_EGRESS_REVOKE, /* broker -> proxy: no longer */
	MSG_EGRESS_WATCH, /* broker -> proxy: what no request may hold */

	MSG_FETCH, /* broker -> proxy: ask this for the daemon itself */
	MSG_FETCHED, /* proxy -> broker: the answer */
	MSG_TYPES,
};

enum { MSG_MEMFD = 1 }; /* flag: the payload is the last descriptor */

struct msg_head {
	uint16_t type; /* enum msg_type */
	uint16_t flags;
	uint32_t payload; /* bytes, in the frame or in the memfd */
};
_Static_assert(sizeof(struct msg_head) == 8, "no padding");

struct msg_ready {
	uint32_t role;
	uint32_t pid;
};
_Static_assert(sizeof(struct msg_ready) == 8, "no padding");

/* Descriptors: the socket, and with a ring what else peer.h names. */
struct msg_wire {
	uint32_t role; /* who is at the other end */
	uint32_t side; /* of the ring: 0 or 1 */
};
_Static_assert(sizeof(struct msg_wire) == 8, "no padding");

enum listen_kind {
	LISTEN_UNIX, /* identity by SO_PEERCRED */
	LISTEN_TCP, /* identity by bearer token */
};

struct msg_listen {
	uint32_t kind; /* enum listen_kind */
	uint32_t port; /* LISTEN_TCP */
};
_Static_assert(sizeof(struct msg_listen) == 8, "no padding");

/*
 * All of them, one by one, at the broker's start and when one has changed. The
 * descriptor is a sealed memfd; the last message has neither it nor a name.
 * Payload, of one that is not taken: why, as text.
 */
struct msg_identity {
	char name[IDENTITY_NAME_BYTES]; /* NUL-terminated */
};
_Static_assert(sizeof(struct msg_identity) == 64, "no padding");

struct msg_quit {
	uint32_t when_idle; /* 1: once no run is open; 0: stop them all */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_quit) == 8, "no padding");

/* Inside a sandbox's own network, so every run has the same. */
enum {
	RUN_DOOR_PORT = 7070, /* 127.0.0.1: MCP */
	RUN_PROXY_PORT = 3128, /* 127.0.0.1: what HTTP_PROXY names */
};

/*
 * A string of the environment for PID 1 alone: what of a policy's
 * sandbox.commands it is to hold against programs, as init/judge.h says.
 */
#define START_COMMANDS "=commands"

enum {
	START_WORKSPACE = 1, /* one descriptor more: the work folder */
	START_WRITE_BACK = 2, /* its changes are written to it at the end */
	START_LIMITS_REQUIRED = 4, /* refuse where no cgroup can be had */
	START_IMAGE = 8, /* in an image: three texts more */
	START_CHDIR = 16, /* one text more: the path to start in */
	START_CA = 32, /* one descriptor more: certificates (PLACE_TRUST) */
	START_EXPLAIN = 64, /* refused calls are told: MSG_SANDBOX_DENIED */
	START_ROOT = 128, /* user 0 inside, of a user namespace of its own */
	START_FLAG = 256, /* protected files may be written, and are told */
	START_JUDGED = 512, /* the environment has START_COMMANDS */
};

/*
 * Descriptors: stdin, stdout, stderr, and with START_WORKSPACE an O_PATH
 * folder, one for each mount, and with START_CA a sealed memfd with PEM
 * certificates. With argc 0 there is no command and none of the first three:
 * the sandbox stays until it is killed. Payload: NUL-terminated strings, argc
 * of the command, then the environment, then, with START_WORKSPACE, the
 * folder's path inside, with START_IMAGE the digest's 64 digits, the name of
 * its user and where that is at home, and with START_CHDIR where the command
 * starts, then what of the folder is protected, rules of them: a letter of enum
 * protect_rule_kind (sandbox/protect.h) before each pattern, then the mounts: a
 * letter of enum sandbox_mount_mode, 'x' where programs in it may be executed
 * or '-', and the path inside.
 */
struct msg_sandbox_start {
	uint64_t run;
	uint64_t memory_bytes; /* of all processes together */
	uint64_t disk_bytes; /* of everything written */
	uint64_t inodes;
	uint64_t wall_ms;
	uint32_t cpu_milli; /* 1000 is one core */
	uint32_t pids;
	uint32_t argc;
	uint32_t envc;
	uint32_t flags; /* START_* */
	uint32_t cpu_weight; /* 1 to 10000; 100 is what others have */
	uint64_t tenant; /* kill_number (ipc/kill.h) of its name */
	uint64_t workflow; /* likewise */
	uint64_t io_bytes_per_s; /* of the work folder's disk; 0: no limit */
	uint64_t output_bytes; /* of the command's two streams; 0: no limit */
	uint32_t rules;
	uint32_t mounts;
	uint32_t files; /* two texts each, behind the rest: path and content */
	uint32_t required; /* enum sandbox_wall: not started without them */
	uint32_t layers; /* a text each, behind those: a snapshot's name */
	uint32_t open_files; /* of each process */
	uint64_t owner; /* the run that it is a tool server of; 0: a run's */
};
_Static_assert(sizeof(struct msg_sandbox_start) == 128, "no padding");

/* What a sandbox's network has besides the proxy's port, in this order; none
 * of them is there without those before it. */
enum {
	STARTED_TCP = 1, /* a listener for connections to any address */
	STARTED_DNS_UDP = 2,
	STARTED_DNS_TCP = 4, /* a listener */
};

/*
 * Descriptors when ok: the MCP door's listener, the proxy port's listener,
 * those of STARTED_*, and last the RPC socket of PID 1.
 * Payload when not ok: why, as text.
 */
struct msg_sandbox_started {
	uint64_t run;
	uint64_t posture; /* enum sandbox_wall bits that are active */
	uint32_t ok;
	uint32_t pid;
	uint32_t flags; /* STARTED_* */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_sandbox_started) == 32, "no padding");

enum {
	KILL_HOLDS = 1, /* a file: nothing of it is started while it is there */
	KILL_LIFTED = 2, /* the file is gone */
	KILL_AGAIN = 4, /* told to an earlier broker: for a new one */
};

/* What it is about is ipc/kill.h's. Sandboxes are killed already. */
struct msg_kill {
	uint64_t number; /* echoed in MSG_KILLED */
	int64_t t_ns; /* UTC: when they were */
	uint64_t took_ns;
	uint32_t what; /* enum kill_what */
	uint32_t flags; /* KILL_* */
	uint32_t sandboxes;
	uint32_t unused;
	char name[NAME_MAX_BYTES]; /* NUL-terminated */
};
_Static_assert(sizeof(struct msg_kill) == 168, "no padding");

struct msg_killed {
	uint64_t number;
};
_Static_assert(sizeof(struct msg_killed) == 8, "no padding");

struct msg_sandbox_kill {
	uint64_t run;
};
_Static_assert(sizeof(struct msg_sandbox_kill) == 8, "no padding");

/* Why a sandbox ended. */
enum exit_cause {
	CAUSE_EXIT, /* the command ended by itself */
	CAUSE_KILLED, /* asked for */
	CAUSE_WALL, /* wall_ms passed */
	CAUSE_MEMORY, /* killed for want of memory */
	CAUSE_PIDS, /* failed after a fork was refused */
	CAUSE_NOT_STARTED, /* the command is not there, or not executable */
	CAUSE_LOST, /* PID 1 is gone for no known reason */
	CAUSE_OUTPUT, /* wrote more than it may */
	CAUSE_REFUSED, /* the policy's list is against the program itself */
};

struct msg_sandbox_exited {
	uint64_t run;
	uint64_t cpu_ns;
	uint64_t memory_peak_bytes; /* 0 when not known */
	uint64_t pids_refused; /* forks that hit the limit; 0 unknown */
	/* Of the limit that ended it, in its own unit (bytes, processes, ms),
	 * and what was used or tried; both 0 when none did. */
	uint64_t limit_value;
	uint64_t used_value;
	uint64_t throttled_ns; /* held back by the CPU limit */
	uint64_t disk_bytes; /* in files that were there at the end */
	uint64_t inodes;
	uint32_t disk_full; /* 1: no room or no inode was left then */
	uint32_t left_out; /* changes that were not written back */
	uint32_t cause; /* enum exit_cause */
	uint32_t status; /* exit status, 128 + signal, 127: not started */
	uint32_t pressure_cpu; /* as in struct msg_sandbox_told, at the end */
	uint32_t pressure_memory;
	uint32_t pressure_io;
	uint32_t flags; /* TOLD_PRESSURE* */
	uint32_t planted; /* files told with DENIED_PLANTED, or more */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_sandbox_exited) == 112, "no padding");

enum sandbox_ask {
	ASK_STAT,
	ASK_FREEZE,
	ASK_THAW,
	ASK_TERMINATE, /* SIGTERM to the command; no answer */
};

struct msg_sandbox_ask {
	uint64_t run;
	uint64_t call; /* the gateway's number: who asked; echoed */
	uint32_t what; /* enum sandbox_ask */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_sandbox_ask) == 24, "no padding");

/* Figures that are known. */
enum {
	TOLD_CPU = 1,
	TOLD_MEMORY = 2,
	TOLD_PIDS = 4,
	TOLD_DISK = 8,
	TOLD_PRESSURE = 16,
	TOLD_PRESSURE_OF_MACHINE = 32, /* of everything on it together */
};

/* Figures of a moment; 0 where the machine does not tell. Payload: why not. */
struct msg_sandbox_told {
	uint64_t run;
	uint64_t call;
	uint64_t cpu_ns; /* user and system so far */
	uint64_t memory_bytes;
	uint64_t memory_peak_bytes;
	uint64_t pids;
	uint64_t pids_refused;
	uint64_t oom_kills;
	uint64_t throttled_ns; /* held back by the CPU limit */
	uint64_t disk_bytes; /* written, all files that are still there */
	uint64_t inodes;
	uint32_t pressure_cpu; /* hundredths of a percent, last 10 s */
	uint32_t pressure_memory;
	uint32_t pressure_io;
	uint32_t ok;
	uint32_t frozen;
	uint32_t flags; /* TOLD_* */
};
_Static_assert(sizeof(struct msg_sandbox_told) == 112, "no padding");

enum snapshot_ask {
	SNAPSHOT_TAKE, /* of run, as id; it is frozen meanwhile */
	SNAPSHOT_CHECK, /* that id is what the list in the memfd says */
	SNAPSHOT_DROP, /* id goes; no answer */
	SNAPSHOT_KEEP, /* what is not of the numbers in the payload goes; no
			* answer */
	/* While one is taken. The supervisor tells that the run stands still;
	 * it does so until the data of its world comes, if it has one. */
	SNAPSHOT_HELD,
	SNAPSHOT_WORLD, /* fd: the data; none: the payload says why not */
};

enum {
	SNAPSHOT_HAS_WORLD = 1, /* SNAPSHOT_WORLD follows SNAPSHOT_HELD */
	SNAPSHOT_NO_FILES = 2, /* the run has no sandbox */
};

struct msg_snapshot_ask {
	uint64_t run; /* of SNAPSHOT_CHECK a fork that asks; echoed */
	/* The gateway's number: who asked; of SNAPSHOT_CHECK the check's;
	 * echoed. */
	uint64_t call;
	uint64_t id;
	uint32_t what; /* enum snapshot_ask */
	uint32_t flags; /* SNAPSHOT_*, of SNAPSHOT_TAKE */
};
_Static_assert(sizeof(struct msg_snapshot_ask) == 32, "no padding");

/* Descriptor of a taken one: its list; of one that was checked: its world, if
 * it has one. Payload when not ok: why, as text. */
struct msg_snapshot_told {
	uint64_t run;
	uint64_t call;
	uint64_t id;
	uint64_t pause_ns; /* that the run stood still */
	uint64_t entries;
	uint64_t bytes;
	uint64_t left_out; /* devices, sockets, pipes */
	uint64_t world_bytes; /* 0: it has none */
	uint64_t dev, ino; /* of the work folder below it; 0: there is none */
	uint32_t what;
	uint32_t ok;
};
_Static_assert(sizeof(struct msg_snapshot_told) == 88, "no padding");

/* Of the image store. */
struct msg_image_find {
	uint64_t run;
	uint32_t digits; /* of the digest; 0: the file of names */
	uint32_t unused;
	char hex[64];
};
_Static_assert(sizeof(struct msg_image_find) == 80, "no padding");

/*
 * Descriptor when ok: the file of names, or the image's own, which holds the
 * image until it is closed. Payload when not ok: why, as text.
 */
struct msg_image_found {
	uint64_t run;
	uint32_t ok;
	uint32_t digits; /* as asked */
	struct hash digest; /* of the image */
};
_Static_assert(sizeof(struct msg_image_found) == 48, "no padding");

/* index SECRET_CHECK: no run's; run is a number of the broker's own. */
enum { SECRET_CHECK = UINT32_MAX };

struct msg_secret_find {
	uint64_t run;
	uint32_t index; /* of the policy's secrets; echoed */
	uint32_t from; /* enum secret_from (core/policy.h) */
	char name[SECRET_NAME_BYTES]; /* NUL-terminated */
};
_Static_assert(sizeof(struct msg_secret_find) == 80, "no padding");

/* Descriptor when ok: a sealed memfd. Payload when not ok: why, as text. */
struct msg_secret_found {
	uint64_t run;
	uint32_t index;
	uint32_t ok;
};
_Static_assert(sizeof(struct msg_secret_found) == 16, "no padding");

enum denied_wall {
	DENIED_CALL, /* seccomp: the call is not on the list */
	DENIED_ARGUMENT, /* seccomp: it is, but not with this argument */
	DENIED_NETWORK, /* there is no way to this address */
	DENIED_PROTECTED, /* a change that was not written back */
	DENIED_FLAGGED, /* one that was, though other programs execute it */
	DENIED_SPECIAL, /* not written back: no file, folder or link */
	DENIED_UNREADABLE, /* not written back: its mode forbids it */
	DENIED_WRITE_BACK, /* the rest was not written back: why */
	DENIED_PLANTED, /* other programs execute it; in a folder for good */
	DENIED_COMMAND, /* a program that was not executed */
	DENIED_LANDLOCK_FS, /* told by audit: sandbox/audit.h */
	DENIED_LANDLOCK_SCOPE,
	DENIED_WALLS,
};

/*
 * Payload, each with a NUL, as whoever is inside chose them: the process's
 * name, the call, and what it was about, such as a path; "" is unknown. Then
 * what of the wall it met, where that is not one thing: "fs.make_reg".
 */
struct msg_sandbox_denied {
	uint64_t run;
	uint32_t wall; /* enum denied_wall */
	uint32_t pid; /* as the host sees it; 0: none */
	uint32_t error; /* errno; 0: none */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_sandbox_denied) == 24, "no padding");

/*
 * MSG_DOOR_OPEN's second descriptor, to the gateway: the RPC socket of PID 1
 * (sandbox/rpc.h), through which it does what the broker has granted. Payload,
 * with it: [n, ...], the grants that an earlier gateway has left open.
 *
 * To the proxy: nothing, for a tool server over HTTP (MSG_SERVER_LINE), or the
 * proxy port's listener and, as far as there are any, the
 * listener for any address, the DNS socket (UDP) and the DNS listener (TCP).
 * Payload: {"connections":n,"connections_per_s":n,"hosts":[...],"inspect":...,
 * "ports":[...]}: how many connections the run may have at once and open in a
 * second; patterns of hosts (core/egress.h) that rules name, for the DNS stub;
 * whether any rule may inspect; the ports that rules name.
 *
 * MSG_CA_NEW's payload: ["*.example.com",...], the hosts that the CA may be
 * for; MSG_CA's is the PEM certificate of the sandbox's CA.
 */
struct msg_door {
	uint64_t run;
	/* Of the proxy's: the tool server of the run whose sandbox it is of
	 * (struct msg_server); 0: the run's own. */
	uint64_t server;
};
_Static_assert(sizeof(struct msg_door) == 16, "no padding");

/*
 * Payload: canonical JSON {"arguments":{...},"heads":{...},"name":"...",
 * "state":"..."}; state is optional: the approval id of an earlier answer, and
 * so is heads: the fields Mcp-Param-* that the call came with, decoded, where
 * it has to have them, by their names behind that in lower case.
 *
 * Of MSG_BAD_REQUEST: {"code":"header_mismatch","why":"..."}; call is 0.
 */
struct msg_tool_call {
	uint64_t call; /* the gateway's number, echoed in the reply */
	uint64_t run; /* known by the listener or the token, 0 if by token */
	struct hash token; /* SHA-256 of the bearer token; zeros without */
	uint32_t uid; /* of the peer at a Unix socket, else UINT32_MAX */
	uint32_t door; /* enum door */
};
_Static_assert(sizeof(struct msg_tool_call) == 56, "no padding");

/* Payload: the token, which codec/jwt.h takes. */
struct msg_bearer {
	struct hash token; /* its SHA-256, as the request has it */
};
_Static_assert(sizeof(struct msg_bearer) == 32, "no padding");

enum door {
	DOOR_RUN, /* a listener inside a sandbox: the run is known */
	DOOR_UNIX, /* a local peer: uid is known */
	DOOR_TOKEN, /* a bearer token */
};

/*
 * What REST /v1 can ask. Payload: canonical JSON object of arguments, path
 * and query included; its members are named in docs/openapi.json.
 */
enum api_op {
	API_HEALTH,
	API_RUN_OPEN, /* descriptors: stdin, stdout, stderr, work folder */
	API_RUN_LIST,
	API_RUN_GET,
	API_RUN_WAIT, /* answers when the run has closed */
	API_RUN_STOP,
	API_STOP_ALL,
	API_TOOL_LIST,
	API_SUBSCRIBE, /* MSG_EVENTs until MSG_GONE of its holder */
	API_UNSUBSCRIBE,
	API_EVENT_LIST,
	API_EVENT_STREAM, /* MSG_EVENTs until MSG_GONE or the run's end */
	API_APPROVAL_LIST,
	API_APPROVAL_GET,
	API_APPROVAL_DECIDE,
	API_APPROVAL_LINK,
	API_APPROVAL_STATS,
	/* Into a sandbox: a reply of REPLY_OK is the broker's grant, and the
	 * gateway then does it through the RPC socket of the run. */
	API_EXEC,
	API_FILE,
	API_PORT,
	/* Of a sandbox, by the supervisor. */
	API_PAUSE,
	API_RESUME,
	API_STAT,
	API_FAULTS,
	API_SNAPSHOT,
	API_SNAPSHOT_LIST,
	API_SNAPSHOT_REMOVE,
	API_SNAPSHOT_GC,
	API_SECRET_LIST,
	API_SECRET_CHECK,
	API_SECRET_REVOKE,
	API_KILL,
	API_TOKEN_CREATE,
	API_TOKEN_LIST,
	API_TOKEN_REVOKE,
	API_RETENTION_LIST,
	API_RETENTION_SET,
	API_PIN_LIST,
	API_PIN_GET,
	API_PIN_DECIDE,
	API_MCP_DOOR, /* of a run, for who is not its agent */
	API_OPS,
};

struct msg_api {
	uint64_t call;
	uint64_t run; /* DOOR_RUN: the run it came from; else that whose door
		       * was named, or 0 */
	struct hash token;
	uint32_t uid;
	uint32_t door;
	uint32_t op; /* enum api_op */
	uint32_t fds; /* descriptors of the caller that came with it */
};
_Static_assert(sizeof(struct msg_api) == 64, "no padding");

/* Payload: {"exit_status":...} or {"bytes":...}, as the kind has it. */
struct msg_inside_done {
	uint64_t run;
	uint64_t grant; /* the number that the grant named */
};
_Static_assert(sizeof(struct msg_inside_done) == 16, "no padding");

/*
 * EXPORT: payload ["path",...]. EXPORT_READ: payload [{"path","size"} or
 * {"error","path"}, ...], in that order, and as a sealed memfd the bytes of
 * those with a size, one behind the other; none when nothing could be read.
 */
struct msg_export {
	uint64_t run;
	uint64_t number; /* the broker's; echoed */
};
_Static_assert(sizeof(struct msg_export) == 16, "no padding");

/* Whoever came in with it is hung up on. */
struct msg_token_gone {
	struct hash token; /* SHA-256 of the bearer token */
};
_Static_assert(sizeof(struct msg_token_gone) == 32, "no padding");

struct msg_gone {
	uint64_t call;
};
_Static_assert(sizeof(struct msg_gone) == 8, "no padding");

enum { LISTS_TOOLS = 1, LISTS_RESOURCES = 2, LISTS_PROMPTS = 4 };

struct msg_lists {
	uint64_t run;
	struct hash token; /* of its agent outside; zeros: it has none */
	uint32_t changed; /* LISTS_* */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_lists) == 48, "no padding");

enum reply_kind {
	REPLY_OK, /* payload: the result, canonical JSON */
	REPLY_TOOL_ERROR, /* the tool answered with an error: payload as OK */
	REPLY_REFUSED, /* by policy: {"status":"refused","reason":...} */
	REPLY_STOPPED, /* the structured stop of POLICY.md section 3 */
	REPLY_PENDING, /* {"status":"pending_approval","approval_id":...} */
	REPLY_BAD, /* {"error":{"code","message","suggested_next_step"}} */
	/* A tool server's own answer: the payload of MSG_SERVER_RESULT. */
	REPLY_CONTENT,
	REPLY_CONTENT_ERROR, /* which says of itself that it is an error */
};

struct msg_reply {
	uint64_t call;
	uint32_t kind; /* enum reply_kind */
	uint32_t http; /* status that REST answers with: 200, 201, 403 ... */
};
_Static_assert(sizeof(struct msg_reply) == 16, "no padding");

/*
 * Payload: one event record, canonical JSON; empty when last. Of a tool call,
 * the payload of MSG_SERVER_PROGRESS; of who holds a subscription {"uri"}.
 */
struct msg_event {
	uint64_t call; /* of the API_EVENT_STREAM request, or a holder's */
	uint32_t last; /* 1: no more will come */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_event) == 16, "no padding");

/*
 * Descriptor: an empty regular file, and the payload the world document; or,
 * with saved, what MSG_WORLD_SAVE has filled.
 */
struct msg_world_open {
	uint64_t run;
	uint32_t saved;
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_world_open) == 16, "no padding");

/*
 * Payload when ok: [{"description","inputSchema","name"}, ...] of the tools
 * that the world has; else why not, as text.
 */
struct msg_world_opened {
	uint64_t run;
	uint32_t ok;
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_world_opened) == 16, "no padding");

/* Payload: {"arguments":{...},"name":"..."}. */
struct msg_world_call {
	uint64_t run;
	uint64_t call; /* the broker's number */
	int64_t now_ns; /* UTC: the world has no clock of its own */
};
_Static_assert(sizeof(struct msg_world_call) == 24, "no padding");

/*
 * Payload: the result object when ok, else
 * {"code":"not_found","error":"...","suggested_next_step":"..."}.
 */
struct msg_world_result {
	uint64_t run;
	uint64_t call;
	uint32_t ok;
	uint32_t wrote; /* 1: the call changed the world */
};
_Static_assert(sizeof(struct msg_world_result) == 24, "no padding");

/* Descriptor: an empty regular file, for all that the world of the run is. */
struct msg_world_save {
	uint64_t run;
	uint64_t snapshot; /* echoed */
	int64_t now_ns; /* as in struct msg_world_call */
};
_Static_assert(sizeof(struct msg_world_save) == 24, "no padding");

/* Payload as of MSG_WORLD_CALL. */
struct msg_world_try {
	uint64_t run;
	uint64_t approval; /* echoed */
	int64_t now_ns; /* as in struct msg_world_call */
};
_Static_assert(sizeof(struct msg_world_try) == 24, "no padding");

/* Payload: what world_try writes when ok, else why not, as text. */
struct msg_world_tried {
	uint64_t run;
	uint64_t approval;
	uint32_t ok;
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_world_tried) == 24, "no padding");

/* Payload when not ok: why, as text. */
struct msg_world_saved {
	uint64_t run;
	uint64_t snapshot;
	uint32_t ok;
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_world_saved) == 24, "no padding");

/*
 * A tool server of a run, which is a sandbox of its own: server is the number
 * that this sandbox has (struct msg_sandbox_start.run), new at each start.
 *
 * OPEN, PIPES, LEAVE and CLOSE. LEAVE is answered by MSG_SERVER_LISTED with ok
 * 0, when the server has said that its session is over, or cannot. PIPES'
 * descriptors: what the server reads, what it writes, and where it complains;
 * the other ends stay with who sends them.
 */
struct msg_server {
	uint64_t server;
};
_Static_assert(sizeof(struct msg_server) == 8, "no padding");

/*
 * MSG_SERVER_OPEN has no payload for a program; for one that is spoken to over
 * HTTP {"host":"mcp.example.com:8443","path":"/mcp"}: what requests to it say,
 * and no MSG_SERVER_PIPES follows. Instead the role makes connections, whose
 * other end comes with MSG_SERVER_LINE.
 *
 * MSG_SERVER_LINE to the proxy: a connection of the server's door, and whither
 * all that is asked for on it goes. Payload: {"host":"mcp.example.com",
 * "https":true,"port":443}.
 */

/*
 * Comes when a server's tools are known, again when they have changed, and
 * once with ok 0 when it can be talked to no more: what it had been asked is
 * answered before. Payload when ok: {"era":"2025-11-25","info":{...},
 * "completions":false,"prompts":[{"arguments","description","name"},...],
 * "refused":[{"name","why"},...],"resourceTemplates":[{"description",
 * "mimeType","name","uriTemplate"},...],"resources":[{"description","mimeType",
 * "name","size","uri"},...],"tools":[{"annotations","description",
 * "inputSchema","name","outputSchema"},...]}, each list in the order of its
 * names (or URIs), each of which the server has once; else why, as text.
 */
struct msg_server_listed {
	uint64_t server;
	uint32_t ok;
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_server_listed) == 16, "no padding");

enum server_ask { /* what a call asks of its server */
	SERVER_ASK_TOOL, /* tools/call */
	SERVER_ASK_RESOURCE, /* resources/read */
	SERVER_ASK_PROMPT, /* prompts/get */
	SERVER_ASK_COMPLETION, /* completion/complete */
	SERVER_ASK_SUBSCRIBE, /* to {"uri"}; MSG_SERVER_UPDATED follow */
	SERVER_ASK_UNSUBSCRIBE,
	SERVER_ASKS,
};

/* Payload: the request's params, with the server's own names. */
struct msg_server_call {
	uint64_t server;
	uint64_t call; /* the broker's number */
	uint64_t timeout_ms;
	uint32_t ask; /* enum server_ask */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_server_call) == 32, "no padding");

/*
 * CANCEL is answered by a MSG_SERVER_RESULT all the same. PROGRESS comes as
 * often as the server says something, in the order of its numbers; payload:
 * {"progress":50} or {"progress":50,"total":100}, and none of its words.
 */
struct msg_server_part {
	uint64_t server;
	uint64_t call; /* the broker's number */
};
_Static_assert(sizeof(struct msg_server_part) == 16, "no padding");

enum server_result {
	/* {"content":[...],"isError":false,...}; of the other asks their
	 * {"contents":[...]}, {"messages":[...],...}, {"completion":{...}}, and
	 * {} of a subscription. */
	SERVER_DONE,
	SERVER_DONE_ERROR, /* the same, with isError true */
	/* No answer: {"code","error","suggested_next_step"}, as of a world. */
	SERVER_NO_ANSWER,
};

/*
 * MSG_SERVER_UPDATED has the body of MSG_SERVER_OPEN. Payload: the URI as it
 * was subscribed to.
 */

/* One for each MSG_SERVER_CALL. */
struct msg_server_result {
	uint64_t server;
	uint64_t call;
	uint32_t kind; /* enum server_result */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_server_result) == 24, "no padding");

enum egress_kind {
	EGRESS_CONNECT, /* a connection: raw TCP, or what it is not known */
	EGRESS_TLS, /* a connection whose ClientHello has been read */
	EGRESS_REQUEST, /* an HTTP request */
};

/*
 * Payload: canonical JSON of what is known (core/egress.h has each member):
 * {"body_sha256","body_text","content_encoding","content_length",
 *  "content_type","ech","host","method","path","port","proto","query","sni","to","via"}.
 *
 * EGRESS_ASK_WHOLE: the same ask again, after an EGRESS_WAIT that said
 * EGRESS_GATHER: the body has been read, body_sha256 is of it, and body_text
 * its beginning, if it is text.
 */
enum { EGRESS_ASK_WHOLE = 1 };

struct msg_egress_ask {
	uint64_t run;
	uint64_t ask; /* the proxy's number, not 0 */
	uint64_t server; /* of the door that it came by (struct msg_door) */
	uint32_t kind; /* enum egress_kind */
	uint32_t flags; /* EGRESS_ASK_* */
};
_Static_assert(sizeof(struct msg_egress_ask) == 32, "no padding");

enum egress_verdict_kind {
	EGRESS_DENY,
	EGRESS_ALLOW,
	EGRESS_RESPOND, /* answer as the payload says; nothing goes out */
	/* A person decides: another verdict on the same ask will come. It is
	 * withdrawn with MSG_EGRESS_DONE. */
	EGRESS_WAIT,
};

enum {
	EGRESS_SPLICE = 1, /* pass the bytes on unread */
	EGRESS_INSPECT = 2, /* open the TLS, and ask about each request */
	EGRESS_PIN = 4, /* never open this TLS: the host is pinned */
	/* More requests of this method on this connection, to this host and
	 * port, need no asking: no rule looks at what differs. Each is told
	 * of by MSG_EGRESS_DONE all the same. */
	EGRESS_STANDING = 8,
	EGRESS_STRIP_HTML = 16, /* give the readable text of a page */
	EGRESS_RECORD_BODY = 32, /* keep request and answer as blobs */
	EGRESS_LEAK_CHECK = 64, /* search what goes out for secrets */
	/* Addresses that are not public may be dialled when "addrs" names
	 * them. */
	EGRESS_PRIVATE_OK = 128,
	/* With EGRESS_WAIT: read the body, at most max_body bytes, and ask
	 * again with EGRESS_ASK_WHOLE before anything is waited for. */
	EGRESS_GATHER = 256,
	/* Decided by a person: sent at most once, over a new connection. */
	EGRESS_ONCE = 512,
};

/*
 * Payload: {"addrs":["10.1.2.3/32",...],"fault":{...} (proxy/spoil.h),
 *  "answer":{"body":"...","headers":{...},"status":403}, or of a recorded one
 *    {"body_b64":"...","fields":[[name,value],...],"status":200},
 *  "secrets":[{"name","placeholder","value",...}]}, each where it applies:
 * answer for DENY and RESPOND, addrs when the rule pins them. One that holds
 * a secret is wiped after use on both sides.
 */
struct msg_egress_verdict {
	uint64_t run;
	uint64_t ask;
	uint64_t max_body; /* bytes that may be sent; UINT64_MAX: no limit */
	uint64_t bytes_per_s; /* both ways together; 0: no limit */
	uint32_t verdict; /* enum egress_verdict_kind */
	uint32_t flags; /* EGRESS_* */
	uint32_t rule; /* its place in egress.rules; UINT32_MAX: none */
	uint32_t status; /* of answer; 0 without */
};
_Static_assert(sizeof(struct msg_egress_verdict) == 48, "no padding");

enum {
	EGRESS_DONE_OVER = 1, /* cut off: more than max_body */
	EGRESS_DONE_MORE = 2, /* a count so far: the same ask goes on */
	EGRESS_DONE_STANDING = 4, /* a request that was not asked about */
	EGRESS_DONE_CLOSED = 8, /* a standing ask is over; nothing was sent */
	/* The proxy has refused what was allowed so far, before it could be
	 * asked about in full. */
	EGRESS_DONE_REFUSED = 16,
};

/*
 * What was allowed has ended, or got nowhere: once for each ask whose verdict
 * was EGRESS_ALLOW. With EGRESS_DONE_REFUSED, and with ask 0: what was nothing
 * that could be asked about, and was refused; "error" says why. sent and
 * received are bytes since the last message with EGRESS_DONE_MORE, of bodies or
 * of a raw connection. Payload:
 * {"addr":"93.184.216.34","error","hidden","hint","host","leaks",
 * "method","path","port","query","secrets","sni","tls","via"}, each where it
 * applies; method, path and query for EGRESS_DONE_STANDING, host, port, sni
 * and via for what was refused, tls is "none", "splice" or "inspect". After
 * EGRESS_RECORD_BODY also "kept":{"body_b64","fields":[[name,value],...],
 * "status"}, the answer, and "kept_request", the SHA-256 of the request's body
 * ("" without one).
 */
struct msg_egress_done {
	uint64_t run;
	uint64_t ask;
	uint64_t sent;
	uint64_t received;
	uint64_t ns; /* from the ask to the end */
	uint32_t status; /* of the answer; 0: none, or no HTTP */
	uint32_t flags; /* EGRESS_DONE_* */
};
_Static_assert(sizeof(struct msg_egress_done) == 48, "no padding");

enum egress_revoke_kind {
	EGRESS_REVOKE_FLOWS, /* close every connection of the run */
	EGRESS_REVOKE_SECRET, /* payload: the name; its requests end */
};

/*
 * MSG_EGRESS_WATCH, to the proxy, behind the run's door: body struct msg_door,
 * payload {"key":"64 digits","words":[{"bytes","digest","head","name",
 * "placeholder"?,"tail"},...]}: prints of the run's secrets and canaries
 * (core/leak.h), and what stands for a secret. It replaces the one before.
 */

struct msg_egress_revoke {
	uint64_t run;
	uint32_t what; /* enum egress_revoke_kind */
	uint32_t unused;
};
_Static_assert(sizeof(struct msg_egress_revoke) == 16, "no padding");

/*
 * A request over HTTPS that belongs to no run. Payload {"addrs":[...],
 * "authority","body","fields","host","method","path","roots"}: fields are lines
 * of the head, roots is PEM or "" for the machine's.
 */
struct msg_fetch {
	uint64_t id;
	uint32_t max_bytes; /* of the answer: one of more is none */
	uint32_t timeout_ms;
	uint16_t port;
	uint16_t unused[3];
};
_Static_assert(sizeof(struct msg_fetch) == 24, "no padding");

/* How long an answer may be kept, when nobody has said it. */
#define FETCH_AGE_UNKNOWN UINT32_MAX

/* Payload: the answer's body or, with status 0, why there is none. */
struct msg_fetched {
	uint64_t id;
	uint32_t status;
	uint32_t max_age_s;
};
_Static_assert(sizeof(struct msg_fetched) == 16, "no padding");

const char *role_name(enum role r); /* "broker" */
const char *msg_name(uint16_t type); /* "TOOL_CALL", "unknown" */

#endif
