/*
 * cli/trace_formats.h: a run for programs that know nothing of paddock.
 *
 * jsonl  the run's row, then a line for each record as it is stored, with what
 *        it refers to beside it
 * otlp   OTLP/JSON, one request of the OpenTelemetry protocol: the run is a
 *        trace, a call a span below it, with the decision below that
 *        (semantic conventions for generative AI, pinned: TRACE_SEMCONV)
 *
 * Neither proves itself, as a bundle does; and
 *
 * in-toto  a statement about a bundle, signed by the log's key (DSSE)
 */
#ifndef CLI_TRACE_FORMATS_H
#define CLI_TRACE_FORMATS_H

#include "cli/trace_cmd.h"

/* All of these conventions are in development: names change between versions.
 * opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans */
#define TRACE_SEMCONV "https://opentelemetry.io/schemas/1.41.0"

struct trace_written {
	uint64_t records, bytes;
	bool open; /* the run may go on */
};

/* content: what was asked and answered goes along. 0, or -1 with e. */
int trace_jsonl(struct trace *t, uint64_t run, int fd,
    struct trace_written *out, struct err *e);
int trace_otlp(struct trace *t, uint64_t run, bool content, int fd,
    struct trace_written *out, struct err *e);
/* t is a bundle's, and --state the log's that signed it. */
int trace_intoto(
    struct trace *t, int fd, struct trace_written *out, struct err *e);

/* Does a file look like one, rather than like a bundle? */
bool trace_is_statement(const char *name);
/*
 * Checks a statement and, if file is not NULL, that it is that bundle's, which
 * is checked too. An exit status, or -1 with e.
 */
int trace_statement_verify(
    struct trace *t, const char *name, const char *file, struct err *e);

#endif
