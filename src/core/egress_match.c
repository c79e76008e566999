/*
 * Patterns of hosts and paths. A pattern is matched from left to right; where
 * it fails, the last star takes one character more. That the last one is
 * enough is what tests/fuzz/f_egress.c compares with a search of all ways.
 */
#include "core/egress.h"

static bool decodes_plainly(struct str path, size_t at);

bool
egress_host_match(struct str pattern, struct str host)
{
	if (!str_starts(pattern, STR("*.")))
		return str_eq(pattern, host);
	/* At least one label more than the pattern has. */
	return host.n > pattern.n - 1 &&
	    str_ends(host, (struct str){ pattern.p + 1, pattern.n - 1 });
}

bool
egress_path_match(struct str pattern, struct str path)
{
	size_t p = 0, t = 0;
	/* Behind the last star of each kind, and where it ends in path. */
	size_t one_p = 0, one_t = 0, any_p = 0, any_t = 0;
	bool one = false, any = false;

	for (;;) {
		if (p < pattern.n && pattern.p[p] == '*') {
			bool two = p + 1 < pattern.n && pattern.p[p + 1] == '*';

			p += two ? 2 : 1;
			one = !two;
			any = any || two;
			if (two) {
				any_p = p;
				any_t = t;
			} else {
				one_p = p;
				one_t = t;
			}
		} else if (p < pattern.n && t < path.n &&
		    pattern.p[p] == path.p[t]) {
			p++;
			t++;
		} else if (p == pattern.n && t == path.n) {
			return true;
		} else if (one && one_t < path.n && path.p[one_t] != '/') {
			p = one_p;
			t = ++one_t;
		} else if (any && any_t < path.n) {
			p = any_p;
			t = ++any_t;
			one = false;
		} else {
			return false;
		}
	}
}

bool
egress_path_plain(struct str path)
{
	if (path.n == 0 || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		struct str rest = { path.p + i, path.n - i };

		if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '?' || c == '#')
			return false;
		if (c == '%' && !decodes_plainly(path, i))
			return false;
		if (c != '/' || i + 1 == path.n)
			continue;
		if (str_starts(rest, STR("//")) || str_eq(rest, STR("/.")) ||
		    str_eq(rest, STR("/..")) || str_starts(rest, STR("/./")) ||
		    str_starts(rest, STR("/../")) ||
		    str_starts(rest, STR("/.;")) ||
		    str_starts(rest, STR("/..;")))
			return false;
	}
	return true;
}

/* What is encoded must be, and must not mean anything to a path. */
static bool
decodes_plainly(struct str path, size_t at)
{
	int high, low, c;

	if (path.n - at < 3)
		return false;
	high = str_hex_digit(path.p[at + 1]);
	low = str_hex_digit(path.p[at + 2]);
	if (high < 0 || low < 0)
		return false;
	c = high << 4 | low;
	return c >= 0x20 && c != 0x7f && c != '/' && c != '\\' && c != '%' &&
	    !(c >= '0' && c <= '9') &&
	    !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '-' && c != '.' &&
	    c != '_' && c != '~';
}
