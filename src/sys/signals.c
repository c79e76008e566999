#include "sys/signals.h"

#include <stddef.h>
#include <sys/signalfd.h>

int
signals_fd(const int *list, struct err *e)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	for (; *list != 0; list++)
		(void)sigaddset(&set, *list);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(e, "sigprocmask");
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(e, "signalfd") : fd;
}
