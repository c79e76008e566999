/*
 * What a run's sandbox is started with: the command, its environment, and the
 * limits, as a MSG_SANDBOX_START.
 *
 * With an image, what it says of itself stands behind what the request says:
 * its command where there is none, its variables where they are not given, its
 * folder where the run has no other.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/place.h"
#include "broker/fork.h"
#include "broker/run_int.h"
#include "broker/secret.h"
#include "core/egress.h"
#include "image/config.h"
#include "ipc/kill.h"

static int take_argv(struct run *r, const struct json *argv, struct err *e);
static int take_folder(
    struct run *r, const struct json *args, size_t n_stdio, struct err *e);
static int take_mounts(
    struct run *r, const struct json *folders, struct err *e);
static int take_mount(struct run *r, const struct policy_mount *m,
    struct str from, struct err *e);
static void take_image(
    struct run *r, const struct image_config *image, bool own_command);
static void take_limits(struct run *r);
static int add_env(struct run *r, const struct json *env,
    const struct image_config *image, struct err *e);
static void add_commands(struct run *r);
static void add_always(
    struct run *r, const struct json *env, const struct image_config *image);
static void add_trust(
    struct run *r, const struct json *env, const struct image_config *image);
static bool is_trust(struct str name);
static bool is_placeholder(const struct run *r, struct str name);
static struct str placeholder(
    const struct run *r, const struct policy_secret *p);
static void add_placeholders(struct run *r);
static void add_files(struct run *r);
static void add_pair(struct run *r, const char *pair);
static bool is_ours(struct str name);
static bool image_sets(const struct image_config *image, struct str name);
static struct str name_of(const char *pair);
static bool env_name_ok(struct str name);
static void add_word(struct buf *out, struct str word);
static void describe_command(struct run *r, const struct json *argv);

int
run_start_take(struct run *r, const struct json *args, const struct json *argv,
    const struct image_config *image, struct err *e)
{
	const struct json *given = json_get(args, STR("argv"));
	struct msg_sandbox_start *m = &r->start_msg;

	m->tenant = kill_number(r->policy->identity.tenant);
	m->workflow = kill_number(r->policy->workflow);
	if (argv == NULL && !r->stays) {
		(void)snprintf(r->command, sizeof(r->command), "(outside)");
		return 0;
	}
	if (argv == NULL)
		(void)snprintf(r->command, sizeof(r->command), "(sandbox)");
	else if (take_argv(r, argv, e) < 0)
		return -1;
	if (add_env(r, json_get(args, STR("env")), image, e) < 0 ||
	    take_folder(r, args, argv != NULL ? 3 : 0, e) < 0)
		return -1;
	if (json_bool(json_get(args, STR("write_back")), false))
		m->flags |= START_WRITE_BACK;
	if (image != NULL)
		take_image(r, image, given == argv);
	for (uint32_t i = 0; i < r->policy->sandbox.n_rules; i++)
		add_word(&r->start, r->policy->sandbox.rules[i]);
	m->rules = r->policy->sandbox.n_rules;
	if (take_mounts(r, json_get(args, STR("mount_folders")), e) < 0)
		return -1;
	add_files(r);
	if (r->fork != NULL && fork_start_take(r, e) < 0)
		return err_add(e, "fork");
	if (r->start.failed || r->start.n > ARGV_MAX_BYTES)
		return err_set(e, "command and environment are over %d bytes",
		    ARGV_MAX_BYTES);
	take_limits(r);
	r->has_sandbox = true;
	return 0;
}

static int
take_argv(struct run *r, const struct json *argv, struct err *e)
{
	if (!json_is(argv, JSON_ARRAY) || argv->n == 0)
		return err_set(e, "`argv` is not a list of texts, or is empty");
	for (const struct json *w = json_first(argv); w != NULL;
	     w = json_next(argv, w)) {
		struct str word = json_str(w);

		if (!json_is(w, JSON_STRING) || str_find(word, '\0') != word.n)
			return err_set(
			    e, "`argv` holds something that is not a text");
		add_word(&r->start, word);
		r->start_msg.argc++;
	}
	describe_command(r, argv);
	return 0;
}

static int
take_folder(
    struct run *r, const struct json *args, size_t n_stdio, struct err *e)
{
	struct str folder = json_str(json_get(args, STR("workspace")));
	const uint32_t added =
	    r->added != NULL ? r->added->sandbox.n_mounts : 0;
	const size_t n = n_stdio + r->policy->sandbox.n_mounts + added;

	if (r->n_start_fds < n && r->n_start_fds <= n_stdio)
		return err_set(e,
		    "%s mounts folders of this machine, and none came "
		    "along: a request without descriptors cannot name any. "
		    "Open it with `paddock run` or `paddock sandbox create` "
		    "at the daemon's own socket, which opens them with the "
		    "rights of who asks",
		    added > 0 ? "the request" : "the policy");
	if (r->n_start_fds != n && r->n_start_fds != n + 1)
		return err_set(e, "%zu descriptors came, not %zu or %zu",
		    r->n_start_fds, n, n + 1);
	if (r->n_start_fds == n)
		return 0;
	if (folder.n == 0 || folder.p[0] != '/' ||
	    str_find(folder, '\0') != folder.n)
		return err_set(e, "`workspace` is not an absolute path");
	r->start_msg.flags |= START_WORKSPACE;
	buf_add_str(&r->workspace, folder);
	add_word(&r->start, folder);
	return 0;
}

/*
 * The policy's, then the request's. folders is where the one who opened those
 * of the policy says they are: the descriptors are what counts.
 */
