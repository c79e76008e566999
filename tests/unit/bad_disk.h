/*
 * bad_disk.h: a SQLite VFS that is the usual one until it is told to fail.
 */
#ifndef BAD_DISK_H
#define BAD_DISK_H

#include <stdbool.h>

enum bad_call { BAD_WRITE, BAD_SYNC };

/* Makes it the default for connections opened from now on, and undoes that. */
void bad_disk_install(void);
void bad_disk_remove(void);

/* The n-th such call from now (from 1) fails with code; `on`: all after it
 * too. */
void bad_disk_arm(enum bad_call call, int code, int nth, bool on);
/* A sync does not return until bad_disk_disarm(). */
void bad_disk_hang(void);
void bad_disk_disarm(void);

#endif
