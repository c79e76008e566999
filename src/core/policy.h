/*
 * core/policy.h: what a run of a workflow may do, and the verdict on a call.
 *
 * A document (JSON, JSON with comments, YAML; full or short form) is compiled
 * once into a flat table; deciding is pure and allocates nothing. Its version
 * is the SHA-256 of the canonical bytes of the document as given.
 *
 * A policy that extends others is made of parts: the document and its bases.
 * Every part decides on every call and on all that leaves, and the most
 * restrictive holds; of numbers the smaller one does. So nothing that is
 * written in a document can loosen what it extends (core/policy_extend.c).
 *
 * Members of the full form that this build does not enforce are refused, not
 * ignored: a rule that silently does nothing is worse than none.
 */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "codec/json.h"
#include "core/addr.h"
#include "core/budget.h"
#include "core/expr.h"
#include "core/identity.h"
#include "core/labels.h"
#include "core/provenance.h"
#include "core/rate.h"
#include "core/schema.h"

enum risk {
	RISK_READ,
	RISK_DRAFT,
	RISK_INTERNAL_WRITE,
	RISK_EXTERNAL_WRITE,
	RISK_DESTRUCTIVE,
	RISKS,
};

/* In order of restriction: the most restrictive of all rules holds. */
enum verdict_kind {
	VERDICT_ALLOW,
	VERDICT_DRAFT,
	VERDICT_SIMULATE,
	VERDICT_APPROVE,
	VERDICT_BLOCK,
	VERDICTS,
};

enum policy_mode {
	POLICY_ENFORCE,
	POLICY_SHADOW, /* pass through, record what would have been */
	POLICY_RECORD, /* allow, record */
};

enum on_timeout {
	ON_TIMEOUT_DENY,
	ON_TIMEOUT_HALT, /* the run is stopped */
	ON_TIMEOUT_ESCALATE, /* as escalate_to says; never allowed */
};

struct policy_approval {
	struct str name; /* "default" for tools that name none */
	uint32_t quorum; /* votes needed, from 1 */
	uint32_t n_from_roles;
	struct str from_roles[8]; /* none: any role */
	bool distinct_from_actor; /* the run's actor may not vote: default */
	bool distinct_from_requester; /* nor who opened the run */
	uint64_t deadline_ms;
	enum on_timeout on_timeout;
	struct str escalate_name; /* "": none */
	/* Whose rules hold from then on; NULL: it stays pending, marked. */
	const struct policy_approval *escalate_to;
	bool preview; /* the call is tried in a copy, and what it changes shown
		       */
	uint32_t n_edit;
	struct str edit[16]; /* arguments that a reviewer may change */
};

/* One rule of a tool's "when": docs/POLICY.md says what it means. */
struct policy_when {
	struct expr *cond;
	struct str text; /* of cond */
	enum verdict_kind then;
	bool exception; /* then is below the tool's mode, and is in its place */
	uint32_t from_stage; /* below it the rule is not there */
	struct str reason;
};

/* Whose calls share the keys of a tool. */
enum idem_within {
	IDEM_RUN,
	IDEM_WORKFLOW, /* of one tenant */
	IDEM_TENANT,
};

/* How often we ask a tool again by ourselves. */
struct policy_retry {
	uint32_t times; /* 0: not at all */
	uint32_t base_ms, max_ms; /* of the wait: core/backoff.h */
	bool repeatable; /* done twice it is as done once */
};

/* What a call costs of one kind of budget. */
struct policy_cost {
	uint64_t most; /* is taken before it */
	struct str at; /* "$.usage.total": where its result says how much it
			* was; "": it is what was taken */
};

struct policy_paths; /* core/policy_paths.c */

