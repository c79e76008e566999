#include "store/sums.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/id.h"
#include "store/db.h"

enum { PLACES_FIRST = 64 };

static size_t home(const struct sums *s, uint64_t run);
static struct sum *look(struct sums *s, uint64_t run);
static bool grow(struct sums *s);

void
sums_fini(struct sums *s)
{
	free(s->place);
	*s = (struct sums){};
}

void
sum_add(struct sum *s, const struct hash *record)
{
	static const char mark = 0x02;
	const struct str pieces[] = { { &mark, 1 },
		{ (const char *)s->h.b, HASH_BYTES },
		{ (const char *)record->b, HASH_BYTES } };

	s->h = hash_of_pieces(pieces, 3);
	s->n++;
}

int
sums_load(struct sums *s, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(db, "SELECT id FROM run WHERE head IS NULL", &st, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		uint64_t run = db_id(st, 0, 'r');
		struct sum *at = run != 0 ? sums_new(s, run) : NULL;

		if (run == 0)
			return err_set(e, "a run's row has no name");
		if (at == NULL)
			return err_set(e, "out of memory");
		if (sum_read(db, run, INT64_MAX, at, e) < 0)
			return -1;
	}
	return got;
}

struct sum *
sums_find(struct sums *s, uint64_t run)
{
	struct sum *at = s->places > 0 ? look(s, run) : NULL;

	return at != NULL && at->run == run && run != 0 ? at : NULL;
}

struct sum *
sums_new(struct sums *s, uint64_t run)
{
	struct sum *at;

	must(run != 0);
	if (s->used >= s->places / 2 && !grow(s))
		return NULL;
	at = look(s, run);
	s->used += at->run == 0;
	*at = (struct sum){ .run = run };
	return at;
}

void
sums_drop(struct sums *s, uint64_t run)
{
	struct sum *at = sums_find(s, run);
	size_t hole, i;

	if (at == NULL)
		return;
	s->used--;
	hole = (size_t)(at - s->place);
	/* What was pushed on by the hole moves up, so that none is lost. */
	for (i = (hole + 1) % s->places; s->place[i].run != 0;
	     i = (i + 1) % s->places) {
		size_t want = home(s, s->place[i].run);

		if ((i - want) % s->places < (i - hole) % s->places)
			continue;
		s->place[hole] = s->place[i];
		hole = i;
	}
	s->place[hole] = (struct sum){};
}

int
sum_read(
    sqlite3 *db, uint64_t run, uint64_t before, struct sum *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	char id[ID_BYTES];
	int got;

	*out = (struct sum){ .run = run };
	id_text('r', run, id);
	if (db_prepare(db,
		"SELECT hash FROM event WHERE run = ? AND seq < ?"
		" ORDER BY seq",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 2, (int64_t)before) != SQLITE_OK)
		return db_err(db, e, "bind");
	while ((got = db_step(st, e)) > 0) {
		struct hash h;

		if (db_hash(st, 0, &h) < 0)
			return err_set(e, "a record's hash is gone");
		sum_add(out, &h);
	}
	return got;
}

/* Runs' numbers are random: their low bits are as good as a hash. */
static size_t
home(const struct sums *s, uint64_t run)
{
	return (size_t)run & (s->places - 1);
}

/* The place of a run, or the empty one where it would be. */
static struct sum *
look(struct sums *s, uint64_t run)
{
	size_t i = home(s, run);

	while (s->place[i].run != 0 && s->place[i].run != run)
		i = (i + 1) & (s->places - 1);
	return &s->place[i];
}

static bool
grow(struct sums *s)
{
	struct sums more = {
		.places = s->places > 0 ? 2 * s->places : PLACES_FIRST,
		.used = s->used,
	};

	more.place = calloc(more.places, sizeof(more.place[0]));
	if (more.place == NULL)
		return false;
	for (size_t i = 0; i < s->places; i++)
		if (s->place[i].run != 0)
			*look(&more, s->place[i].run) = s->place[i];
	free(s->place);
	*s = more;
	return true;
}
