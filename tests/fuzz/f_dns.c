/*
 * A query, as it comes by UDP.
 *
 * Holds: what is read is the question that stands there, and its name a plain
 * one; a query that has a pointer in its name is never read; and every answer
 * fits, repeats the question, and is read by another reader (c-ares) as what
 * it says.
 */
#include <arpa/inet.h>
#include <ares.h>
#include <ctype.h>
#include <netdb.h>
#include <string.h>

#include "base/must.h"
#include "codec/dns.h"

enum { HEAD = 12, TTL_S = 60, NAME_MAX_BYTES = 255, ADDRESSES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The name, as labels in front of the type, is the one that was read. */
static void
name_is_there(const uint8_t *p, const struct dns_query *q)
{
	const char *name = q->name;
	size_t at = HEAD;

	must(q->question_end <= HEAD + NAME_MAX_BYTES + 4);
	must(strlen(name) < DNS_NAME_BYTES);
	while (p[at] != 0) {
		size_t n = p[at++];

		must(n <= DNS_LABEL_BYTES);
		for (size_t i = 0; i < n; i++)
			must(*name++ == (char)tolower(p[at++]));
		must(*name == (p[at] == 0 ? '\0' : '.'));
		name += p[at] != 0;
	}
	must(*name == '\0' && at + 5 == q->question_end);
}

static void
answer_is_read(const uint8_t *p, const struct dns_query *q, int what)
{
	static const uint8_t address[4] = { 198, 18, 3, 7 };
	struct ares_addrttl got[ADDRESSES] = {};
	uint8_t out[DNS_UDP_BYTES];
	int n_got = ADDRESSES, r;
	size_t n = dns_answer_write(
	    p, q, (enum dns_answer)what, address, TTL_S, out, sizeof(out));

	must(n >= q->question_end && n <= sizeof(out));
	must(memcmp(out, p, 2) == 0 && (out[2] & 0x80) != 0);
	must(memcmp(out + HEAD, p + HEAD, q->question_end - HEAD) == 0);
	/* Nothing of a question that was not read comes back. */
	must(q->question_end > HEAD || n == HEAD);
	if (q->question_end == HEAD || q->type != DNS_A || q->class != DNS_IN)
		return;
	r = ares_parse_a_reply(out, (int)n, NULL, got, &n_got);
	if (what == DNS_ADDRESS) {
		must(r == ARES_SUCCESS && n_got == 1 && got[0].ttl == TTL_S);
		must(memcmp(&got[0].ipaddr, address, 4) == 0);
	} else if (what == DNS_NODATA) {
		must(r == ARES_ENODATA || (r == ARES_SUCCESS && n_got == 0));
	} else {
		must((out[3] & 0xf) == (what & 0xf));
		must(r != ARES_SUCCESS || n_got == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query q;
	int what = dns_query_parse(data, size, &q);

	must(what == -1 || what == 0 || what == DNS_FORMERR ||
	    what == DNS_NOTIMP);
	if (what < 0) {
		must(size < HEAD || (data[2] & 0x80) != 0);
		return 0;
	}
	must(q.question_end <= size);
	if (what != 0) {
		must(q.question_end == HEAD && q.name[0] == '\0');
		answer_is_read(data, &q, what);
		return 0;
	}
	name_is_there(data, &q);
	answer_is_read(data, &q, DNS_ADDRESS);
	answer_is_read(data, &q, DNS_NODATA);
	answer_is_read(data, &q, DNS_NXDOMAIN);
	answer_is_read(data, &q, DNS_REFUSED);
	return 0;
}
