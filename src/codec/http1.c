#include "codec/http1.h"

/* What a byte may be part of. */
enum {
	IN_LINE = 1, /* any line: visible, obs-text, space and tab */
	IN_TOKEN = 2, /* method, field name, connection option */
	IN_TARGET = 4, /* visible ASCII but '#': a fragment is never sent */
	IN_HOST = 8, /* a registered name, an IPv4 address */
	IN_IPV6 = 16, /* between brackets */

	ANY_LETTER = IN_LINE | IN_TOKEN | IN_TARGET | IN_HOST,
	ANY_HEX = ANY_LETTER | IN_IPV6,
	ANY_MARK = IN_LINE | IN_TOKEN | IN_TARGET,
	ANY_OTHER = IN_LINE | IN_TARGET,
};

/* clang-format off */
static const uint8_t is_in[256] = {
	['\t'] = IN_LINE, [' '] = IN_LINE,
	['0' ... '9'] = ANY_HEX, ['A' ... 'F'] = ANY_HEX,
	['a' ... 'f'] = ANY_HEX,
	['G' ... 'Z'] = ANY_LETTER, ['g' ... 'z'] = ANY_LETTER,
	['-'] = ANY_LETTER, ['_'] = ANY_LETTER, ['.'] = ANY_HEX,
	['!'] = ANY_MARK, ['$'] = ANY_MARK, ['%'] = ANY_MARK, ['&'] = ANY_MARK,
	['\''] = ANY_MARK, ['*'] = ANY_MARK, ['+'] = ANY_MARK,
	['^'] = ANY_MARK, ['`'] = ANY_MARK, ['|'] = ANY_MARK,
	['~'] = ANY_MARK,
	['#'] = IN_LINE | IN_TOKEN,
	['"'] = ANY_OTHER, ['('] = ANY_OTHER, [')'] = ANY_OTHER,
	[','] = ANY_OTHER, ['/'] = ANY_OTHER, [';'] = ANY_OTHER,
	['<'] = ANY_OTHER, ['='] = ANY_OTHER, ['>'] = ANY_OTHER,
	['?'] = ANY_OTHER, ['@'] = ANY_OTHER, ['['] = ANY_OTHER,
	['\\'] = ANY_OTHER, [']'] = ANY_OTHER, ['{'] = ANY_OTHER,
	['}'] = ANY_OTHER,
	[':'] = ANY_OTHER | IN_IPV6,
	[0x80 ... 0xff] = IN_LINE,
};
/* clang-format on */

/* One head on its way. Every refusal depends only on bytes up to where it is
 * made, so a head gives the same answer however it was cut into pieces. */
struct parse {
	const char *p;
	size_t n;
	size_t at; /* start of the next line */
	struct http1_head *h;
	bool response;
	uint32_t hosts;
	uint32_t lengths; /* Content-Length fields */
	uint32_t codings; /* Transfer-Encoding fields */
	bool close; /* Connection: close */
	bool keep; /* Connection: keep-alive */
	uint16_t *status;
	struct err *e;
};

static ssize_t head_parse(struct parse *x);
static int line_take(struct parse *x, struct str *line, uint16_t too_long);
static int request_line(struct parse *x, struct str line);
static int status_line(struct parse *x, struct str line);
static int version_take(struct parse *x, struct str version);
static int target_check(struct parse *x);
static int field_take(struct parse *x, struct str line);
static int length_take(struct parse *x, struct str value);
static int coding_take(struct parse *x, struct str value);
static int connection_take(struct parse *x, struct str value);
static int framing_check(struct parse *x);
static int request_finish(struct parse *x);
static int response_finish(struct parse *x, bool to_head);
static bool authority_ok(struct str s, bool needs_port);
static bool all_in(struct str s, uint8_t what);
static struct str cut(struct str *rest, char at);
static int refuse(struct parse *x, uint16_t status, const char *why);

ssize_t
http1_request(const char *p, size_t n, struct http1_head *h, uint16_t *status,
    struct err *e)
{
	struct parse x = { .p = p, .n = n, .h = h, .status = status, .e = e };
	struct str line = STR("");
	ssize_t r;

	h->n = 0;
	h->status = 0;
	r = line_take(&x, &line, 414);
	if (r <= 0)
		return r;
	if (request_line(&x, line) < 0)
		return -1;
	r = head_parse(&x);
	if (r > 0 && request_finish(&x) < 0)
		return -1;
	return r;
}

