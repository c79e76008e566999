/*
 * cli/replay_files.h: the files of a run at a step, as far as they are on
 * record: the list of the last snapshot that was taken by then.
 */
#ifndef CLI_REPLAY_FILES_H
#define CLI_REPLAY_FILES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

/*
 * Appends a line for each file that the run had changed of its work folder by
 * this step, or why that is not known. 0, or -1 with e.
 */
int replay_files(struct store *store, uint64_t run, uint32_t step,
    struct buf *out, struct err *e);

#endif
