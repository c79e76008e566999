#include "broker/snap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/fork.h"
#include "broker/moment.h"
#include "broker/record.h"
#include "broker/who.h"
#include "codec/json.h"
#include "core/id.h"
#include "sys/fd.h"

/* What the record of a snapshot says about it. */
struct on_record {
	const struct snap *snap;
	struct hash doc;
	bool found;
};

static struct snap *snaps; /* the newest first */
static uint32_t n_snaps;

static bool on_row(void *arg, uint64_t id, struct str body);
static bool doc_read(struct snap *s);
static void snap_free(struct snap *s);
static void taken(
    struct run *r, const struct msg_snapshot_told *m, struct str list);
static void held(struct run *r, const struct msg_snapshot_told *m, int world);
static const char *user_of(uint64_t id);
static bool on_step_row(void *arg, const struct store_row *row);

int
snap_load(struct err *e)
{
	return store_snapshots(broker.store, on_row, NULL, e);
}

static bool
on_row(void *arg, uint64_t id, struct str body)
{
	struct snap *s = calloc(1, sizeof(*s));

	(void)arg;
	must(s != NULL);
	s->id = id;
	buf_add_str(&s->doc, body);
	if (!doc_read(s)) {
		/* Its files stay: who mends the row finds them. */
		s->n_layers = 1;
		s->layer[0] = id;
	}
	s->next = snaps;
	snaps = s;
	n_snaps++;
	return n_snaps < SNAPSHOTS_MAX;
}

/* False when the document is none. */
static bool
doc_read(struct snap *s)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc =
	    json_parse(buf_str(&s->doc), NULL, &a, &e, NULL);
	const struct json *layers = json_get(doc, STR("layers"));
	uint64_t step = 0;

	if (id_parse('r', json_str(json_get(doc, STR("run"))), &s->run) < 0 ||
	    json_u64(json_get(doc, STR("step")), &step) < 0 ||
	    !json_is(layers, JSON_ARRAY) || layers->n == 0 ||
	    layers->n > SNAPSHOT_LAYERS_MAX)
		return false;
	s->step = (uint32_t)step;
	for (const struct json *x = json_first(layers); x != NULL;
	     x = json_next(layers, x)) {
		if (id_parse('s', json_str(x), &s->layer[s->n_layers++]) < 0)
			return false;
	}
	return s->layer[0] == s->id;
}

static void
snap_free(struct snap *s)
{
	struct snap **at = &snaps;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	n_snaps--;
	buf_fini(&s->doc);
	free(s);
}

void
snap_keep(void)
{
	const struct msg_snapshot_ask m = { .what = SNAPSHOT_KEEP };
	own_buf struct buf ids = {};

	for (const struct snap *s = snaps; s != NULL; s = s->next)
		buf_add(&ids, &s->id, sizeof(s->id));
	for (const struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->snapping != 0)
			buf_add(&ids, &r->snapping, sizeof(r->snapping));
	}
	(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &m, buf_str(&ids),
	    NULL, 0); /* its loss ends us */
}