ssize_t
http1_response(const char *p, size_t n, bool to_head, struct http1_head *h,
    uint16_t *status, struct err *e)
{
	struct parse x = { .p = p,
		.n = n,
		.h = h,
		.response = true,
		.status = status,
		.e = e };
	struct str line = STR("");
	ssize_t r;

	h->n = 0;
	h->method = h->target = STR("");
	r = line_take(&x, &line, 502);
	if (r <= 0)
		return r;
	if (status_line(&x, line) < 0)
		return -1;
	r = head_parse(&x);
	if (r > 0 && response_finish(&x, to_head) < 0)
		return -1;
	return r;
}

const struct str *
http1_get(const struct http1_head *h, struct str name)
{
	for (uint32_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->field[i].name, name))
			return &h->field[i].value;
	}
	return NULL;
}

uint32_t
http1_count(const struct http1_head *h, struct str name)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < h->n; i++)
		count += str_eq_nocase(h->field[i].name, name);
	return count;
}

bool
http1_is_token(struct str s)
{
	return s.n > 0 && all_in(s, IN_TOKEN);
}

const char *
http1_reason(uint16_t status)
{
	static const struct {
		uint16_t status;
		const char *reason;
	} reasons[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 407, "Proxy Authentication Required" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}

/* The fields, up to and with the empty line. As http1_request. */
static ssize_t
head_parse(struct parse *x)
{
	struct str line = STR("");
	int r;

	x->h->keep_alive = false;
	x->h->expect_continue = false;
	x->h->body = HTTP1_BODY_NONE;
	x->h->length = 0;
	for (;;) {
		r = line_take(x, &line, 431);
		if (r <= 0)
			return r;
		if (line.n == 0)
			break;
		if (x->h->n == HTTP_MAX_FIELDS)
			return refuse(x, 431, "too many header fields");
		if (field_take(x, line) < 0)
			return -1;
	}
	if (framing_check(x) < 0)
		return -1;

	/* RFC 9112 section 9.3: close wins, and 1.0 has to ask. */
	x->h->keep_alive = !x->close && (x->h->minor == 1 || x->keep);
	return (ssize_t)x->at;
}

/* The next line without its CRLF: 1, 0 when it is not whole yet, or -1. */
static int
line_take(struct parse *x, struct str *line, uint16_t too_long)
{
	const unsigned char *p = (const unsigned char *)x->p;
	size_t end = x->n < HTTP_MAX_HEAD_BYTES ? x->n : HTTP_MAX_HEAD_BYTES;
	size_t max = x->at + HTTP_MAX_LINE_BYTES;
	size_t i = x->at;

	if (max > end)
		max = end;
	while (i < max && (is_in[p[i]] & IN_LINE))
		i++;
	if (i < end && p[i] != '\r') {
		if (is_in[p[i]] & IN_LINE)
			return refuse(x, too_long, "line too long");
		if (p[i] == '\n')
			return refuse(x, 400, "line ends in LF without CR");
		return refuse(x, 400, "control character in the head");
	}
	if (i + 1 < end) {
		if (p[i + 1] != '\n')
			return refuse(x, 400, "CR without LF");
		*line = (struct str){ x->p + x->at, i - x->at };
		x->at = i + 2;
		return 1;
	}
	if (end == HTTP_MAX_HEAD_BYTES)
		return refuse(x, 431, "head too long");
	return 0;
}

/* method SP target SP version, with single spaces. */
static int
request_line(struct parse *x, struct str line)
{
	struct str rest = line;

	/* RFC 9112 section 2.2 would let a server skip an empty line here.
	 * Nobody has sent one for twenty years, so it hides something. */
	if (line.n == 0)
		return refuse(x, 400, "empty line before the request line");
	x->h->method = cut(&rest, ' ');
	x->h->target = cut(&rest, ' ');
	if (!http1_is_token(x->h->method))
		return refuse(x, 400, "method is not a token");
	if (x->h->target.n == 0 || rest.n == 0)
		return refuse(
		    x, 400, "request line is not METHOD TARGET VERSION");
	if (version_take(x, rest) < 0)
		return -1;
	return target_check(x);
}

/* version SP status SP [reason]. */
static int
status_line(struct parse *x, struct str line)
{
	struct str rest = line;
	struct str version = cut(&rest, ' ');
	uint64_t status;

	if (version_take(x, version) < 0)
		return -1;
	if (rest.n < 4 || rest.p[3] != ' ' ||
	    str_to_u64((struct str){ rest.p, 3 }, &status) < 0)
		return refuse(
		    x, 502, "status line is not VERSION STATUS REASON");
	if (status < 100 || status > 599)
		return refuse(x, 502, "status is not in 100 to 599");
	x->h->status = (uint16_t)status;
	return 0;
}

static int
version_take(struct parse *x, struct str version)
{
	if (str_eq(version, STR("HTTP/1.1"))) {
		x->h->minor = 1;
		return 0;
	}
	if (str_eq(version, STR("HTTP/1.0"))) {
		x->h->minor = 0;
		return 0;
	}
	if (version.n == 8 && str_starts(version, STR("HTTP/")) &&
	    version.p[5] >= '0' && version.p[5] <= '9' && version.p[6] == '.' &&
	    version.p[7] >= '0' && version.p[7] <= '9')
		return refuse(x, 505, "only HTTP/1.1 and HTTP/1.0 are spoken");
	return refuse(x, 400, "no HTTP version where one must be");
}

/* One of the four forms of RFC 9112 section 3.2. */
static int
target_check(struct parse *x)
{
	struct str t = x->h->target;
	struct str scheme, authority;
	size_t end = 0;

	if (!all_in(t, IN_TARGET))
		return refuse(x, 400, "target has a byte that no URI has");
	if (str_eq(x->h->method, STR("CONNECT"))) {
		if (!authority_ok(t, true))
			return refuse(
			    x, 400, "CONNECT target is not HOST:PORT");
		return 0;
	}
	if (t.p[0] == '/')
		return 0;
	if (str_eq(t, STR("*"))) {
		if (!str_eq(x->h->method, STR("OPTIONS")))
			return refuse(x, 400, "target * is for OPTIONS only");
		return 0;
	}

	/* Absolute: no user name, which RFC 9110 section 4.2.4 calls an
	 * error, because authority_ok knows no '@'. */
	scheme = cut(&t, ':');
	if (!str_eq_nocase(scheme, STR("http")) &&
	    !str_eq_nocase(scheme, STR("https")))
		return refuse(x, 400, "target is neither a path nor http://");
	if (!str_starts(t, STR("//")))
		return refuse(x, 400, "target has no // behind its scheme");
	authority = (struct str){ t.p + 2, t.n - 2 };
	while (end < authority.n && authority.p[end] != '/' &&
	    authority.p[end] != '?')
		end++;
	authority.n = end;
	if (!authority_ok(authority, false))
		return refuse(x, 400, "target has no valid host");
	return 0;
}

static int
field_take(struct parse *x, struct str line)
{
	struct str value = line;
	struct str name = cut(&value, ':');

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return refuse(x, 400, "folded header line");
	if (name.n == line.n)
		return refuse(x, 400, "header line without a colon");
	if (!http1_is_token(name))
		return refuse(x, 400, "header name is not a token");
	x->h->field[x->h->n++] = (struct http1_field){ name, str_trim(value) };

	if (str_eq_nocase(name, STR("content-length")))
		return length_take(x, value);
	if (str_eq_nocase(name, STR("transfer-encoding")))
		return coding_take(x, value);
	value = str_trim(value);
	if (str_eq_nocase(name, STR("connection")))
		return connection_take(x, value);
	if (x->response)
		return 0;
	if (str_eq_nocase(name, STR("host"))) {
		x->hosts++;
		if (!authority_ok(value, false))
			return refuse(x, 400, "Host is not HOST or HOST:PORT");
		return 0;
	}
	if (str_eq_nocase(name, STR("expect")) && x->h->minor == 1) {
		if (!str_eq_nocase(value, STR("100-continue")))
			return refuse(x, 417, "Expect is not 100-continue");
		x->h->expect_continue = true;
	}
	return 0;
}

static int
coding_take(struct parse *x, struct str value)
{
	x->codings++;
	/* White space by the grammar, but some parsers keep it and then see
	 * no coding that they know. The same goes for a length. */
	if (str_find(value, '\t') != value.n)
		return refuse(x, 400, "a tab in Transfer-Encoding");
	if (!str_eq_nocase(str_trim(value), STR("chunked")))
		return refuse(
		    x, 501, "Transfer-Encoding is not exactly chunked");
	return 0;
}

static int
length_take(struct parse *x, struct str value)
{
	x->lengths++;
	if (str_find(value, '\t') != value.n)
		return refuse(x, 400, "a tab in Content-Length");
	value = str_trim(value);
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return refuse(x, 400, "Content-Length is not a number");
	}
	if (value.n == 0)
		return refuse(x, 400, "Content-Length is empty");
	/* Decimal to us, octal to a careless neighbour. */
	if (value.n > 1 && value.p[0] == '0')
		return refuse(x, 400, "Content-Length begins with 0");
	if (str_to_u64(value, &x->h->length) < 0)
		return refuse(x, 413, "Content-Length is over 64 bits");
	return 0;
}

