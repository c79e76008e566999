/*
 * sample.h: durations, and what the programs that measure say of them.
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* All zero is ready for use. */
struct sample {
	int64_t *ns;
	size_t n, cap;
};

#define own_sample __attribute__((cleanup(sample_fini)))

void sample_fini(struct sample *s);
void sample_add(struct sample *s, int64_t ns);
/* The value that permille of all are not above. Sorts. s is not empty. */
double sample_us(struct sample *s, unsigned permille);
/* {"n":...,"min":...,"p50":...,"p90":...,"p99":...,"max":...}, microseconds. */
void sample_json(struct sample *s, struct buf *b);
/* A row of a table, and the row above all. */
void sample_head(void);
void sample_row(struct sample *s, const char *name);

#endif
