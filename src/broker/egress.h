/*
 * broker/egress.h: connections that an agent asks for. This version has no
 * rule that allows one, so each is refused, and recorded.
 */
#ifndef BROKER_EGRESS_H
#define BROKER_EGRESS_H

#include "base/str.h"
#include "ipc/msg.h"

void on_egress_ask(const struct msg_egress_ask *m, struct str payload);
void on_egress_done(const struct msg_egress_done *m, struct str payload);

#endif