static int
connection_take(struct parse *x, struct str value)
{
	while (value.n > 0) {
		struct str option = str_trim(cut(&value, ','));

		/* RFC 9110 section 5.6.1.2: empty elements count as none. */
		if (option.n == 0)
			continue;
		if (!http1_is_token(option))
			return refuse(
			    x, 400, "Connection is no list of tokens");
		if (str_eq_nocase(option, STR("close")))
			x->close = true;
		else if (str_eq_nocase(option, STR("keep-alive")))
			x->keep = true;
	}
	return 0;
}

/* The rules that stand against request smuggling, RFC 9112 section 6. */
static int
framing_check(struct parse *x)
{
	if (x->lengths > 0 && x->codings > 0)
		return refuse(
		    x, 400, "both Content-Length and Transfer-Encoding");
	if (x->lengths > 1)
		return refuse(x, 400, "more than one Content-Length");
	if (x->codings > 1)
		return refuse(x, 400, "more than one Transfer-Encoding");
	if (x->codings > 0 && x->h->minor == 0)
		return refuse(x, 400, "Transfer-Encoding with HTTP/1.0");
	if (x->codings > 0)
		x->h->body = HTTP1_BODY_CHUNKED;
	else if (x->lengths > 0)
		x->h->body = HTTP1_BODY_LENGTH;
	return 0;
}

