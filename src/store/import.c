/*
 * Bundles: the records of a run that another log signed, member by member,
 * with what is this log's in place of what was that one's.
 */
#include "store/import.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "core/id.h"
#include "store/blob.h"
#include "store/bundle.h"
#include "store/db.h"
#include "store/inside.h"

struct copying {
	struct import *im;
	struct store *from;
	const struct bundle *b;
	struct hash head; /* of its last record */
	uint64_t run; /* as it is called here */
	struct store_run row; /* its texts are in `memory` */
	struct arena memory, record;
	struct buf text, blob;
	bool args_kept, out_kept; /* what the record at hand refers to */
	bool failed;
	struct err *e;
};

static int copy_run(struct copying *c);
static bool on_row(void *arg, const struct store_run *r);
static struct str keep(struct copying *c, struct str s);
static bool on_record(void *arg, const struct store_row *row);
static int copy_record(struct copying *c, const struct store_row *row);
static int check_who(struct copying *c, const struct json *who);
static int put_record(struct copying *c, const struct event *ev,
    const struct json *record, uint64_t seq);
static int put_body(struct copying *c, const struct event *ev,
    const struct json *body, uint64_t seq);
static void put_whence(struct copying *c, const struct event *ev, uint64_t seq);
static void put_owner(
    struct copying *c, const struct json *o, struct str ref, bool kept);
static void put_lost(struct copying *c, const struct json *ref);
static void put_key(struct buf *out, uint32_t before, struct str name);
static const uint32_t *in_order(struct copying *c, const struct json *o);
static int copy_blob(struct copying *c, const struct json *ref, bool *kept);
static int copy_policies(struct copying *c);

int
import_bundle(
    struct import *im, int fd, const struct note_key *key, struct err *e)
{
	struct store_verdict v;
	struct bundle b;
	struct copying c = { .im = im, .b = &b, .e = e };
	struct err ignored;
	int rc = -1;

	c.from = bundle_open(fd, key, &b, &v, e);
	if (c.from == NULL)
		return -1;
	c.head = v.head;
	c.text.max = STORE_MAX_EVENT_BYTES;
	c.blob.max = STORE_MAX_EVENT_BYTES + HASH_BYTES;
	if (v.fault != STORE_SOUND)
		(void)err_set(e, "it is not sound: record %" PRIu64 ": %s: %s",
		    v.seq, store_fault_name(v.fault), v.text);
	else
		rc = copy_run(&c);
	arena_fini(&c.memory);
	arena_fini(&c.record);
	buf_fini(&c.text);
	buf_fini(&c.blob);
	(void)store_close(c.from, &ignored); /* memory only */
	return rc;
}

int
import_name(
    struct import *im, struct str identity, uint64_t *out, struct err *e)
{
	const struct str pieces[] = { STR("paddock-import-v1"), identity };
	struct hash h = hash_of_pieces(pieces, 2);
	own_stmt sqlite3_stmt *st = NULL;
	char id[ID_BYTES];
	int got;