struct policy_tool {
	struct str name; /* may hold '*' */
	struct str of; /* "base@3" in a part of a policy, else "" */
	/*
	 * In a policy that extends others: the rows of its parts, which all
	 * decide. The members below are then the most restrictive of theirs,
	 * but for args, when and clearance, which stay with them.
	 */
	uint32_t n_rows;
	const struct policy_tool *const *rows;
	uint32_t stage; /* of the document that it stands in, 0: says none */
	const struct json *json; /* as it is written; NULL: with rows */
	enum risk risk;
	enum verdict_kind mode; /* as written, or the default of its risk */
	bool mode_written;
	const struct policy_approval *approval; /* never NULL */
	uint32_t n_scopes, n_labels_out, n_redact_args, n_redact_result;
	uint32_t n_trusted_fields, n_destination;
	const struct str *scopes; /* all are needed */
	const struct str *labels_out; /* added by its result */
	const struct str *redact_args; /* "$.customer.email" */
	const struct str *redact_result;
	const struct str *trusted_fields; /* that hold no stranger's text */
	const struct str *destination; /* arguments: where the effect lands */
	bool leaves; /* what it is asked goes out: each argument is one */
	/* What a destination that is not known comes to, behind a result. */
	enum verdict_kind untrusted_destination;
	struct schema *args; /* of its arguments; NULL: any */
	struct expr
	    *owner; /* what a call is about is the identity's; or NULL */
	struct str owner_text;
	const struct policy_paths *paths; /* that calls may name; NULL: any */
	struct str commit; /* the tool that drafts become a call of; "": none */
	struct expr *idem; /* what the call does, by its arguments; or NULL */
	struct str idem_text;
	enum idem_within idem_within;
	uint64_t idem_ms; /* how long a key is kept behind its call; 0: as long
			   * as its run is open */
	struct policy_retry retry;
	uint32_t n_when, n_clearance;
	const struct policy_when *when;
	const struct str *clearance; /* patterns of labels */
	bool cleared; /* the run may have no others */
	uint32_t retries; /* UINT32_MAX: the policy's max_retries_per_tool */
	uint32_t timeout_ms;
	struct rate_rule rate; /* of each row for itself, with rows */
	struct breaker_rule breaker; /* likewise */
	/* Of each kind of budget; NULL: nothing but the call itself. */
	const struct policy_cost *costs;
	bool reversible;
	struct str pin; /* 64 digits: of its definition; "": none */
	/* The command that its calls are; NULL: something else provides it. */
	const struct command_tool *exec;
};

struct policy_flow {
	struct str id;
	uint32_t n_if_labels;
	const struct str *if_labels; /* globs: each must match some label */
	enum risk risk_at_least;
	bool except_known; /* not for calls in the user's words */
	enum verdict_kind then;
	struct str reason;
};

enum fault_kind {
	FAULT_LATENCY, /* the answer comes late */
	FAULT_TIMEOUT, /* none in time; applied: the tool has done it */
	FAULT_HANG, /* none, until the tool's own deadline */
	FAULT_STATUS, /* the service's error */
	FAULT_RATE_LIMIT, /* likewise, 429 if not said otherwise */
	FAULT_LOST_ACK, /* the tool has done it, and an error is answered */
	FAULT_EMPTY, /* {} */
	FAULT_TRUNCATE, /* so many bytes of it, as a text */
	FAULT_MALFORMED, /* half of it, likewise */
	FAULT_MISSING_FIELD, /* without the member */
	FAULT_NULL_FIELD,
	FAULT_WRONG_TYPE,
	FAULT_EXTRA_FIELD,
	FAULT_HOSTILE, /* a text says something besides */
	FAULT_CONFLICT, /* as FAULT_STATUS: 409, 401, 403 */
	FAULT_AUTH_EXPIRED,
	FAULT_SCOPE_REVOKED,
	FAULT_REFUSE, /* nothing listens there, the connection is reset, the */
	FAULT_RESET, /* name is not known, the certificate is a bad one */
	FAULT_DNS,
	FAULT_TLS,
	FAULT_BUDGET_LOW, /* the run has so many calls left */
	FAULT_KILL, /* the run is killed at that call */
	FAULT_APPROVAL_DENIED, /* what a person is asked is answered by us */
	FAULT_APPROVAL_EXPIRED,
	FAULT_APPROVAL_LATE, /* the agent does not hear of it before */
	FAULT_SECRET_ROTATED, /* as FAULT_STATUS: 401, 429 */
	FAULT_QUOTA,
	FAULT_WRONG_ENCODING, /* text that was read as another encoding */
	FAULT_STALE_READ, /* what the same call gave some answers ago */
	FAULT_PARTIAL_SUCCESS, /* a share of the items has failed */
	FAULT_DUPLICATE, /* each item comes twice */
	FAULT_REORDER, /* the last item comes first */
	FAULT_SCHEMA_DRIFT, /* a member has another name */
	FAULT_CLOCK_SKEW, /* dates are so many seconds off */
	FAULT_BANDWIDTH, /* a host's real answer: so many bytes a second, */
	FAULT_SLICER, /* in pieces with pauses, */
	FAULT_GARBLE, /* with wrong bytes in it, */
	FAULT_WRONG_LENGTH, /* or shorter than it says */
	FAULT_OVERLOADED, /* a model's errors: 503 or 529, */
	FAULT_CONTEXT_LENGTH, /* 400; nothing is sent */
	FAULT_REFUSAL, /* a model's real answer, changed */
	FAULT_EMPTY_ANSWER,
	FAULT_BAD_TOOL_JSON,
	FAULT_STREAM_CUT, /* it ends after so many events, */
	FAULT_STREAM_ERROR, /* or with one that is an error */
	FAULT_KINDS,
};

