#include "init/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "init/raw.h"

#define DIGEST "sha256:"

/* An entry while the rules are gone through. */
struct rule {
	char kind;
	const char *p;
	size_t n;
};

static const char *next_rule(const char *at, struct rule *out);
static long judge_one(
    const struct judge *j, struct judge_room *room, int fd, const char *name);
static long is_loader(
    struct judge_room *room, int fd, const struct stat *st, const char *name);
static long hits(const struct judge *j, struct judge_room *room,
    const struct rule *rule, int fd, const struct stat *st);
static long hits_digest(struct judge_room *room, const struct rule *rule,
    int fd, const struct stat *st);
static long same_file(
    struct judge_room *room, const char *path, int fd, const struct stat *st);
static long same_bytes(struct judge_room *room, int fd, int other);
static long has_digest(struct judge_room *room, int fd, const struct stat *st,
    const char *hex, size_t n);
static long read_at(int fd, void *p, size_t n, uint64_t at);
static bool put_path(
    struct judge_room *room, const char *dir, size_t n, const struct rule *r);
static long interpreter(struct judge_room *room, int fd);
static void say(struct judge_room *room, const char *name, const char *what,
    const struct rule *rule);
static size_t put(char *out, size_t at, size_t cap, const char *p, size_t n);

void
judge_take(struct judge *j, char **envp)
{
	const size_t word = strlen(JUDGE_WORD);
	char **to = envp;

	*j = (struct judge){ .path = "/usr/local/bin:/usr/bin:/bin" };
	for (char **p = envp; *p != NULL; p++) {
		if (strncmp(*p, JUDGE_WORD, word) == 0) {
			j->rules = *p + word;
			continue;
		}
		if (strncmp(*p, "PATH=", 5) == 0)
			j->path = *p + 5;
		*to++ = *p;
	}
	*to = NULL;
}

long
judge_file(const struct judge *j, struct judge_room *room, int fd,
    const char *name, bool *script)
{
	int now = fd;
	long r;

	room->text[0] = '\0';
	*script = false;
	for (int depth = 0;; depth++) {
		room->digest[0] = '\0';
		r = judge_one(j, room, now, depth == 0 ? name : room->path);
		if (r == 0)
			r = interpreter(room, now);
		if (now != fd)
			(void)raw_call(SYS_close, now, 0, 0, 0, 0);
		if (r <= 0)
			return r;
		*script = true;
		if (depth == JUDGE_INTERPRETERS)
			return -ELOOP;
		now = (int)raw_call(SYS_openat, AT_FDCWD, (long)room->path,
		    O_RDONLY | O_CLOEXEC, 0, 0);
		if (now < 0)
			return now;
	}
}

static long
judge_one(
    const struct judge *j, struct judge_room *room, int fd, const char *name)
{
	bool listed = false, allowed = false;
	const char *at = j->rules;
	struct rule rule;
	struct stat st;
	long r =
	    raw_call(SYS_newfstatat, fd, (long)"", (long)&st, AT_EMPTY_PATH, 0);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	while ((at = next_rule(at, &rule)) != NULL) {
		listed |= rule.kind != 'b';
		if (rule.kind == 'l' || (rule.kind == 'a' && allowed))
			continue;
		r = hits(j, room, &rule, fd, &st);
		if (r < 0)
			return r;
		if (r > 0 && rule.kind == 'b') {
			say(room, name, " is ", &rule);
			return -EKEYREJECTED;
		}
		allowed |= r > 0;
	}
	if (!listed)
		return is_loader(room, fd, &st, name);
	if (allowed)
		return 0;
	say(room, name, " is none of sandbox.commands.allow", NULL);
	return -EKEYREJECTED;
}

/*
 * Where only some programs are refused: what the kernel starts others with, on
 * its own, runs whichever it is given, and they are not executed then.
 */
static long
is_loader(
    struct judge_room *room, int fd, const struct stat *st, const char *name)
{
	static const char *const loaders[] = {
		"/lib64/ld-linux-x86-64.so.2",
		"/lib/ld-linux-aarch64.so.1",
		"/lib/ld-musl-x86_64.so.1",
		"/lib/ld-musl-aarch64.so.1",
	};

	for (size_t i = 0; i < sizeof(loaders) / sizeof(loaders[0]); i++) {
		long r = same_file(room, loaders[i], fd, st);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		say(room, name, " would run what sandbox.commands.block has",
		    NULL);
		return -EKEYREJECTED;
	}
	return 0;
}

/* NULL: that was the last. */
static const char *
next_rule(const char *at, struct rule *out)
{
	if (at == NULL || *at != '\n' || at[1] == '\0')
		return NULL;
	*out = (struct rule){ .kind = at[1], .p = at + 2 };
	out->n = strcspn(out->p, "\n");
	return out->p + out->n;
}

/* 1: the entry means this file; 0: not; or a negative errno. */
static long
hits(const struct judge *j, struct judge_room *room, const struct rule *rule,
    int fd, const struct stat *st)
{
	const size_t head = strlen(DIGEST);
	const char *dir = j->path;

	if (rule->n > head && strncmp(rule->p, DIGEST, head) == 0)
		return hits_digest(room, rule, fd, st);
	if (rule->p[0] == '/')
		return put_path(room, "", 0, rule)
		    ? same_file(room, room->path, fd, st)
		    : 0;
	for (;;) {
		size_t n = strcspn(dir, ":");

		if (n > 0 && put_path(room, dir, n, rule)) {
			long r = same_file(room, room->path, fd, st);

			if (r != 0)
				return r;
		}
		if (dir[n] == '\0')
			return 0;
		dir += n + 1;
	}
}

