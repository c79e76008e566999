/*
 * init/park.h: PID 1 of a sandbox that waits for its run.
 *
 * Everything is built around it. It has no rights, no file open but what it
 * waits with, and nothing in memory that belongs to anyone: who is waiting
 * learns nothing, and what comes is the first thing that ever happens here.
 */
#ifndef INIT_PARK_H
#define INIT_PARK_H

/*
 * argv: the name, "park", and what init_main is to be told. Waits for a struct
 * control_wake, then is init_main. Ends when the caller is gone.
 */
int park_main(char **argv);

#endif
