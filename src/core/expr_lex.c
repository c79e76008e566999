/*
 * Tokens of an expression. Literals are CEL's, without bytes and texts in
 * three quotes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "codec/json_number.h"
#include "core/expr_int.h"

static void skip_space(struct lexer *l);
static int lex_name(struct lexer *l);
static int lex_number(struct lexer *l);
static int lex_hex(struct lexer *l, uint64_t *out);
static int lex_decimal(struct lexer *l, size_t digits, uint64_t *out);
static int lex_double(struct lexer *l, struct str text);
static int lex_string(struct lexer *l, bool raw);
static int lex_escape(struct lexer *l, char *out, size_t *n);
static int put_code_point(
    struct lexer *l, uint32_t at, uint32_t c, char *out, size_t *n);
static int lex_operator(struct lexer *l);
static bool is_letter(char c);
static bool is_digit(char c);
static char peek(const struct lexer *l, size_t ahead);

int
expr_fault_set(struct expr_fault *f, uint32_t at, const char *fmt, ...)
{
	va_list ap;

	f->at = at;
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
expr_lex(struct lexer *l)
{
	char c;

	skip_space(l);
	l->token_at = l->at;
	l->beyond = false;
	c = peek(l, 0);
	if (l->at == l->text.n) {
		l->token = TOKEN_END;
		return 0;
	}
	if ((c == 'r' || c == 'R') &&
	    (peek(l, 1) == '"' || peek(l, 1) == '\'')) {
		l->at++;
		return lex_string(l, true);
	}
	if ((c == 'b' || c == 'B') && (peek(l, 1) == '"' || peek(l, 1) == '\''))
		return expr_fault_set(
		    l->fault, l->at, "there are no bytes here; write a text");
	if (is_letter(c))
		return lex_name(l);
	if (is_digit(c) || (c == '.' && is_digit(peek(l, 1))))
		return lex_number(l);
	if (c == '"' || c == '\'')
		return lex_string(l, false);
	return lex_operator(l);
}

/* White space, and // to the end of the line. */
static void
skip_space(struct lexer *l)
{
	while (l->at < l->text.n) {
		char c = l->text.p[l->at];

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
		    c == '\f') {
			l->at++;
		} else if (c == '/' && peek(l, 1) == '/') {
			while (l->at < l->text.n && l->text.p[l->at] != '\n')
				l->at++;
		} else {
			return;
		}
	}
}

static int
lex_name(struct lexer *l)
{
	static const char *const taken[] = { "as", "break", "const", "continue",
		"else", "for", "function", "if", "import", "let", "loop",
		"package", "namespace", "return", "var", "void", "while" };
	size_t n = 1;

	while (is_letter(peek(l, n)) || is_digit(peek(l, n)))
		n++;
	l->name = (struct str){ l->text.p + l->at, n };
	l->at += (uint32_t)n;
	l->token = TOKEN_VALUE;
	if (str_eq_c(l->name, "true"))
		l->value =
		    (struct expr_value){ .type = EXPR_BOOL, .boolean = true };
	else if (str_eq_c(l->name, "false"))
		l->value = (struct expr_value){ .type = EXPR_BOOL };
	else if (str_eq_c(l->name, "null"))
		l->value = (struct expr_value){ .type = EXPR_NULL };
	else if (str_eq_c(l->name, "in"))
		l->token = TOKEN_IN;
	else
		l->token = TOKEN_NAME;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (str_eq_c(l->name, taken[i]))
			return expr_fault_set(l->fault, l->token_at,
			    "`%s` is a word that CEL keeps; a member of that "
			    "name is x[\"%s\"]",
			    taken[i], taken[i]);
	}
	return 0;
}

