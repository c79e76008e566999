/*
 * image/pull.h: an image from a registry, by the program skopeo.
 *
 * Registries speak TLS, tokens and redirects: skopeo does that well. What it
 * leaves on disk is read as any stranger's.
 */
#ifndef IMAGE_PULL_H
#define IMAGE_PULL_H

#include "base/err.h"

/*
 * Writes the OCI layout that reference names ("debian:12") to the directory
 * layout, which does not exist yet. Its messages go to standard error.
 */
int pull_layout(const char *reference, const char *layout, struct err *e);

#endif
