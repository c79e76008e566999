#include "sample.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

static const struct {
	const char *name;
	unsigned permille;
} columns[] = {
	{ "min", 0 },
	{ "p50", 500 },
	{ "p90", 900 },
	{ "p99", 990 },
	{ "max", 1000 },
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static int by_value(const void *a, const void *b);

void
sample_fini(struct sample *s)
{
	free(s->ns);
	*s = (struct sample){};
}

void
sample_add(struct sample *s, int64_t ns)
{
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 1024;
		s->ns = realloc(s->ns, s->cap * sizeof(s->ns[0]));
		must(s->ns != NULL);
	}
	s->ns[s->n++] = ns;
}

double
sample_us(struct sample *s, unsigned permille)
{
	must(s->n > 0 && permille <= 1000);
	qsort(s->ns, s->n, sizeof(s->ns[0]), by_value);
	return (double)s->ns[(s->n - 1) * permille / 1000] / 1e3;
}

void
sample_json(struct sample *s, struct buf *b)
{
	buf_printf(b, "{\"n\":%zu", s->n);
	for (int i = 0; i < COLUMNS; i++)
		buf_printf(b, ",\"%s\":%.1f", columns[i].name,
		    sample_us(s, columns[i].permille));
	buf_add_byte(b, '}');
}

void
sample_head(void)
{
	printf("%-28s %8s", "microseconds", "n");
	for (int i = 0; i < COLUMNS; i++)
		printf(" %9s", columns[i].name);
	printf("\n");
}

void
sample_row(struct sample *s, const char *name)
{
	printf("%-28s %8zu", name, s->n);
	for (int i = 0; i < COLUMNS; i++)
		printf(" %9.1f", sample_us(s, columns[i].permille));
	printf("\n");
}

static int
by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}