static int
lex_number(struct lexer *l)
{
	size_t n = 0;
	bool whole = true, hex;
	uint64_t u = 0;

	hex = peek(l, 0) == '0' && (peek(l, 1) == 'x' || peek(l, 1) == 'X');
	if (hex) {
		if (lex_hex(l, &u) < 0)
			return -1;
	} else {
		while (is_digit(peek(l, n)))
			n++;
		if (peek(l, n) == '.' && is_digit(peek(l, n + 1))) {
			whole = false;
			n++;
			while (is_digit(peek(l, n)))
				n++;
		}
		if (peek(l, n) == 'e' || peek(l, n) == 'E') {
			size_t sign =
			    peek(l, n + 1) == '+' || peek(l, n + 1) == '-';

			whole = false;
			n += 1 + sign;
			if (!is_digit(peek(l, n)))
				return expr_fault_set(l->fault, l->token_at,
				    "the exponent of the number is missing");
			while (is_digit(peek(l, n)))
				n++;
		}
		if (!whole)
			return lex_double(
			    l, (struct str){ l->text.p + l->at, n });
		if (lex_decimal(l, n, &u) < 0)
			return -1;
	}
	l->token = TOKEN_VALUE;
	if (peek(l, 0) == 'u' || peek(l, 0) == 'U') {
		l->at++;
		l->value = (struct expr_value){ .type = EXPR_UINT, .u = u };
	} else if (u <= INT64_MAX) {
		l->value =
		    (struct expr_value){ .type = EXPR_INT, .i = (int64_t)u };
	} else if (u == (uint64_t)INT64_MAX + 1) {
		l->value =
		    (struct expr_value){ .type = EXPR_INT, .i = INT64_MIN };
		l->beyond = true;
	} else {
		return expr_fault_set(l->fault, l->token_at,
		    "the number has more than 64 bits; write it as a double, "
		    "with a point");
	}
	if (is_letter(peek(l, 0)) || is_digit(peek(l, 0)))
		return expr_fault_set(
		    l->fault, l->token_at, "this is no number");
	return 0;
}

static int
lex_hex(struct lexer *l, uint64_t *out)
{
	uint64_t u = 0;
	size_t n = 2;

	for (;; n++) {
		char c = peek(l, n);
		uint64_t digit = is_digit(c) ? (uint64_t)(c - '0')
		    : c >= 'a' && c <= 'f'   ? (uint64_t)(c - 'a') + 10
		    : c >= 'A' && c <= 'F'   ? (uint64_t)(c - 'A') + 10
					     : 16;

		if (digit == 16)
			break;
		if (u >> 60 != 0)
			return expr_fault_set(l->fault, l->token_at,
			    "the number has more than 64 bits");
		u = u * 16 + digit;
	}
	if (n == 2)
		return expr_fault_set(
		    l->fault, l->token_at, "there are no digits after 0x");
	l->at += (uint32_t)n;
	*out = u;
	return 0;
}

static int
lex_decimal(struct lexer *l, size_t digits, uint64_t *out)
{
	struct str text = { l->text.p + l->at, digits };

	if (str_to_u64(text, out) < 0)
		return expr_fault_set(l->fault, l->token_at,
		    "the number has more than 64 bits; write it as a double, "
		    "with a point");
	l->at += (uint32_t)digits;
	return 0;
}

/* JSON's reader knows how; it wants one digit before the point, no more. */
static int
lex_double(struct lexer *l, struct str text)
{
	char copy[64];
	struct err e;
	size_t n = 0, used;
	double d;

	while (text.n > 1 && text.p[0] == '0' && is_digit(text.p[1])) {
		text.p++;
		text.n--;
		l->at++;
	}
	if (text.n + 2 > sizeof(copy))
		return expr_fault_set(
		    l->fault, l->token_at, "the number has too many digits");
	if (text.p[0] == '.')
		copy[n++] = '0';
	memcpy(copy + n, text.p, text.n);
	n += text.n;
	if (json_number((struct str){ copy, n }, &used, &d, &e) < 0 ||
	    used != n)
		return expr_fault_set(l->fault, l->token_at,
		    "a double has no room for the number: a whole one has "
		    "at most 53 bits");
	l->at += (uint32_t)text.n;
	if (is_letter(peek(l, 0)))
		return expr_fault_set(
		    l->fault, l->token_at, "this is no number");
	l->token = TOKEN_VALUE;
	l->value = (struct expr_value){ .type = EXPR_DOUBLE, .d = d };
	return 0;
}

static int
lex_string(struct lexer *l, bool raw)
{
	char quote = peek(l, 0);
	char *text = arena_alloc(l->arena, l->text.n - l->at);
	size_t n = 0;

	if (text == NULL)
		return expr_fault_set(l->fault, l->at, "no memory left");
	if (peek(l, 1) == quote && peek(l, 2) == quote)
		return expr_fault_set(
		    l->fault, l->at, "write the text in one quote");
	l->at++;
	while (peek(l, 0) != quote) {
		char c = peek(l, 0);

		if (l->at == l->text.n || c == '\n' || c == '\r')
			return expr_fault_set(l->fault, l->token_at,
			    "the text has no end on its line");
		if (c == '\\' && !raw) {
			if (lex_escape(l, text, &n) < 0)
				return -1;
			continue;
		}
		text[n++] = c;
		l->at++;
	}
	l->at++;
	l->token = TOKEN_VALUE;
	l->value = (struct expr_value){ .type = EXPR_STRING, .s = { text, n } };
	return 0;
}

