/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * answer - what a clerk tells chatctl, and whether there still is one.
 */

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clerk/clerk.h"
#include "common/clock.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "store/store.h"

#define LOOK_MS 20
#define TELL_MS 500
/* how long a chatctl may not read its answer */
#define PATIENCE_MS 30000

uint64_t
clerk_elapsed_ms(const struct clerk *c)
{
	return clock_mono_ms() - c->began_ms;
}

void
clerk_exit(struct clerk *c, int status)
{
	if (c->undo != NULL)
		c->undo();
	/* a place of a reader that is left behind is found by the scribe, in
	 * its time; until then pages are not reused */
	store_snapshot_end(&c->txn);
	store_close(&c->store);
	exit(status);
}

/* --- lines ------------------------------------------------------------- */

/* false: it took nothing, or only a part of it that was not 'whole'. */
static bool
send_all(struct clerk *c, const char *p, size_t len, bool wait)
{
	struct pollfd pfd = { .fd = c->conn, .events = POLLOUT };
	size_t sent = 0;
	ssize_t n;

	while (sent < len) {
		n = send(c->conn, p + sent, len - sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			clerk_exit(c, 1);
		/* half a line has to become a whole one */
		if (!wait && sent == 0)
			return false;
		if (poll(&pfd, 1, PATIENCE_MS) == 0)
			clerk_exit(c, 1);
	}
	return true;
}

static bool
send_line(struct clerk *c, const struct json_out *o, bool wait)
{
	struct strbuf sb = STRBUF_INIT;
	bool sent;

	if (o->failed)
		fatalx("out of memory");
	sb_adds(&sb, "{\"data\":");
	sb_add(&sb, o->p, o->len);
	sb_adds(&sb, "}\n");
	sent = send_all(c, sb.data, sb.len, wait);
	sb_clear(&sb);
	return sent;
}

void
answer_data(struct clerk *c, const struct json_out *o)
{
	(void)send_line(c, o, true);
}

/*
 * Whoever hears our last line may ask for the next command at once: the
 * master knows before that we are as good as gone.
 */
static void
tell_master(struct clerk *c)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_READY);
	/* a master that has gone needs not be told */
	(void)ipc_send(c->master, &m);
}

static void
answer_end(struct clerk *c, const char *error)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "done");
	json_out_bool(&o, true);
	json_out_key(&o, "ok");
	json_out_bool(&o, error == NULL);
	if (error != NULL) {
		json_out_key(&o, "error");
		json_out_cstring(&o, error);
	}
	json_out_object_end(&o);
	if (o.failed)
		fatalx("out of memory");
	tell_master(c);
	(void)send_all(c, o.p, o.len, true);
	(void)send_all(c, "\n", 1, true);
	json_out_clear(&o);
}

void
answer_done(struct clerk *c)
{
	answer_end(c, NULL);
}

int
answer_failed(struct clerk *c, const char *fmt, ...)
{
	char why[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	/* nobody waits for it while the store's pages are held */
	store_snapshot_end(&c->txn);
	answer_end(c, why);
	return -1;
}

void
answer_progress(struct clerk *c, const char *what, uint64_t done, uint64_t of)
{
	uint64_t now = clock_mono_ms();
	struct json_out o = { 0 };

	clerk_look(c);
	if (now - c->told_ms < TELL_MS)
		return;
	c->told_ms = now;
	json_out_object(&o);
	json_out_key(&o, "progress");
	json_out_cstring(&o, what);
	json_out_key(&o, "done");
	json_out_u64(&o, done);
	json_out_key(&o, "of");
	json_out_u64(&o, of);
	json_out_object_end(&o);
	(void)send_line(c, &o, false);
	json_out_clear(&o);
}

/* --- who listens ------------------------------------------------------- */

bool
clerk_wanted(const struct clerk *c)
{
	struct pollfd pfd[2] = {
		{ .fd = c->conn, .events = POLLRDHUP },
		{ .fd = ipc_fd(c->master), .events = POLLIN },
	};

	return poll(pfd, 2, 0) <= 0;
}

/* Why it is not wanted, to chatctl if that is there. */
static void
tell_why(struct clerk *c)
{
	static struct ipc_msg msg;
	int rc = ipc_recv(c->master, &msg);

	if (rc == 1)
		(void)answer_failed(c, "the daemon is being stopped");
	else if (rc == -1)
		(void)answer_failed(c, "the daemon has ended");
}

void
clerk_look(struct clerk *c)
{
	uint64_t now = clock_mono_ms();

	if (now - c->looked_ms < LOOK_MS)
		return;
	c->looked_ms = now;
	if (clerk_wanted(c))
		return;
	tell_why(c);
	clerk_exit(c, 1);
}

void
clerk_abort(struct clerk *c)
{
	answer_end(c,
	    "given up: the daemon ends, or the store has grown too "
	    "much meanwhile; try again when there is less to store");
	_exit(1);
}