static int
take_mounts(struct run *r, const struct json *folders, struct err *e)
{
	const struct policy_sandbox *s = &r->policy->sandbox;
	const struct policy_sandbox *more =
	    r->added != NULL ? &r->added->sandbox : NULL;
	const struct json *at = json_first(folders);

	if (folders != NULL &&
	    (!json_is(folders, JSON_ARRAY) || folders->n != s->n_mounts))
		return err_set(e, "`mount_folders` is not a list of %u paths",
		    s->n_mounts);
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		if (at != NULL && !json_is(at, JSON_STRING))
			return err_set(e, "`mount_folders`: not a text");
		if (take_mount(r, &s->mounts[i],
			at != NULL ? json_str(at) : s->mounts[i].from, e) < 0)
			return -1;
		if (at != NULL)
			at = json_next(folders, at);
	}
	for (uint32_t i = 0; more != NULL && i < more->n_mounts; i++) {
		for (uint32_t k = 0; k < s->n_mounts; k++) {
			if (place_below(more->mounts[i].to, s->mounts[k].to) ||
			    place_below(s->mounts[k].to, more->mounts[i].to))
				return err_set(e,
				    "`mounts[%u].to` and that of the policy's "
				    "mounts[%u] lie in each other; give each a "
				    "place of its own",
				    i, k);
		}
		if (take_mount(r, &more->mounts[i], more->mounts[i].from, e) <
		    0)
			return -1;
	}
	if (r->start_msg.mounts > 0)
		buf_add_byte(&r->mounts, ']');
	return 0;
}

/* For the sandbox how it is seen, and where; for the record also whence. */
static int
take_mount(
    struct run *r, const struct policy_mount *m, struct str from, struct err *e)
{
	if (r->start_msg.mounts == MOUNTS_MAX)
		return err_set(e, "over %d mounts", MOUNTS_MAX);
	buf_add_byte(&r->start, m->mode);
	buf_add_byte(&r->start, m->noexec ? '-' : 'x');
	add_word(&r->start, m->to);
	buf_add_c(&r->mounts,
	    r->start_msg.mounts++ > 0 ? ",{\"from\":"
				      : ",\"mounts\":[{\"from\":");
	json_put_str(&r->mounts, from);
	buf_printf(&r->mounts, ",\"mode\":\"%s\"",
	    m->mode == 'r'	 ? "ro"
		: m->mode == 'o' ? "overlay"
				 : "rw");
	if (m->noexec)
		buf_add_c(&r->mounts, ",\"noexec\":true");
	buf_add_c(&r->mounts, ",\"to\":");
	json_put_str(&r->mounts, m->to);
	buf_add_byte(&r->mounts, '}');
	return 0;
}

