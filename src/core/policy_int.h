/*
 * core/policy_int.h: what the files of the policy compiler share.
 *
 * A document becomes JSON text (policy_text.c, policy_yaml.c), the text a tape
 * (codec/json), and the tape a struct policy (policy_parse.c, policy_tools.c)
 * by the readers below (policy_read.c). A reader that finds something wrong
 * notes it and goes on, so that one look tells everything.
 */
#ifndef CORE_POLICY_INT_H
#define CORE_POLICY_INT_H

#include "base/arena.h"
#include "codec/json.h"
#include "core/policy.h"

/* Where the value that starts at this byte of the JSON text was written. */
struct policy_mark {
	uint32_t at;
	uint32_t line, column;
};

struct policy_text {
	struct str given; /* the document */
	struct str json; /* in the arena; same offsets unless there are marks */
	uint32_t n_marks; /* YAML: in the order of at */
	const struct policy_mark *marks;
};

struct reader {
	struct policy *p;
	struct policy_text text;
	struct policy_problems *problems;
	bool base; /* what is read is one: its rows are told by its name */
};

/*
 * A value of the document and how one gets there. The readers below take the
 * spot of an object and the name of a member; a member that is not there
 * leaves *out as it is.
 */
struct spot {
	const struct spot *up; /* NULL: the document itself */
	const struct json *v;
	struct str key; /* of v in up; p is NULL when up is a list */
	uint32_t index; /* of v in such a list */
};

/* Whole numbers that a member takes, and what they count. */
struct range {
	uint64_t min, max;
	const char *unit; /* "milliseconds", or "" */
};

/* Lists of texts: what one entry may be. */
enum entry_kind {
	ENTRY_NAME, /* letters, digits and ._:/@+- */
	ENTRY_PATTERN, /* also '*' */
	ENTRY_SCOPE, /* a name that may end in ":*" */
	ENTRY_LABEL, /* a name that fits into struct labels */
	ENTRY_LABEL_PATTERN,
	ENTRY_PATH, /* "$.a.b" */
	ENTRY_ARGUMENT, /* any text on one line */
	ENTRY_COMMAND, /* a name without '/', an absolute path, or a digest */
	ENTRY_PATTERN_PATH, /* ".git/hooks", "/ci", "*.pem" */
	ENTRY_METHOD, /* "GET" */
	ENTRY_URL_PATH, /* a pattern: "/v1/tickets/" and two stars */
	ENTRY_FOLDER, /* a path of this machine, on one line */
	ENTRY_PLACE, /* a path inside: base/place.h */
	ENTRY_TYPE, /* "text/plain", or "text/" and a star */
};

struct list {
	const struct str *p;
	uint32_t n;
};

/* "sha256:" and 64 digits in lower case. */
bool command_is_digest(struct str entry);

/* policy_text.c, policy_yaml.c: -1 with one problem noted. */
int policy_text_json(struct reader *r);
int policy_text_yaml(struct reader *r);

