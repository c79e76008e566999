/* What the kernel's audit says of what Landlock has refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "codec/audit.h"

#define HEAD "audit(1795287062.799:13439): "

static struct audit_record
parse(uint32_t type, const char *text)
{
	struct audit_record r;

	assert_int_equal(audit_record_parse(type, str_of(text), &r), 0);
	return r;
}

/* As Linux 6.18 has written them. */
static void
records_of_a_kernel_are_read(void **state)
{
	struct audit_record r;

	(void)state;
	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=15b66b702 blockers=fs.read_file "
		 "path=2F746D702F612022686F7374222066696C650A2E747874 "
		 "dev=\"vda\" ino=10969347");
	assert_int_equal(r.serial, 13439);
	assert_int_equal(r.domain, 0x15b66b702);
	assert_string_equal(r.blockers, "fs.read_file");
	assert_string_equal(r.about, "/tmp/a \"host\" file\n.txt");
	assert_true(r.is_path);

	r = parse(AUDIT_TYPE_LANDLOCK_DOMAIN,
	    HEAD
	    "domain=15b66b702 status=allocated mode=enforcing pid=25980 "
	    "uid=1931206657 exe=\"/run/paddock/paddock\" comm=\"paddock\"");
	assert_int_equal(r.pid, 25980);
	assert_false(r.gone);
	r = parse(AUDIT_TYPE_LANDLOCK_DOMAIN,
	    HEAD "domain=15b66b702 status=deallocated denials=3");
	assert_true(r.gone);

	r = parse(AUDIT_TYPE_SYSCALL,
	    HEAD "arch=c000003e syscall=257 success=no exit=-13 a0=ffffff9c "
		 "a1=7ffcd7ecfe72 a2=0 a3=0 items=1 ppid=26148 pid=26149 "
		 "auid=1879048185 uid=1931206657 tty=(none) ses=1 comm=\"cat\" "
		 "exe=\"/usr/bin/cat\" key=(null)");
	assert_int_equal(r.pid, 26149);
	assert_int_equal(r.call, 257);
	assert_int_equal(r.error, 13);
	assert_string_equal(r.comm, "cat");

	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=1 blockers=scope.signal opid=7 ocomm=\"sleep\"");
	assert_string_equal(r.about, "sleep");
	assert_false(r.is_path);
	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=1 blockers=fs.refer,fs.make_reg name=\"b\" "
		 "dev=\"tmpfs\" ino=12");
	assert_string_equal(r.blockers, "fs.refer,fs.make_reg");
	assert_string_equal(r.about, "b");
	/* An abstract socket's name begins with a NUL. */
	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=1 blockers=scope.abstract_unix_socket path=006162");
	assert_string_equal(r.about, "@ab");
	assert_int_equal(parse(AUDIT_TYPE_EOE, HEAD).serial, 13439);
}

static void
what_is_no_such_record_is_refused(void **state)
{
	static const struct {
		uint32_t type;
		const char *text;
	} rows[] = {
		{ AUDIT_TYPE_LANDLOCK_ACCESS, "" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS, "domain=1 blockers=fs.refer" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS, HEAD },
		{ AUDIT_TYPE_LANDLOCK_ACCESS, HEAD "blockers=fs.refer" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS, HEAD "domain=1 path=\"/a\"" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS,
		    HEAD "domain=12345678123456781 blockers=fs.refer" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS,
		    HEAD "domain=xyz blockers=fs.refer" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS,
		    "audit(1.2:x): domain=1 blockers=fs.refer" },
		{ AUDIT_TYPE_LANDLOCK_ACCESS,
		    "audit(1): domain=1:2 blockers=fs.refer" },
		{ AUDIT_TYPE_LANDLOCK_DOMAIN,
		    HEAD "domain=1 status=allocated" },
		{ AUDIT_TYPE_LANDLOCK_DOMAIN, HEAD "domain=1 pid=99999999999" },
		{ AUDIT_TYPE_SYSCALL, HEAD "syscall=1" },
		{ 1302, HEAD "domain=1 blockers=fs.refer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct audit_record r;

		assert_int_equal(
		    audit_record_parse(rows[i].type, str_of(rows[i].text), &r),
		    -1);
	}
}

/* The kernel writes these as digits; were they to come otherwise, the first
 * member of a name counts. */
static void
a_name_cannot_be_another_member(void **state)
{
	struct audit_record r;

	(void)state;
	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=1 blockers=fs.refer "
		 "path=\"/x domain=2 blockers=fs.execute path=/y\" ino=1");
	assert_int_equal(r.domain, 1);
	assert_string_equal(r.blockers, "fs.refer");
	assert_string_equal(r.about, "/x domain=2 blockers=fs.execute path=/y");
	r = parse(AUDIT_TYPE_SYSCALL,
	    HEAD "pid=5 comm=7069643D36 exe=\"/a\" pid=6 syscall=1");
	assert_int_equal(r.pid, 5);
	assert_string_equal(r.comm, "pid=6");
	/* Cut off within a name: it has none. */
	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=1 blockers=fs.refer path=\"/half");
	assert_string_equal(r.about, "");
	r = parse(AUDIT_TYPE_LANDLOCK_ACCESS,
	    HEAD "domain=1 blockers=fs.refer path=2F7");
	assert_string_equal(r.about, "");
}

static void
feed(struct audit_join *j, int64_t now_ms, uint32_t type, const char *text)
{
	struct audit_record r = parse(type, text);

	audit_join_add(j, &r, now_ms);
}

