#include <stdio.h>

#include "forward_rig.h"

#include "base/clock.h"
#include "codec/base64.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define GET "GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
#define OK5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void
requests_follow_each_other_on_both_connections(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		say(&rig.client, GET);
		server_hears(GET);
		say(server(), OK5);
		hears(&rig.client, OK5);
		assert_int_equal(told(i)->status, 200);
		assert_int_equal(told(i)->received, 5);
		assert_string_equal(told(i)->error, "");
		assert_string_equal(told(i)->path, "/a");
	}
	assert_int_equal(rig.n_servers, 1);
	assert_int_equal(rig.n_asks, 3);
	assert_string_equal(rig.ask,
	    "{\"content_length\":0,\"host\":\"api.example.com\","
	    "\"method\":\"GET\",\"path\":\"/a\",\"port\":80,"
	    "\"proto\":\"http\"");
}

static void
pipelined_requests_are_answered_in_turn(void **state)
{
	(void)state;
	say(&rig.client, GET GET);
	server_hears(GET);
	say(server(), OK5);
	server_hears(GET);
	say(server(), "HTTP/1.1 204 No Content\r\n\r\n");
	hears(&rig.client, OK5 "HTTP/1.1 204 No Content\r\n\r\n");
	assert_int_equal(told(2)->status, 204);
}

static void
standing_requests_are_told_but_not_asked_about(void **state)
{
	(void)state;
	rig.verdict.flags = EGRESS_STANDING;
	for (int i = 1; i <= 3; i++) {
		say(&rig.client, GET);
		server_hears(GET);
		say(server(), OK5);
		hears(&rig.client, OK5);
		assert_int_equal(
		    told(i)->flags, i == 1 ? 0 : EGRESS_DONE_STANDING);
	}
	assert_int_equal(rig.n_asks, 1);
	say(&rig.client,
	    "POST /a HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Content-Length: 0\r\n\r\n");
	server_hears("POST /a HTTP/1.1\r\nHost: api.example.com\r\n"
		     "Content-Length: 0\r\n\r\n");
	assert_int_equal(rig.n_asks, 2);
}

static void
a_host_that_is_another_is_never_asked_about(void **state)
{
	(void)state;
	rig.verdict.flags = EGRESS_STANDING;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), OK5);
	hears(&rig.client, OK5);
	say(&rig.client, "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n");
	client_is_refused("421", "bad_request");
	wait_for(client_ended);
	assert_int_equal(server()->heard.n, 0);
}

static void
another_spelling_of_the_host_is_written_as_it_was_judged(void **state)
{
	static const char *const others[] = { "api.example.com.",
		"api.example.com.:80", "api.example.com:080" };
	static const char *const same[] = { "API.Example.com",
		"api.example.com:80" };

	(void)state;
	rig.verdict.flags = EGRESS_STANDING;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char text[96];

		(void)snprintf(text, sizeof(text),
		    "GET /a HTTP/1.1\r\nHost: %s\r\n\r\n", others[i]);
		say(&rig.client, text);
		server_hears(GET);
		say(server(), OK5);
		hears(&rig.client, OK5);
	}
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char text[96];

		(void)snprintf(text, sizeof(text),
		    "GET /a HTTP/1.1\r\nHost: %s\r\n\r\n", same[i]);
		say(&rig.client, text);
		server_hears(text);
		say(server(), OK5);
		hears(&rig.client, OK5);
	}
}

