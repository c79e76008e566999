/*
 * core/issuer.h: whom else the operator lets in: uids at the Unix socket, and
 * issuers whose signed tokens (OpenID Connect) are taken, with what their
 * claims stand for. It is identity/config.json of the state directory;
 * docs/IDENTITY.md has its form.
 *
 * What is not mapped is nothing: a claim gives a role only where `map` names
 * its value, and a scope only where `allow` holds it. Pure.
 */
#ifndef CORE_ISSUER_H
#define CORE_ISSUER_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"
#include "core/identity.h"
#include "core/web_target.h"
#include "core/webhook.h"

struct issuer_uid {
	uint32_t uid;
	struct identity who;
};

/* Where a text comes from: the same for everybody, or a claim. */
struct issuer_text {
	struct str fixed, claim; /* one of them is "" */
};

struct issuer_role {
	struct str value; /* of the claim; "": everybody */
	struct str role;
};

struct issuer {
	struct str url, audience;
	struct str keys; /* the name of a file of the same folder; "": */
	struct web_target keys_at; /* they are fetched */
	uint64_t refresh_s; /* at most so often */
	uint64_t stale_s; /* used so long while they cannot be */
	struct issuer_text tenant, actor;
	struct str roles_claim, scopes_claim; /* "": none */
	uint32_t n_roles, n_scopes, n_attributes;
	struct issuer_role *roles;
	struct str *scopes; /* that a claim may give, or with no claim gives */
	struct str attribute[ATTRIBUTES_MAX], attribute_claim[ATTRIBUTES_MAX];
};

struct issuers {
	uint32_t n_uids, n;
	struct issuer_uid *uids;
	struct issuer *list;
	struct webhooks hooks; /* who is told of approvals */
	uint64_t leeway_s;
};

/*
 * text must outlive the result, as must a. -1 with e, which names the member.
 */
int issuers_parse(
    struct str text, struct arena *a, struct issuers *out, struct err *e);

const struct issuer_uid *issuers_uid(const struct issuers *all, uint32_t uid);
/* By a token's claims; NULL: not one of ours. */
const struct issuer *issuers_find(
    const struct issuers *all, const struct json *claims);

/*
 * Who it is that a token speaks of whose signature was good: audience and times
 * are checked here. *until is when it ends, by the same clock as now_s. Texts
 * are in the claims, in the configuration or in a. -1 with e: nobody.
 */
int issuer_identity(const struct issuer *i, const struct json *claims,
    int64_t now_s, uint64_t leeway_s, struct arena *a, struct identity *out,
    int64_t *until_s, struct err *e);

#endif
