#include "store/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "core/id.h"
#include "core/policy.h"
#include "store/db.h"
#include "sys/fd.h"

#define EVERYBODY "*"
#define NEW ".new"

static struct keep_rule *own_rule(const struct keep *k, struct str tenant);
static int put_rule(struct keep *k, const struct store_rule *r);
static void drop_rule(struct keep *k, struct keep_rule *r);
static struct keep_rule *add_rule(struct keep *k, struct str tenant);
static struct hash tenant_key(const struct keep *k, struct str tenant);
static struct str key_text(const struct hash *key);
static int master_read(struct keep *k, const char *dir, struct err *e);
static int master_make(struct keep *k, const char *dir, struct err *e);
static bool mask(struct keep *k, int which, struct event_blob *b);

int
keep_load(struct keep *k, const char *dir, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (master_read(k, dir, e) < 0 ||
	    db_prepare(db, "SELECT tenant, level, after FROM keep", &st, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		const struct store_rule r = {
			.tenant = db_str(st, 0),
			.level = (enum store_level)sqlite3_column_int(st, 1),
			.after_s = (uint32_t)db_u64(st, 2),
		};

		/* Without the key new content would be kept under none. */
		if (!k->has_master)
			return err_set(e,
			    "%s/" TENANT_KEY_FILE " is gone, and tenants' "
			    "content is kept by it: put it back from a copy",
			    dir);
		if (r.level > STORE_KEEP_HASH || put_rule(k, &r) < 0)
			return err_set(e, "a tenant's rule cannot be read");
	}
	return got;
}

void
keep_fini(struct keep *k)
{
	while (k->n > 0)
		drop_rule(k, &k->rules[k->n - 1]);
	free(k->rules);
	explicit_bzero(&k->master, sizeof(k->master));
	buf_fini(&k->masked[0]);
	buf_fini(&k->masked[1]);
	*k = (struct keep){};
}

const struct keep_rule *
keep_rule(const struct keep *k, struct str tenant)
{
	const struct keep_rule *r;

	if (k->n == 0)
		return NULL;
	r = own_rule(k, tenant);
	return r != NULL ? r : own_rule(k, STR(EVERYBODY));
}

int
keep_set(
    struct keep *k, const char *dir, const struct store_rule *r, struct err *e)
{
	struct keep_rule *old = own_rule(k, r->tenant);

	if (r->level == STORE_KEEP_RAW && r->after_s == 0) {
		if (old != NULL)
			drop_rule(k, old);
		return 0;
	}
	if (!k->has_master && master_make(k, dir, e) < 0)
		return -1;
	return put_rule(k, r) < 0
	    ? err_set(e,
		  "over %d tenants with a rule, or a name of over %d bytes",
		  KEEP_RULES_MAX, NAME_MAX_BYTES)
	    : 0;
}

void
keep_apply(struct keep *k, const struct keep_rule *rule, const struct event *ev,
    int which, struct event_blob *b)
{
	struct hash own = rule->key;
	char run[ID_BYTES];

	if (b->bytes.n == 0)
		return;
	if (strcmp(rule->tenant, EVERYBODY) == 0)
		own = tenant_key(k, ev->tenant);
	b->bare = true;
	if (rule->level == STORE_KEEP_HASH ||
	    (rule->level == STORE_KEEP_REDACTED && !mask(k, which, b))) {
		b->hash_only = true;
		b->hash = hash_hmac(key_text(&own), b->bytes);
		return;
	}
	id_text('r', ev->run, run);
	{
		const struct hash plain = hash_of(b->bytes.p, b->bytes.n);
		const struct str of[] = { str_of(run), key_text(&plain) };
		char text[ID_BYTES + HASH_BYTES];

		memcpy(text, of[0].p, of[0].n);
		memcpy(text + of[0].n, of[1].p, of[1].n);
		b->salt = hash_hmac(
		    key_text(&own), (struct str){ text, of[0].n + of[1].n });
	}
	b->salted = true;
	b->hash =
	    hash_of_pieces((struct str[]){ key_text(&b->salt), b->bytes }, 2);
}

/* False: it is no JSON, so nobody can say what in it is what. */
static bool
mask(struct keep *k, int which, struct event_blob *b)
{
	own_arena struct arena a = {};
	struct buf *out = &k->masked[which];
	struct err ignored;
	const struct json *v =
	    b->picture ? NULL : json_parse(b->bytes, NULL, &a, &ignored, NULL);

	if (v == NULL)
		return false;
	out->max = STORE_MAX_EVENT_BYTES;
	buf_reset(out);
	redact_form(out, v);
	if (out->failed)
		return false;
	b->bytes = buf_str(out);
	b->redacted = true;
	return true;
}

static struct keep_rule *
own_rule(const struct keep *k, struct str tenant)
{
	for (uint32_t i = 0; i < k->n; i++) {
		if (str_eq_c(tenant, k->rules[i].tenant))
			return &k->rules[i];
	}
	return NULL;
}

static int
put_rule(struct keep *k, const struct store_rule *r)
{
	struct keep_rule *at = own_rule(k, r->tenant);

	if (at == NULL)
		at = add_rule(k, r->tenant);
	if (at == NULL)
		return -1;
	at->level = r->level;
	at->after_s = r->after_s;
	return 0;
}

/* NULL: there are as many as may be, or it is no tenant's name. */
static struct keep_rule *
add_rule(struct keep *k, struct str tenant)
{
	struct keep_rule *r;

	if (k->n == KEEP_RULES_MAX || tenant.n > NAME_MAX_BYTES)
		return NULL;
	if (k->rules == NULL)
		k->rules = calloc(KEEP_RULES_MAX, sizeof(*k->rules));
	must(k->rules != NULL);
	r = &k->rules[k->n++];
	r->key = tenant_key(k, tenant);
	(void)str_copy(tenant, r->tenant, sizeof(r->tenant));
	return r;
}

static void
drop_rule(struct keep *k, struct keep_rule *r)
{
	*r = k->rules[--k->n];
	explicit_bzero(&k->rules[k->n], sizeof(k->rules[k->n]));
}

static struct hash
tenant_key(const struct keep *k, struct str tenant)
{
	own_buf struct buf text = {};

	buf_add_str(&text, STR("paddock-tenant-v1/"));
	buf_add_str(&text, tenant);
	must(!text.failed);
	return hash_hmac(key_text(&k->master), buf_str(&text));
}

static struct str
key_text(const struct hash *key)
{
	return (struct str){ (const char *)key->b, HASH_BYTES };
}

static int
master_read(struct keep *k, const char *dir, struct err *e)
{
	own_buf struct buf path = {}, text = {};
	int rc;

	buf_printf(&path, "%s/" TENANT_KEY_FILE, dir);
	if (access(buf_c(&path), F_OK) < 0)
		return errno == ENOENT ? 0
				       : err_sys(e, "open %s", buf_c(&path));
	if (file_read(buf_c(&path), &text, HASH_HEX_BYTES, e) < 0)
		return -1;
	rc = hash_from_hex(buf_str(&text), &k->master);
	explicit_bzero(text.p, text.n);
	if (rc < 0)
		return err_set(e, "%s holds no key: put it back from a copy",
		    buf_c(&path));
	k->has_master = true;
	return 0;
}

/* On disk, whole, before anything is kept by it. */
static int
master_make(struct keep *k, const char *dir, struct err *e)
{
	own_buf struct buf path = {}, fresh = {};
	own_fd int fd = -1, folder = -1;
	char hex[HASH_HEX_BYTES];
	int rc;

	buf_printf(&path, "%s/" TENANT_KEY_FILE, dir);
	buf_printf(&fresh, "%s/" TENANT_KEY_FILE NEW, dir);
	if (getrandom(k->master.b, HASH_BYTES, 0) != HASH_BYTES)
		return err_sys(e, "getrandom");
	hash_hex(&k->master, hex);
	/* A crash may have left part of one. */
	fd = open(buf_c(&fresh),
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", buf_c(&fresh));
	rc = fd_write_all(fd, hex, HASH_HEX_BYTES - 1, e);
	explicit_bzero(hex, sizeof(hex));
	if (rc < 0)
		return err_add(e, "%s", buf_c(&fresh));
	if (fsync(fd) < 0)
		return err_sys(e, "fsync %s", buf_c(&fresh));
	if (rename(buf_c(&fresh), buf_c(&path)) < 0)
		return err_sys(e, "rename %s", buf_c(&fresh));
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fsync(folder) < 0)
		return err_sys(e, "fsync %s", dir);
	k->has_master = true;
	return 0;
}
