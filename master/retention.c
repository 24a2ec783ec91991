/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * retention - chatctl retention run.
 */

#include "master/retention.h"

#include <stdlib.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "master/child.h"
#include "master/control.h"
#include "master/master.h"
#include "master/supervise.h"
#include "shm/counter.h"

#define TELL_MS 500

struct retention {
	struct master *master;
	struct event *tick;
	/* who asked; 0: nobody */
	uint64_t asker;
	/* of the one that is under way */
	uint64_t serial;
	/* what had been removed when it began, and when that was */
	uint64_t removed_before;
	uint64_t began_ms;
};

static void
put_u64(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

static void
send_data(struct retention *r, struct json_out *o)
{
	json_out_object_end(o);
	if (!o->failed)
		control_data(r->master->control, r->asker, o->p, o->len);
	json_out_clear(o);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct retention *r = arg;
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "progress");
	json_out_cstring(&o, "messages removed");
	put_u64(&o, "done",
	    counter_sum(r->master->shared.tables, COUNTER_TRIMMED) -
		r->removed_before);
	put_u64(&o, "of", 0);
	send_data(r, &o);
}

struct retention *
retention_new(struct master *m)
{
	struct retention *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->master = m;
	if ((r->tick = event_new(m->base, -1, EV_PERSIST, on_tick, r)) == NULL)
		fatalx("out of memory");
	return r;
}

void
retention_free(struct retention **rp)
{
	struct retention *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	event_free(r->tick);
	free(r);
}

void
retention_begin(struct retention *r, uint64_t asker)
{
	const struct timeval every = { .tv_usec = TELL_MS * 1000 };
	struct master *m = r->master;
	struct child *scribe = supervise_scribe(m->supervisor);
	struct ipc_msg *msg;

	if (r->asker != 0) {
		control_failed(m->control, asker,
		    "retention run is under way (for %llu s): one at a time",
		    (unsigned long long)(clock_mono_ms() - r->began_ms) / 1000);
		return;
	}
	if (!child_takes(scribe)) {
		control_failed(m->control, asker,
		    "the scribe is not ready; try again");
		return;
	}
	r->asker = asker;
	r->began_ms = clock_mono_ms();
	r->removed_before = counter_sum(m->shared.tables, COUNTER_TRIMMED);
	(void)event_add(r->tick, &every);
	msg = child_message(IPC_RETENTION);
	ipc_put_u64(msg, ++r->serial);
	(void)child_send(scribe, msg);
}

/* Nobody is told of anything any more. */
static uint64_t
end(struct retention *r)
{
	uint64_t asker = r->asker;

	(void)event_del(r->tick);
	r->asker = 0;
	return asker;
}

void
retention_done(struct retention *r, struct ipc_msg *msg)
{
	uint64_t serial = ipc_get_u64(msg), rooms, messages, ids, asker;
	struct json_out o = { 0 };
	char why[256];

	ipc_get_str(msg, why, sizeof(why));
	rooms = ipc_get_u64(msg);
	messages = ipc_get_u64(msg);
	ids = ipc_get_u64(msg);
	if (ipc_end(msg) == -1 || serial != r->serial || r->asker == 0)
		return;
	json_out_object(&o);
	json_out_key(&o, "result");
	json_out_cstring(&o, "retention");
	put_u64(&o, "sessions", rooms);
	put_u64(&o, "messages_removed", messages);
	put_u64(&o, "ids_forgotten", ids);
	put_u64(&o, "took_ms", clock_mono_ms() - r->began_ms);
	send_data(r, &o);
	asker = end(r);
	if (why[0] == '\0')
		control_done(r->master->control, asker);
	else
		control_failed(r->master->control, asker, "%s", why);
}

void
retention_scribe_dead(struct retention *r)
{
	if (r == NULL || r->asker == 0)
		return;
	control_failed(r->master->control, end(r),
	    "the scribe died; what it has removed so far is removed, try "
	    "again for the rest");
}
