/*
 * The network of a new sandbox: what net_open adds to a network namespace.
 * Needs root, or a user namespace of its own (unshare -Ur).
 */
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "sample.h"
#include "sandbox/net.h"
#include "sys/fd.h"
#include "sys/ns.h"

enum { ROUNDS = 200 };

int
main(void)
{
	own_sample struct sample create = {}, set = {};
	own_buf struct buf text = {};
	bool any = true;

	for (int i = 0; i < ROUNDS; i++) {
		int out[NET_SOCKETS];
		struct err e = {};
		int64_t t0 = clock_mono_ns(), t1, t2;

		if (unshare(CLONE_NEWNET) < 0 || ns_loopback_up(&e) < 0) {
			perror("a network namespace");
			return 1;
		}
		t1 = clock_mono_ns();
		if (net_open(out, &any, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
		t2 = clock_mono_ns();
		for (int k = 0; k < NET_SOCKETS; k++)
			fd_fini(&out[k]);
		sample_add(&create, t1 - t0);
		sample_add(&set, t2 - t1);
	}
	buf_add_c(&text, "{\"every_port\":");
	buf_add_c(&text, any ? "true" : "false");
	buf_add_c(&text, ",\"namespace_us\":");
	sample_json(&create, &text);
	buf_add_c(&text, ",\"net_open_us\":");
	sample_json(&set, &text);
	buf_add_c(&text, "}\n");
	(void)fputs(buf_c(&text), stdout);
	return 0;
}
