/*
 * sys/secret_env.h: secrets that came in the environment. An operator names
 * each by giving it a variable SECRET_ENV_PREFIX NAME; no other variable can be
 * asked for. They are read once, before another process is started, and the
 * environment then says nothing of them: neither to children nor in /proc.
 */
#ifndef SYS_SECRET_ENV_H
#define SYS_SECRET_ENV_H

#include "sys/locked.h"

#define SECRET_ENV_PREFIX "PADDOCK_SECRET_"

/* Moves them into mem, which is empty. -1: they are wiped all the same. */
int secret_env_take(struct locked *mem, struct err *e);
/* Only wipes: for who has handed its environment on. */
void secret_env_wipe(void);
/* The value of NAME; p is NULL when there is none. */
struct str secret_env_find(const struct locked *mem, struct str name);

#endif