	/* A name holds the low 60 bits; 0 is the daemon itself. */
	memcpy(out, h.b, sizeof(*out));
	*out &= (UINT64_C(1) << 60) - 1;
	id_text('r', *out, id);
	if (db_prepare(
		im->store->db, "SELECT 1 FROM run WHERE id = ?", &st, e) < 0)
		return -1;
	if (sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_err(im->store->db, e, "bind");
	got = db_step(st, e);
	if (got > 0 || *out == 0)
		return err_set(e,
		    "it is here already, as run %s: see paddock trace show %s",
		    id, id);
	return got;
}

int
import_refused(struct import *im, struct err *e)
{
	struct err why;

	if (store_check(im->store, &why) < 0) {
		*e = why;
		return -1;
	}
	return err_set(e, "the store takes no more: out of memory");
}

static int
copy_run(struct copying *c)
{
	own_buf struct buf identity = {}, key = {};
	char id[ID_BYTES], hex[HASH_HEX_BYTES];

	/* Which run of which log, up to which record: later ones make another.
	 */
	if (store_runs(c->from, c->b->run, false, 1, on_row, c, c->e) < 0)
		return -1;
	if (c->failed)
		return -1;
	id_text('r', c->b->run, id);
	note_key_write(&key, &c->b->key);
	hash_hex(&c->head, hex);
	buf_printf(&identity, "bundle %s %s %" PRIu64 " %s", buf_c(&key), id,
	    c->b->sums.records, hex);
	if (import_name(c->im, buf_str(&identity), &c->run, c->e) < 0 ||
	    copy_policies(c) < 0)
		return -1;
	c->row.id = c->run;
	c->row.mode = STR(IMPORT_MODE);
	c->row.status = STR(IMPORT_MODE);
	c->row.head = (struct hash){};
	if (store_events(c->from, c->b->run, 0, 0, on_record, c, c->e) < 0 ||
	    c->failed)
		return -1;
	/* An end it has in any case: no daemon may take it up again. */
	if (c->row.closed_ns <= 0)
		c->row.closed_ns = c->row.opened_ns > 0 ? c->row.opened_ns : 1;
	if (store_put_run(c->im->store, &c->row) < 0)
		return import_refused(c->im, c->e);
	c->im->runs++;
	c->im->last = c->run;
	if (c->im->on_run != NULL)
		c->im->on_run(c->im);
	return 0;
}

/* Of the row, which nothing proves, what the records do not say. */
static bool
on_row(void *arg, const struct store_run *r)
{
	struct copying *c = arg;
	const struct str texts[] = { r->tenant, r->actor, r->role, r->workflow,
		r->status, r->stop_reason, r->command };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].n > IMPORT_MAX_TEXT_BYTES)
			c->failed = true;
	if (c->failed) {
		(void)err_set(c->e,
		    "its row has a text of over %d bytes: no run of paddock "
		    "has",
		    IMPORT_MAX_TEXT_BYTES);
		return false;
	}
	c->row = *r;
	c->row.opened_ns = c->row.closed_ns = 0; /* the records say */
	c->row.tenant = keep(c, r->tenant);
	c->row.actor = keep(c, r->actor);
	c->row.role = keep(c, r->role);
	c->row.workflow = keep(c, r->workflow);
	c->row.stop_reason = keep(c, r->status); /* how it ended there */
	c->row.command = keep(c, r->command);
	return false;
}

static struct str
keep(struct copying *c, struct str s)
{
	char *p = arena_copy(&c->memory, s);

	if (p == NULL) {
		c->failed = true;
		(void)err_set(c->e, "out of memory");
		return STR("");
	}
	return (struct str){ p, s.n };
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct copying *c = arg;

	if (copy_record(c, row) < 0) {
		(void)err_add(c->e, "record %" PRIu64, row->seq);
		c->failed = true;
	}
	return !c->failed;
}

static int
copy_record(struct copying *c, const struct store_row *row)
{
	const struct json *j;
	uint64_t step = 0;
	struct event ev = { .run = c->run,
		.step = row->step,
		.t_ns = row->t_ns,
		.kind = row->kind,
		.tool = row->tool,
		.ms = -1 };

	arena_reset(&c->record);
	j = json_parse(row->body, NULL, &c->record, c->e, NULL);
	if (j == NULL)
		return -1;
	if (json_at(j, "body", "imported", NULL) != NULL)
		return err_set(c->e,
		    "its run was imported where the bundle was written: "
		    "import what that was made from");
	if (row->kind == EVENT_RUN_OPENED) {
		if (check_who(c, json_get(j, STR("who"))) < 0)
			return -1;
		c->row.opened_ns = row->t_ns;
	}
	if (row->kind == EVENT_RUN_CLOSED)
		c->row.closed_ns = row->t_ns;
	if (json_u64(json_get(j, STR("step")), &step) < 0 || step != row->step)
		return err_set(c->e, "its step is none that a run has");
	if (copy_blob(c, json_at(j, "tool", "args", NULL), &c->args_kept) < 0 ||
	    copy_blob(c, json_at(j, "res", "out", NULL), &c->out_kept) < 0)
		return -1;
	if (store_next(c->im->store, &ev) < 0)
		return import_refused(c->im, c->e);
	if (put_record(c, &ev, j, row->seq) < 0)
		return -1;
	if (store_append_bytes(c->im->store, &ev, buf_str(&c->text)) < 0)
		return import_refused(c->im, c->e);
	c->im->records++;
	c->im->calls += row->kind == EVENT_TOOL_PROPOSED;
	return 0;
}

