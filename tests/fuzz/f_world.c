/*
 * The first byte chooses a tool, or with its high bit set the document; the
 * rest is JSON: the tool's arguments, or a whole world document.
 *
 * Holds: every answer is canonical JSON, an object, with a code when it is an
 * error; a read and a refused call never change the database; a call says that
 * it wrote exactly when it did; the same call in the same state at the same
 * time is answered by the same bytes; a refused document has a reason.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"
#include "world/tool.h"
#include "world/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DOCUMENT = 0x80, CALLS_PER_WORLD = 1000 };

static const char document[] =
    "{\"world\":1,\"now\":\"2026-03-02T09:00:00Z\",\"customers\":["
    "{\"id\":\"C-1\",\"name\":\"Ada\",\"email\":\"a@example.com\"}],"
    "\"invoices\":[{\"id\":\"I-1\",\"customer\":\"C-1\",\"issued\":"
    "\"2026-02-20T10:00:00Z\",\"status\":\"paid\",\"currency\":\"USD\","
    "\"total\":49.9,\"lines\":[{\"amount\":49.9,\"description\":\"d\"}]}],"
    "\"payments\":[{\"id\":\"P-1\",\"customer\":\"C-1\",\"invoice\":"
    "\"I-1\",\"amount\":49.9,\"currency\":\"USD\",\"method\":\"card\","
    "\"paid_at\":\"2026-02-20T10:00:00Z\",\"status\":\"settled\"}],"
    "\"tickets\":[{\"id\":\"T-1\",\"from\":\"a@example.com\",\"customer\":"
    "\"C-1\",\"status\":\"open\",\"subject\":\"s\",\"body\":\"b\","
    "\"created_at\":\"2026-03-01T08:00:00Z\"}],\"kb\":[{\"id\":\"K-1\","
    "\"title\":\"Refund\",\"body\":\"refund policy\",\"updated_at\":"
    "\"2026-01-01T00:00:00Z\"}]}";

static struct world *
open_world(struct str text, struct err *e)
{
	int fd = memfd_create("world", MFD_CLOEXEC);

	must(fd >= 0);
	return world_new_take(fd, text, e);
}

static void
answer_is_sound(struct str text, int r)
{
	own_arena struct arena a = {};
	own_buf struct buf again = {};
	struct err e = {};
	const struct json *v = json_parse(text, NULL, &a, &e, NULL);

	must(json_is(v, JSON_OBJECT));
	json_write(&again, v);
	must(str_eq(buf_str(&again), text));
	must(r == 0 || json_str(json_get(v, STR("code"))).n > 0);
	must(r == 0 || json_str(json_get(v, STR("error"))).n > 0);
}

static void
one_document(struct str text)
{
	struct err e = {};
	struct world *w = open_world(text, &e);

	must(w != NULL || e.text[0] != '\0');
	world_free(w);
}

/* A world that has answered many calls makes room for a new one. */
static struct world *
current_world(void)
{
	static struct world *world;
	static int calls;
	struct err e = {};

	if (world == NULL || ++calls > CALLS_PER_WORLD) {
		world_free(world);
		world = open_world(
		    (struct str){ document, sizeof(document) - 1 }, &e);
		must(world != NULL);
		calls = 0;
	}
	return world;
}

static void
one_call(const struct tool *t, struct str text)
{
	own_arena struct arena a = {};
	own_buf struct buf first = {}, second = {};
	struct world *w = current_world();
	int64_t before = world_changes(w);
	struct err e = {};
	const struct json *args = json_parse(text, NULL, &a, &e, NULL);
	bool wrote;
	int r, again;

	if (args == NULL)
		return;
	r = world_call(w, str_of(t->name), args, 0, &first, &wrote);
	answer_is_sound(buf_str(&first), r);
	must(wrote == (r == 0 && world_changes(w) != before));
	must(!wrote || t->writes);
	if (wrote)
		return;
	must(world_changes(w) == before);
	again = world_call(w, str_of(t->name), args, 0, &second, &wrote);
	must(again == r && str_eq(buf_str(&first), buf_str(&second)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text;

	if (size < 1)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	if ((data[0] & DOCUMENT) != 0)
		one_document(text);
	else
		one_call(&tools[data[0] % tools_n], text);
	return 0;
}