void
snap_take(const struct caller *who, uint64_t call, uint64_t run)
{
	struct run *r = run_find(run);
	struct msg_snapshot_ask m = {
		.run = run, .call = call, .what = SNAPSHOT_TAKE
	};

	(void)who;
	if (r == NULL || r->state != RUN_OPEN ||
	    (!r->sandbox_sent && !r->has_world)) {
		reply_error(call, 409, "not_open",
		    r == NULL || r->state != RUN_OPEN
			? "No such run is open."
			: "The run has neither a sandbox nor a world: there "
			  "is nothing to keep.",
		    "A snapshot is taken of a run with a sandbox or a world "
		    "while it is open: `paddock ps`.");
		return;
	}
	if (r->box.asked || r->snapping != 0) {
		reply_error(call, 409, "busy",
		    "The sandbox is being paused, resumed or kept.",
		    "Ask again in a moment.");
		return;
	}
	if (n_snaps >= SNAPSHOTS_MAX ||
	    (r->fork != NULL && r->fork->n_layers + 1 > SNAPSHOT_LAYERS_MAX)) {
		reply_error(call, 409, "too_many_snapshots",
		    n_snaps >= SNAPSHOTS_MAX
			? "As many snapshots are kept as one node takes."
			: "The run is a fork of a fork of a fork: no more "
			  "layers fit below each other.",
		    "Remove some with `paddock snapshot rm`, or begin from a "
		    "run that is no fork.");
		return;
	}
	m.id = r->snapping = random_id();
	m.flags = (r->has_world ? SNAPSHOT_HAS_WORLD : 0) |
	    (r->sandbox_sent ? 0 : SNAPSHOT_NO_FILES);
	moment_free(r->moment);
	r->moment = NULL;
	/* Nobody pauses or resumes it meanwhile. */
	r->box.asked = true;
	(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &m, STR(""), NULL,
	    0); /* its loss ends us */
}

void
on_snapshot_told(const struct msg_snapshot_told *m, const struct frame *f)
{
	struct run *r = run_find(m->run);
	const struct msg_snapshot_ask drop = { .id = m->id,
		.what = SNAPSHOT_DROP };
	own_buf struct buf why = {}, list = { .max = SNAPSHOT_LIST_BYTES };
	struct err e = {};

	if (m->what == SNAPSHOT_CHECK) {
		fork_checked(m, f);
		return;
	}
	if (m->what == SNAPSHOT_HELD) {
		if (r != NULL && r->snapping == m->id)
			held(r, m, f->n_fds == 1 ? f->fds[0] : -1);
		return;
	}
	if (r != NULL && r->snapping == m->id) {
		r->snapping = 0;
		r->box.asked = false;
	}
	buf_add_str(&why, f->payload);
	if (m->ok && r != NULL && r->state == RUN_OPEN && r->moment != NULL &&
	    f->n_fds == 1 &&
	    fd_read_all(f->fds[0], &list, SNAPSHOT_LIST_BYTES, &e) == 0) {
		taken(r, m, buf_str(&list));
		return;
	}
	/* Whatever there is of it: nobody will ask for it. */
	(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &drop, STR(""),
	    NULL, 0); /* its loss ends us */
	if (!m->ok)
		reply_error(m->call, 409, "not_possible", buf_c(&why),
		    "`paddock doctor` says what this machine gives.");
	else
		reply_error(m->call, 409, "not_open", "The run has ended.",
		    "A snapshot is taken while a run is open.");
}

/* All stands still: what a world was asked before this is answered first. */
static void
held(struct run *r, const struct msg_snapshot_told *m, int world)
{
	const struct msg_world_save save = {
		.run = r->id, .snapshot = m->id, .now_ns = clock_utc_ns()
	};
	const struct msg_snapshot_ask none = {
		.run = r->id, .id = m->id, .what = SNAPSHOT_WORLD
	};

	if (world < 0 && r->moment == NULL)
		r->moment = moment_new(r);
	else if (world >= 0 &&
	    peer_send(
		&broker.world, MSG_WORLD_SAVE, &save, STR(""), &world, 1) < 0)
		(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &none,
		    STR("the world is gone"), NULL, 0); /* its loss ends us */
}

void
on_world_saved(const struct msg_world_saved *m, struct str why)
{
	struct run *r = run_find(m->run);
	const struct msg_snapshot_ask go = {
		.run = m->run, .id = m->snapshot, .what = SNAPSHOT_WORLD
	};

	if (r == NULL || r->snapping != m->snapshot)
		return;
	if (m->ok && r->moment == NULL)
		r->moment = moment_new(r);
	(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &go,
	    m->ok ? STR("") : why, NULL, 0); /* its loss ends us */
}

