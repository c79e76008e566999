#include "sandbox/protect.h"

#include <stdint.h>
#include <string.h>

#include "base/limits.h"

enum { FOLD_BYTES = 256 }; /* NAME_MAX and a NUL */

static bool denied(
    const struct protect *p, struct str path, char deny, char allow);
static bool fits(const char *pattern, struct str path);
static bool above(const char *pattern, struct str path);
static bool fits_name(struct str pattern, struct str name);
static struct str fold(struct str s, char out[static FOLD_BYTES]);
static char lower(char c);
static struct str last_name(struct str *path);

/*
 * What holds credentials, and is not needed to work on the files around it.
 * Examples that are kept with the code come first: they hold none.
 */
static const struct protect_rule built_in[] = {
	{ 'r', ".env.example" },
	{ 'r', ".env.sample" },
	{ 'r', ".env.template" },
	{ 'r', ".env.dist" },
	{ 'R', ".env" },
	{ 'R', ".env.*" },
	{ 'R', ".envrc" },
	{ 'R', ".ssh" },
	{ 'R', ".gnupg" },
	{ 'R', ".aws" },
	{ 'R', ".azure" },
	{ 'R', ".kube" },
	{ 'R', ".oci" },
	{ 'R', ".config/gcloud" },
	{ 'R', ".config/gh" },
	{ 'R', ".config/hub" },
	{ 'R', ".config/doctl" },
	{ 'R', ".config/op" },
	{ 'R', ".config/sops" },
	{ 'R', ".docker/config.json" },
	{ 'R', ".terraform.d/credentials.tfrc.json" },
	{ 'R', ".terraformrc" },
	{ 'R', ".netrc" },
	{ 'R', "_netrc" },
	{ 'R', ".git-credentials" },
	{ 'R', ".config/git/credentials" },
	{ 'R', ".pypirc" },
	{ 'R', ".gem/credentials" },
	{ 'R', ".cargo/credentials" },
	{ 'R', ".cargo/credentials.toml" },
	{ 'R', ".m2/settings-security.xml" },
	{ 'R', ".pgpass" },
	{ 'R', ".my.cnf" },
	{ 'R', ".mylogin.cnf" },
	{ 'R', ".vault-token" },
	{ 'R', ".password-store" },
	{ 'R', ".local/share/keyrings" },
	{ 'R', ".local/share/kwalletd" },
	{ 'R', ".config/google-chrome" },
	{ 'R', ".config/chromium" },
	{ 'R', ".mozilla" },
	{ 'R', ".bash_history" },
	{ 'R', ".zsh_history" },
	{ 'R', ".python_history" },
	{ 'R', "id_rsa" },
	{ 'R', "id_dsa" },
	{ 'R', "id_ecdsa" },
	{ 'R', "id_ecdsa_sk" },
	{ 'R', "id_ed25519" },
	{ 'R', "id_ed25519_sk" },

	/* git: all that it executes, and what says where that lies. */
	{ 'W', ".git/hooks" },
	{ 'W', ".git/config" },
	{ 'W', ".git/config.worktree" },
	{ 'W', ".git/commondir" },
	{ 'W', ".gitconfig" },
	{ 'W', ".config/git" },
	{ 'W', ".gitmodules" },
	{ 'W', ".githooks" },
	{ 'W', ".husky" },
	{ 'W', ".hg/hgrc" },
	{ 'W', ".jj/repo/config.toml" },
	/* Shells. */
	{ 'W', ".bashrc" },
	{ 'W', ".bash_profile" },
	{ 'W', ".bash_login" },
	{ 'W', ".bash_logout" },
	{ 'W', ".bash_aliases" },
	{ 'W', ".profile" },
	{ 'W', ".zshrc" },
	{ 'W', ".zshenv" },
	{ 'W', ".zprofile" },
	{ 'W', ".zlogin" },
	{ 'W', ".zlogout" },
	{ 'W', ".kshrc" },
	{ 'W', ".cshrc" },
	{ 'W', ".tcshrc" },
	{ 'W', ".login" },
	{ 'W', ".inputrc" },
	{ 'W', ".xprofile" },
	{ 'W', ".xinitrc" },
	{ 'W', ".xsession" },
	{ 'W', ".pam_environment" },
	{ 'W', ".config/fish" },
	{ 'W', ".config/autostart" },
	{ 'W', ".config/systemd" },
	{ 'W', ".local/bin" },
	/* Editors and debuggers, which run what a folder tells them to. */
	{ 'W', ".vscode" },
	{ 'W', "*.code-workspace" },
	{ 'W', ".idea" },
	{ 'W', ".fleet" },
	{ 'W', ".zed" },
	{ 'W', ".devcontainer" },
	{ 'W', ".devcontainer.json" },
	{ 'W', ".vim" },
	{ 'W', ".vimrc" },
	{ 'W', ".gvimrc" },
	{ 'W', ".exrc" },
	{ 'W', ".nvimrc" },
	{ 'W', ".nvim.lua" },
	{ 'W', ".config/nvim" },
	{ 'W', ".emacs" },
	{ 'W', ".emacs.d" },
	{ 'W', ".dir-locals.el" },
	{ 'W', ".gdbinit" },
	{ 'W', ".lldbinit" },
	/* Other agents. */
	{ 'W', ".mcp.json" },
	{ 'W', ".claude" },
	{ 'W', ".claude.json" },
	{ 'W', ".codex" },
	{ 'W', ".cursor" },
	{ 'W', ".gemini" },
	{ 'W', ".windsurf" },
	/* Package managers and builders: which program they call. */
	{ 'W', ".npmrc" },
	{ 'W', ".yarnrc" },
	{ 'W', ".yarnrc.yml" },
	{ 'W', ".pnpmfile.cjs" },
	{ 'W', ".cargo/config" },
	{ 'W', ".cargo/config.toml" },
	{ 'W', ".bazelrc" },
	{ 'W', ".mise.toml" },
};
enum { N_BUILT_IN = sizeof(built_in) / sizeof(built_in[0]) };

