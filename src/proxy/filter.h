/*
 * proxy/filter.h: what is changed and searched in one request and its answer.
 *
 * Made from a verdict (MSG_EGRESS_VERDICT), for one request. On the way out it
 * puts the real secret in the place of its placeholder, only where the verdict
 * says (a field, a parameter of the query, the body), and signs for AWS anew.
 * Before that it refuses what holds any secret or canary of the run, in any
 * form: that was not to be known inside (core/leak.h: it has prints of them,
 * and values only of those that this request may have). What merely looks like
 * a credential (core/patterns.h) is reported, and goes on. On the way back it
 * puts the placeholder in the place of every secret of the run, in every form
 * (core/scan.h for those that this request may have, core/hide.h for all
 * others), and keeps only the readable text of a page. So an echo tells the
 * agent nothing, whoever the server got the secret from. What comes compressed
 * is given on unpacked.
 *
 * Lengths stay the same but for pages and what is unpacked (filter_resizes),
 * and for short secrets in fields and queries. Heads that were changed point
 * into the filter, whose memory is locked, and wiped by filter_free: a head is
 * written before that, and who copies the bytes of a request that holds a
 * secret wipes the copy.
 *
 * The order of calls: filter_request_head, filter_request_body for each piece
 * and once with last; filter_answer_head, filter_answer_body likewise. An
 * error means: cut the request off and answer 403 if that is still possible.
 */
#ifndef PROXY_FILTER_H
#define PROXY_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "core/leak.h"

struct filter;

/* What no request of a run may hold: MSG_EGRESS_WATCH. */
struct filter_watch {
	struct leak_set *set; /* NULL: nothing */
	uint32_t n;
	char names[SECRETS_PER_RUN_MAX][SECRET_NAME_BYTES];
	/* What an answer holds instead; n is 0 for a canary. */
	struct str fakes[SECRETS_PER_RUN_MAX];
	struct arena text; /* of the fakes */
};

/* Another payload takes the place of the one before. -1: the first stays. */
int filter_watch_take(
    struct filter_watch *w, const struct json *payload, struct err *e);
void filter_watch_fini(struct filter_watch *w);

/*
 * payload: the verdict's, parsed, or NULL for a request that was not asked
 * about; flags: its EGRESS_*. watch is borrowed for as long as the filter is
 * there. *out is NULL when there is nothing to do. The caller wipes the
 * payload.
 *
 * "secrets": [{"name","placeholder","value": base64, "header"?: a field's
 *   name, "format"?: "Bearer {}", "query"?: a parameter's name, "body"?: true,
 *   "sigv4"?: {"access_key"}}]
 */
int filter_new(struct filter **out, const struct json *payload, uint32_t flags,
    const struct filter_watch *watch, struct err *e);
void filter_free(struct filter *f); /* NULL is nothing */

int filter_request_head(struct filter *f, struct http1_head *h, struct err *e);
/*
 * True behind filter_request_head when the request is signed for AWS and the
 * digest of its body is not among its fields: the caller reads the body, at
 * most FILTER_MAX_SIGNED_BYTES, through filter_request_body, and then calls
 * filter_request_sign before it sends the head.
 */
bool filter_wants_body(const struct filter *f);
int filter_request_sign(
    struct filter *f, struct http1_head *h, struct str body, struct err *e);
/* Appends to out what may be sent. */
int filter_request_body(struct filter *f, struct str bytes, bool last,
    struct buf *out, struct err *e);
/* Behind the last of the body: searched and changed as fields of a head are. */
int filter_request_trailers(
    struct filter *f, struct http1_head *h, struct err *e);

/* Bytes of a WebSocket's client: -1 when they may not go on. */
int filter_relay(struct filter *f, struct str bytes, struct err *e);
/* True when the request may have this secret; or any, with name "". */
bool filter_has(const struct filter *f, struct str name);

int filter_answer_head(struct filter *f, struct http1_head *h, struct err *e);
/* True behind filter_answer_head when the length of the body will be another:
 * Content-Length is no longer in the head. */
bool filter_resizes(const struct filter *f);
int filter_answer_body(struct filter *f, struct str bytes, bool last,
    struct buf *out, struct err *e);
/*
 * True while some bytes are held back that may begin a secret. When no more of
 * the answer comes for FILTER_HUSH_MS, filter_answer_rest gives those that
 * anything may begin with; after FILTER_BEGUN_MS, all.
 */
bool filter_answer_holds(const struct filter *f);
int filter_answer_rest(
    struct filter *f, bool all, struct buf *out, struct err *e);
/* True when a secret was in it that this request could not have. */
bool filter_answer_found(const struct filter *f);

/* Appends an answer that is not a server's, without the run's secrets; returns
 * how many were in it. w may be NULL. */
uint64_t filter_watch_hide(
    const struct filter_watch *w, struct str text, struct buf *out);

/*
 * Appends members for MSG_EGRESS_DONE, each with a comma in front:
 * ,"hidden":n,"hidden_text":"...","leaks":[{"form","name","place"}],
 * "patterns":[{"name","place"}],"scrubbed":n,"secrets":["NAME"]. Names only.
 */
void filter_report(const struct filter *f, struct buf *out);

#endif
