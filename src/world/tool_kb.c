/* The knowledge base: full text search by FTS5, best first by BM25. */
#include <math.h>

#include "base/limits.h"
#include "world/result.h"
#include "world/tool.h"

static void put_match(struct buf *out, struct str query);
static bool is_word(unsigned char c);

enum tool_end
kb_search(struct tool_call *c)
{
	own_buf struct buf match = {};
	struct wdb *db = c->db;
	enum wdb_step step;

	put_match(&match, tool_text(c, "query"));
	if (match.n == 0)
		return tool_error(c, "invalid_arguments",
		    "Search for at least one word.",
		    "query: holds no word to search for");
	wdb_query(db, Q_KB);
	wdb_bind_text(db, Q_KB, 1, buf_str(&match));
	wdb_bind_int(db, Q_KB, 2, tool_count(c, "limit", 5));
	result_open(c->out, NULL, '{');
	result_open(c->out, "articles", '[');
	while ((step = wdb_step(db, Q_KB)) == WDB_ROW) {
		/* FTS5 gives better matches smaller, negative, numbers. */
		double score = -sqlite3_column_double(db->query[Q_KB], 2);

		result_open(c->out, NULL, '{');
		result_text(c->out, "body", wdb_text(db, Q_KB, 0));
		result_text(c->out, "id", wdb_text(db, Q_KB, 1));
		result_number(c->out, "score", round(score * 1000) / 1000);
		result_text(c->out, "status", wdb_text(db, Q_KB, 3));
		result_text(c->out, "title", wdb_text(db, Q_KB, 4));
		result_text(c->out, "updated_at", wdb_text(db, Q_KB, 5));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	result_close(c->out, '}');
	/* The statement must not outlive the text that it matches. */
	wdb_call_end(db);
	return step == WDB_DONE ? TOOL_OK : TOOL_FAILED;
}

/*
 * FTS5 has a query language; the agent gets none of it. Each word becomes a
 * quoted string, and any of them may match: "double" OR "charge".
 */
static void
put_match(struct buf *out, struct str query)
{
	size_t words = 0;

	for (size_t i = 0; i < query.n && words < WORLD_MAX_QUERY_WORDS;) {
		size_t from = i;

		while (i < query.n && is_word((unsigned char)query.p[i]))
			i++;
		if (i == from) {
			i++;
			continue;
		}
		buf_add_c(out, words++ > 0 ? " OR \"" : "\"");
		buf_add(out, query.p + from, i - from);
		buf_add_byte(out, '"');
	}
}

/* Whatever is not ASCII is left to FTS5's tokenizer. */
static bool
is_word(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c >= 0x80;
}
