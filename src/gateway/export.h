/*
 * gateway/export.h: reads files of a run's sandbox for the broker, see
 * broker/export.h.
 */
#ifndef GATEWAY_EXPORT_H
#define GATEWAY_EXPORT_H

#include "gateway/gateway.h"

/* MSG_EXPORT. Always answered with MSG_EXPORT_READ. */
void export_begin(
    struct gateway *g, const struct msg_export *m, struct str payload);

#endif