static void
head_has_no_body_whatever_its_length(void **state)
{
	(void)state;
	say(&rig.client,
	    "HEAD /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n" GET);
	server_hears("HEAD /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
	say(server(), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
	server_hears(GET);
	say(server(), OK5);
	hears(&rig.client, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" OK5);
}

#define POST_CHUNKED                                     \
	"POST /up HTTP/1.1\r\nHost: api.example.com\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"
#define OK_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void
chunks_pass_as_they_are_both_ways_at_once(void **state)
{
	(void)state;
	say(&rig.client, POST_CHUNKED "3\r\nabc\r\n");
	server_hears(POST_CHUNKED "3\r\nabc\r\n");
	say(server(), OK_CHUNKED "1\r\nx\r\n");
	hears(&rig.client, OK_CHUNKED "1\r\nx\r\n");
	say(&rig.client, "4\r\ndefg\r\n");
	server_hears("4\r\ndefg\r\n");
	say(server(), "2\r\nyz\r\n");
	hears(&rig.client, "2\r\nyz\r\n");
	say(&rig.client, "0\r\n\r\n");
	server_hears("0\r\n\r\n");
	say(server(), "0\r\ngrpc-status: 0\r\n\r\n");
	hears(&rig.client, "0\r\ngrpc-status: 0\r\n\r\n");
	assert_int_equal(told(1)->sent, 7);
	assert_int_equal(told(1)->received, 3);
	say(&rig.client, GET);
	server_hears(GET);
	assert_int_equal(rig.n_servers, 1);
}

static void
trailers_pass_only_when_judged(void **state)
{
	static const char *const refused[] = {
		"Content-Length: 3",
		"transfer-encoding: chunked",
		"HOST: evil.example",
		"Trailer: x",
		"Authorization: Bearer x",
		"cookie: a=b",
		"Content-Type: text/html",
		"If-Match: x",
		"X-Forwarded-For: 10.0.0.1",
		"X-HTTP-Method-Override: DELETE",
		"Connection: close",
		"x-own: stands in the head already",
		"a: fine\r\nproxy-authorization: x",
	};

	(void)state;
	say(&rig.client, POST_CHUNKED "3\r\nabc\r\n0\r\nX-Sum: 1\r\n");
	server_hears(POST_CHUNKED "3\r\nabc\r\n");
	/* Nothing of them, nor the end, goes out before all are there. */
	say(&rig.client, "grpc-state:  a b \r\n\r\n");
	server_hears("0\r\nX-Sum: 1\r\ngrpc-state: a b\r\n\r\n");
	say(server(), OK5);
	hears(&rig.client, OK5);
	(void)stop(NULL);
	for (size_t i = 0; i < COUNT(refused); i++) {
		(void)start(NULL);
		say(&rig.client,
		    "POST /up HTTP/1.1\r\nHost: api.example.com\r\n"
		    "X-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "1\r\nx\r\n");
		server_hears("POST /up HTTP/1.1\r\nHost: api.example.com\r\n"
			     "X-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "1\r\nx\r\n");
		say(&rig.client, "0\r\n");
		say(&rig.client, refused[i]);
		say(&rig.client, "\r\n\r\n");
		client_is_refused("400", "bad_trailer");
		assert_int_equal(server()->heard.n, 0);
		(void)stop(NULL);
	}
	(void)start(NULL);
}

static void
a_request_that_waits_for_a_person_has_no_trailers(void **state)
{
	(void)state;
	rig.verdict.verdict = EGRESS_WAIT;
	rig.verdict.flags = EGRESS_GATHER;
	say(&rig.client, POST_CHUNKED "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
	client_is_refused("400", "bad_trailer");
	assert_int_equal(rig.n_servers, 0);
	assert_int_equal(rig.n_asks, 1);
}

static void
a_continue_of_the_server_reaches_the_client(void **state)
{
	static const char head[] =
	    "PUT /b HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";

	(void)state;
	say(&rig.client, head);
	server_hears(head);
	say(server(), "HTTP/1.1 100 Continue\r\n\r\n");
	hears(&rig.client, "HTTP/1.1 100 Continue\r\n\r\n");
	say(&rig.client, "abc");
	server_hears("abc");
	say(server(), OK5);
	hears(&rig.client, OK5);
	assert_int_equal(told(1)->sent, 3);
}

static void
secret_payload_write(struct buf *b)
{
	buf_add_c(b,
	    "{\"secrets\":[{\"name\":\"KEY\",\"placeholder\":"
	    "\"pdk_12345678_abcdefg\",\"header\":\"authorization\","
	    "\"format\":\"Bearer {}\",\"value\":\"");
	base64_encode(b, STR("sk-live-000000000000"), BASE64_STANDARD);
	buf_add_c(b, "\"}]}");
}

#define WS_GET                                            \
	"GET /chat HTTP/1.1\r\nHost: api.example.com\r\n" \
	"Sec-WebSocket-Version: 13\r\n"                   \
	"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define WS_OK                                                             \
	"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n" \
	"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void
a_websocket_is_asked_about_and_then_relayed(void **state)
{
	(void)state;
	say(&rig.client, WS_GET);
	server_hears(WS_GET);
	assert_non_null(strstr(rig.ask, "\"proto\":\"ws\""));
	say(server(), WS_OK "first");
	hears(&rig.client, WS_OK "first");
	say(&rig.client, "\x81\x01z");
	server_hears("\x81\x01z");
	half_close(&rig.client);
	say(server(), "last");
	hears(&rig.client, "last");
	end_close(server());
	assert_int_equal(told(1)->sent, 3);
	assert_int_equal(told(1)->received, 9);
	wait_for(is_closed);
}

static void
a_websocket_brings_no_secret_back(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	secret_payload_write(&b);
	rig.payload = buf_c(&b);
	say(&rig.client, WS_GET);
	server_hears("GET /chat HTTP/1.1\r\nHost: api.example.com\r\n"
		     "Sec-WebSocket-Version: 13\r\n"
		     "authorization: Bearer sk-live-000000000000\r\n"
		     "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	say(server(), WS_OK "a sk-live-000000000000 b");
	hears(&rig.client, WS_OK "a pdk_12345678_abcdefg b");
	/* The beginning of one waits for the rest, and passes at the end. */
	say(server(), "x sk-live-0");
	hears(&rig.client, "x ");
	end_close(server());
	hears(&rig.client, "sk-live-0");
	wait_for(client_ended);
}

static void
a_server_that_switches_unasked_is_cut_off(void **state)
{
	(void)state;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), WS_OK "GET /smuggled HTTP/1.1\r\n\r\n");
	client_is_refused("502", "bad_answer");
}

static void
shapes_that_smuggle_reach_no_server(void **state)
{
	static const char *const shapes[] = {
		/* two framings */
		"POST / HTTP/1.1\r\nHost: api.example.com\r\n"
		"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
		"0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: api.example.com\r\n"
		"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"POST / HTTP/1.1\r\nHost: api.example.com\r\n"
		"Transfer-Encoding: xchunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: api.example.com\r\n"
		"Transfer-Encoding : chunked\r\n\r\n",
		/* a line that continues, and ones that end oddly */
		"GET / HTTP/1.1\r\nHost: api.example.com\r\nX: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\nHost: api.example.com\n\n",
		"GET / HTTP/1.1\r\nHost: api.example.com\r\nX: a\rb\r\n\r\n",
		/* who is meant */
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: api.example.com\r\n"
		"Host: evil.example\r\n\r\n",
		"GET http://evil.example/ HTTP/1.1\r\nHost: api.example.com"
		"\r\n\r\n",
		"GET evil.example:80 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		"CONNECT evil.example:443 HTTP/1.1\r\n"
		"Host: evil.example:443\r\n\r\n",
		"GET / HTTP/3.0\r\nHost: api.example.com\r\n\r\n",
	};

	(void)state;
	(void)stop(NULL);
	for (size_t i = 0; i < COUNT(shapes); i++) {
		(void)start(NULL);
		say(&rig.client, shapes[i]);
		wait_for(client_heard_head);
		buf_add_byte(&rig.client.heard, '\0');
		if (strncmp(rig.client.heard.p, "HTTP/1.1 4", 10) != 0 &&
		    strncmp(rig.client.heard.p, "HTTP/1.1 50", 11) != 0)
			fail_msg("%s: %s", shapes[i], rig.client.heard.p);
		assert_int_equal(rig.n_servers, 0);
		assert_int_equal(rig.n_asks, 0);
		assert_string_not_equal(told(1)->error, "");
		wait_for(client_ended);
		(void)stop(NULL);
	}
	(void)start(NULL);
}

static void
a_bad_chunk_cuts_the_server_off_before_the_client(void **state)
{
	(void)state;
	say(&rig.client, POST_CHUNKED "3\r\nabc\r\n");
	server_hears(POST_CHUNKED "3\r\nabc\r\n");
	say(&rig.client, "zz\r\n");
	client_is_refused("400", "bad_request");
	assert_int_equal(server()->heard.n, 0);
	wait_for(client_ended);
}

static void
bytes_behind_an_answer_are_nobodys_answer(void **state)
{
	(void)state;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), OK5 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
	hears(&rig.client, OK5);
	say(&rig.client, GET);
	server_hears(GET);
	assert_int_equal(rig.n_servers, 2);
	say(server(), OK5);
	hears(&rig.client, OK5);
}

static void
fields_between_neighbours_end_here(void **state)
{
	(void)state;
	say(&rig.client,
	    "GET /a HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\n"
	    "Proxy-Authorization: Basic eA==\r\nTE: trailers\r\n"
	    "Keep-Alive: 5\r\nUpgrade: h2c\r\nX-Kept: 2\r\n\r\n");
	server_hears("GET /a HTTP/1.1\r\nHost: api.example.com\r\n"
		     "X-Kept: 2\r\n\r\n");
	say(server(),
	    "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
	    "Content-Length: 0\r\n\r\n");
	hears(&rig.client, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void
an_early_answer_arrives_although_the_body_is_not_read(void **state)
{
	(void)state;
	say(&rig.client,
	    "POST /up HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Content-Length: 1000\r\n\r\nabc");
	server_hears("POST /up HTTP/1.1\r\nHost: api.example.com\r\n"
		     "Content-Length: 1000\r\n\r\nabc");
	say(server(),
	    "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
	hears(&rig.client,
	    "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
	/* What is on its way is read, so that no reset destroys the answer. */
	say(&rig.client, "more of the body");
	wait_for(client_ended);
	assert_false(rig.client.cut);
	assert_int_equal(told(1)->status, 413);
	end_close(&rig.client);
	wait_for(is_closed);
}

static void
a_refusal_arrives_although_the_body_is_on_its_way(void **state)
{
	(void)state;
	rig.verdict = (struct msg_egress_verdict){
		.verdict = EGRESS_DENY,
		.status = 403,
	};
	rig.payload = "{\"answer\":{\"body\":\"no\",\"headers\":{"
		      "\"content-type\":\"text/plain\",\"x-a\":\"b\","
		      "\"content-length\":\"99\"},\"status\":403}}";
	say(&rig.client,
	    "POST /up HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Content-Length: 1000\r\n\r\nabc");
	hears(&rig.client,
	    "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\n"
	    "x-a: b\r\nContent-Length: 2\r\n"
	    "Connection: close\r\n\r\nno");
	say(&rig.client, "more of the body");
	wait_for(client_ended);
	assert_false(rig.client.cut);
	assert_int_equal(rig.n_servers, 0);
}

static void
a_refusal_leaves_the_connection_open(void **state)
{
	(void)state;
	rig.verdict = (struct msg_egress_verdict){
		.verdict = EGRESS_RESPOND,
		.status = 200,
	};
	rig.payload = "{\"answer\":{\"body\":\"{}\",\"headers\":{},"
		      "\"status\":200}}";
	for (int i = 0; i < 2; i++) {
		say(&rig.client, GET);
		hears(&rig.client,
		    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	}
	assert_int_equal(rig.n_servers, 0);
	assert_int_equal(told(2)->status, 0);
}

static bool
has_dialled_again(void)
{
	return rig.n_servers == 2;
}

static void
a_kept_connection_that_has_died_is_dialled_anew(void **state)
{
	(void)state;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), OK5);
	hears(&rig.client, OK5);
	/* The request is on its way when the server hangs up. */
	say(&rig.client, GET);
	server_hears(GET);
	end_close(server());
	wait_for(has_dialled_again);
	server_hears(GET);
	say(server(), OK5);
	hears(&rig.client, OK5);
	assert_int_equal(rig.n_asks, 2);
	assert_int_equal(rig.n_told, 2);
}

static void
what_may_have_had_an_effect_is_not_sent_twice(void **state)
{
	static const char post[] = "POST /a HTTP/1.1\r\nHost: api.example.com"
				   "\r\nContent-Length: 1\r\n\r\nx";

	(void)state;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), OK5);
	hears(&rig.client, OK5);
	say(&rig.client, post);
	server_hears(post);
	end_close(server());
	client_is_refused("502", "no_answer");
	assert_int_equal(rig.n_servers, 1);
}

static void
a_client_of_http_1_0_gets_no_chunks(void **state)
{
	(void)state;
	say(&rig.client, "GET /a HTTP/1.0\r\n\r\n");
	server_hears("GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
	say(server(), OK_CHUNKED "3\r\nabc\r\n0\r\n\r\n");
	hears(&rig.client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
	wait_for(client_ended);
}

static void
an_answer_until_the_close_ends_with_it(void **state)
{
	(void)state;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), "HTTP/1.1 200 OK\r\n\r\nall of");
	hears(
	    &rig.client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of");
	say(server(), " it");
	end_close(server());
	hears(&rig.client, " it");
	wait_for(client_ended);
	assert_false(rig.client.cut);
	assert_string_equal(told(1)->error, "");
}

static void
an_answer_that_is_cut_off_is_not_taken_for_a_whole_one(void **state)
{
	(void)state;
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	hears(&rig.client, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	end_close(server());
	wait_for(client_ended);
	assert_string_not_equal(told(1)->error, "");
}

static void
a_server_that_speaks_nonsense_is_a_bad_gateway(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
		"Transfer-Encoding: chunked\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
		"Content-Length: 4\r\n\r\nabcd",
		"HTTP/1.1 99 No\r\n\r\n",
		"\r\n\r\n",
	};

	(void)state;
	(void)stop(NULL);
	for (size_t i = 0; i < COUNT(answers); i++) {
		(void)start(NULL);
		say(&rig.client, GET);
		server_hears(GET);
		say(server(), answers[i]);
		client_is_refused("502", "bad_answer");
		assert_string_not_equal(told(1)->error, "");
		(void)stop(NULL);
	}
	(void)start(NULL);
}

static void
a_body_over_the_rules_limit_is_refused_as_it_passes_it(void **state)
{
	(void)state;
	rig.verdict.max_body = 4;
	say(&rig.client, POST_CHUNKED "3\r\nabc\r\n");
	server_hears(POST_CHUNKED "3\r\nabc\r\n");
	say(&rig.client, "3\r\ndef\r\n");
	client_is_refused("413", "body_too_large");
	assert_int_equal(server()->heard.n, 0);
	wait_for(client_ended);
	assert_int_equal(told(1)->sent, 3);
}

static void
a_length_over_the_rules_limit_reaches_no_server(void **state)
{
	(void)state;
	rig.verdict.max_body = 4;
	say(&rig.client,
	    "POST /up HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Content-Length: 5\r\n\r\nabcde");
	client_is_refused("413", "body_too_large");
	assert_int_equal(rig.n_servers, 0);
	wait_for(client_ended);
}

static void
bytes_pass_no_faster_than_the_rule_says(void **state)
{
	own_buf struct buf text = {};
	int64_t began;

	(void)state;
	/* A second's worth at once, and a fifth of one more. */
	rig.verdict.bytes_per_s = 10000;
	say(&rig.client, GET);
	server_hears(GET);
	buf_add_c(&text, "HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n");
	while (text.n < 12042)
		buf_add_byte(&text, 'x');
	began = clock_mono_ns();
	for (int i = 0; i < 2; i++) {
		say(server(), buf_c(&text));
		hears(&rig.client, buf_c(&text));
		if (i == 0) {
			say(&rig.client, GET);
			server_hears(GET);
		}
	}
	assert_true(clock_mono_ns() - began > 150 * NS_PER_MS);
}

static void
a_client_that_hangs_up_while_it_waits_ends_the_request(void **state)
{
	(void)state;
	rig.wait_with_verdicts = true;
	say(&rig.client, GET);
	wait_for(has_asked);
	end_close(&rig.client);
	wait_for(is_closed);
	assert_string_not_equal(told(1)->error, "");
	verdict_give(); /* late: nobody is there */
	assert_int_equal(rig.n_servers, 0);
}

static void
a_server_that_is_not_reached_is_named(void **state)
{
	(void)state;
	rig.refuse_dials = true;
	say(&rig.client, GET);
	client_is_refused("502", "nobody is there");
	rig.refuse_dials = false;
	say(&rig.client, GET);
	server_hears(GET);
}

static void
a_body_of_any_size_passes_whole(void **state)
{
	enum { SIZE = 8 * 1024 * 1024 };
	own_buf struct buf head = {};
	char *body = malloc(SIZE);
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		body[i] = (char)(i * 31 + i / 255);
	say(&rig.client, GET);
	server_hears(GET);
	buf_printf(
	    &head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", (int)SIZE);
	say(server(), buf_c(&head));
	awaited = &rig.client;
	while (at < SIZE) {
		ssize_t n = send(server()->watch.fd, body + at, SIZE - at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
		n_awaited = head.n + at;
		wait_for(has_heard);
	}
	assert_int_equal(rig.client.heard.n, head.n + SIZE);
	assert_memory_equal(rig.client.heard.p + head.n, body, SIZE);
	assert_int_equal(told(1)->received, SIZE);
	free(body);
}

static void
a_proxys_port_takes_whole_urls(void **state)
{
	(void)state;
	rig.f.host[0] = '\0';
	say(&rig.client,
	    "GET http://A.example:8080/x?q=1 HTTP/1.1\r\n"
	    "Host: a.example:8080\r\n\r\n");
	server_hears("GET /x?q=1 HTTP/1.1\r\nHost: a.example:8080\r\n\r\n");
	assert_non_null(strstr(rig.ask, "\"host\":\"a.example\""));
	assert_non_null(strstr(rig.ask, "\"port\":8080"));
	assert_non_null(strstr(rig.ask, "\"query\":\"q=1\""));
	say(server(), OK5);
	hears(&rig.client, OK5);
	say(&rig.client,
	    "GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n");
	server_hears("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
	assert_int_equal(rig.n_servers, 2);
	say(server(), OK5);
	hears(&rig.client, OK5);
}

static void
a_secret_is_put_in_for_the_server_and_never_comes_back(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	secret_payload_write(&b);
	rig.payload = buf_c(&b);
	say(&rig.client,
	    "GET /a HTTP/1.1\r\nHost: api.example.com\r\n"
	    "Authorization: Bearer pdk_12345678_abcdefg\r\n\r\n");
	server_hears("GET /a HTTP/1.1\r\nHost: api.example.com\r\n"
		     "Authorization: Bearer sk-live-000000000000\r\n\r\n");
	say(server(),
	    "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n"
	    "X-Echo: sk-live-000000000000\r\n\r\n"
	    "key=sk-live-000000000000...");
	hears(&rig.client,
	    "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n"
	    "X-Echo: pdk_12345678_abcdefg\r\n\r\n"
	    "key=pdk_12345678_abcdefg...");
	say(&rig.client, GET);
	server_hears("GET /a HTTP/1.1\r\nHost: api.example.com\r\n"
		     "authorization: Bearer sk-live-000000000000\r\n\r\n");
	say(server(),
	    OK_CHUNKED "14\r\nsk-live-000000000000\r\n0\r\n"
		       "grpc-status: 7\r\n"
		       "grpc-message: sk-live-000000000000\r\n\r\n");
	n_awaited = 0;
	told(2);
	wait_for(client_heard_head);
	buf_add_byte(&rig.client.heard, '\0');
	assert_null(strstr(rig.client.heard.p, "sk-live"));
	assert_non_null(strstr(rig.client.heard.p, "0\r\ngrpc-status: 7\r\n"));
	assert_non_null(strstr(
	    rig.client.heard.p, "grpc-message: pdk_12345678_abcdefg\r\n\r\n"));
}

static void
a_trailer_has_secrets_as_a_field_of_the_head_does(void **state)
{
	static const char payload[] =
	    "{\"secrets\":[{\"name\":\"KEY\",\"header\":\"x-sum-key\","
	    "\"placeholder\":\"pdk_12345678_abcdefg\","
	    "\"value\":\"c2stbGl2ZS0wMDAwMDAwMDAwMDA=\"}]}";

	(void)state;
	rig.payload = payload;
	say(&rig.client,
	    POST_CHUNKED "1\r\nx\r\n0\r\nX-Sum-Key: pdk_12345678_abcdefg\r\n"
			 "X-Other: pdk_12345678_abcdefg\r\n\r\n");
	server_hears(
	    POST_CHUNKED "1\r\nx\r\n0\r\nX-Sum-Key: sk-live-000000000000\r\n"
			 "X-Other: pdk_12345678_abcdefg\r\n\r\n");
	say(server(), OK5);
	hears(&rig.client, OK5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_follow_each_other_on_both_connections),
		TEST(pipelined_requests_are_answered_in_turn),
		TEST(standing_requests_are_told_but_not_asked_about),
		TEST(a_host_that_is_another_is_never_asked_about),
		TEST(another_spelling_of_the_host_is_written_as_it_was_judged),
		TEST(head_has_no_body_whatever_its_length),
		TEST(chunks_pass_as_they_are_both_ways_at_once),
		TEST(trailers_pass_only_when_judged),
		TEST(a_request_that_waits_for_a_person_has_no_trailers),
		TEST(a_continue_of_the_server_reaches_the_client),
		TEST(a_websocket_is_asked_about_and_then_relayed),
		TEST(a_websocket_brings_no_secret_back),
		TEST(a_server_that_switches_unasked_is_cut_off),
		TEST(shapes_that_smuggle_reach_no_server),
		TEST(a_bad_chunk_cuts_the_server_off_before_the_client),
		TEST(bytes_behind_an_answer_are_nobodys_answer),
		TEST(fields_between_neighbours_end_here),
		TEST(an_early_answer_arrives_although_the_body_is_not_read),
		TEST(a_refusal_arrives_although_the_body_is_on_its_way),
		TEST(a_refusal_leaves_the_connection_open),
		TEST(a_kept_connection_that_has_died_is_dialled_anew),
		TEST(what_may_have_had_an_effect_is_not_sent_twice),
		TEST(a_client_of_http_1_0_gets_no_chunks),
		TEST(an_answer_until_the_close_ends_with_it),
		TEST(an_answer_that_is_cut_off_is_not_taken_for_a_whole_one),
		TEST(a_server_that_speaks_nonsense_is_a_bad_gateway),
		TEST(a_body_over_the_rules_limit_is_refused_as_it_passes_it),
		TEST(a_length_over_the_rules_limit_reaches_no_server),
		TEST(bytes_pass_no_faster_than_the_rule_says),
		TEST(a_client_that_hangs_up_while_it_waits_ends_the_request),
		TEST(a_server_that_is_not_reached_is_named),
		TEST(a_body_of_any_size_passes_whole),
		TEST(a_proxys_port_takes_whole_urls),
		TEST(a_secret_is_put_in_for_the_server_and_never_comes_back),
		TEST(a_trailer_has_secrets_as_a_field_of_the_head_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
