#include "supervisor/cell_tell.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"

static void on_denied(struct loop_watch *w, uint32_t events);
static void on_audit(struct loop_watch *w, uint32_t events);
static void on_refused(struct loop_watch *w, uint32_t events);
static void tell_refused(struct cell *cell);
static void say_denied(const struct cell *cell,
    const struct msg_sandbox_denied *m, const char *comm, const char *call,
    const char *about, const char *rule);

int
cell_watch_denied(struct cell *cell, struct err *e)
{
	struct explain *x = malloc(sizeof(*x));

	if (x == NULL)
		return err_set(e, "out of memory");
	if (explain_init(x, false, e) < 0) {
		free(x);
		return -1;
	}
	x->as = cell->sb.uid;
	cell->denied = (struct loop_watch){
		.fd = cell->sb.notify,
		.events = EPOLLIN,
		.on_ready = on_denied,
	};
	if (loop_add(cell->of->loop, &cell->denied, e) < 0) {
		free(x);
		return -1;
	}
	cell->explain = x; /* listened for from here on */
	cells_watch_audit(cell->of);
	return 0;
}

void
cells_watch_audit(struct cells *c)
{
	struct err e = {};

	if (c->records < 0 || c->reader.pid > 0)
		return;
	if (audit_reader_start(&c->reader, c->host->binary_fd, c->records, &e) <
	    0) {
		log_warn("Landlock's denials are not told why=\"%s\"", e.text);
		return;
	}
	c->audit = (struct loop_watch){
		.fd = c->reader.fd,
		.events = EPOLLIN,
		.on_ready = on_audit,
	};
	if (loop_add(c->loop, &c->audit, &e) < 0)
		audit_reader_end(&c->reader);
}

void
cells_unwatch_audit(struct cells *c)
{
	if (c->reader.pid <= 0)
		return;
	(void)loop_remove(c->loop, &c->audit);
	audit_reader_end(&c->reader);
}

int
cell_watch_refused(struct cell *cell, struct err *e)
{
	cell->refused = (struct loop_watch){
		.fd = cell->sb.control,
		.events = EPOLLIN,
		.on_ready = on_refused,
	};
	if (loop_add(cell->of->loop, &cell->refused, e) < 0)
		return -1;
	cell->judged = true;
	return 0;
}

void
cell_unwatch_refused(struct cell *cell)
{
	if (!cell->judged)
		return;
	tell_refused(cell);
	(void)loop_remove(cell->of->loop, &cell->refused);
	cell->judged = false;
}

void
cell_tell_left_out(struct giveback *w, enum commit_why why, const char *path)
{
	struct cell *cell = LOOP_OF(w, struct cell, giveback);
	uint32_t wall = DENIED_PROTECTED;

	switch (why) {
	case COMMIT_PROTECTED:
		break;
	case COMMIT_FLAGGED:
		wall = DENIED_FLAGGED;
		break;
	case COMMIT_SPECIAL:
		wall = DENIED_SPECIAL;
		break;
	case COMMIT_UNREADABLE:
		wall = DENIED_UNREADABLE;
		break;
	}
	if (why != COMMIT_FLAGGED)
		cell->ended.left_out++;
	if (cell->ended.left_out <= COMMIT_TOLD_MAX)
		say_denied(cell, &(struct msg_sandbox_denied){ .wall = wall },
		    "", "", path, "");
}

void
cell_tell_not_written(struct cell *cell, const char *why)
{
	const struct msg_sandbox_denied m = { .wall = DENIED_WRITE_BACK };

	cell->ended.left_out++;
	say_denied(cell, &m, "", "", why, "");
}

void
cell_tell_planted(struct giveback *w, const char *path)
{
	struct cell *cell = LOOP_OF(w, struct cell, giveback);
	const struct msg_sandbox_denied m = { .wall = DENIED_PLANTED };

	if (++cell->ended.planted <= COMMIT_TOLD_MAX)
		say_denied(cell, &m, "", "", path, "");
}

static void
on_denied(struct loop_watch *watch, uint32_t events)
{
	struct cell *cell = LOOP_OF(watch, struct cell, denied);
	struct denied d;

	if ((events & EPOLLIN) == 0) {
		/* Nobody is left who could ask. */
		(void)loop_remove(cell->of->loop, watch);
		return;
	}
	if (explain_next(cell->explain, watch->fd, &d)) {
		const struct msg_sandbox_denied m = {
			.wall = d.argument ? DENIED_ARGUMENT : DENIED_CALL,
			.pid = d.pid,
			.error = (uint32_t)d.error,
		};

		say_denied(cell, &m, d.comm, d.call, d.about, "");
	}
}

static void
on_audit(struct loop_watch *watch, uint32_t events)
{
	struct cells *c = LOOP_OF(watch, struct cells, audit);
	struct audit_denied a;
	struct denied d;
	int r;

	(void)events;
	while ((r = audit_reader_next(&c->reader, &a)) > 0) {
		for (size_t i = 0; i < RUNS_MAX; i++) {
			struct cell *cell = &c->cell[i];

			/* The domain was made by PID 1 of its sandbox. */
			if (cell->run == 0 || cell->explain == NULL ||
			    (uint32_t)cell->sb.pid != a.maker)
				continue;
			audit_denied_take(&a, &d);
			say_denied(cell,
			    &(struct msg_sandbox_denied){
				.wall = a.blockers[0] == 's'
				    ? DENIED_LANDLOCK_SCOPE
				    : DENIED_LANDLOCK_FS,
				.pid = d.pid,
				.error = (uint32_t)d.error,
			    },
			    d.comm, d.call, d.about, d.rule);
			break;
		}
	}
	/* The next sandbox that is to be explained starts another. */
	if (r < 0)
		cells_unwatch_audit(c);
}

static void
on_refused(struct loop_watch *watch, uint32_t events)
{
	struct cell *cell = LOOP_OF(watch, struct cell, refused);

	if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		cell_unwatch_refused(cell);
	else
		tell_refused(cell);
}

static void
tell_refused(struct cell *cell)
{
	struct sandbox_refusal r;

	while (sandbox_refused(&cell->sb, &r)) {
		const struct msg_sandbox_denied m = {
			.wall = DENIED_COMMAND,
			.pid = r.pid,
			.error = EACCES,
		};

		say_denied(cell, &m, r.who, "execve", r.why, "");
	}
}

static void
say_denied(const struct cell *cell, const struct msg_sandbox_denied *m,
    const char *comm, const char *call, const char *about, const char *rule)
{
	struct msg_sandbox_denied out = *m;
	char text[3 * EXPLAIN_TEXT_BYTES + PATH_MAX / 2];
	/* Cut, if it has to be: the NULs stay. */
	int n = snprintf(text, sizeof(text), "%s%c%s%c%.*s%c%s", comm, '\0',
	    call, '\0', PATH_MAX / 2 - 1, about, '\0', rule);

	out.run = cell->run;
	cell->of->hear.on_denied(&out, (struct str){ text, (size_t)n + 1 });
}
