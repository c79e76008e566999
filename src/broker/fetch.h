/*
 * broker/fetch.h: requests over HTTPS that the daemon itself makes, through the
 * proxy: to an issuer for its keys, to who is told of approvals.
 *
 * What may be asked is what the operator has written into identity/: nothing a
 * run or a request says chooses where it goes. Each ends with one call of
 * on_done, from the loop, also when the proxy ends before.
 */
#ifndef BROKER_FETCH_H
#define BROKER_FETCH_H

#include "broker/broker.h"
#include "core/web_target.h"

struct fetch_answer {
	uint32_t status; /* 0: there is none, and text is why */
	uint32_t max_age_s; /* FETCH_AGE_UNKNOWN: nobody said */
	struct str text; /* its body */
};

struct fetch_ask {
	const struct web_target *to;
	struct str roots; /* PEM; "": the machine's */
	const char *method;
	struct str fields; /* lines of the head, each with its CRLF */
	struct str body;
	uint32_t max_bytes; /* of the answer */
	void (*on_done)(void *arg, const struct fetch_answer *a);
	void *arg;
};

/* Its number, or 0: there is no proxy now, or too many are under way. */
uint64_t fetch_start(const struct fetch_ask *ask);
/* Without on_done; what comes of it is not looked at. */
void fetch_stop(uint64_t id);

void on_fetched(const struct msg_fetched *m, struct str payload);
void fetch_proxy_lost(void);

#endif
