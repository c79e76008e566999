#include "proxy/spotted.h"

#include <string.h>

#include "codec/json.h"

static void note(struct spotted *s, uint32_t found, const char *place);
static void note_one(struct spotted *s, enum pattern k, const char *place);

void
spotted_feed(struct spotted *s, struct str bytes, const char *place)
{
	note(s, patterns_feed(&s->stream, bytes), place);
}

void
spotted_end(struct spotted *s, const char *place)
{
	note(s, patterns_end(&s->stream), place);
}

void
spotted_write(const struct spotted *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->n; i++) {
		buf_add_c(
		    out, i == 0 ? ",\"patterns\":[{\"name\":" : ",{\"name\":");
		json_put_str(out, str_of(pattern_name(s->at[i].pattern)));
		buf_add_c(out, ",\"place\":");
		json_put_str(out, str_of(s->at[i].place));
		buf_add_byte(out, '}');
	}
	if (s->n > 0)
		buf_add_byte(out, ']');
}

static void
note(struct spotted *s, uint32_t found, const char *place)
{
	struct patterns p = {};
	char kind[FILTER_PLACE_BYTES];
	uint32_t in_place;

	if (found == 0)
		return;
	/* The sandbox chooses the names of fields. */
	in_place = patterns_feed(&p, str_of(place));
	in_place |= patterns_end(&p);
	if (in_place != 0) {
		size_t n = str_find(str_of(place), ' ');

		(void)str_copy((struct str){ place, n }, kind, sizeof(kind));
		place = kind;
	}
	for (enum pattern k = 0; k < PATTERNS; k++) {
		if ((found >> k & 1) != 0)
			note_one(s, k, place);
	}
}

static void
note_one(struct spotted *s, enum pattern k, const char *place)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->at[i].pattern == k && strcmp(s->at[i].place, place) == 0)
			return;
	}
	if (s->n == SPOTTED_MAX)
		return;
	s->at[s->n].pattern = k;
	(void)str_copy(str_of(place), s->at[s->n].place, FILTER_PLACE_BYTES);
	s->n++;
}
