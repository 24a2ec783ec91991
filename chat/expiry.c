/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/expiry.h"

#include <stdlib.h>

#include "chat/identity.h"
#include "chat/request.h"

#define EVENT_AUTH_EXPIRED "chat:auth-expired"

struct entry {
	/* ms since the epoch */
	uint64_t due_ms;
	struct chat_socket *s;
};

/* The entry at 'i' is due no later than those at 2i and 2i + 1; from 1 on,
 * as 0 is no place. */
struct expiry {
	struct entry *heap;
	uint32_t n, cap;
};

static void
put(struct expiry *x, uint32_t i, struct entry e)
{
	x->heap[i] = e;
	e.s->expiry_at = i;
}

/* 'e' belongs at 'i' or above it. */
static void
sift_up(struct expiry *x, uint32_t i, struct entry e)
{
	for (; i > 1 && x->heap[i / 2].due_ms > e.due_ms; i /= 2)
		put(x, i, x->heap[i / 2]);
	put(x, i, e);
}

/* 'e' belongs at 'i' or below it. */
static void
sift_down(struct expiry *x, uint32_t i, struct entry e)
{
	uint32_t child;

	while ((child = 2 * i) <= x->n) {
		if (child < x->n &&
		    x->heap[child + 1].due_ms < x->heap[child].due_ms)
			child++;
		if (x->heap[child].due_ms >= e.due_ms)
			break;
		put(x, i, x->heap[child]);
		i = child;
	}
	put(x, i, e);
}

/* It takes the place of what was there. */
static void
replace(struct expiry *x, uint32_t i, struct entry e)
{
	if (i > 1 && x->heap[i / 2].due_ms > e.due_ms)
		sift_up(x, i, e);
	else
		sift_down(x, i, e);
}

static void
set_due(struct chat *chat, struct chat_socket *s, uint64_t due_ms)
{
	const struct entry e = { due_ms, s };
	struct expiry *x;

	if (chat->expiry == NULL)
		chat->expiry = chat_alloc(sizeof(*chat->expiry));
	x = chat->expiry;
	if (s->expiry_at != 0) {
		replace(x, s->expiry_at, e);
		return;
	}
	/* and the place at 0 */
	if (x->n + 1 >= x->cap) {
		x->cap = x->cap == 0 ? 16 : x->cap * 2;
		x->heap = chat_realloc(x->heap, x->cap, sizeof(*x->heap));
	}
	sift_up(x, ++x->n, e);
}

void
expiry_clear(struct chat *chat, struct chat_socket *s)
{
	struct expiry *x = chat->expiry;
	uint32_t i = s->expiry_at;

	if (i == 0)
		return;
	s->expiry_at = 0;
	if (i < x->n--)
		replace(x, i, x->heap[x->n + 1]);
}

void
expiry_set(struct chat *chat, struct chat_socket *s)
{
	s->expired = false;
	if (s->identity->expires_ms == 0)
		expiry_clear(chat, s);
	else
		set_due(chat, s, s->identity->expires_ms);
}

static void
tell_expired(struct chat *chat, struct chat_socket *s, uint64_t now_ms)
{
	struct json_out *o = &chat->event;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "timestamp");
	json_out_u64(o, now_ms);
	json_out_key(o, "graceMs");
	json_out_u64(o, chat->cfg->auth_expiry_grace);
	json_out_object_end(o);
	chat->ops->send(chat->ctx, s->conn,
	    chat_encode(chat, EVENT_AUTH_EXPIRED, o, NULL), CHAT_ANSWER);
}

void
expiry_tick(struct chat *chat)
{
	struct expiry *x = chat->expiry;
	uint64_t now_ms;
	struct chat_socket *s;
	unsigned i;

	if (x == NULL)
		return;
	now_ms = chat_real_ms(chat);
	for (i = 0; i < EXPIRY_PIECE && x->n > 0; i++) {
		if (x->heap[1].due_ms > now_ms)
			break;
		s = x->heap[1].s;
		if (s->expired) {
			expiry_clear(chat, s);
			socket_disconnect(chat, s, "TOKEN_EXPIRED",
			    "Token has expired", 0);
			continue;
		}
		s->expired = true;
		set_due(chat, s, now_ms + chat->cfg->auth_expiry_grace);
		tell_expired(chat, s, now_ms);
	}
}

void
expiry_free(struct chat *chat)
{
	if (chat->expiry != NULL)
		free(chat->expiry->heap);
	free(chat->expiry);
	chat->expiry = NULL;
}