enum protect_is
protect_name(const struct protect *p, struct str path)
{
	if (denied(p, path, PROTECT_DENY_READ, PROTECT_ALLOW_READ))
		return PROTECT_SECRET;
	if (denied(p, path, PROTECT_DENY_WRITE, PROTECT_ALLOW_WRITE))
		return PROTECT_RUN_BY_OTHERS;
	return PROTECT_FREE;
}

enum protect_is
protect_path(const struct protect *p, struct str path)
{
	enum protect_is all = PROTECT_FREE;

	for (size_t i = 0; i <= path.n; i++) {
		enum protect_is is;

		if (i < path.n && path.p[i] != '/')
			continue;
		is = protect_name(p, (struct str){ path.p, i });
		if (is == PROTECT_SECRET)
			return is;
		if (is != PROTECT_FREE)
			all = is;
	}
	return all;
}

bool
protect_above(const struct protect *p, struct str path)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->rules[i].kind == PROTECT_DENY_WRITE &&
		    above(p->rules[i].pattern, path))
			return true;
	}
	for (size_t i = 0; i < N_BUILT_IN; i++) {
		if (built_in[i].kind == PROTECT_DENY_WRITE &&
		    above(built_in[i].pattern, path))
			return true;
	}
	return false;
}

const char *
protect_pattern_bad(struct str pattern)
{
	struct str name;

	if (pattern.n == 0)
		return "is empty";
	if (pattern.n > PROTECT_PATTERN_BYTES)
		return "is too long";
	for (size_t i = 0; i < pattern.n; i++) {
		if ((unsigned char)pattern.p[i] < 0x20 || pattern.p[i] == 0x7f)
			return "holds a control character";
	}
	if (pattern.p[0] == '/') {
		pattern.p++;
		pattern.n--;
	}
	do {
		name = last_name(&pattern);
		if (name.n == 0)
			return "has an empty name in it";
		if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
			return "has . or .. in it";
		if (name.n >= FOLD_BYTES)
			return "has a name over 255 bytes in it";
	} while (pattern.n > 0);
	return NULL;
}

/* The first rule of one of these two kinds that fits. */
static bool
denied(const struct protect *p, struct str path, char deny, char allow)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct protect_rule *r = &p->rules[i];

		if ((r->kind == deny || r->kind == allow) &&
		    fits(r->pattern, path))
			return r->kind == deny;
	}
	for (size_t i = 0; i < N_BUILT_IN; i++) {
		const struct protect_rule *r = &built_in[i];

		if ((r->kind == deny || r->kind == allow) &&
		    fits(r->pattern, path))
			return r->kind == deny;
	}
	return false;
}

/* Name by name, from the end. */
static bool
fits(const char *pattern, struct str path)
{
	struct str rest = str_of(pattern);
	const bool from_top = rest.n > 0 && rest.p[0] == '/';

	if (from_top) {
		rest.p++;
		rest.n--;
	}
	do {
		struct str want, name;

		if (path.n == 0)
			return false;
		want = last_name(&rest);
		name = last_name(&path);
		if (!fits_name(want, name))
			return false;
	} while (rest.n > 0);
	return !from_top || path.n == 0;
}

/* True when the pattern goes on below the path. */
static bool
above(const char *pattern, struct str path)
{
	char part[PROTECT_PATTERN_BYTES + 1];

	for (size_t i = 1; i < sizeof(part) && pattern[i] != '\0'; i++) {
		if (pattern[i] != '/')
			continue;
		memcpy(part, pattern, i);
		part[i] = '\0';
		if (fits(part, path))
			return true;
	}
	return false;
}

static bool
fits_name(struct str pattern, struct str name)
{
	char a[FOLD_BYTES], b[FOLD_BYTES];

	/* Nearly every name of a folder is done with here. */
	if (pattern.p[0] != '*' && lower(pattern.p[0]) != lower(name.p[0]))
		return false;
	return str_glob(fold(pattern, a), fold(name, b));
}

/* File systems that do not tell upper from lower case do not go by the
 * letters' bytes either. */
static struct str
fold(struct str s, char out[static FOLD_BYTES])
{
	size_t n = s.n < FOLD_BYTES ? s.n : FOLD_BYTES;

	for (size_t i = 0; i < n; i++)
		out[i] = lower(s.p[i]);
	return (struct str){ out, n };
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Cuts the last name off. */
static struct str
last_name(struct str *path)
{
	size_t at = path->n;
	struct str name;

	while (at > 0 && path->p[at - 1] != '/')
		at--;
	name = (struct str){ path->p + at, path->n - at };
	path->n = at > 0 ? at - 1 : 0;
	return name;
}
