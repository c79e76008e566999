/*
 * base/str.h: text as pointer and length, borrowed, not terminated.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

/* A literal as a struct str: STR("billing.refund"). */
#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
/* For printf's %.*s: printf("%.*s", STR_FMT(s)). Cuts at INT_MAX. */
#define STR_FMT(s) (int)((s).n > INT32_MAX ? INT32_MAX : (s).n), (s).p

struct str str_of(const char *c_string); /* NULL gives the empty text */
bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *b);
/* ASCII only: HTTP header names and the like. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Byte order, shorter first when one is the start of the other: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
/* Index of the first c, or s.n. */
size_t str_find(struct str s, char c);
/* Without spaces and tabs at both ends. */
struct str str_trim(struct str s);
/* Decimal digits only, no sign, no overflow. Returns 0, or -1. */
int str_to_u64(struct str s, uint64_t *out);
/* Copies s with a NUL behind it; -1 when it does not fit or holds a NUL. */
int str_copy(struct str s, char *dst, size_t cap);

/* What a hexadecimal digit of either case stands for, or -1. */
static inline int
str_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Glob with '*' for any run of bytes, all else literally. Tool names, labels
 * and the like. At most pattern length times text length steps.
 */
bool str_glob(struct str pattern, struct str text);

#endif
