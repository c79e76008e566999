/*
 * codec/dns.h: the questions of a stub resolver (RFC 1035), and our answers.
 *
 * A query has one question, plain labels (no compression pointer: nothing
 * comes before them), letters, digits, '-' and '_' in at most 63 bytes each,
 * 253 in all. What follows the question (EDNS) is not looked at. The answer
 * repeats the question and carries one address, or nothing.
 *
 * Pure.
 */
#ifndef CODEC_DNS_H
#define CODEC_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
	DNS_NAME_BYTES = 254, /* 253 characters and a NUL */
	DNS_LABEL_BYTES = 63,
	DNS_LABELS_MAX = 127,
	DNS_UDP_BYTES = 512, /* our answers fit this always */
	DNS_A = 1,
	DNS_AAAA = 28,
	DNS_IN = 1,
};

enum dns_answer {
	DNS_ADDRESS, /* the one given */
	DNS_NODATA, /* the name is there, this type is not */
	DNS_FORMERR = 1 << 8 | 1,
	DNS_NXDOMAIN = 1 << 8 | 3,
	DNS_NOTIMP = 1 << 8 | 4,
	DNS_REFUSED = 1 << 8 | 5,
};

struct dns_query {
	uint16_t id;
	uint16_t flags;
	uint16_t type, class;
	char name[DNS_NAME_BYTES]; /* lower case, no dot at the end */
	size_t question_end; /* bytes of head and question together */
};

/*
 * 0; -1 when it deserves no answer at all (too short, or itself an answer);
 * else what to answer to it: DNS_FORMERR or DNS_NOTIMP, with q->question_end
 * the head alone.
 */
int dns_query_parse(const uint8_t *p, size_t n, struct dns_query *q);

/*
 * The answer to q, whose bytes are at p, into out[cap]. address is in network
 * order, for DNS_ADDRESS; ttl_s is how long it may be kept. Returns its length;
 * cap is at least DNS_UDP_BYTES.
 */
size_t dns_answer_write(const uint8_t *p, const struct dns_query *q,
    enum dns_answer what, const uint8_t address[static 4], uint32_t ttl_s,
    uint8_t *out, size_t cap);

#endif