/* "sha256:D", or with ":P" behind it a file that is also what P leads to. */
static long
hits_digest(struct judge_room *room, const struct rule *rule, int fd,
    const struct stat *st)
{
	const size_t digits = 2 * SHA256_BYTES, whole = strlen(DIGEST) + digits;
	struct rule path = { rule->kind, rule->p + whole + 1,
		rule->n > whole ? rule->n - whole - 1 : 0 };

	if (rule->n < whole)
		return 0;
	if (rule->n > whole) {
		long r = put_path(room, "", 0, &path)
		    ? same_file(room, room->path, fd, st)
		    : 0;

		if (r <= 0)
			return r;
	}
	return has_digest(room, fd, st, rule->p + strlen(DIGEST), digits);
}

/* What cannot be opened is no program, so nothing is the same as it. */
static long
same_file(
    struct judge_room *room, const char *path, int fd, const struct stat *st)
{
	struct stat other;
	long at = raw_call(SYS_openat, AT_FDCWD, (long)path,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0);
	long r;

	if (at < 0)
		return 0;
	r = raw_call(
	    SYS_newfstatat, at, (long)"", (long)&other, AT_EMPTY_PATH, 0);
	if (r == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino)
		r = 1;
	else if (r == 0 && S_ISREG(other.st_mode) &&
	    other.st_size == st->st_size && st->st_size > 0)
		r = same_bytes(room, fd, (int)at);
	(void)raw_call(SYS_close, at, 0, 0, 0, 0);
	return r;
}

static long
same_bytes(struct judge_room *room, int fd, int other)
{
	for (uint64_t at = 0;;) {
		long n = read_at(fd, room->one, sizeof(room->one), at);
		long m;

		if (n <= 0)
			return n < 0 ? n : 1;
		m = read_at(other, room->other, (size_t)n, at);
		if (m < 0)
			return m;
		if (m != n || memcmp(room->one, room->other, (size_t)n) != 0)
			return 0;
		at += (uint64_t)n;
	}
}

static long
has_digest(struct judge_room *room, int fd, const struct stat *st,
    const char *hex, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[SHA256_BYTES];
	long got;

	if (room->digest[0] == '\0') {
		if (st->st_size > COMMAND_HASH_MAX_BYTES)
			return -EFBIG;
		sha256_init(&room->hash);
		for (uint64_t at = 0;; at += (uint64_t)got) {
			got = read_at(fd, room->one, sizeof(room->one), at);
			if (got < 0)
				return got;
			if (got == 0)
				break;
			sha256_add(&room->hash, room->one, (size_t)got);
		}
		sha256_end(&room->hash, bytes);
		for (int i = 0; i < SHA256_BYTES; i++) {
			room->digest[2 * i] = digits[bytes[i] >> 4];
			room->digest[2 * i + 1] = digits[bytes[i] & 15];
		}
		room->digest[2 * SHA256_BYTES] = '\0';
	}
	return n == 2 * SHA256_BYTES && memcmp(hex, room->digest, n) == 0;
}

/* As much as there is, up to n. */
static long
read_at(int fd, void *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		long got = raw_call(SYS_pread64, fd, (long)((char *)p + done),
		    (long)(n - done), (long)(at + done), 0);

		if (got == -EINTR)
			continue;
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (long)done;
}

static bool
put_path(
    struct judge_room *room, const char *dir, size_t n, const struct rule *r)
{
	if (n + 1 + r->n + 1 > sizeof(room->path))
		return false;
	memcpy(room->path, dir, n);
	if (n > 0)
		room->path[n++] = '/';
	memcpy(room->path + n, r->p, r->n);
	room->path[n + r->n] = '\0';
	return true;
}

/*
 * 1: a script, with what runs it in room->path; 0: none. As Linux reads it:
 * fs/binfmt_script.c, the first 256 bytes, spaces and tabs around the name.
 */
static long
interpreter(struct judge_room *room, int fd)
{
	enum { LINE_BYTES = 256 };
	char *line = (char *)room->one;
	long n = read_at(fd, line, LINE_BYTES - 1, 0);
	size_t at = 2, len;

	if (n < 0)
		return n;
	line[n] = '\0';
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return 0;
	at += strspn(line + at, " \t");
	len = strcspn(line + at, " \t\n");
	if (len == 0)
		return -ENOEXEC;
	memcpy(room->path, line + at, len);
	room->path[len] = '\0';
	return 1;
}

/* "git2 is git of sandbox.commands.block", whatever the names hold. */
static void
say(struct judge_room *room, const char *name, const char *what,
    const struct rule *rule)
{
	const char *slash = strrchr(name, '/');
	size_t at = 0, most = sizeof(room->text) - 1;

	name = slash != NULL ? slash + 1 : name;
	at = put(room->text, at, most, name, strnlen(name, 48));
	at = put(room->text, at, most, what, strlen(what));
	if (rule != NULL) {
		static const char of[] = " of sandbox.commands.block";

		at = put(
		    room->text, at, most, rule->p, rule->n > 64 ? 64 : rule->n);
		at = put(room->text, at, most, of, sizeof(of) - 1);
	}
	room->text[at] = '\0';
}

static size_t
put(char *out, size_t at, size_t cap, const char *p, size_t n)
{
	if (n > cap - at)
		n = cap - at;
	memcpy(out + at, p, n);
	return at + n;
}