static void
an_access_is_told_once_with_its_process(void **state)
{
	static struct audit_join j;
	struct audit_denied d;

	(void)state;
	j = (struct audit_join){};
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_ACCESS,
	    "audit(1.2:7): domain=a blockers=fs.refer path=\"/x\"");
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_DOMAIN,
	    "audit(1.2:7): domain=a status=allocated pid=40");
	assert_false(audit_join_next(&j, 1, &d)); /* its call is to come */
	assert_true(audit_join_waits(&j));
	feed(&j, 1, AUDIT_TYPE_SYSCALL,
	    "audit(1.2:8): syscall=1 exit=0 pid=50 comm=\"other\"");
	assert_false(audit_join_next(&j, 1, &d));
	feed(&j, 1, AUDIT_TYPE_SYSCALL,
	    "audit(1.2:7): syscall=82 exit=-18 pid=41 comm=\"mv\"");
	assert_true(audit_join_next(&j, 1, &d));
	assert_int_equal(d.maker, 40);
	assert_int_equal(d.pid, 41);
	assert_int_equal(d.call, 82);
	assert_int_equal(d.error, 18);
	assert_string_equal(d.comm, "mv");
	assert_string_equal(d.about, "/x");
	assert_false(audit_join_next(&j, 10000, &d));
	assert_false(audit_join_waits(&j));
}

static void
without_its_process_it_is_told_a_little_later(void **state)
{
	static struct audit_join j;
	struct audit_denied d;

	(void)state;
	j = (struct audit_join){};
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_DOMAIN,
	    "audit(1.2:1): domain=a status=allocated pid=40");
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_ACCESS,
	    "audit(1.2:2): domain=a blockers=fs.refer path=\"/x\"");
	/* Of a domain that nobody has heard of: not ours. */
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_ACCESS,
	    "audit(1.2:3): domain=b blockers=fs.refer path=\"/y\"");
	assert_false(audit_join_next(&j, AUDIT_WAIT_MS - 1, &d));
	assert_true(audit_join_next(&j, AUDIT_WAIT_MS, &d));
	assert_int_equal(d.pid, 0);
	assert_string_equal(d.about, "/x");
	assert_false(audit_join_next(&j, AUDIT_WAIT_MS, &d));
}

static void
who_is_refused_very_often_is_told_that_often_and_no_more(void **state)
{
	static struct audit_join j;
	struct audit_denied d;
	char text[128];
	int told = 0;

	(void)state;
	j = (struct audit_join){};
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_DOMAIN,
	    "audit(1.2:1): domain=a status=allocated pid=40");
	for (int i = 0; i < 10 * EXPLAIN_REPORTS_MAX; i++) {
		(void)snprintf(text, sizeof(text),
		    "audit(1.2:%d): domain=a blockers=fs.refer path=\"/%d\"", i,
		    i);
		feed(&j, i, AUDIT_TYPE_LANDLOCK_ACCESS, text);
		(void)snprintf(text, sizeof(text),
		    "audit(1.2:%d): syscall=1 exit=-13 pid=41", i);
		feed(&j, i, AUDIT_TYPE_SYSCALL, text);
		while (audit_join_next(&j, i, &d))
			told++;
	}
	assert_int_equal(told, EXPLAIN_REPORTS_MAX);
	/* Another one is told all the same. */
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_DOMAIN,
	    "audit(1.2:1): domain=b status=allocated pid=44");
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_ACCESS,
	    "audit(1.2:2): domain=b blockers=fs.refer path=\"/x\"");
	assert_true(audit_join_next(&j, AUDIT_WAIT_MS, &d));
	assert_int_equal(d.maker, 44);
}

/* However many there are, and whatever never gets whole. */
static void
what_waits_and_who_is_known_is_bounded(void **state)
{
	static struct audit_join j;
	struct audit_denied d;
	char text[128];
	int told = 0;

	(void)state;
	j = (struct audit_join){};
	for (int i = 1; i < 3 * AUDIT_DOMAINS_MAX; i++) {
		(void)snprintf(text, sizeof(text),
		    "audit(1.2:%d): domain=%x status=allocated pid=%d", i, i,
		    i);
		feed(&j, i, AUDIT_TYPE_LANDLOCK_DOMAIN, text);
		(void)snprintf(text, sizeof(text),
		    "audit(1.2:%d): domain=%x blockers=fs.refer path=\"/%d\"",
		    i, i, i);
		feed(&j, i, AUDIT_TYPE_LANDLOCK_ACCESS, text);
	}
	while (audit_join_next(&j, 10LL * AUDIT_DOMAINS_MAX, &d)) {
		assert_true(d.maker >= 2 * AUDIT_DOMAINS_MAX);
		told++;
	}
	assert_int_equal(told, AUDIT_WAITING_MAX);
	/* One that is gone makes room, and is told no more. */
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_DOMAIN,
	    "audit(1.2:9): domain=bff status=deallocated denials=1");
	feed(&j, 0, AUDIT_TYPE_LANDLOCK_ACCESS,
	    "audit(1.2:9): domain=bff blockers=fs.refer path=\"/x\"");
	assert_false(audit_join_next(&j, AUDIT_WAIT_MS, &d));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_a_kernel_are_read),
		cmocka_unit_test(what_is_no_such_record_is_refused),
		cmocka_unit_test(a_name_cannot_be_another_member),
		cmocka_unit_test(an_access_is_told_once_with_its_process),
		cmocka_unit_test(without_its_process_it_is_told_a_little_later),
		cmocka_unit_test(
		    who_is_refused_very_often_is_told_that_often_and_no_more),
		cmocka_unit_test(what_waits_and_who_is_known_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
