#include "world/seed.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/must.h"
#include "world/shape.h"
#include "world/stamp.h"

#define SHAPE(f)                                     \
	{                                            \
		f, sizeof(f) / sizeof((f)[0]), false \
	}

enum { PATH_BYTES = 64, REFS_MAX = 2 };

#define ID(name, required)                                                   \
	{                                                                    \
		name, SHAPE_LINE, required, !(required), WORLD_MAX_ID, NULL, \
		    NULL                                                     \
	}
#define LINE(name, required)                                                   \
	{                                                                      \
		name, SHAPE_LINE, required, !(required), WORLD_MAX_LINE, NULL, \
		    NULL                                                       \
	}
#define TEXT(name)                                                        \
	{                                                                 \
		name, SHAPE_TEXT, true, false, WORLD_MAX_TEXT, NULL, NULL \
	}
#define EMAIL(name)                                                        \
	{                                                                  \
		name, SHAPE_EMAIL, true, false, WORLD_MAX_LINE, NULL, NULL \
	}
#define MONEY(name, kind)                              \
	{                                              \
		name, kind, true, false, 0, NULL, NULL \
	}
#define TIME(name, required)                                           \
	{                                                              \
		name, SHAPE_TIME, required, !(required), 0, NULL, NULL \
	}
#define CHOICE(name, required, choices)                               \
	{                                                             \
		name, SHAPE_CHOICE, required, false, 0, choices, NULL \
	}
#define ROWS(name, most)                                         \
	{                                                        \
		name, SHAPE_ROWS, false, false, most, NULL, NULL \
	}

#define CURRENCIES "USD|EUR|GBP"

static const struct shape_field document_fields[] = {
	ROWS("customers", WORLD_MAX_ROWS),
	ROWS("emails", WORLD_MAX_ROWS),
	ROWS("invoices", WORLD_MAX_ROWS),
	ROWS("kb", WORLD_MAX_ROWS),
	TIME("now", true),
	ROWS("payments", WORLD_MAX_ROWS),
	ROWS("tickets", WORLD_MAX_ROWS),
	ROWS("tools", WORLD_MAX_TOOLS),
	{ "world", SHAPE_COUNT, true, false, 1, NULL, NULL },
};
static const struct shape document_shape = SHAPE(document_fields);

static const struct shape_field customer_fields[] = {
	LINE("company", false),
	EMAIL("email"),
	ID("id", true),
	LINE("name", true),
	LINE("note", false),
	LINE("phone", false),
	LINE("plan", false),
	TIME("since", false),
	CHOICE("status", false, "active|closed"),
};

static const struct shape_field invoice_fields[] = {
	CHOICE("currency", true, CURRENCIES),
	ID("customer", true),
	ID("id", true),
	TIME("issued", true),
	ROWS("lines", WORLD_MAX_NESTED),
	CHOICE("status", true, "open|paid|void"),
	MONEY("total", SHAPE_MONEY),
};

static const struct shape_field line_fields[] = {
	MONEY("amount", SHAPE_BALANCE),
	LINE("description", true),
};

static const struct shape_field payment_fields[] = {
	MONEY("amount", SHAPE_MONEY),
	CHOICE("currency", true, CURRENCIES),
	ID("customer", true),
	ID("id", true),
	ID("invoice", false),
	{ "listed", SHAPE_FLAG, false, false, 0, NULL, NULL },
	LINE("method", true),
	TIME("paid_at", true),
	CHOICE("status", true, "settled|pending|failed"),
};

static const struct shape_field ticket_fields[] = {
	TEXT("body"),
	ROWS("comments", WORLD_MAX_NESTED),
	TIME("created_at", true),
	ID("customer", false),
	EMAIL("from"),
	ID("id", true),
	CHOICE("priority", false, "low|normal|high|urgent"),
	CHOICE("status", true, "open|pending|closed"),
	LINE("subject", true),
};

static const struct shape_field comment_fields[] = {
	TIME("at", true),
	TEXT("body"),
	LINE("from", true),
};

static const struct shape_field kb_fields[] = {
	TEXT("body"),
	ID("id", true),
	CHOICE("status", false, "published|archived"),
	LINE("title", true),
	TIME("updated_at", true),
};

static const struct shape_field email_fields[] = {
	TEXT("body"),
	TIME("sent_at", true),
	LINE("subject", true),
	ID("ticket", false),
	EMAIL("to"),
};

enum { S_CUSTOMERS, S_INVOICES, S_PAYMENTS, S_TICKETS, S_KB, S_EMAILS };

