#include "core/suggest.h"

#include <string.h>

enum {
	WORD_BYTES = 64, /* longer words get no suggestion */
	LETTERS_PER_SLIP = 3, /* one slip is forgiven for so many letters */
	SLIPS_MAX = 3,
};

static uint32_t distance(struct str a, struct str b);
static char fold(char c);
static uint32_t least(uint32_t a, uint32_t b);

struct suggest
suggest_for(struct str word)
{
	uint32_t slips =
	    (uint32_t)(least((uint32_t)word.n, WORD_BYTES) / LETTERS_PER_SLIP);

	return (struct suggest){
		.word = word,
		.distance = least(slips > 0 ? slips : 1, SLIPS_MAX) + 1,
	};
}

void
suggest_try(struct suggest *s, struct str name)
{
	uint32_t d;

	if (s->word.n == 0 || s->word.n > WORD_BYTES || name.n > WORD_BYTES)
		return;
	d = distance(s->word, name);
	if (d < s->distance) {
		s->distance = d;
		s->best = name;
	}
}

/*
 * Letters to change, add, leave out, or swap with their neighbour: optimal
 * string alignment. Case, and '-' for '_', do not count.
 */
static uint32_t
distance(struct str a, struct str b)
{
	uint32_t row[3][WORD_BYTES + 1]; /* before last, last, this one */

	for (uint32_t j = 0; j <= b.n; j++)
		row[1][j] = j;
	for (uint32_t i = 1; i <= a.n; i++) {
		row[2][0] = i;
		for (uint32_t j = 1; j <= b.n; j++) {
			char x = fold(a.p[i - 1]), y = fold(b.p[j - 1]);
			uint32_t d = row[1][j - 1] + (x != y);

			d = least(d, row[1][j] + 1);
			d = least(d, row[2][j - 1] + 1);
			if (i > 1 && j > 1 && x == fold(b.p[j - 2]) &&
			    y == fold(a.p[i - 2]))
				d = least(d, row[0][j - 2] + 1);
			row[2][j] = d;
		}
		memcpy(row[0], row[1], sizeof(row[0]));
		memcpy(row[1], row[2], sizeof(row[0]));
	}
	return row[1][b.n];
}

static char
fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + ('a' - 'A'));
	return c == '-' ? '_' : c;
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}