/* Whose errors and answers a model's faults look like. */
enum fault_format {
	FAULT_FORMAT_AUTO, /* as the path of the request has it */
	FAULT_FORMAT_PLAIN,
	FAULT_FORMAT_OPENAI,
	FAULT_FORMAT_ANTHROPIC,
};

/* One rule of "faults": core/fault.h says which calls it hits. */
struct policy_fault {
	struct str tool, host; /* patterns; one of them is "" */
	enum fault_kind kind;
	uint32_t permille; /* of the calls that it is about */
	uint32_t nth, after, count; /* 0: any, none, as many as there are */
	uint32_t ms, jitter_ms;
	bool applied;
	bool lognormal; /* ms is the median, and no jitter */
	bool status_set; /* else as the kind says */
	bool bytes_set;
	uint32_t sigma_permille;
	uint32_t status, retry_after_s, bytes, remaining;
	uint32_t share_permille; /* of items that fail */
	uint32_t lag; /* answers ago */
	uint32_t per_s; /* bytes */
	uint32_t events; /* of a stream, before it ends */
	int64_t skew_s;
	enum fault_format format;
	struct str at, text; /* at: "$.a.b" */
	struct str to; /* the member's other name */
	struct str argument; /* instead of a member: the call's */
	struct str encoding; /* "utf-16" or "gzip" */
};

/* What is answered in a host's place; nothing goes out. */
struct egress_respond {
	uint32_t status; /* 200 to 599 */
	uint32_t n_headers;
	const struct str *names, *values; /* of headers */
	struct str body; /* with its {{places}} */
	bool is_json; /* places are filled as in a text of JSON */
};

enum egress_tls {
	TLS_AUTO, /* opened when a rule must see the request */
	TLS_INSPECT, /* always opened */
	TLS_PIN, /* never opened */
};

/* Where the bytes of a secret are read. */
enum secret_from {
	SECRET_FILE, /* secrets/NAME of the state directory */
	SECRET_SYSTEMD, /* NAME of $CREDENTIALS_DIRECTORY */
	SECRET_ENV, /* PADDOCK_SECRET_NAME of the daemon's environment */
	SECRET_COMMAND, /* what secrets/commands/NAME prints */
	SECRET_CANARY, /* none: a bait of this kind is made for the run */
	SECRET_FROMS,
};

/* One member of "secrets". Texts with n 0 are not there. */
struct policy_secret {
	struct str name;
	enum secret_from from;
	struct str at; /* the file's name */
	struct str header, format, query, access_key; /* see proxy/filter.h */
	bool body;
	struct str env; /* the variable inside that holds the placeholder */
	struct str file; /* the file inside that holds it, within `template` */
	struct str template; /* "{}" is the placeholder; "": that alone */
	uint64_t ttl_s; /* 0: as long as the run */
	bool renew; /* read anew behind ttl_s; else refused */
	const struct str *workflows; /* whose policies may name it; 0: any */
	uint32_t n_workflows;
	uint32_t stages; /* a bit each, from bit 1; 0: any */
	const struct json *json; /* as it is written */
};

const char *secret_from_name(enum secret_from f); /* "file" */
/* May be what follows the colon: a file's name, and no way out of its folder.
 */
bool secret_name_ok(struct str s);

