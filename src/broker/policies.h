/*
 * broker/policies.h: policies of open runs, each once.
 *
 * A compiled policy is read and never written. Runs whose document and
 * identity are the same have the same one, however many they are.
 */
#ifndef BROKER_POLICIES_H
#define BROKER_POLICIES_H

#include "core/policy.h"

/*
 * For one more run: p itself, or the one that is equal to it, and then p is
 * freed. As many give as there were takes.
 */
const struct policy *policies_take(struct policy *p);
void policies_give(const struct policy *p); /* p may be NULL */

#endif
