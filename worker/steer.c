/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steer - what operators decide: kick, ban, mute, revoke, broadcast, say,
 * a session's status, a message's deletion.
 *
 *   arguments -> (the session, or the message, is looked up) -> published
 *     -> verdict -> (each worker tells how many sockets it met) -> answered
 *
 * Nothing is answered before the decision is stored; one that was stored and
 * whose answer got lost may be asked for again: the same again changes
 * nothing.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/steer.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/steer_impl.h"
#include "worker/worker.h"

/* how long the other workers have for telling */
#define REPORT_MS 1000
/* and everybody else; chatctl itself waits for longer */
#define PATIENCE_MS 20000
/* reports that came before the verdict */
#define EARLY_MAX 256
#define SENDER "chatd"
/* messages that are looked through at a time */
#define FIND_ROWS 5000

struct report {
	uint64_t gseq, sockets;
};

/* --- answers ------------------------------------------------------------------ */

static void
put_member(struct json_out *o, const char *key, const char *value)
{
	if (value == NULL)
		return;
	json_out_key(o, key);
	json_out_cstring(o, value);
}

static void
put_number(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

/* "eve is banned for 1h" */
static void
say_what(const struct steering *st, char *buf, size_t size)
{
	const char *whom = st->whom == NULL ? "everybody" : st->whom;
	const char *span = st->args.option[OPTION_FOR];
	size_t len;

	if (st->cmd->effect == STEER_DOES_REVOKE)
		(void)snprintf(buf, size,
		    st->about_user ? "the tokens of %s are revoked"
				   : "the token %s is revoked",
		    whom);
	else
		(void)snprintf(buf, size, "%s%s%s", whom, st->cmd->said,
		    st->status == NULL ? "" : st->status);
	if (span != NULL) {
		len = strlen(buf);
		(void)snprintf(buf + len, size - len, " for %s", span);
	}
}

static void
say_whom(const struct steering *st, char *buf, size_t size)
{
	size_t len = strlen(buf);

	(void)snprintf(buf + len, size - len, ": %" PRIu64 " socket%s",
	    st->sockets, st->sockets == 1 ? "" : "s");
	if (st->nreports < st->nworkers) {
		len = strlen(buf);
		(void)snprintf(buf + len, size - len,
		    " (%u of %u workers have told)", st->nreports,
		    st->nworkers);
	}
}

/* Who did what, for those who look into it later. */
static void
audit(const struct ctl *c, const char *outcome)
{
	const struct steering *st = c->state;
	const char *reason = st->args.option[OPTION_REASON];

	log_notice("steered command=%s whom=%s id=%s outcome=%s "
		   "sockets=%" PRIu64 " by=%s reason=%s",
	    log_text(st->cmd->audit, strlen(st->cmd->audit)),
	    st->whom == NULL ? "all" : log_text(st->whom, strlen(st->whom)),
	    st->id, outcome, st->sockets, log_text(c->by, strlen(c->by)),
	    reason == NULL ? "" : log_text(reason, strlen(reason)));
}

static void
succeed(struct ctl *c)
{
	struct steering *st = c->state;
	struct json_out o = { 0 };
	char text[512];

	say_what(st, text, sizeof(text));
	if (st->cmd->told)
		say_whom(st, text, sizeof(text));
	json_out_object(&o);
	put_member(&o, "command", st->cmd->audit);
	put_member(&o, st->cmd->key, st->whom);
	if (st->cmd->lasts)
		put_number(&o, "until_at_ms",
		    st->until_ms == STEER_EVER ? 0 : st->until_ms);
	put_member(&o, "reason", st->args.option[OPTION_REASON]);
	put_member(&o, "id", st->id);
	if (st->seq > 0)
		put_number(&o, "seq", st->seq);
	if (st->cmd->told) {
		put_number(&o, "sockets", st->sockets);
		put_number(&o, "workers", st->nreports);
		put_number(&o, "of_workers", st->nworkers);
	}
	put_member(&o, "result", text);
	json_out_object_end(&o);
	audit(c, "done");
	ctl_put(c, &o, false);
	json_out_clear(&o);
	ctl_done(c, NULL);
}

static void
fail(struct ctl *c, const char *whom, const char *what)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%s%s", whom, what);
	audit(c, "refused");
	ctl_done(c, text);
}

/* All have told, or had the time to. */
static void
reported(struct ctl *c)
{
	const struct steering *st = c->state;

	FAULT(CTL_VERDICT);
	if (st->cmd->must_meet && st->sockets == 0 &&
	    st->nreports == st->nworkers)
		fail(c, st->whom, " is not connected");
	else
		succeed(c);
}

/* --- what the workers tell ------------------------------------------------------ */

static unsigned
count_workers(const struct worker *w)
{
	struct ring_consumer_info info;
	unsigned slot, n = 0;

	for (slot = 0; slot < RING_MAX_CONSUMERS; slot++) {
		ring_consumer_info(w->log, slot, &info);
		n += info.state == RING_ACTIVE;
	}
	return n;
}

