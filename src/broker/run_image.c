/*
 * The image that a run's policy names: the supervisor opens its files, this
 * reads them, and the run goes on.
 *
 *     request -> MSG_IMAGE_FIND names  -> its digest
 *             -> MSG_IMAGE_FIND digest -> image.json, held until the sandbox
 *                                         holds it itself
 */
#include <string.h>

#include "base/limits.h"
#include "broker/run_int.h"
#include "image/digest.h"
#include "image/record.h"
#include "sys/fd.h"

static void ask(const struct run *r, struct str digits);
static int find_name(struct run *r, int fd, struct err *e);
static int take_record(struct run *r, const struct msg_image_found *m,
    const struct frame *f, struct err *e);
static void refuse(struct run *r, const char *why);

void
run_image_ask(struct run *r)
{
	struct str name = r->policy->sandbox.image;
	const struct str prefix = STR("sha256:");

	if (image_name_is_digest(name))
		ask(r, (struct str){ name.p + prefix.n, name.n - prefix.n });
	else
		ask(r, STR(""));
}

void
on_image_found(const struct msg_image_found *m, const struct frame *f)
{
	struct run *r = run_find(m->run);
	struct err e = {};

	if (r == NULL || r->state != RUN_OPENING || r->request.n == 0)
		return;
	if (!m->ok || f->n_fds != 1) {
		own_buf struct buf why = {};

		buf_add_str(&why, f->payload);
		refuse(r, buf_c(&why));
		return;
	}
	if (m->digits == 0 ? find_name(r, f->fds[0], &e) < 0
			   : take_record(r, m, f, &e) < 0)
		refuse(r, e.text);
}

void
run_image_write(struct buf *out, const struct run *r)
{
	char text[DIGEST_TEXT_BYTES];

	digest_text(&r->image, text);
	buf_printf(out, ",\"image\":{\"digest\":\"%s\",\"name\":", text);
	json_put_str(out, r->policy->sandbox.image);
	buf_add_byte(out, '}');
}

static void
ask(const struct run *r, struct str digits)
{
	struct msg_image_find m = {
		.run = r->id,
		.digits = (uint32_t)digits.n,
	};

	memcpy(m.hex, digits.p, digits.n);
	(void)peer_send(&broker.supervisor, MSG_IMAGE_FIND, &m, STR(""), NULL,
	    0); /* its loss ends us */
}

static int
find_name(struct run *r, int fd, struct err *e)
{
	own_buf struct buf text = { .max = JSON_MAX_BYTES + 1 };
	own_index struct images_index x = {};
	char hex[HASH_HEX_BYTES];
	struct hash digest;

	if (fd_read_all(fd, &text, JSON_MAX_BYTES, e) < 0 ||
	    images_index_parse(&x, buf_str(&text), e) < 0 ||
	    images_index_find(&x, r->policy->sandbox.image, &digest, e) < 0)
		return -1;
	hash_hex(&digest, hex);
	ask(r, str_of(hex));
	return 0;
}

static int
take_record(struct run *r, const struct msg_image_found *m,
    const struct frame *f, struct err *e)
{
	own_buf struct buf text = { .max = JSON_MAX_BYTES + 1 };
	own_buf struct buf request = {};
	own_arena struct arena a = { .max_bytes = IMAGE_PLAN_BYTES };
	struct image_record record;
	const struct json *args;

	if (fd_read_all(f->fds[0], &text, JSON_MAX_BYTES, e) < 0 ||
	    image_record_parse(&record, buf_str(&text), &a, e) < 0)
		return -1;
	request = r->request;
	r->request = (struct buf){};
	/* It was JSON before, so only memory can be missing. */
	args = json_parse(buf_str(&request), NULL, &a, e, NULL);
	if (args == NULL)
		return -1;
	r->image = m->digest;
	r->has_image = true;
	r->image_fd = fd_take(&f->fds[0]);
	run_go_on(r, args, &record.config, &a);
	return 0;
}

static void
refuse(struct run *r, const char *why)
{
	run_refuse(r, 400, "bad_image", why,
	    "`paddock image ls` lists the images that are there; `sandbox."
	    "image` of the policy names one, or \"host\".");
}