static void
take_image(struct run *r, const struct image_config *image, bool own_command)
{
	struct msg_sandbox_start *m = &r->start_msg;
	const bool folder = (m->flags & START_WORKSPACE) != 0;
	char hex[HASH_HEX_BYTES];

	m->flags |= START_IMAGE;
	hash_hex(&r->image, hex);
	add_word(&r->start, str_of(hex));
	add_word(&r->start, str_of(image->account));
	add_word(&r->start, str_of(image->home));
	/* "/" is what an image has that names none. */
	if (strcmp(image->workdir, "/") == 0 || (own_command && folder))
		return;
	m->flags |= START_CHDIR;
	add_word(&r->start, str_of(image->workdir));
}

static void
take_limits(struct run *r)
{
	const struct policy_sandbox *limits = &r->policy->sandbox;
	struct msg_sandbox_start *m = &r->start_msg;

	if (limits->limits_required)
		m->flags |= START_LIMITS_REQUIRED;
	m->required = limits->walls_required;
	m->flags |= (limits->explain ? START_EXPLAIN : 0U) |
	    (limits->user_root ? START_ROOT : 0U) |
	    (limits->protect_flag ? START_FLAG : 0U);
	m->output_bytes = limits->output_bytes;
	m->run = r->id;
	m->memory_bytes = limits->memory_bytes;
	m->disk_bytes = limits->disk_bytes;
	m->inodes = limits->inodes;
	m->open_files = limits->open_files;
	m->wall_ms = limits->wall_ms;
	m->cpu_milli = limits->cpu_milli;
	m->cpu_weight = limits->cpu_weight;
	m->io_bytes_per_s = limits->io_bytes_per_s;
	m->pids = limits->pids;
}

/* What every run has, then what the image and its opener add. */
static int
add_env(struct run *r, const struct json *env, const struct image_config *image,
    struct err *e)
{
	if (env != NULL && !json_is(env, JSON_OBJECT))
		return err_set(e, "`env` is not an object");
	add_commands(r);
	add_always(r, env, image);
	add_placeholders(r);
	for (size_t i = 0; image != NULL && image->env[i] != NULL; i++) {
		struct str name = name_of(image->env[i]);

		/* An image is nobody's request: what it may not set is left
		 * out. */
		if (env_name_ok(name) && !is_ours(name) &&
		    !is_placeholder(r, name) &&
		    !(egress_inspects(r->policy) && is_trust(name)) &&
		    (env == NULL || json_get(env, name) == NULL))
			add_pair(r, image->env[i]);
	}
	for (const struct json *k = env != NULL ? json_first(env) : NULL;
	     k != NULL; k = json_next(env, k)) {
		struct str name = json_str(k), value = json_str(json_value(k));

		if (!env_name_ok(name))
			return err_set(e,
			    "`env`: \"%.*s\" is not a name that may be set",
			    (int)(name.n > 64 ? 64 : name.n), name.p);
		if (is_placeholder(r, name))
			return err_set(e,
			    "`env`: %.*s is the variable of a secret of the "
			    "policy; leave it out, or rename it in `secrets`",
			    (int)name.n, name.p);
		if (!json_is(json_value(k), JSON_STRING) ||
		    str_find(value, '\0') != value.n)
			return err_set(e, "`env`: the value of %.*s is no text",
			    (int)name.n, name.p);
		if (egress_inspects(r->policy) &&
		    str_eq(name, STR("JAVA_TOOL_OPTIONS")))
			continue; /* add_trust has it */
		buf_add_str(&r->start, name);
		buf_add_byte(&r->start, '=');
		add_word(&r->start, value);
		r->start_msg.envc++;
	}
	return 0;
}

/* For PID 1: an environment that others give has no empty name. */
static void
add_commands(struct run *r)
{
	const struct policy_sandbox *s = &r->policy->sandbox;

	if (!s->commands_listed && s->n_commands_block == 0)
		return;
	r->start_msg.flags |= START_JUDGED;
	buf_add_c(&r->start, START_COMMANDS);
	if (s->commands_listed)
		buf_add_c(&r->start, "\nl");
	for (uint32_t i = 0; i < s->n_commands_allow; i++) {
		buf_add_c(&r->start, "\na");
		buf_add_str(&r->start, s->commands_allow[i]);
	}
	for (uint32_t i = 0; i < s->n_commands_block; i++) {
		buf_add_c(&r->start, "\nb");
		buf_add_str(&r->start, s->commands_block[i]);
	}
	buf_add_byte(&r->start, '\0');
	r->start_msg.envc++;
}

