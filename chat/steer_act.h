/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steer_act - between steer.c, which keeps the list, and steer_act.c, which
 * does what a decision means to the sockets of this worker.
 */

#ifndef CHAT_STEER_ACT_H
#define CHAT_STEER_ACT_H

#include "chat/steer.h"

/* End whom it concerns; how many sockets that were. */
size_t steer_act(struct chat *chat, const struct chat_steered *row);

/* The list. */
void steer_put(struct chat *chat, const struct chat_steered *row);
void steer_remove(struct chat *chat, enum steer_kind kind, struct chat_str id);
/* The STEER at this position has been delivered. */
void steer_delivered(struct chat *chat, uint64_t gseq);

#endif /* CHAT_STEER_ACT_H */