static int
request_finish(struct parse *x)
{
	if (x->hosts > 1)
		return refuse(x, 400, "more than one Host");
	if (x->hosts == 0 && x->h->minor == 1)
		return refuse(x, 400, "no Host");
	/* What follows a CONNECT is the tunnel: a body would be read twice. */
	if (str_eq(x->h->method, STR("CONNECT")) &&
	    (x->h->body == HTTP1_BODY_CHUNKED || x->h->length > 0))
		return refuse(x, 400, "CONNECT with a body");
	return 0;
}

static int
response_finish(struct parse *x, bool to_head)
{
	uint16_t status = x->h->status;
	bool never = status < 200 || status == 204;

	/* RFC 9110 sections 8.6 and RFC 9112 6.1 forbid it: a body here is
	 * one that we would take for the next response. */
	if (never && (x->h->body == HTTP1_BODY_CHUNKED || x->h->length > 0))
		return refuse(x, 502, "a body with a status that has none");
	if (never || status == 304 || to_head) {
		x->h->body = HTTP1_BODY_NONE;
		x->h->length = 0;
	} else if (x->h->body == HTTP1_BODY_NONE) {
		x->h->body = HTTP1_BODY_UNTIL_CLOSE;
		x->h->keep_alive = false;
	}
	return 0;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static bool
authority_ok(struct str s, bool needs_port)
{
	struct str host = s, port;
	uint64_t number;
	size_t colon;

	if (s.n > 0 && s.p[0] == '[') {
		size_t end = str_find(s, ']');

		if (end == s.n)
			return false;
		host = (struct str){ s.p + 1, end - 1 };
		if (!all_in(host, IN_IPV6))
			return false;
		colon = end + 1;
		if (colon < s.n && s.p[colon] != ':')
			return false;
	} else {
		colon = str_find(s, ':');
		host.n = colon;
		if (!all_in(host, IN_HOST))
			return false;
	}
	if (host.n == 0)
		return false;
	if (colon >= s.n)
		return !needs_port;
	port = (struct str){ s.p + colon + 1, s.n - colon - 1 };
	return port.n <= 5 && str_to_u64(port, &number) == 0 &&
	    number <= UINT16_MAX;
}

static bool
all_in(struct str s, uint8_t what)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!(is_in[(unsigned char)s.p[i]] & what))
			return false;
	}
	return true;
}

/* What is before the first such byte, or all; rest becomes what is behind. */
static struct str
cut(struct str *rest, char at)
{
	struct str head = { rest->p, str_find(*rest, at) };
	size_t skip = head.n < rest->n ? head.n + 1 : head.n;

	rest->p += skip;
	rest->n -= skip;
	return head;
}

static int
refuse(struct parse *x, uint16_t status, const char *why)
{
	*x->status = x->response ? 502 : status;
	return err_set(x->e, "%s", why);
}