/* The first three may be set otherwise; the rest is the way out. */
static void
add_always(
    struct run *r, const struct json *env, const struct image_config *image)
{
	static const char *const usual[] = {
		("PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:"
		 "/sbin:/run/paddock"),
		"LANG=C.UTF-8",
		"HOME=/tmp",
	};
	const char *home = image != NULL ? image->home : "";
	char text[96];

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		const struct str name = name_of(usual[i]);

		if ((env != NULL && json_get(env, name) != NULL) ||
		    image_sets(image, name) ||
		    (str_eq_c(name, "HOME") && *home != '\0'))
			continue;
		add_pair(r, usual[i]);
	}
	if (*home != '\0' && !image_sets(image, STR("HOME")) &&
	    (env == NULL || json_get(env, STR("HOME")) == NULL)) {
		buf_add_c(&r->start, "HOME=");
		add_pair(r, home);
	}
	(void)snprintf(text, sizeof(text),
	    "PADDOCK_MCP_URL=http://127.0.0.1:%d/mcp", RUN_DOOR_PORT);
	add_pair(r, text);
	if (egress_inspects(r->policy))
		add_trust(r, env, image);
	r->start_msg.envc += run_start_proxies(&r->start);
}

uint32_t
run_start_proxies(struct buf *out)
{
	static const char *const fixed[] = { "NO_PROXY=127.0.0.1,localhost",
		"no_proxy=127.0.0.1,localhost" };
	static const char *const proxies[] = { "HTTP_PROXY", "HTTPS_PROXY",
		"http_proxy", "https_proxy" };
	const size_t n_fixed = sizeof(fixed) / sizeof(fixed[0]);
	const size_t n_proxies = sizeof(proxies) / sizeof(proxies[0]);

	for (size_t i = 0; i < n_fixed; i++)
		add_word(out, str_of(fixed[i]));
	for (size_t i = 0; i < n_proxies; i++) {
		buf_printf(
		    out, "%s=http://127.0.0.1:%d", proxies[i], RUN_PROXY_PORT);
		buf_add_byte(out, '\0');
	}
	return (uint32_t)(n_fixed + n_proxies);
}

static const char *const trust_names[] = { "SSL_CERT_FILE",
	"NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "PIP_CERT" };

/*
 * The run's own CA, for those who do not read the system's bundle. Its opener
 * may know better than the image, which cannot know of it. To what else Java is
 * told it is added.
 */
static void
add_trust(
    struct run *r, const struct json *env, const struct image_config *image)
{
	static const char java[] = "JAVA_TOOL_OPTIONS";
	const struct json *own = json_get(env, str_of(java));
	struct str more = json_str(own);

	for (size_t i = 0; i < sizeof(trust_names) / sizeof(trust_names[0]);
	     i++) {
		if (json_get(env, str_of(trust_names[i])) != NULL)
			continue;
		buf_add_c(&r->start, trust_names[i]);
		add_pair(r, "=" PLACE_TRUST);
	}
	for (size_t i = 0;
	     own == NULL && image != NULL && image->env[i] != NULL; i++) {
		if (str_eq_c(name_of(image->env[i]), java))
			more = str_of(image->env[i] + sizeof(java));
	}
	buf_printf(
	    &r->start, "%s=%.*s%s", java, STR_FMT(more), more.n > 0 ? " " : "");
	add_pair(r, "-Djavax.net.ssl.trustStore=" PLACE_TRUST_JAVA);
}

uint32_t
run_start_trust(struct buf *out)
{
	const size_t n = sizeof(trust_names) / sizeof(trust_names[0]);

	for (size_t i = 0; i < n; i++) {
		buf_add_c(out, trust_names[i]);
		add_word(out, STR("=" PLACE_TRUST));
	}
	add_word(out,
	    STR("JAVA_TOOL_OPTIONS=-Djavax.net.ssl."
		"trustStore=" PLACE_TRUST_JAVA));
	return (uint32_t)n + 1;
}

static bool
is_trust(struct str name)
{
	for (size_t i = 0; i < sizeof(trust_names) / sizeof(trust_names[0]);
	     i++) {
		if (str_eq_c(name, trust_names[i]))
			return true;
	}
	return str_eq(name, STR("JAVA_TOOL_OPTIONS"));
}

static bool
is_placeholder(const struct run *r, struct str name)
{
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		if (str_eq(r->policy->secrets[i].env, name))
			return true;
	}
	return false;
}

