#include "image/pull.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "image/name.h"

enum { NOT_FOUND = 127, PATH_BYTES = 256 };

_Noreturn static void run(const char *from, const char *to);

int
pull_layout(const char *reference, const char *layout, struct err *e)
{
	char name[IMAGE_NAME_BYTES];
	char from[IMAGE_NAME_BYTES + sizeof("docker://")];
	char to[PATH_BYTES];
	int status;
	pid_t pid;

	/* A name and nothing else: no other transport, no option. */
	if (image_name_parse(str_of(reference), name, e) < 0)
		return -1;
	(void)snprintf(from, sizeof(from), "docker://%s", name);
	if (snprintf(to, sizeof(to), "oci:%s:%.*s", layout,
		STR_FMT(image_name_tag(name))) >= (int)sizeof(to))
		return err_set(e, "the path of the image store is too long");
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0)
		run(from, to);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
		return err_set(e,
		    "pulling needs the program skopeo: install "
		    "the package skopeo");
	if (WIFSIGNALED(status))
		return err_set(
		    e, "skopeo was killed: %s", strsignal(WTERMSIG(status)));
	return err_set(e, "skopeo failed with status %d", WEXITSTATUS(status));
}

_Noreturn static void
run(const char *from, const char *to)
{
	/* Standard output is for our own result. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
	    dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		(void)execlp("skopeo", "skopeo", "copy", "--quiet", from, to,
		    (char *)NULL);
	_exit(errno == ENOENT ? NOT_FOUND : 126);
}
