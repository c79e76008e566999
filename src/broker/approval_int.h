/*
 * broker/approval_int.h: what the sources of approval.h share.
 */
#ifndef BROKER_APPROVAL_INT_H
#define BROKER_APPROVAL_INT_H

#include "broker/approval.h"

struct approval *approval_find(uint64_t id);
/* A pending one ends (or is being executed); who is held hears of it. */
void approval_end(struct approval *a, struct run *r, enum approval_state state);
void approval_answer_all(struct approval *a);
/* It was asked to extend a budget, and nobody did: the run ends. */
void approval_not_extended(const struct approval *a, struct run *r);
/* Writes its row. 0, or -1 when the store takes no more. */
int approval_store(const struct approval *a);
/* Records a vote or what time did. False when the store takes no more. */
bool approval_record(struct approval *a, const struct run *r, const char *by,
    const char *verdict, bool edited);
/* To whom its rule says, or marked; a later deadline with that. */
void approval_escalate(struct approval *a, const struct run *r, const char *by);
/* approval_preview.c: has the call tried, as its rule says. */
void approval_preview(
    struct approval *a, const struct run *r, const struct policy_tool *row);
/* Appends ,"preview":... if there is one. */
void approval_preview_write(
    struct buf *out, const struct approval *a, bool stored);
void approval_write(struct buf *out, const struct approval *a);

#endif
