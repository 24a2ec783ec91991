/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The list: a table a kind, and how it is read from the store.
 *
 *   steer_load()  steer_turn() ... steer_turn()  complete
 *        |             a page         a page        |
 *        pass + 1                                   what no page of this
 *                                                   pass had goes
 *
 * A page that does not include the last STEER that was delivered here is
 * read again, so that it never undoes one.
 */

#include "chat/steer.h"

#include <stdlib.h>
#include <string.h>

#include "chat/request.h"
#include "chat/steer_act.h"

/* after a read that failed */
#define AGAIN_MS 1000
/* entries that have ended are looked for */
#define SWEEP_MS 10000
#define NS_PER_MS UINT64_C(1000000)

struct entry {
	uint64_t until_ms, since_ms, gseq;
	UT_hash_handle hh;
	/* in which reading of the store it was seen last */
	uint32_t pass;
	char id[];
};

struct steer {
	struct entry *kinds[STEER__MAX];
	/* reading: where it has come to */
	bool loading, failed;
	uint32_t pass;
	struct chat_place place;
	uint64_t again_ms, sweep_ms;
	/* behind the last STEER that was delivered */
	uint64_t last;
	/* what was decided from here to there was missed */
	uint64_t missed_from, missed_to;
};

void
steer_new(struct chat *chat)
{
	chat->steer = chat_alloc(sizeof(*chat->steer));
}

static void
entry_free(struct steer *st, enum steer_kind kind, struct entry *e)
{
	HASH_DEL(st->kinds[kind], e);
	free(e);
}

/* Those that 'gone' says so of. */
static void
entries_drop(struct steer *st, bool (*gone)(const struct entry *e, uint64_t n),
    uint64_t n)
{
	struct entry *e, *next;
	unsigned kind;

	for (kind = 0; kind < STEER__MAX; kind++) {
		HASH_ITER(hh, st->kinds[kind], e, next) {
			if (gone(e, n))
				entry_free(st, (enum steer_kind)kind, e);
		}
	}
}

static bool
is_any(const struct entry *e, uint64_t n)
{
	return true;
}

static bool
is_over(const struct entry *e, uint64_t now_ms)
{
	return e->until_ms <= now_ms;
}

static bool
is_of_another_pass(const struct entry *e, uint64_t pass)
{
	return e->pass != pass;
}

void
steer_free(struct chat *chat)
{
	entries_drop(chat->steer, is_any, 0);
	free(chat->steer);
	chat->steer = NULL;
}

size_t
steer_count(const struct chat *chat)
{
	unsigned kind;
	size_t n = 0;

	for (kind = 0; kind < STEER__MAX; kind++)
		n += HASH_COUNT(chat->steer->kinds[kind]);
	return n;
}

/* --- questions --------------------------------------------------------------- */

static struct entry *
entry_find(const struct chat *chat, enum steer_kind kind, struct chat_str id)
{
	struct entry *e;

	HASH_FIND(hh, chat->steer->kinds[kind], id.p, id.len, e);
	return e;
}

/* In force now, or NULL. */
static const struct entry *
in_force(const struct chat *chat, enum steer_kind kind, const char *id)
{
	const struct entry *e;

	if (chat->steer->kinds[kind] == NULL || id == NULL || *id == '\0' ||
	    (e = entry_find(chat, kind, chat_cstr(id))) == NULL)
		return NULL;
	return is_over(e, chat->ops->real_ms(chat->ctx)) ? NULL : e;
}

static bool
has_end(const struct entry *e, uint64_t *until_r)
{
	if (e != NULL && until_r != NULL)
		*until_r = e->until_ms;
	return e != NULL;
}

bool
steer_is_banned(const struct chat *chat, const char *user_id, uint64_t *until_r)
{
	return has_end(in_force(chat, STEER_BAN, user_id), until_r);
}

bool
steer_is_muted(const struct chat *chat, const char *user_id, uint64_t *until_r)
{
	return has_end(in_force(chat, STEER_MUTE, user_id), until_r);
}

bool
steer_is_revoked(const struct chat *chat, const char *user_id,
    const char *token_id, uint64_t issued_ms)
{
	const struct entry *e;

	if (in_force(chat, STEER_TOKEN, token_id) != NULL)
		return true;
	e = in_force(chat, STEER_USER, user_id);
	return e != NULL && issued_ms < e->since_ms;
}