/* A run that is answered from a record has no secret that it could stand for.
 */
static struct str
placeholder(const struct run *r, const struct policy_secret *p)
{
	return r->secrets != NULL ? secrets_placeholder(r->secrets, p->name)
				  : STR("pdk_replayed");
}

/* What stands for the secrets; the values stay here. */
static void
add_placeholders(struct run *r)
{
	for (uint32_t i = 0; (r->secrets != NULL || r->rerun != NULL) &&
	     i < r->policy->n_secrets;
	     i++) {
		const struct policy_secret *p = &r->policy->secrets[i];

		if (p->env.n == 0)
			continue;
		buf_add_str(&r->start, p->env);
		buf_add_byte(&r->start, '=');
		add_word(&r->start, placeholder(r, p));
		r->start_msg.envc++;
	}
}

/* The same in files, for programs that read one. */
static void
add_files(struct run *r)
{
	for (uint32_t i = 0; (r->secrets != NULL || r->rerun != NULL) &&
	     i < r->policy->n_secrets;
	     i++) {
		const struct policy_secret *p = &r->policy->secrets[i];
		struct str fake = placeholder(r, p);
		struct str t = p->template.n > 0 ? p->template : STR("{}");

		if (p->file.n == 0)
			continue;
		add_word(&r->start, p->file);
		for (size_t k = 0; k < t.n; k++) {
			if (t.p[k] == '{' && k + 1 < t.n && t.p[k + 1] == '}') {
				buf_add_str(&r->start, fake);
				k++;
			} else {
				buf_add_byte(&r->start, t.p[k]);
			}
		}
		buf_add_byte(&r->start, '\0');
		r->start_msg.files++;
	}
}

/* Ends a variable, and counts it. */
static void
add_pair(struct run *r, const char *pair)
{
	add_word(&r->start, str_of(pair));
	r->start_msg.envc++;
}

/* The way out, which an image does not turn elsewhere. */
static bool
is_ours(struct str name)
{
	static const char *const ours[] = { "HTTP_PROXY", "HTTPS_PROXY",
		"http_proxy", "https_proxy", "NO_PROXY", "no_proxy" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (str_eq_c(name, ours[i]))
			return true;
	}
	return false;
}

static bool
image_sets(const struct image_config *image, struct str name)
{
	for (size_t i = 0; image != NULL && image->env[i] != NULL; i++) {
		if (str_eq(name_of(image->env[i]), name))
			return true;
	}
	return false;
}

static struct str
name_of(const char *pair)
{
	return (struct str){ pair, str_find(str_of(pair), '=') };
}

/* Letters, digits and underscores; PADDOCK_* is ours to set. */
static bool
env_name_ok(struct str name)
{
	if (name.n == 0 || name.n > NAME_MAX_BYTES ||
	    str_starts(name, STR("PADDOCK_")))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			c == '_' || (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return true;
}

static void
add_word(struct buf *out, struct str word)
{
	buf_add_str(out, word);
	buf_add_byte(out, '\0');
}

static void
describe_command(struct run *r, const struct json *argv)
{
	size_t n = 0;

	for (const struct json *w = json_first(argv); w != NULL;
	     w = json_next(argv, w)) {
		struct str word = json_str(w);
		int more = snprintf(r->command + n, sizeof(r->command) - n,
		    "%s%.*s", n > 0 ? " " : "",
		    (int)(word.n > 200 ? 200 : word.n), word.p);

		if (more < 0 || (size_t)more >= sizeof(r->command) - n)
			return;
		n += (size_t)more;
	}
}
