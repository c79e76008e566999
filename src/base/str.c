#include "base/str.h"

#include <string.h>

static unsigned char lower(char c);

struct str
str_of(const char *c_string)
{
	if (c_string == NULL)
		return STR("");
	return (struct str){ c_string, strlen(c_string) };
}

bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
str_eq_c(struct str a, const char *b)
{
	return str_eq(a, str_of(b));
}

bool
str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (a.p[i] != b.p[i] && lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq((struct str){ s.p, prefix.n }, prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n &&
	    str_eq((struct str){ s.p + (s.n - suffix.n), suffix.n }, suffix);
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n > 0 ? memcmp(a.p, b.p, n) : 0;

	if (r != 0)
		return r;
	return (a.n > b.n) - (a.n < b.n);
}

size_t
str_find(struct str s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

int
str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -1;
	}
	*out = v;
	return 0;
}

int
str_copy(struct str s, char *dst, size_t cap)
{
	if (s.n >= cap || str_find(s, '\0') != s.n)
		return -1;
	if (s.n > 0)
		memcpy(dst, s.p, s.n);
	dst[s.n] = '\0';
	return 0;
}

bool
str_glob(struct str pattern, struct str text)
{
	size_t p = 0, t = 0;
	size_t star_p = 0, star_t = 0; /* where the last star may still grow */
	bool star = false;

	while (t < text.n || p < pattern.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = true;
			star_p = ++p;
			star_t = t;
		} else if (p < pattern.n && t < text.n &&
		    pattern.p[p] == text.p[t]) {
			p++;
			t++;
		} else if (star && star_t < text.n) {
			p = star_p;
			t = ++star_t;
		} else {
			return false;
		}
	}
	return true;
}

static unsigned char
lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}