/* The answer waits for the record: what is not on disk did not happen. */
static void
taken(struct run *r, const struct msg_snapshot_told *m, struct str list)
{
	struct snap *s = calloc(1, sizeof(*s));
	struct event ev = record_of(r, EVENT_SNAPSHOT_TAKEN);
	const struct hash h = hash_of(list.p, list.n);
	own_buf struct buf body = {};
	char id[ID_BYTES];

	must(s != NULL);
	id_text('s', m->id, id);
	s->id = m->id;
	s->call = m->call;
	moment_write(&s->doc, r->moment, r, m, &h);
	must(doc_read(s));
	buf_printf(&body,
	    "{\"bytes\":%llu,\"entries\":%llu,\"left_out\":%llu,"
	    "\"pause_us\":%llu,\"snapshot\":\"%s\"}",
	    (unsigned long long)m->bytes, (unsigned long long)m->entries,
	    (unsigned long long)m->left_out,
	    (unsigned long long)(m->pause_ns / 1000), id);
	ev.step = s->step;
	ev.body = buf_str(&body);
	ev.args.bytes = list;
	ev.out.bytes = buf_str(&s->doc);
	if (store_put_snapshot(broker.store, m->id, buf_str(&s->doc)) == 0)
		s->seq = record_add(&ev);
	s->next = snaps;
	snaps = s;
	n_snaps++;
	if (s->seq == 0) {
		const struct msg_snapshot_ask drop = { .id = m->id,
			.what = SNAPSHOT_DROP };

		(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &drop,
		    STR(""), NULL, 0); /* its loss ends us */
		reply_error(m->call, 503, "store_failed",
		    "The store takes no more records.",
		    "Look at the daemon's log; the disk may be full.");
		snap_free(s);
		return;
	}
	store_hurry(broker.store);
}

void
snap_durable(uint64_t seq)
{
	for (struct snap *s = snaps; s != NULL; s = s->next) {
		if (s->seq == 0 || s->seq > seq)
			continue;
		s->seq = 0;
		reply(s->call, REPLY_OK, 201, buf_str(&s->doc));
	}
}

void
snap_list(uint64_t call, uint64_t run)
{
	own_buf struct buf out = {};
	const struct snap *order[64];
	size_t n = 0;

	/* The newest of them: as many as a person reads. */
	for (const struct snap *s = snaps; s != NULL; s = s->next) {
		if (s->run == run && s->seq == 0 &&
		    n < sizeof(order) / sizeof(order[0]))
			order[n++] = s;
	}
	buf_add_c(&out, "{\"snapshots\":[");
	while (n-- > 0) {
		buf_add_str(&out, buf_str(&order[n]->doc));
		if (n > 0)
			buf_add_byte(&out, ',');
	}
	buf_add_c(&out, "]}");
	reply(call, REPLY_OK, 200, buf_str(&out));
}