static uint64_t
number_of(struct chat_str text)
{
	char copy[24];

	if (text.len == 0 || text.len >= sizeof(copy))
		return 0;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	return strtoull(copy, NULL, 10);
}

static void
on_deliver(struct ctl *c, const struct chat_delivery *d)
{
	struct steering *st = c->state;
	struct report r;

	if (d->ev.type != CHAT_STEERED || !st->cmd->told)
		return;
	r.gseq = number_of(d->ev.field[0]);
	r.sockets = number_of(d->ev.field[1]);
	if (!st->decided) {
		/* another worker was faster than we are */
		if (st->nearly < EARLY_MAX)
			st->early[st->nearly++] = r;
		return;
	}
	if (r.gseq != st->gseq)
		return;
	st->sockets += r.sockets;
	if (++st->nreports >= st->nworkers)
		reported(c);
}

static void
on_tick(struct ctl *c)
{
	const struct steering *st = c->state;

	if (c->worker->now_ms < st->until_mono_ms)
		return;
	if (st->decided)
		reported(c);
	else
		fail(c, "",
		    "nobody has decided yet; it may still happen: ask again");
}

static void
wait_for_reports(struct ctl *c, const struct chat_delivery *d)
{
	struct steering *st = c->state;
	unsigned i;

	st->gseq = d->gseq;
	st->nworkers = count_workers(c->worker);
	st->until_mono_ms = c->worker->now_ms + REPORT_MS;
	for (i = 0; i < st->nearly; i++) {
		if (st->early[i].gseq != st->gseq)
			continue;
		st->sockets += st->early[i].sockets;
		st->nreports++;
	}
	if (st->nreports >= st->nworkers)
		reported(c);
}

/* --- the verdict ------------------------------------------------------------------ */

static void
on_verdict(struct ctl *c, const struct chat_delivery *d)
{
	struct steering *st = c->state;

	st->decided = true;
	if (st->cmd->needs_session)
		st->seq = d->seq;
	switch (d->outcome) {
	case CHAT_STORED:
	case CHAT_DUPLICATE:
		if (st->cmd->told)
			wait_for_reports(c, d);
		else
			succeed(c);
		return;
	case CHAT_NOT_FOUND:
		fail(c,
		    st->cmd->effect == STEER_DOES_DELETE ? st->id : st->whom,
		    st->cmd->none);
		return;
	case CHAT_STORE_UNAVAILABLE:
		fail(c, "",
		    "the store cannot be written now; nothing was changed");
		return;
	case CHAT_ID_TAKEN:
	case CHAT_SESSION_FULL:
	case CHAT_FORBIDDEN:
	case CHAT_REJECTED:
		break;
	}
	fail(c, "", "it was refused: it makes no sense");
}

static void
on_free(struct ctl *c)
{
	struct steering *st = c->state;

	json_out_clear(&st->body);
	free(st->early);
	free(st);
}

static const struct ctl_ops steering_ops = {
	.verdict = on_verdict,
	.deliver = on_deliver,
	.tick = on_tick,
	.free = on_free,
};

/* --- publishing ------------------------------------------------------------------- */

static struct chat_str
text_or_none(const char *text)
{
	return (struct chat_str){ text == NULL ? "" : text,
		text == NULL ? 0 : strlen(text) };
}

static void
publish_steer(struct ctl *c)
{
	struct steering *st = c->state;
	struct chat_event ev = { .type = CHAT_STEER, .nfields = 8 };
	const char *by = c->by;
	char until[24] = "";

	if (st->until_ms != STEER_EVER)
		(void)snprintf(until, sizeof(until), "%" PRIu64, st->until_ms);
	if (st->cmd->effect == STEER_DOES_BROADCAST)
		by = st->args.option[OPTION_NAME] == NULL
		    ? SENDER
		    : st->args.option[OPTION_NAME];
	ev.field[0] = text_or_none(st->action);
	ev.field[1] = text_or_none(st->about_user ? st->whom : NULL);
	ev.field[2] = text_or_none(st->about_user ? st->since : st->whom);
	if (st->cmd->effect == STEER_DOES_BROADCAST)
		ev.field[2] = text_or_none(st->id);
	ev.field[3] = text_or_none(until);
	ev.field[4] = text_or_none(st->text);
	ev.field[5] = text_or_none(by);
	ev.field[6] = (struct chat_str){ st->workspace, st->workspace_len };
	ev.field[7] = text_or_none(st->session);
	FAULT(CTL_PUBLISH);
	ctl_publish(c, &ev);
}