/* Lists and selections go by the row: it may not say another than the log. */
static int
check_who(struct copying *c, const struct json *who)
{
	const struct {
		const char *name;
		struct str value;
	} told[] = {
		{ "actor", c->row.actor },
		{ "role", c->row.role },
		{ "tenant", c->row.tenant },
		{ "workflow", c->row.workflow },
	};

	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (!str_eq(json_str(json_get(who, str_of(told[i].name))),
			told[i].value))
			return err_set(c->e,
			    "its %s is not the one that the bundle's head has",
			    told[i].name);
	return 0;
}

/* The members as they were, but for body, run, seq and sum. */
static int
put_record(struct copying *c, const struct event *ev, const struct json *record,
    uint64_t seq)
{
	const uint32_t *order = in_order(c, record);
	struct buf *out = &c->text;
	char id[ID_BYTES], hex[HASH_HEX_BYTES];

	if (order == NULL)
		return -1;
	buf_reset(out);
	id_text('r', ev->run, id);
	for (uint32_t i = 0; i < record->n; i++) {
		const struct json *key = record + order[i];
		const struct json *value = json_value(key);
		struct str name = json_str(key);

		put_key(out, i, name);
		if (str_eq(name, STR("body"))) {
			if (put_body(c, ev, value, seq) < 0)
				return -1;
		} else if (str_eq(name, STR("run"))) {
			buf_printf(out, "\"%s\"", id);
		} else if (str_eq(name, STR("seq"))) {
			buf_add_u64(out, ev->seq);
		} else if (str_eq(name, STR("sum"))) {
			hash_hex(&ev->sum, hex);
			buf_printf(out, "{\"h\":\"%s\",\"n\":%" PRIu64 "}", hex,
			    ev->sum_n);
		} else if (str_eq(name, STR("res"))) {
			put_owner(c, value, STR("out"), c->out_kept);
		} else if (str_eq(name, STR("tool"))) {
			put_owner(c, value, STR("args"), c->args_kept);
		} else {
			json_write(out, value);
		}
	}
	buf_add_byte(out, '}');
	return out->failed
	    ? err_set(c->e, "it is too long with where it is from")
	    : 0;
}

/* Keys in order, and where the record is from among them. */
static int
put_body(struct copying *c, const struct event *ev, const struct json *body,
    uint64_t seq)
{
	const struct str name = STR("imported");
	const uint32_t *order = in_order(c, body);
	struct buf *out = &c->text;
	uint32_t put = 0;
	bool told = false;

	if (order == NULL)
		return -1;
	for (uint32_t i = 0; i <= body->n; i++) {
		const struct json *key = i < body->n ? body + order[i] : NULL;

		if (!told &&
		    (key == NULL || str_cmp(json_str(key), name) > 0)) {
			put_key(out, put++, name);
			put_whence(c, ev, seq);
			told = true;
		}
		if (key == NULL)
			break;
		put_key(out, put++, json_str(key));
		json_write(out, json_value(key));
	}
	buf_add_byte(out, '}');
	return 0;
}

static void
put_whence(struct copying *c, const struct event *ev, uint64_t seq)
{
	own_buf struct buf key = {};
	struct buf *out = &c->text;
	char id[ID_BYTES], hex[HASH_HEX_BYTES];

	if (ev->kind != EVENT_RUN_OPENED) {
		buf_printf(out, "{\"seq\":%" PRIu64 "}", seq);
		return;
	}
	id_text('r', c->b->run, id);
	hash_hex(&c->b->digest, hex);
	note_key_write(&key, &c->b->key);
	buf_printf(out, "{\"digest\":\"%s\",\"from\":\"bundle\",\"key\":", hex);
	json_put_str(out, buf_str(&key));
	buf_add_c(out, ",\"log\":");
	json_put_str(out, str_of(c->b->key.name));
	buf_printf(out,
	    ",\"run\":\"%s\",\"seq\":%" PRIu64 ",\"size\":%" PRIu64 "}", id,
	    seq, c->b->size);
}