/* Rows within a row. */
struct nested {
	const char *name;
	struct shape shape;
	const char *insert; /* ?1 is the owner's id, then the fields */
};

static const struct nested lines = { "lines", SHAPE(line_fields),
	"INSERT INTO lines(invoice,amount,description) VALUES(?1,?2,?3)" };
static const struct nested comments = { "comments", SHAPE(comment_fields),
	"INSERT INTO comments(ticket,at,body,author) VALUES(?1,?2,?3,?4)" };

/* A section refers only to sections before it. */
static const struct section {
	const char *name;
	struct shape shape;
	const char *insert; /* a parameter per field, in the shape's order */
	const struct nested *nested;
	struct {
		const char *member; /* NULL: no more */
		const char *find;
	} refs[REFS_MAX];
} sections[] = {
	[S_CUSTOMERS] = { "customers", SHAPE(customer_fields),
	    "INSERT INTO customers(company,email,id,name,note,phone,plan,since,"
	    "status) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,coalesce(?9,'active'))",
	    NULL, {} },
	[S_INVOICES] = { "invoices", SHAPE(invoice_fields),
	    "INSERT INTO invoices(currency,customer,id,issued,status,total) "
	    "VALUES(?1,?2,?3,?4,?6,?7)",
	    &lines, { { "customer", "SELECT 1 FROM customers WHERE id=?1" } } },
	[S_PAYMENTS] = { "payments", SHAPE(payment_fields),
	    "INSERT INTO payments(amount,currency,customer,id,invoice,listed,"
	    "method,paid_at,status) "
	    "VALUES(?1,?2,?3,?4,?5,coalesce(?6,1),?7,?8,?9)",
	    NULL,
	    { { "customer", "SELECT 1 FROM customers WHERE id=?1" },
		{ "invoice", "SELECT 1 FROM invoices WHERE id=?1" } } },
	[S_TICKETS] = { "tickets", SHAPE(ticket_fields),
	    "INSERT INTO tickets(body,created_at,customer,sender,id,priority,"
	    "status,subject) "
	    "VALUES(?1,?3,?4,?5,?6,coalesce(?7,'normal'),?8,?9)",
	    &comments,
	    { { "customer", "SELECT 1 FROM customers WHERE id=?1" } } },
	[S_KB] = { "kb", SHAPE(kb_fields),
	    "INSERT INTO kb(body,id,status,title,updated_at) "
	    "VALUES(?1,?2,coalesce(?3,'published'),?4,?5)",
	    NULL, {} },
	[S_EMAILS] = { "emails", SHAPE(email_fields),
	    "INSERT INTO emails(body,sent_at,subject,ticket,recipient) "
	    "VALUES(?1,?2,?3,?4,?5)",
	    NULL, { { "ticket", "SELECT 1 FROM tickets WHERE id=?1" } } },
};

#define own_stmt __attribute__((cleanup(stmt_fini)))

static void stmt_fini(sqlite3_stmt **s);
static int load_section(struct wdb *d, const struct section *s,
    const struct json *rows, struct err *e);
static int load_nested(struct wdb *d, const struct nested *n,
    const struct json *row, const char *path, struct err *e);
static int check_ref(struct wdb *d, const struct json *row, const char *member,
    const char *find, const char *path, struct err *e);
static int insert(struct wdb *d, sqlite3_stmt *q, const struct shape *s,
    const struct json *row, int first, const char *path, struct err *e);
static int bind(
    sqlite3_stmt *q, int at, const struct shape_field *f, const struct json *v);
static int prepare(
    struct wdb *d, const char *text, sqlite3_stmt **out, struct err *e);

int
seed_load(struct wdb *d, const struct json *document, int64_t *out_now_s,
    struct err *e)
{
	if (shape_check(&document_shape, document, "", e) < 0)
		return -1;
	must(stamp_parse(json_str(json_get(document, STR("now"))), out_now_s) ==
	    0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		const struct section *s = &sections[i];
		const struct json *rows = json_get(document, str_of(s->name));

		if (rows != NULL && load_section(d, s, rows, e) < 0)
			return -1;
	}
	return 0;
}

static void
stmt_fini(sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s); /* it repeats an error already reported */
}

static int
load_section(struct wdb *d, const struct section *s, const struct json *rows,
    struct err *e)
{
	own_stmt sqlite3_stmt *q = NULL;
	char path[PATH_BYTES];
	uint32_t i = 0;