/* An escape never stands for more bytes than it has. */
static int
lex_escape(struct lexer *l, char *out, size_t *n)
{
	static const char from[] = "abfnrtv\\?\"'`";
	static const char to[] = "\a\b\f\n\r\t\v\\?\"'`";
	uint32_t at = l->at, c = 0;
	char kind = peek(l, 1);
	const char *simple = kind != '\0' ? strchr(from, kind) : NULL;
	size_t digits = kind == 'x' || kind == 'X' ? 2
	    : kind == 'u'			   ? 4
	    : kind == 'U'			   ? 8
						   : 0;
	uint32_t base = 16;

	l->at += 2;
	if (simple != NULL) {
		out[(*n)++] = to[simple - from];
		return 0;
	}
	if (kind >= '0' && kind <= '3') {
		digits = 3;
		base = 8;
		l->at--;
	}
	if (digits == 0)
		return expr_fault_set(l->fault, at, "this is no escape of CEL");
	for (size_t i = 0; i < digits; i++, l->at++) {
		char d = peek(l, 0);
		uint32_t value = is_digit(d) ? (uint32_t)(d - '0')
		    : d >= 'a' && d <= 'f'   ? (uint32_t)(d - 'a') + 10
		    : d >= 'A' && d <= 'F'   ? (uint32_t)(d - 'A') + 10
					     : 16;

		if (value >= base || c > 0x10ffff)
			return expr_fault_set(
			    l->fault, at, "the escape is not complete");
		c = c * base + value;
	}
	return put_code_point(l, at, c, out, n);
}

static int
put_code_point(struct lexer *l, uint32_t at, uint32_t c, char *out, size_t *n)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return expr_fault_set(
		    l->fault, at, "the escape is no character");
	if (c < 0x80) {
		out[(*n)++] = (char)c;
	} else if (c < 0x800) {
		out[(*n)++] = (char)(0xc0 | c >> 6);
		out[(*n)++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		out[(*n)++] = (char)(0xe0 | c >> 12);
		out[(*n)++] = (char)(0x80 | (c >> 6 & 0x3f));
		out[(*n)++] = (char)(0x80 | (c & 0x3f));
	} else {
		out[(*n)++] = (char)(0xf0 | c >> 18);
		out[(*n)++] = (char)(0x80 | (c >> 12 & 0x3f));
		out[(*n)++] = (char)(0x80 | (c >> 6 & 0x3f));
		out[(*n)++] = (char)(0x80 | (c & 0x3f));
	}
	return 0;
}

static int
lex_operator(struct lexer *l)
{
	/* Of those that start the same, the longer one is first. */
	static const struct {
		const char *text;
		enum expr_token token;
	} all[] = {
		{ "&&", TOKEN_AND },
		{ "||", TOKEN_OR },
		{ "==", TOKEN_EQ },
		{ "!=", TOKEN_NE },
		{ "<=", TOKEN_LE },
		{ ">=", TOKEN_GE },
		{ "<", TOKEN_LT },
		{ ">", TOKEN_GT },
		{ "!", TOKEN_NOT },
		{ "+", TOKEN_PLUS },
		{ "-", TOKEN_MINUS },
		{ "*", TOKEN_STAR },
		{ "/", TOKEN_SLASH },
		{ "%", TOKEN_PERCENT },
		{ "?", TOKEN_QUESTION },
		{ ":", TOKEN_COLON },
		{ ".", TOKEN_DOT },
		{ ",", TOKEN_COMMA },
		{ "(", TOKEN_OPEN },
		{ ")", TOKEN_CLOSE },
		{ "[", TOKEN_OPEN_LIST },
		{ "]", TOKEN_CLOSE_LIST },
	};
	struct str rest = { l->text.p + l->at, l->text.n - l->at };
	char c = rest.p[0];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct str text = str_of(all[i].text);

		if (!str_starts(rest, text))
			continue;
		l->at += (uint32_t)text.n;
		l->token = all[i].token;
		return 0;
	}
	if (c == '=' || c == '&' || c == '|')
		return expr_fault_set(l->fault, l->at, "write %c%c", c, c);
	if (c == '{')
		return expr_fault_set(l->fault, l->at,
		    "maps cannot be written here; compare members one by one");
	return expr_fault_set(
	    l->fault, l->at, "this character means nothing here");
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* NUL behind the end. */
static char
peek(const struct lexer *l, size_t ahead)
{
	return ahead < l->text.n - l->at ? l->text.p[l->at + ahead] : '\0';
}