static void
publish_status(struct ctl *c)
{
	struct steering *st = c->state;
	const size_t len = strcspn(st->whom, "/");
	struct chat_event ev = { .type = CHAT_STATUS,
		.room = st->room,
		.nfields = 5 };

	ev.field[0] = text_or_none(st->status);
	ev.field[1] = text_or_none(st->args.option[OPTION_REASON]);
	ev.field[2] = text_or_none(c->by);
	ev.field[3] = (struct chat_str){ st->whom, len };
	ev.field[4] = text_or_none(st->whom + len + 1);
	FAULT(CTL_PUBLISH);
	ctl_publish(c, &ev);
}

/* As chat/send.c makes it, of nobody. */
static void
publish_message(struct ctl *c)
{
	struct steering *st = c->state;
	struct chat_event ev = { .type = CHAT_MESSAGE,
		.flags = CHAT_F_SERVICE,
		.room = st->room,
		.nfields = 3 };
	struct json_out *o = &st->body;
	const char *name = st->args.option[OPTION_NAME];

	put_member(o, "id", st->id);
	put_member(o, "content", st->text);
	put_member(o, "type", "system");
	json_out_key(o, "metadata");
	json_out_object(o);
	put_member(o, "senderName", name == NULL ? SENDER : name);
	json_out_object_end(o);
	if (o->failed)
		fatalx("memory for a message");
	ev.field[0] = text_or_none(st->id);
	ev.field[1] = text_or_none("");
	ev.field[2] = (struct chat_str){ o->p, o->len };
	FAULT(CTL_PUBLISH);
	ctl_publish(c, &ev);
}

static void
publish_delete(struct ctl *c)
{
	struct steering *st = c->state;
	struct chat_event ev = { .type = CHAT_DELETE,
		.flags = CHAT_F_SERVICE,
		.room = st->room,
		.nfields = 3 };
	char seq[24];

	(void)snprintf(seq, sizeof(seq), "%" PRIu64, st->found);
	ev.field[0] = text_or_none(st->id);
	ev.field[1] = text_or_none("");
	ev.field[2] = text_or_none(seq);
	FAULT(CTL_PUBLISH);
	ctl_publish(c, &ev);
}

/* --- what it is about -------------------------------------------------------------- */

static void
publish(struct ctl *c)
{
	const struct steering *st = c->state;

	switch (st->cmd->effect) {
	case STEER_DOES_STATUS:
		publish_status(c);
		break;
	case STEER_DOES_SAY:
		publish_message(c);
		break;
	case STEER_DOES_DELETE:
		publish_delete(c);
		break;
	case STEER_DOES_LIST:
	case STEER_DOES_KICK:
	case STEER_DOES_REVOKE:
	case STEER_DOES_BROADCAST:
		publish_steer(c);
		break;
	}
}

/* Piece by piece, from the newest message on. */
static void
find_message(void *arg)
{
	struct ctl *c = arg;
	struct steering *st = c->state;
	struct worker *w = c->worker;
	const struct read_query q = { .kind = READ_FIND,
		.room = st->room,
		.from = st->from,
		.count = FIND_ROWS,
		.text = { st->id, strlen(st->id) },
		.notify = find_message };
	const struct read_answer *a;
	struct read_row row;
	size_t at = 0;
	bool more;
	int error;

	if ((a = reader_ask(w->reader, c, &q, w->now_ms)) == NULL)
		return;
	error = a->error;
	more = a->more;
	st->from = a->seq;
	if (error == 0 && reader_row(a, &at, &row))
		st->found = row.n[0];
	reader_taken(w->reader, a);
	if (error != 0)
		fail(c, "", "the store cannot be read");
	else if (st->found != 0)
		publish(c);
	else if (more)
		find_message(c);
	else
		fail(c, st->id, st->cmd->none);
}

static void
find_session(void *arg)
{
	struct ctl *c = arg;
	struct steering *st = c->state;
	struct worker *w = c->worker;
	const struct read_query q = { .kind = READ_SESSION,
		.text = { st->whom, strlen(st->whom) },
		.notify = find_session };
	const struct read_answer *a;
	int error;

	if ((a = reader_ask(w->reader, c, &q, w->now_ms)) == NULL)
		return;
	error = a->error;
	st->room = a->room;
	reader_taken(w->reader, a);
	if (error == ENOENT)
		fail(c, st->whom, ": there is no such session");
	else if (error != 0)
		fail(c, "", "the store cannot be read");
	else if (st->cmd->effect == STEER_DOES_DELETE)
		find_message(c);
	else
		publish(c);
}

/* --- the beginning ------------------------------------------------------------------ */

void
steer_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	struct steering *st;
	char why[256];
	const char *bad;

	if ((st = calloc(1, sizeof(*st))) == NULL ||
	    (st->early = calloc(EARLY_MAX, sizeof(*st->early))) == NULL)
		fatal("memory for chatctl");
	c->state = st;
	c->ops = &steering_ops;
	st->until_mono_ms = c->worker->now_ms + PATIENCE_MS;
	if ((bad = steer_command(st, command, args, why, sizeof(why))) != NULL)
		ctl_usage(c, bad);
	else if (st->cmd->needs_session)
		find_session(c);
	else
		publish(c);
}