	if (prepare(d, s->insert, &q, e) < 0)
		return -1;
	for (const struct json *x = json_first(rows); x;
	     x = json_next(rows, x), i++) {
		(void)snprintf(path, sizeof(path), "%s[%u]", s->name, i);
		if (shape_check(&s->shape, x, path, e) < 0)
			return -1;
		for (size_t r = 0; r < REFS_MAX && s->refs[r].member; r++)
			if (check_ref(d, x, s->refs[r].member, s->refs[r].find,
				path, e) < 0)
				return -1;
		if (insert(d, q, &s->shape, x, 1, path, e) < 0)
			return -1;
		if (s->nested != NULL &&
		    load_nested(d, s->nested, x, path, e) < 0)
			return -1;
	}
	return 0;
}

static int
load_nested(struct wdb *d, const struct nested *n, const struct json *row,
    const char *path, struct err *e)
{
	const struct json *rows = json_get(row, str_of(n->name));
	struct str owner = json_str(json_get(row, STR("id")));
	own_stmt sqlite3_stmt *q = NULL;
	char at[2 * PATH_BYTES];
	uint32_t i = 0;

	if (rows == NULL || rows->n == 0)
		return 0;
	if (prepare(d, n->insert, &q, e) < 0)
		return -1;
	for (const struct json *x = json_first(rows); x;
	     x = json_next(rows, x), i++) {
		(void)snprintf(at, sizeof(at), "%s.%s[%u]", path, n->name, i);
		if (shape_check(&n->shape, x, at, e) < 0)
			return -1;
		if (sqlite3_bind_text64(q, 1, owner.p, owner.n, SQLITE_STATIC,
			SQLITE_UTF8) != SQLITE_OK)
			return err_set(
			    e, "%s: %s", at, sqlite3_errmsg(d->handle));
		if (insert(d, q, &n->shape, x, 2, at, e) < 0)
			return -1;
	}
	return 0;
}

static int
check_ref(struct wdb *d, const struct json *row, const char *member,
    const char *find, const char *path, struct err *e)
{
	const struct json *v = json_get(row, str_of(member));
	own_stmt sqlite3_stmt *q = NULL;
	struct str id = json_str(v);
	int rc;

	if (v == NULL || json_is(v, JSON_NULL))
		return 0;
	if (prepare(d, find, &q, e) < 0)
		return -1;
	rc = sqlite3_bind_text64(q, 1, id.p, id.n, SQLITE_STATIC, SQLITE_UTF8);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		return 0;
	if (rc == SQLITE_DONE)
		return err_set(e, "%s.%s: there is no %s %.*s", path, member,
		    member, STR_FMT(id));
	return err_set(e, "%s.%s: %s", path, member, sqlite3_errmsg(d->handle));
}

/* Binds the row's members from parameter first on, and stores the row. */
static int
insert(struct wdb *d, sqlite3_stmt *q, const struct shape *s,
    const struct json *row, int first, const char *path, struct err *e)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < s->n && rc == SQLITE_OK; i++) {
		const struct shape_field *f = &s->fields[i];

		if (f->kind != SHAPE_ROWS)
			rc = bind(q, first + (int)i, f,
			    json_get(row, str_of(f->name)));
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	(void)sqlite3_reset(q); /* it repeats rc */
	if (rc == SQLITE_DONE)
		return 0;
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return err_set(e, "%s.id: %.*s is there already", path,
		    STR_FMT(json_str(json_get(row, STR("id")))));
	return err_set(e, "%s: %s", path, sqlite3_errmsg(d->handle));
}

static int
bind(sqlite3_stmt *q, int at, const struct shape_field *f, const struct json *v)
{
	struct str s = json_str(v);

	if (v == NULL || json_is(v, JSON_NULL))
		return sqlite3_bind_null(q, at);
	switch (f->kind) {
	case SHAPE_LINE:
	case SHAPE_TEXT:
	case SHAPE_EMAIL:
	case SHAPE_TIME:
	case SHAPE_CHOICE:
		return sqlite3_bind_text64(
		    q, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
	case SHAPE_MONEY:
	case SHAPE_BALANCE:
		return sqlite3_bind_int64(q, at, shape_cents(v));
	case SHAPE_FLAG:
		return sqlite3_bind_int(q, at, json_bool(v, false));
	case SHAPE_COUNT:
	case SHAPE_ROWS:
		break;
	}
	must_fail("a column of a row", __FILE__, __LINE__);
}

static int
prepare(struct wdb *d, const char *text, sqlite3_stmt **out, struct err *e)
{
	if (sqlite3_prepare_v2(d->handle, text, -1, out, NULL) != SQLITE_OK)
		return err_set(e, "prepare: %s", sqlite3_errmsg(d->handle));
	return 0;
}