/* One rule of "egress": core/egress.h says what it means. */
struct egress_rule {
	struct str host; /* "api.example.com", "*.example.com", an address */
	uint32_t n_ports, n_methods, n_paths, n_query, n_types, n_labels_out;
	uint32_t n_addrs;
	const uint16_t *ports; /* none: 80 of http, 443 of https */
	uint32_t protos; /* a bit for each enum egress_proto */
	const struct str *methods; /* none: any */
	const struct str *paths; /* patterns; none: any */
	const struct str *query_names, *query_values; /* patterns */
	bool query_listed; /* no other name, and no query when none */
	const struct str *types; /* of bodies, text/ and a star; none: any */
	bool no_uploads; /* no forms with files, no octet-stream */
	uint64_t max_body; /* UINT64_MAX: no limit */
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t rate_ms; /* 0: no limit; else rate_burst in so long */
	uint32_t rate_burst;
	enum egress_tls tls;
	enum verdict_kind mode; /* allow, approve, block */
	const struct policy_approval *approval; /* NULL: "default" */
	bool risk_written;
	enum risk risk;
	bool strip_html;
	bool record; /* answers are kept in the trace */
	const struct policy_cost *costs; /* as a tool's, without `at` */
	bool redact_path; /* the path is digested where it is not spelled out */
	const struct str *labels_out;
	const struct str *secrets; /* names: may go out with its requests */
	uint32_t n_secrets;
	const struct cidr *addrs; /* may be dialled; none: what is public */
	const struct egress_respond *respond; /* NULL: none */
	struct str ca; /* PEM: whom its servers' certificates are by; "": those
			* that the machine trusts */
	uint32_t part; /* of the policy, that it stands in */
	const struct json *json; /* as it is written */
};

struct policy_mount {
	struct str from; /* as written; by whom it is opened says which */
	struct str to; /* inside: base/place.h */
	char mode; /* 'r', 'o' or 'w', as the sandbox has them */
	bool noexec;
};

/*
 * One member of "servers": a tool server, a program that speaks MCP on its
 * standard streams, in a sandbox of its own, or one elsewhere that speaks it
 * over HTTP. Its tools are "NAME.tool".
 */
/*
 * What shows what a tool server's page looks like before and after a call, for
 * the trace alone.
 */
struct policy_capture {
	struct {
		struct str tool; /* the server's own name of it */
		struct str args; /* canonical */
	} with[CAPTURE_TOOLS_MAX];
	uint32_t n_with, n_of;
	const struct str *of; /* patterns; none: calls above `read` */
	bool before, after;
	bool record_only; /* without one before it the call is made all the
			   * same */
	uint32_t timeout_ms; /* of each of its tools */
};

struct policy_server {
	struct str name; /* letters, digits, '_' and '-': no dot */
	/* By HTTP: what may go to it, whatever "egress" says; NULL: it is a
	 * program. */
	const struct egress_rule *rule;
	bool https;
	struct str path; /* of its url */
	uint32_t n_command, n_env, n_mounts;
	const struct str *command;
	const struct str *env; /* "NAME=value" */
	const struct str *mounts; /* places of the run's, or "workspace" */
	uint32_t start_ms; /* until its tools are known */
	uint32_t timeout_ms; /* the most that a call may take */
	uint32_t restarts; /* how often, in one run */
	uint64_t memory_bytes;
	uint32_t pids;
	bool bare; /* "prefix": false: its tools have their own names */
	bool network; /* what the run's egress rules allow */
	const struct policy_capture *capture; /* NULL: none */
	const struct openapi *api; /* what there is at its url; NULL: MCP */
	const struct json *json; /* as it is written */
};

struct policy_sandbox {
	struct str image; /* "host": the machine's own /usr */
	uint64_t memory_bytes, disk_bytes, inodes, wall_ms;
	uint32_t cpu_milli, cpu_weight, pids;
	uint32_t open_files; /* of each process */
	uint64_t io_bytes_per_s; /* of the work folder's disk; 0: no limit */
	bool limits_required; /* "limits": "required" */
	uint32_t walls_required; /* enum sandbox_wall */
	bool commands_listed; /* only those of commands_allow may start */
	uint32_t n_commands_allow, n_commands_block, n_ports;
	const struct str *commands_allow; /* names, absolute paths, digests */
	const struct str *commands_block;
	const uint16_t *ports; /* that may be reached from outside */
	uint64_t output_bytes; /* of the command's streams; 0: no limit */
	bool explain; /* refused calls are on the record */
	bool user_root; /* "user": "root" */
	bool protect_flag; /* "mode": "flag" */
	/* protect: "R.env", a letter and a pattern, as the sandbox has them. */
	uint32_t n_rules;
	const struct str *rules;
	uint32_t n_mounts;
	const struct policy_mount *mounts;
};