/* policy_problem.c. at is a byte of the JSON text. */
void problem_at(struct reader *r, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Something about a value; its path is noted, too. */
void problem(struct reader *r, const struct spot *s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Something about a member's name: key is a member of the object s. */
void problem_key(struct reader *r, const struct spot *s, const struct json *key,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Keeps the lists sorted by place, and each thing once. */
void problem_add(
    struct policy_problems *list, const struct policy_problem *one);
/* A value as an error shows it: "\"alow\"", "-3", "an object". */
enum { SHOWN_BYTES = 56 };
void value_show(const struct json *v, char out[static SHOWN_BYTES]);

/* policy_read.c */

/* The member's value as a spot; false when it is not there. */
bool read_member(const struct spot *o, const char *name, struct spot *out);
/* True when s is an object; notes it when not. */
bool read_object(struct reader *r, const struct spot *s);
bool read_array(struct reader *r, const struct spot *s);
/*
 * Notes members that are not in known (NULL ends it): those in other with the
 * text why, the rest as unknown, with a suggestion.
 */
void read_known(struct reader *r, const struct spot *o,
    const char *const *known, const char *const *other, const char *why);
/* For members of the format that this build would have to ignore. */
#define NOT_YET "is not enforced by this version: remove it"
/* These return true when the member is there and good. */
bool read_whole(struct reader *r, const struct spot *o, const char *name,
    struct range range, uint64_t *out);
bool read_bool(
    struct reader *r, const struct spot *o, const char *name, bool *out);
bool read_name(
    struct reader *r, const struct spot *o, const char *name, struct str *out);
/* Likewise, of any kind. */
bool read_entry(struct reader *r, const struct spot *o, const char *name,
    enum entry_kind kind, struct str *out);
/* One line of text, at most POLICY_TEXT_MAX_BYTES. */
bool read_text(
    struct reader *r, const struct spot *o, const char *name, struct str *out);
/* words ends with NULL; *out is the place in it. */
bool read_word(struct reader *r, const struct spot *o, const char *name,
    const char *const *words, uint32_t *out);
bool read_list(struct reader *r, const struct spot *o, const char *name,
    enum entry_kind kind, uint32_t max, struct list *out);
/* The member "ports": from min to POLICY_LIST_MAX TCP ports. */
bool read_ports(struct reader *r, const struct spot *o, uint32_t min,
    const uint16_t **out, uint32_t *n_out);
/* The only value that this build enforces: others are noted. */
void read_only(
    struct reader *r, const struct spot *o, const char *name, const char *word);
/* Notes that a member is missing. */
void read_missing(struct reader *r, const struct spot *o, const char *name,
    const char *remedy);
/* NULL when s may be an entry of this kind, else what it must be. */
const char *entry_fault(enum entry_kind kind, struct str s);

extern const char *const risk_words[]; /* as enum risk, NULL at the end */
extern const char *const verdict_words[]; /* as enum verdict_kind */
extern const char *const destination_words[]; /* from VERDICT_APPROVE on */

/* policy.c: from the given text to a tape; -1: it is no document at all. */
int policy_load(struct reader *r, enum policy_format format, struct spot *root);
extern const struct json_limits policy_json_limits;
/* policy.c: keeps what was written at `canonical`, and its version. */
void policy_seal(struct policy *p, const struct json *document);

/* policy_extend.c: the parts of a policy. */
struct policy_part {
	struct reader r; /* r.p is the part */
	struct spot list, root; /* "extends" of its parent, and its document */
	const struct spot *at; /* the entry of the whole's list it came by */
	uint32_t up, depth; /* its parent, itself for the first */
	bool extends; /* it has bases of its own */
};
struct policy_parts {
	uint32_t n;
	struct policy_part part[POLICY_PARTS_MAX];
	struct policy_problems problems; /* of the part that is being read */
};
/*
 * Makes r->p, which extends others, the policy of all of its parts. Notes what
 * is wrong.
 */
void policy_extend(
    struct reader *r, const struct spot *root, struct policy_bases *bases);
/* policy_tighten.c: notes what the first part would loosen. */
void policy_tighten(struct policy_parts *x);
/*
 * policy_servers.c: a program that another part does not have would act in the
 * place of that part's tools, so one has to be as it is there.
 */
void policy_servers_tighten(
    const struct policy_part *own, const struct policy_part *base, bool whole);
/* Those that all parts have that say anything of servers. */
void policy_servers_merge(struct policy *m, const struct policy_parts *x);
/* policy_merge.c: fills in all of m but its canonical form. */
void policy_merge(struct reader *r, const struct policy_parts *x);
/* policy_rows.c: true when some name is of both patterns, or seems to be. */
bool policy_patterns_meet(struct str a, struct str b);
/* policy_rows.c: fills in the tools of r->p. */
void policy_merge_rows(struct reader *r, const struct policy_parts *x);

/* policy_field.c: members that are one number, and which way is tighter. */
enum policy_tighter {
	TIGHTER_LESS,
	TIGHTER_MORE,
	TIGHTER_LIMIT, /* less, and 0 is no limit */
};
struct policy_field {
	const char *path[3]; /* NULL behind the last */
	uint32_t offset, width; /* in struct policy, in bytes */
	enum policy_tighter tighter;
};
extern const struct policy_field policy_fields[];
extern const uint32_t policy_n_fields;
uint64_t policy_field_get(const struct policy *p, const struct policy_field *f);
void policy_field_set(
    struct policy *p, const struct policy_field *f, uint64_t v);
/* NULL when the document does not write it. */
const struct json *policy_field_written(
    const struct json *document, const struct policy_field *f);
/* True when a is looser than b. */
bool policy_field_looser(const struct policy_field *f, uint64_t a, uint64_t b);

/* policy_index.c: the row of the document itself, for a plain policy. */
const struct policy_tool *policy_row_find(
    const struct policy *p, struct str tool);
/* policy_index.c: for a policy of parts; rows has n_parts entries. */
void policy_rows_index(struct policy *p);

/* policy_parse.c: the whole document. */
void policy_parse(struct reader *r, const struct spot *root);
/* policy_short.c: the members that only the short form has. */
void policy_parse_short(struct reader *r, const struct spot *root);
/* policy_budget.c: "budgets" of the full form; approvals are known. */
void policy_parse_budgets(struct reader *r, const struct spot *root);
/* "costs" of a tool, or of an egress rule, which has no result to look at. */
const struct policy_cost *policy_parse_costs(
    struct reader *r, const struct spot *s, bool has_result);
/* Each kind at its largest; NULL when neither has any. */
const struct policy_cost *policy_costs_both(struct arena *arena,
    const struct policy_cost *a, const struct policy_cost *b);
/* The windows of all parts hold. */
void policy_budgets_merge(struct policy *m, const struct policy_parts *x);
/* policy_limits.c: "sandbox" of the full form. */
void policy_parse_sandbox(struct reader *r, const struct spot *root);
/* policy_secrets.c: "secrets", and a rule's names of them. */
void policy_parse_secrets(struct reader *r, const struct spot *root);
void policy_rule_secrets(struct reader *r, const struct spot *rule,
    const struct list *names, struct egress_rule *out);
/* policy_egress.c: "rate" of a rule or of a tool. */
void policy_parse_rate(
    struct reader *r, const struct spot *s, struct rate_rule *out);
/*
 * policy_egress.c: what may go to a tool server over HTTP, by the members of
 * its entry: its secrets, addrs and ca.
 */
struct server_url {
	bool https;
	uint16_t port;
	struct str host, path; /* in the arena */
};
void policy_parse_server_rule(struct reader *r, const struct spot *server,
    const struct server_url *url, struct egress_rule *out);
/* NULL when it may stand as the host of a rule. */
const char *policy_host_fault(struct str host);
/* policy_server_url.c: "url", and its rule. */
void policy_parse_server_url(
    struct reader *r, const struct spot *server, struct policy_server *out);
/* policy_egress.c: "egress". */
void policy_parse_egress(struct reader *r, const struct spot *root);
/* policy_servers.c: "servers"; mounts of the sandbox are known. */
void policy_parse_servers(struct reader *r, const struct spot *root);
/* policy_capture.c: "capture" of a server. */
void policy_parse_capture(
    struct reader *r, const struct spot *server, struct policy_server *out);
/* "pin" of a tool: "sha256:" and 64 digits. */
void policy_parse_pin(
    struct reader *r, const struct spot *tool, struct policy_tool *t);
bool policy_word_ok(struct str s); /* may be a word of a command */
/* "env" of s, as "NAME=value". False: it is not there, or no good. */
bool policy_read_env(struct reader *r, const struct spot *s, struct list *out);
/* policy_exec.c: "exec" of a tool; the sandbox is known. */
void policy_parse_exec(
    struct reader *r, const struct spot *tool, struct policy_tool *t);
/*
 * policy_openapi.c: puts the documents of files in the place of their names,
 * which the bases have. -1: noted.
 */
int policy_files(
    struct reader *r, struct spot *root, struct policy_bases *bases);
/* "openapi" of a server, whose url is known. */
void policy_parse_openapi(
    struct reader *r, const struct spot *server, struct policy_server *out);
void policy_openapi_free(struct policy *p);
struct openapi_op;
/* The operation that is the tool; NULL: none is. out may be NULL. */
const struct openapi_op *policy_openapi_find(
    const struct policy *p, struct str tool, const struct policy_server **out);
/* What the tool's method says that it can do. False: it is no operation. */
bool policy_openapi_risk(
    const struct policy *p, struct str tool, enum risk *out);
/* A pattern may not say of an operation that it does less. */
void policy_openapi_check(struct reader *r, const struct spot *tools);
/* False: these arguments make no request of it, and why says so. */
bool policy_openapi_takes(const struct policy *p, struct str tool,
    const struct json *args, const struct policy_server **out, char *why,
    size_t why_bytes);
/* policy_tools.c: "approvals", "tools" and "flow", in this order. */
void policy_parse_approvals(struct reader *r, const struct spot *root);
void policy_parse_tools(struct reader *r, const struct spot *root);
void policy_parse_flow(struct reader *r, const struct spot *root);
void policy_parse_faults(struct reader *r, const struct spot *root);

/* policy_identity.c */
void policy_parse_attributes(struct reader *r, const struct spot *root);

/* policy_owner.c: "owner" of a tool, and whether a call's objects are his. */
void policy_parse_owner(
    struct reader *r, const struct spot *tool, struct policy_tool *t);
enum expr_truth policy_owner_decide(const struct policy *p,
    const struct policy_tool *t, const struct json *args, const char **why);

/* policy_paths.c: "paths" of a tool; then rows take those of patterns. */
void policy_parse_paths(
    struct reader *r, const struct spot *tool, struct policy_tool *t);
void policy_paths_inherit(struct policy *p, struct policy_tool *rows);
/* What is wrong with the paths of a call, or NULL. args may be NULL. */
const char *policy_paths_decide(
    const struct policy_tool *t, const struct json *args);
bool policy_paths_same(
    const struct policy_paths *a, const struct policy_paths *b);

/* policy_repeat.c: "idempotency" and "retry" of a tool, whose risk is known. */
void policy_parse_idempotency(
    struct reader *r, const struct spot *tool, struct policy_tool *t);
void policy_parse_retry(
    struct reader *r, const struct spot *tool, struct policy_tool *t);

/* policy_approvals.c: escalate_to of each row, once all of them are read. */
void policy_link_approvals(struct reader *r, const struct spot *all,
    struct policy_approval *rows, uint32_t n);

/* policy_when.c: "when" of a tool, whose mode is known; and what it says. */
void policy_parse_when(
    struct reader *r, const struct spot *tool, struct policy_tool *t);
void policy_identity_value(struct policy *p); /* fills identity_value */
/*
 * What the rules say of a call whose arguments are there: of those that hold
 * the most restrictive, whatever their order.
 */
struct when_verdict {
	enum verdict_kind mode;
	const struct policy_when *mode_by; /* NULL: the row's own */
	enum verdict_kind then; /* of rules that are no exceptions */
	const struct policy_when *then_by; /* NULL: none holds */
	const struct policy_when *failed; /* the first that has no answer */
	const char *why;
};
void policy_when_decide(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct when_verdict *out);
/* policy_decide.c: the verdict by a row; t is NULL for an unlisted tool. */
void policy_decide_row(const struct policy *p, const struct policy_tool *t,
    const struct json *args, const struct labels *labels, struct verdict *out);
/* policy_index.c: fills index and globs. */
void policy_index(struct policy *p);

#endif
