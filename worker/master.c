/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - what the master tells a worker.
 */

#include <event2/event.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/role.h"
#include "worker/asset.h"
#include "worker/bridge.h"
#include "worker/ctl.h"
#include "worker/worker.h"

/* flags of a CLIENTS message */
enum {
	PASS_FULL = 1,
	PASS_TOO_OFTEN = 4,
};

/* how long a worker without a master waits for verdicts and clients */
#define ALONE_MS 2000

/* one message at a time; too large for a stack */
static struct ipc_msg msg;

void
worker_open_assets(struct worker *w)
{
	const char *why = NULL;

	assets_unref(&w->assets);
	w->assets = assets_open(w->child.bundle, &why);
	if (w->assets == NULL && why != NULL)
		log_warn("the browser's bundle: %s", why);
}

static void
on_configure(void *arg)
{
	struct worker *w = arg;

	w->cfg = w->child.cfg;
	chat_configure(w->chat, w->cfg);
	bridge_configure(w->bridge, w->cfg, clock_mono_ms());
	worker_open_assets(w);
}

void
worker_hello(struct worker *w)
{
	child_hello(&w->child, ROLE_WORKER);
	w->child.configure = on_configure;
	w->child.rings = worker_rings;
	w->child.arg = w;
	w->slot = w->child.slot;
	w->incarnation = w->child.incarnation;
	w->cfg = w->child.cfg;
	w->tables = w->child.tables;
	w->wake = w->child.wake;
	w->log = w->child.log;
	w->live = w->child.live;
}

static void
on_clients(struct worker *w)
{
	uint32_t n, slot, generation;
	uint8_t flags;
	int fd;

	for (n = ipc_get_u32(&msg); n > 0 && !msg.bad; n--) {
		slot = ipc_get_u32(&msg);
		generation = ipc_get_u32(&msg);
		flags = ipc_get_u8(&msg);
		fd = ipc_get_fd(&msg);
		if (fd == -1 || msg.bad)
			break;
		conn_open(w, fd, slot, generation,
		    flags & PASS_FULL		 ? CONN_FULL
			: flags & PASS_TOO_OFTEN ? CONN_TOO_OFTEN
						 : CONN_WELCOME);
	}
}

static void
on_ctl_request(struct worker *w)
{
	size_t len;
	const char *line = ipc_get_bytes(&msg, &len);
	int fd = ipc_get_fd(&msg);

	if (fd == -1)
		return;
	if (line == NULL)
		close(fd);
	else
		ctl_request(w, fd, line, len);
}

void
worker_stop(struct worker *w, uint64_t within_ms)
{
	uint64_t by = clock_mono_ms() + within_ms;

	if (w->phase == WORKER_SERVING) {
		w->phase = WORKER_STOPPING;
		w->stop_by_ms = by;
	} else if (by < w->stop_by_ms) {
		w->stop_by_ms = by;
	}
}

static void
on_message(struct worker *w)
{
	switch (msg.type) {
	case IPC_CLIENTS:
		on_clients(w);
		break;
	case IPC_CTL_REQUEST:
		on_ctl_request(w);
		break;
	case IPC_STOP:
		worker_stop(w, ipc_get_u32(&msg));
		break;
	default:
		fatalx("the master sent %s", ipc_name(msg.type));
	}
}

void
worker_on_master(int fd, short what, void *arg)
{
	struct worker *w = arg;
	int rc;

	while ((rc = child_receive(&w->child, &msg)) == 1) {
		on_message(w);
		child_end(&msg);
	}
	if (rc == 0)
		return;
	/* nobody holds us together any more */
	log_warn("the master is gone");
	event_del(w->master_ev);
	if (w->phase == WORKER_STARTING)
		fatalx("the master is gone");
	worker_stop(w, ALONE_MS);
}