/* `res` or `tool`, with the reference that it may have. */
static void
put_owner(struct copying *c, const struct json *o, struct str ref, bool kept)
{
	const uint32_t *order;
	struct buf *out = &c->text;

	if (!json_is(json_get(o, ref), JSON_OBJECT) || kept) {
		json_write(out, o);
		return;
	}
	order = in_order(c, o);
	if (order == NULL) {
		out->failed = true;
		return;
	}
	for (uint32_t i = 0; i < o->n; i++) {
		struct str name = json_str(o + order[i]);
		const struct json *value = json_value(o + order[i]);

		put_key(out, i, name);
		if (str_eq(name, ref))
			put_lost(c, value);
		else
			json_write(out, value);
	}
	buf_add_byte(out, '}');
}

/* A reference to what the other log no longer had: only its hash is kept. */
static void
put_lost(struct copying *c, const struct json *ref)
{
	const uint32_t *order = in_order(c, ref);
	struct buf *out = &c->text;

	if (order == NULL) {
		out->failed = true;
		return;
	}
	for (uint32_t i = 0; i < ref->n; i++) {
		struct str name = json_str(ref + order[i]);

		put_key(out, i, name);
		if (str_eq(name, STR("kept")))
			json_put_str(out, STR("hash"));
		else
			json_write(out, json_value(ref + order[i]));
	}
	buf_add_byte(out, '}');
}

static void
put_key(struct buf *out, uint32_t before, struct str name)
{
	buf_add_byte(out, before == 0 ? '{' : ',');
	json_put_str(out, name);
	buf_add_byte(out, ':');
}

/* The keys of an object in their order. NULL with e. */
static const uint32_t *
in_order(struct copying *c, const struct json *o)
{
	uint32_t *order;

	if (!json_is(o, JSON_OBJECT)) {
		(void)err_set(c->e, "it is not a record of paddock's");
		return NULL;
	}
	order = arena_alloc(&c->record, o->n * sizeof(*order));
	if (order == NULL)
		(void)err_set(c->e, "out of memory");
	else
		json_sort(o, order);
	return order;
}

/* *kept: it is in the bundle, and in this store from now on. */
static int
copy_blob(struct copying *c, const struct json *ref, bool *kept)
{
	own_stmt sqlite3_stmt *st = NULL;
	struct hash h;
	int got;

	*kept = true; /* or there is nothing to be kept */
	if (ref == NULL ||
	    str_eq(json_str(json_get(ref, STR("kept"))), STR("hash")))
		return 0;
	if (hash_from_hex(json_str(json_get(ref, STR("h"))), &h) < 0)
		return err_set(c->e, "it refers to what has no hash");
	buf_reset(&c->blob);
	if (blob_prepare(c->from->reader, &st, c->e) < 0)
		return -1;
	got = blob_find(st, &h, &c->blob, c->e);
	if (got < 0)
		return -1;
	*kept = got > 0;
	if ((got == BLOB_FOUND &&
		store_put_blob(c->im->store, &h, buf_str(&c->blob)) < 0) ||
	    (got == BLOB_FOUND_SALTED &&
		store_put_salted(c->im->store, &h, buf_str(&c->blob)) < 0))
		return import_refused(c->im, c->e);
	return 0;
}

static int
copy_policies(struct copying *c)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(c->from->reader, "SELECT version, body FROM policy", &st,
		c->e) < 0)
		return -1;
	while ((got = db_step(st, c->e)) > 0) {
		struct hash h;

		if (db_hash(st, 0, &h) < 0)
			return err_set(c->e, "a policy has no version");
		if (store_put_policy(c->im->store, &h, db_str(st, 1)) < 0)
			return import_refused(c->im, c->e);
	}
	return got;
}