struct policy {
	struct str workflow; /* also "version" of the author, if given */
	struct str version_name;
	struct hash version; /* SHA-256: the policy version */
	struct identity identity;
	bool tenant_written, actor_written, roles_written; /* in the document */
	struct expr_value identity_value; /* as expressions see it */
	uint32_t stage; /* 1..5 */
	enum policy_mode mode;
	enum verdict_kind by_risk[RISKS];
	enum verdict_kind untrusted_destination; /* of tools that say nothing */
	bool locates; /* some rule asks where arguments come from */
	struct budget budgets; /* limits only */
	bool extends_budgets; /* "on_exceed": "approve" */
	const struct policy_approval *budget_approval; /* who gives more */
	uint32_t n_windows;
	const struct budget_window *windows;
	struct policy_sandbox sandbox;
	uint32_t egress_connections; /* out of a run, at once */
	uint32_t egress_connections_per_s; /* new ones */
	uint32_t n_tools, n_flow, n_approvals, n_egress, n_secrets;
	uint32_t n_servers;
	const struct policy_server *servers;
	const struct policy_secret *secrets;
	const struct policy_tool *tools;
	const struct policy_flow *flow;
	const struct policy_approval *approvals;
	const struct egress_rule *egress;
	const struct policy_fault *faults;
	uint32_t n_faults;
	uint64_t fault_seed;
	bool fault_seeded; /* else each run has a seed of its own */
	/* For policy_tool_find: an open table of places in tools, each plus
	 * one, and the places of the patterns, longest first. */
	uint32_t index_mask, n_globs;
	const uint32_t *index;
	const uint32_t *globs;
	bool short_form;
	/*
	 * The documents that it is made of, when it extends others: itself, and
	 * behind it all of its bases. Else none.
	 */
	uint32_t n_parts;
	struct policy *const *parts;
	uint32_t row_mask; /* for policy_tool_find: rows by their parts' rows */
	const uint32_t *row_index;
	struct str name; /* of a part: "base@3" */
	/* A bit for each part that says what may leave: all have to let it. */
	uint32_t egress_parts;
	struct str canonical; /* the document, RFC 8785, with its bases */
	struct arena arena; /* holds all of the above */
};

/*
 * What the document leaves out of its identity becomes who's, but for scopes:
 * of those the run has what the document names. -1: out of memory.
 */
int policy_identity_default(struct policy *p, const struct identity *who);

enum policy_format { POLICY_JSON, POLICY_YAML };

/* One thing wrong with a document. */
struct policy_problem {
	uint32_t line, column; /* from 1; 0 when there is no one place */
	char path[160]; /* "tools.billing.refund.risk" */
	char text[256]; /* what is wrong, and the remedy */
};

struct policy_problems {
	uint32_t n; /* found; at most 64 are kept */
	struct policy_problem item[64];
};

/* How many of the problems that were found are in the list. */
uint32_t policy_problems_kept(const struct policy_problems *list);

/*
 * Compiles a document. NULL when it has problems, all of which are listed.
 * YAML is converted to JSON first; a short form is recognised by itself.
 */
struct policy *policy_new(struct str text, enum policy_format format,
    struct policy_problems *problems);

/* A document that others may extend by its name, "base@3". */
struct policy_base {
	char name[NAME_MAX_BYTES + 1];
	struct str text;
	enum policy_format format;
};
struct policy_bases {
	uint32_t n;
	struct policy_base item[POLICY_PARTS_MAX];
	char
	    wanted[NAME_MAX_BYTES + 1]; /* the first that is not there, or "" */
	bool wants_file; /* that is the name of a file, not of a policy */
};
/*
 * As policy_new, for a document that extends others by name. When one of them
 * is not among the bases that is a problem, and bases->wanted says which.
 */
struct policy *policy_new_over(struct str text, enum policy_format format,
    struct policy_bases *bases, struct policy_problems *problems);
void policy_free(struct policy *p);

/*
 * Appends what the tool's `idempotency` makes of these arguments; t->idem is
 * not NULL. -1 with *why.
 */
int policy_idem_key(const struct policy *p, const struct policy_tool *t,
    const struct json *args, struct buf *out, const char **why);

/* The most restrictive of two; a new one in the arena. */
const struct policy_approval *policy_approval_both(struct arena *arena,
    const struct policy_approval *a, const struct policy_approval *b);