void
snap_remove(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args)
{
	const struct msg_snapshot_ask drop = { .what = SNAPSHOT_DROP };
	struct msg_snapshot_ask m = drop;
	own_buf struct buf body = {};
	struct event ev = {
		.run = run,
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};
	struct str name = json_str(json_get(args, STR("snapshot")));
	struct snap *s = NULL;
	const char *user;
	uint64_t id;

	if (id_parse('s', name, &id) == 0)
		for (s = snaps; s != NULL; s = s->next)
			if (s->id == id && s->run == run && s->seq == 0)
				break;
	if (s == NULL) {
		reply_error(call, 404, "unknown_snapshot",
		    "The run has no such snapshot.",
		    "List them with `paddock snapshot ls RUN`.");
		return;
	}
	user = user_of(id);
	if (user != NULL) {
		buf_printf(&body, "%s is made of it.", user);
		reply_error(call, 409, "in_use", buf_c(&body),
		    "Remove snapshots of forks, and stop forks, first.");
		return;
	}
	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, str_of(who->name));
	buf_add_c(&body, ",\"note\":\"snapshot_removed\",\"why\":");
	json_put_str(&body, name);
	buf_add_byte(&body, '}');
	/* A record behind the end of its run would be out of order. */
	if (run_find(run) == NULL)
		ev.run = 0;
	ev.body = buf_str(&body);
	if (store_put_snapshot(broker.store, id, STR("")) < 0 ||
	    store_append(broker.store, &ev) == 0) {
		reply_error(call, 503, "store_failed",
		    "The store takes no more records.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	m.id = id;
	(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &m, STR(""), NULL,
	    0); /* its loss ends us */
	snap_free(s);
	reply(call, REPLY_OK, 200, STR("{\"removed\":true}"));
}

/* Who needs its files: an open fork, or another snapshot. NULL: nobody. */
static const char *
user_of(uint64_t id)
{
	static char text[ID_BYTES];

	for (const struct run *r = broker.runs; r != NULL; r = r->next) {
		for (uint32_t i = 0; r->fork != NULL &&
		     r->state != RUN_CLOSED && i < r->fork->n_layers;
		     i++) {
			if (r->fork->layer[i] == id)
				return r->text;
		}
	}
	for (const struct snap *s = snaps; s != NULL; s = s->next) {
		for (uint32_t i = 0; s->id != id && i < s->n_layers; i++) {
			if (s->layer[i] == id) {
				id_text('s', s->id, text);
				return text;
			}
		}
	}
	return NULL;
}

void
snap_gc(uint64_t call)
{
	own_buf struct buf out = {};

	snap_keep();
	buf_printf(&out, "{\"kept\":%u}", n_snaps);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

const struct snap *
snap_find(uint64_t id)
{
	for (const struct snap *s = snaps; s != NULL; s = s->next) {
		if (s->id == id && s->seq == 0)
			return s;
	}
	return NULL;
}

const struct snap *
snap_at(uint64_t run, uint32_t step)
{
	/* The newest comes first, and steps only grow. */
	const struct snap *best = NULL;

	for (const struct snap *s = snaps; s != NULL; s = s->next) {
		if (s->run == run && s->seq == 0 && s->step <= step &&
		    (best == NULL || s->step > best->step))
			best = s;
	}
	return best;
}

bool
snap_is_pending(uint64_t run)
{
	for (const struct snap *s = snaps; s != NULL; s = s->next) {
		if (s->run == run && s->seq != 0)
			return true;
	}
	return false;
}

int
snap_list_fd(const struct snap *s, struct err *e)
{
	own_arena struct arena a = {};
	own_buf struct buf list = { .max = SNAPSHOT_LIST_BYTES };
	struct on_record got = { .snap = s };
	const struct hash doc = hash_of(s->doc.p, s->doc.n);
	const struct json *j = json_parse(buf_str(&s->doc), NULL, &a, e, NULL);
	struct hash want, have;

	if (store_step(broker.store, s->run, s->step, on_step_row, &got, e) < 0)
		return -1;
	if (!got.found || !hash_eq(&got.doc, &doc) ||
	    hash_from_hex(json_str(json_get(j, STR("list"))), &want) < 0)
		return err_set(e,
		    "what is kept of it is not what its record says: see "
		    "`paddock trace verify`");
	if (store_blob(broker.store, &want, &list, e) < 0)
		return -1;
	have = hash_of(list.p, list.n);
	if (!hash_eq(&want, &have))
		return err_set(e,
		    "the list of its files is not what its record says: see "
		    "`paddock trace verify`");
	return fd_sealed(list.p, list.n, e);
}

static bool
on_step_row(void *arg, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct on_record *got = arg;
	struct err e = {};
	const struct json *doc;
	uint64_t id;

	if (row->kind != EVENT_SNAPSHOT_TAKEN)
		return true;
	doc = json_parse(row->body, NULL, &a, &e, NULL);
	if (id_parse('s', json_str(json_at(doc, "body", "snapshot", NULL)),
		&id) < 0 ||
	    id != got->snap->id)
		return true;
	got->found =
	    hash_from_hex(json_str(json_at(doc, "res", "out", "h", NULL)),
		&got->doc) == 0;
	return false;
}
