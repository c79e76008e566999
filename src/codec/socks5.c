#include "codec/socks5.h"

#include <stdio.h>
#include <string.h>

enum {
	METHOD_NONE = 0,
	COMMAND_CONNECT = 1,
	KIND_V4 = 1,
	KIND_NAME = 3,
	KIND_V6 = 4,
	FIXED = 4, /* version, command, reserved, kind */
};

ssize_t
socks5_greeting(const uint8_t *p, size_t n, int *ok)
{
	*ok = 0;
	if (n >= 1 && p[0] != SOCKS5_VERSION)
		return -1;
	if (n >= 2 && p[1] == 0)
		return -1;
	if (n < 2 || n < 2U + p[1])
		return 0;
	for (size_t i = 0; i < p[1]; i++)
		*ok |= p[2 + i] == METHOD_NONE;
	return 2 + p[1];
}

ssize_t
socks5_request(const uint8_t *p, size_t n, struct socks5_request *out,
    enum socks5_reply *why)
{
	size_t host_at = FIXED, host_n;

	*out = (struct socks5_request){};
	*why = SOCKS5_FAILED;
	/* In the order in which they come: the reply is the same however
	 * many of them are there. */
	if (n >= 1 && p[0] != SOCKS5_VERSION)
		return -1;
	if (n >= 2 && p[1] != COMMAND_CONNECT) {
		*why = SOCKS5_BAD_COMMAND;
		return -1;
	}
	if (n >= 3 && p[2] != 0)
		return -1;
	if (n < FIXED)
		return 0;
	if (p[3] != KIND_V4 && p[3] != KIND_V6 && p[3] != KIND_NAME) {
		*why = SOCKS5_BAD_ADDRESS;
		return -1;
	}
	if (p[3] == KIND_NAME) {
		if (n < FIXED + 1)
			return 0;
		host_n = p[host_at++];
	} else {
		host_n = p[3] == KIND_V4 ? 4 : 16;
	}
	if (n < host_at + host_n + 2)
		return 0;
	p += host_at;
	if (host_at == FIXED && host_n == 4)
		(void)snprintf(out->host, sizeof(out->host), "%u.%u.%u.%u",
		    p[0], p[1], p[2], p[3]);
	for (size_t i = 0; host_at == FIXED && host_n == 16 && i < 16; i += 2)
		(void)snprintf(out->host + i / 2 * 5, 6, "%02x%02x%s", p[i],
		    p[i + 1], i < 14 ? ":" : "");
	for (size_t i = 0; host_at > FIXED && i < host_n; i++) {
		/* Printable, and nothing that another reader could split at. */
		if (p[i] <= ' ' || p[i] >= 0x7f || strchr("/@\\\"%", p[i])) {
			*why = SOCKS5_BAD_ADDRESS;
			return -1;
		}
		out->host[i] = (char)p[i];
	}
	out->port = (uint16_t)(p[host_n] << 8 | p[host_n + 1]);
	if (out->host[0] == '\0' || out->port == 0) {
		*why = SOCKS5_BAD_ADDRESS;
		return -1;
	}
	return (ssize_t)(host_at + host_n + 2);
}

void
socks5_reply_write(enum socks5_reply r, uint8_t out[static SOCKS5_REPLY_BYTES])
{
	memset(out, 0, SOCKS5_REPLY_BYTES);
	out[0] = SOCKS5_VERSION;
	out[1] = (uint8_t)r;
	out[3] = KIND_V4;
}