/* The row for a tool: an exact name before a glob, longer globs first. */
const struct policy_tool *policy_tool_find(
    const struct policy *p, struct str tool);

/* The rule that decided, for people: "tools.billing.refund.mode". */
enum { RULE_BYTES = 160, REASON_BYTES = 256, REASONS_MAX = 8 };

struct verdict {
	enum verdict_kind kind; /* what is done */
	enum verdict_kind would; /* what enforce would do: differs in other
				  * modes only */
	/* What a yes to an approval leads to: simulate when a rule says that
	 * too, else allow. Means something for approve only. */
	enum verdict_kind approved;
	char rule[RULE_BYTES];
	char code[48]; /* "unlisted_tool", "missing_scope", "flow", ... */
	uint32_t n_reasons;
	/* One per rule that spoke; the first is that of the rule that holds. */
	char reasons[REASONS_MAX][REASON_BYTES];
	char next_step[REASON_BYTES]; /* what the agent can do about it */
	const struct policy_tool *tool; /* NULL when unlisted */
	enum risk risk; /* destructive when unlisted */
	/* Nobody but the user has chosen it: it is in the user's words, or
	 * nothing untrusted had been read. */
	bool known;
	struct prov_args prov; /* n is 0 when nobody asked for it */
};

struct policy_call {
	struct str tool;
	const struct json *args; /* an object; NULL: not judged */
	const struct labels *labels; /* of the run, now */
	int64_t now_s; /* since 1970; 0: not known */
	/* What the run was told; NULL: then no argument is known. */
	const struct prov *prov;
};

/*
 * The verdict: the most restrictive of stage cap, tool mode, scopes, schema of
 * the arguments, clearance, rules of the tool, where its destinations come
 * from, flow rules. Not for two threads
 * at once. Budgets are the caller's: they stop the run, not the call.
 */
void policy_decide(
    const struct policy *p, const struct policy_call *c, struct verdict *out);

/*
 * Adds what a result of the tool brings: "untrusted:<tool>", unless labels_out
 * of its row holds "trusted", and the rest of labels_out. t may be NULL.
 */
void policy_result_labels(
    const struct policy_tool *t, struct str tool, struct labels *l);

/*
 * True when a command of this name may be started in the sandbox; name is
 * argv[0] as given. Else *rule says which member is against it, for people.
 *
 * An entry of block hits whatever has the same last part: a bare name might be
 * looked up to the path, and a path has many spellings. An entry of allow is
 * for exactly this text: a name that is looked up, or this path; with a digest
 * in the list, names say nothing. What is true of the name is held against the
 * file inside, where it can be seen (init/judge.h).
 */
bool policy_command_decide(
    const struct policy *p, struct str name, const char **rule);
/* True when the policy opens this TCP port of the sandbox. */
bool policy_port_decide(const struct policy *p, uint64_t port);

/*
 * What is legal but perhaps not meant: a tool that always misses a scope, a
 * mode that the stage holds down, an approval that no tool names.
 */
void policy_notes(const struct policy *p, struct policy_problems *notes);

/* True when the capture is to be made around a call of the server's tool. */
bool policy_captures(
    const struct policy_capture *c, struct str own_name, enum risk risk);

/* NULL when the policy has no approval of this name. */
const struct policy_approval *policy_approval_find(
    const struct policy *p, struct str name);

const char *risk_name(enum risk r); /* "external_write" */
int risk_parse(struct str s, enum risk *out);
const char *verdict_name(enum verdict_kind v); /* "approve" */
int verdict_parse(struct str s, enum verdict_kind *out);
const char *policy_mode_name(enum policy_mode m); /* "enforce" */

/* True when s is a path that redact_write understands. */
bool redact_path_ok(struct str s);
/*
 * Writes the form of v: its lists, the names of its members, true, false and
 * null. Each text and each number becomes "[redacted]".
 */
void redact_form(struct buf *out, const struct json *v);
/*
 * Writes v with the values at the paths replaced by "[redacted]", canonical.
 * A path is "$.a.b", "$.a[*].b", or "$..b" for every member of that name;
 * [*] takes all members of an object, too. A path that is none of these hides
 * all of v. out->failed tells of memory: then nothing was written.
 */
void redact_write(struct buf *out, const struct json *v,
    const struct str *paths, uint32_t n_paths);

#endif