uint64_t
steer_wait_ns(const struct chat *chat, uint64_t until_ms)
{
	uint64_t now = chat->ops->real_ms(chat->ctx);

	if (until_ms == STEER_EVER || until_ms <= now)
		return 0;
	return until_ms - now < UINT64_MAX / NS_PER_MS
	    ? (until_ms - now) * NS_PER_MS
	    : 0;
}

enum chat_error
steer_check_mute(struct request *r)
{
	uint64_t until;

	if (!steer_is_muted(r->chat, r->s->identity->user_id, &until))
		return CHAT_OK;
	r->wait_ns = steer_wait_ns(r->chat, until);
	return CHAT_E_MUTED;
}

enum chat_error
steer_admit(const struct chat *chat, const struct steer_who *who,
    uint64_t *wait_ns_r)
{
	uint64_t until;

	if (steer_is_banned(chat, who->user_id, &until)) {
		*wait_ns_r = steer_wait_ns(chat, until);
		return CHAT_E_BANNED;
	}
	if (who->has_token &&
	    steer_is_revoked(chat, who->user_id, who->token_id, who->issued_ms))
		return CHAT_E_SESSION_INVALID;
	return CHAT_OK;
}

/* --- the list ---------------------------------------------------------------- */

void
steer_put(struct chat *chat, const struct chat_steered *row)
{
	struct steer *st = chat->steer;
	struct entry *e = entry_find(chat, row->kind, row->id);

	if (e == NULL) {
		e = chat_alloc(sizeof(*e) + row->id.len + 1);
		memcpy(e->id, row->id.p, row->id.len);
		HASH_ADD_KEYPTR(hh, st->kinds[row->kind], e->id, row->id.len,
		    e);
	}
	e->until_ms = row->until_ms;
	e->since_ms = row->since_ms;
	e->gseq = row->gseq;
	e->pass = st->pass;
}

void
steer_remove(struct chat *chat, enum steer_kind kind, struct chat_str id)
{
	struct entry *e = entry_find(chat, kind, id);

	if (e != NULL)
		entry_free(chat->steer, kind, e);
}

void
steer_delivered(struct chat *chat, uint64_t gseq)
{
	chat->steer->last = gseq + 1;
}

/* --- reading it from the store ------------------------------------------------ */

void
steer_load(struct chat *chat)
{
	struct steer *st = chat->steer;

	st->pass++;
	st->loading = true;
	memset(&st->place, 0, sizeof(st->place));
	st->again_ms = 0;
	(void)steer_turn(chat);
}

void
steer_resync(struct chat *chat, uint64_t pos)
{
	struct steer *st = chat->steer;

	/* of two gaps it is the first one's beginning */
	if (st->missed_to == 0)
		st->missed_from = chat->pos;
	st->missed_to = pos;
	steer_load(chat);
}

static bool
take_row(void *arg, const struct chat_steered *row)
{
	struct chat *chat = arg;
	const struct steer *st = chat->steer;

	if (row->kind < STEER_BAN || row->kind >= STEER__MAX ||
	    row->until_ms <= chat->ops->real_ms(chat->ctx))
		return true;
	if (row->kind != STEER_KICK && row->kind != STEER_KICK_SOCKET)
		steer_put(chat, row);
	if (row->gseq >= st->missed_from && row->gseq < st->missed_to)
		(void)steer_act(chat, row);
	return true;
}

static void
complete(struct steer *st)
{
	st->loading = st->failed = false;
	st->missed_from = st->missed_to = 0;
	entries_drop(st, is_of_another_pass, st->pass);
}

bool
steer_turn(struct chat *chat)
{
	struct steer *st = chat->steer;
	struct chat_place place;
	enum chat_read rc;

	while (st->loading && chat_mono_ms(chat) >= st->again_ms) {
		place = st->place;
		rc = chat->ops->bans(chat->ctx, &place, st->last, take_row,
		    chat);
		if (rc == CHAT_READ_LATER)
			break;
		if (rc == CHAT_READ_FAILED) {
			if (!st->failed)
				log_error("the list of bans cannot be read");
			st->failed = true;
			st->again_ms = chat_mono_ms(chat) + AGAIN_MS;
			break;
		}
		st->place = place;
		if (place.done)
			complete(st);
	}
	return !st->loading;
}

bool
steer_failed(const struct chat *chat)
{
	return chat->steer->failed;
}

void
steer_tick(struct chat *chat, uint64_t now_ms)
{
	struct steer *st = chat->steer;

	if (st->loading)
		(void)steer_turn(chat);
	if (now_ms < st->sweep_ms + SWEEP_MS)
		return;
	st->sweep_ms = now_ms;
	entries_drop(st, is_over, chat->ops->real_ms(chat->ctx));
}
