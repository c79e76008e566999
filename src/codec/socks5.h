/*
 * codec/socks5.h: what a SOCKS5 client says (RFC 1928), before its bytes.
 *
 * Only CONNECT, and only without a password: who is at the other end is known
 * by the listener. Pure.
 */
#ifndef CODEC_SOCKS5_H
#define CODEC_SOCKS5_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	SOCKS5_VERSION = 5,
	SOCKS5_HOST_BYTES = 256, /* 255 and a NUL */
	SOCKS5_GREETING_MAX = 2 + 255,
	SOCKS5_REQUEST_MAX = 4 + 1 + 255 + 2,
	SOCKS5_REPLY_BYTES = 10,
};

enum socks5_reply {
	SOCKS5_DONE = 0,
	SOCKS5_FAILED = 1,
	SOCKS5_NOT_ALLOWED = 2,
	SOCKS5_UNREACHABLE = 4,
	SOCKS5_BAD_COMMAND = 7,
	SOCKS5_BAD_ADDRESS = 8,
};

struct socks5_request {
	char host[SOCKS5_HOST_BYTES]; /* a name or an address, as text */
	uint16_t port;
};

/*
 * Bytes taken, 0 when more are needed, -1 when it is no greeting. *ok tells
 * whether the client can do without a password.
 */
ssize_t socks5_greeting(const uint8_t *p, size_t n, int *ok);

/*
 * Bytes taken, 0 when more are needed, or -1 with the reply in *why: the
 * command is none of ours, or the host is no text that a name could be.
 */
ssize_t socks5_request(const uint8_t *p, size_t n, struct socks5_request *out,
    enum socks5_reply *why);

void socks5_reply_write(
    enum socks5_reply r, uint8_t out[static SOCKS5_REPLY_BYTES]);

#endif
