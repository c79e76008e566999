#include "codec/audit.h"

#include <stddef.h>
#include <string.h>

/* A member: its name, and its value as it stands. */
struct member {
	struct str name, value;
	bool quoted;
};

static int take_head(struct str *text, uint64_t *serial);
static bool next_member(struct str *text, struct member *out);
static void take_member(struct audit_record *r, const struct member *m);
static int number(struct str s, unsigned base, uint64_t *out);
static void put_text(const struct member *m, char *out, size_t cap);

int
audit_record_parse(uint32_t type, struct str text, struct audit_record *out)
{
	struct member m;

	*out = (struct audit_record){};
	switch (type) {
	case AUDIT_TYPE_SYSCALL:
	case AUDIT_TYPE_EOE:
	case AUDIT_TYPE_LANDLOCK_ACCESS:
	case AUDIT_TYPE_LANDLOCK_DOMAIN:
		break;
	default:
		return -1;
	}
	out->type = (enum audit_type)type;
	if (take_head(&text, &out->serial) < 0)
		return -1;
	while (next_member(&text, &m))
		take_member(out, &m);
	if (out->type == AUDIT_TYPE_LANDLOCK_ACCESS)
		return out->domain != 0 && out->blockers[0] != '\0' ? 0 : -1;
	if (out->type == AUDIT_TYPE_LANDLOCK_DOMAIN)
		return out->domain != 0 && (out->pid != 0 || out->gone) ? 0
									: -1;
	return out->type == AUDIT_TYPE_EOE || out->pid != 0 ? 0 : -1;
}

/* "audit(SECONDS.MS:SERIAL): " */
static int
take_head(struct str *text, uint64_t *serial)
{
	struct str head = *text;
	size_t colon, close;

	if (!str_starts(head, STR("audit(")))
		return -1;
	close = str_find(head, ')');
	colon = str_find(head, ':');
	if (close == head.n || colon > close)
		return -1;
	if (str_to_u64((struct str){ head.p + colon + 1, close - colon - 1 },
		serial) < 0)
		return -1;
	*text = (struct str){ head.p + close + 1, head.n - close - 1 };
	if (text->n > 0 && text->p[0] == ':')
		*text = (struct str){ text->p + 1, text->n - 1 };
	return 0;
}

/* The next one, however much stands before it that is none. */
static bool
next_member(struct str *text, struct member *out)
{
	while (text->n > 0) {
		struct str s = *text, word;
		size_t end, eq;

		if (s.p[0] == ' ') {
			*text = (struct str){ s.p + 1, s.n - 1 };
			continue;
		}
		end = str_find(s, ' ');
		word = (struct str){ s.p, end };
		eq = str_find(word, '=');
		*out = (struct member){ .name = { s.p, eq } };
		if (eq + 1 < end && s.p[eq + 1] == '"') {
			struct str rest = { s.p + eq + 2, s.n - eq - 2 };

			/* Without its end it was cut, and is none. */
			end = str_find(rest, '"');
			*text = (struct str){ rest.p + end, rest.n - end };
			if (text->n == 0)
				return false;
			*text = (struct str){ text->p + 1, text->n - 1 };
			out->value = (struct str){ rest.p, end };
			out->quoted = true;
			return true;
		}
		*text = (struct str){ s.p + end, s.n - end };
		if (eq < word.n) {
			out->value = (struct str){ s.p + eq + 1, end - eq - 1 };
			return true;
		}
	}
	return false;
}

static void
take_member(struct audit_record *r, const struct member *m)
{
	const struct str name = m->name;
	uint64_t n = 0;

	switch (r->type) {
	case AUDIT_TYPE_LANDLOCK_ACCESS:
		if (str_eq(name, STR("domain")) && r->domain == 0)
			(void)number(m->value, 16, &r->domain); /* stays 0 */
		else if (str_eq(name, STR("blockers")) && !m->quoted &&
		    r->blockers[0] == '\0')
			put_text(&(struct member){ .value = m->value,
				     .quoted = true },
			    r->blockers, sizeof(r->blockers));
		/* Of whom a signal or a trace was to reach, its name. */
		else if (r->about[0] == '\0' &&
		    (str_eq(name, STR("path")) || str_eq(name, STR("name")) ||
			str_eq(name, STR("ocomm")) ||
			str_eq(name, STR("dest")))) {
			r->is_path = str_eq(name, STR("path")) ||
			    str_eq(name, STR("name"));
			/* The one number among them is written plainly. */
			put_text(&(struct member){ .value = m->value,
				     .quoted = m->quoted ||
					 str_eq(name, STR("dest")) },
			    r->about, sizeof(r->about));
		}
		break;
	case AUDIT_TYPE_LANDLOCK_DOMAIN:
		if (str_eq(name, STR("domain")) && r->domain == 0)
			(void)number(m->value, 16, &r->domain);
		else if (str_eq(name, STR("status")))
			r->gone |= str_eq(m->value, STR("deallocated"));
		else if (str_eq(name, STR("pid")) && r->pid == 0 &&
		    number(m->value, 10, &n) == 0 && n <= INT32_MAX)
			r->pid = (uint32_t)n;
		break;
	case AUDIT_TYPE_SYSCALL:
		if (str_eq(name, STR("pid")) && r->pid == 0 &&
		    number(m->value, 10, &n) == 0 && n <= INT32_MAX)
			r->pid = (uint32_t)n;
		else if (str_eq(name, STR("syscall")) &&
		    number(m->value, 10, &n) == 0 && n <= INT32_MAX)
			r->call = (uint32_t)n;
		else if (str_eq(name, STR("exit")) && m->value.n > 1 &&
		    m->value.p[0] == '-' &&
		    number((struct str){ m->value.p + 1, m->value.n - 1 }, 10,
			&n) == 0 &&
		    n < 4096)
			r->error = (uint32_t)n;
		else if (str_eq(name, STR("comm")) && r->comm[0] == '\0')
			put_text(m, r->comm, sizeof(r->comm));
		break;
	case AUDIT_TYPE_EOE:
		break;
	}
}

/* 0, or -1 and *out stays. */
static int
number(struct str s, unsigned base, uint64_t *out)
{
	uint64_t n = 0;

	if (base == 10)
		return str_to_u64(s, out);
	if (s.n == 0 || s.n > 16)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		int digit = str_hex_digit(s.p[i]);

		if (digit < 0)
			return -1;
		n = n << 4 | (unsigned)digit;
	}
	*out = n;
	return 0;
}

/* The text of a value that stands in quotes, or as hexadecimal digits. What is
 * neither ("(null)") is left empty; a NUL, as names of abstract sockets have
 * it, becomes '@'. */
static void
put_text(const struct member *m, char *out, size_t cap)
{
	const struct str s = m->value;
	size_t n = m->quoted ? s.n : s.n / 2;

	if (!m->quoted) {
		if (s.n % 2 != 0)
			return;
		for (size_t i = 0; i < s.n; i++) {
			if (str_hex_digit(s.p[i]) < 0)
				return;
		}
	}
	if (n > cap - 1)
		n = cap - 1;
	for (size_t i = 0; i < n; i++) {
		int c = m->quoted ? s.p[i]
				  : str_hex_digit(s.p[2 * i]) * 16 +
			str_hex_digit(s.p[2 * i + 1]);

		out[i] = c == 0 ? '@' : (char)c;
	}
	out[n] = '\0';
}
