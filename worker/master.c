/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - what the master tells a worker.
 */

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/role.h"
#include "worker/worker.h"

/* flags of a CLIENTS message */
enum {
	PASS_FULL = 1,
	PASS_TOO_OFTEN = 4,
};

/* one message at a time; too large for a stack */
static struct ipc_msg msg;

static void
hello_configuration(struct worker *w)
{
	int fd = ipc_get_fd(&msg);

	if ((w->cfg = config_from_fd(fd)) == NULL)
		fatal("configuration from the master");
	close(fd);
}

static void
hello_segments(struct worker *w)
{
	const char *why;

	if ((w->tables = tables_attach(ipc_get_fd(&msg), &why)) == NULL)
		fatalx("tables: %s", why);
	if (segment_attach(&w->log_seg, ipc_get_fd(&msg), ring_abi(), 0,
		&why) == -1)
		fatalx("log ring: %s", why);
	if (segment_attach(&w->live_seg, ipc_get_fd(&msg), ring_abi(), 0,
		&why) == -1)
		fatalx("live ring: %s", why);
}

static void
hello_data_dir(void)
{
	int fd = ipc_get_fd(&msg);

	if (fchdir(fd) == -1)
		fatal("data directory");
	close(fd);
}

static void
hello_log(struct worker *w)
{
	int fd = ipc_get_fd(&msg);

	log_set(fd, log_kind_of(fd), w->cfg->log_format, w->cfg->log_level);
}

/* Wait for the first message; the socket does not block by itself. */
static void
hello_receive(struct worker *w)
{
	struct pollfd p = { .fd = ROLE_IPC_FD, .events = POLLIN };
	int rc;

	if ((w->master = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD)) == NULL)
		fatal("connection to the master");
	while ((rc = ipc_recv(w->master, &msg)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || msg.type != IPC_HELLO || ipc_get_u8(&msg) != ROLE_WORKER)
		fatalx("no hello from the master");
}

void
worker_hello(struct worker *w)
{
	uint32_t arenas[2], n;
	unsigned i;
	const char *why;

	hello_receive(w);
	w->slot = ipc_get_u32(&msg);
	w->incarnation = ipc_get_u32(&msg);
	arenas[0] = ipc_get_u32(&msg);
	arenas[1] = ipc_get_u32(&msg);
	(void)ipc_get_u8(&msg);
	for (n = ipc_get_u32(&msg); n > 0 && !msg.bad; n--) {
		(void)ipc_get_u32(&msg);
		(void)ipc_get_u32(&msg);
	}
	log_init("chatd", ROLE_WORKER, (int)w->slot);
	hello_configuration(w);
	hello_segments(w);
	hello_data_dir();
	hello_log(w);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		w->efd[i] = ipc_get_fd(&msg);
	if (ipc_end(&msg) == -1 || w->slot >= TABLES_WORKERS)
		fatalx("hello from the master makes no sense");
	if ((w->wake = wake_attach(w->tables->wake, w->efd)) == NULL)
		fatal("wake area");
	w->log = ring_attach(w->log_seg.mem, w->log_seg.size, w->wake, &why);
	if (w->log == NULL)
		fatalx("log ring: %s", why);
	w->live = ring_attach(w->live_seg.mem, w->live_seg.size, w->wake, &why);
	if (w->live == NULL)
		fatalx("live ring: %s", why);
	ring_follow_interest(w->live, w->log);
	ring_producer_init(w->log, arenas[0]);
	ring_producer_init(w->live, arenas[1]);
	/* a stray write shall hit us and nobody else */
	if (ring_protect(w->log, arenas[0]) == -1 ||
	    ring_protect(w->live, arenas[1]) == -1)
		fatal("protect the rings");
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
answer(struct worker *w, const struct ipc_msg *m)
{
	if (ipc_send(w->master, m) == -1)
		log_error_errno("answer to the master");
}

static void
on_config_prepare(struct worker *w)
{
	static struct ipc_msg out;
	uint64_t serial = ipc_get_u64(&msg);
	int fd = ipc_get_fd(&msg);

	config_free(&w->next_cfg);
	w->next_cfg = fd == -1 ? NULL : config_from_fd(fd);
	if (fd != -1)
		close(fd);
	w->next_serial = serial;
	ipc_begin(&out, IPC_CONFIG_PREPARED);
	ipc_put_u64(&out, serial);
	ipc_put_u8(&out, w->next_cfg != NULL);
	ipc_put_str(&out, w->next_cfg != NULL ? "" : "cannot be decoded");
	answer(w, &out);
}

static void
on_config_switch(struct worker *w)
{
	static struct ipc_msg out;
	uint64_t serial = ipc_get_u64(&msg);
	bool take = ipc_get_u8(&msg) == 1;
	struct config *old;

	if (w->next_cfg == NULL || serial != w->next_serial)
		return;
	if (!take) {
		config_free(&w->next_cfg);
		return;
	}
	old = w->cfg;
	w->cfg = w->next_cfg;
	w->next_cfg = NULL;
	chat_configure(w->chat, w->cfg);
	log_set_level(w->cfg->log_level);
	config_free(&old);
	ipc_begin(&out, IPC_CONFIG_SWITCHED);
	ipc_put_u64(&out, serial);
	answer(w, &out);
}

static void
on_log_target(struct worker *w)
{
	int fd = ipc_get_fd(&msg);

	if (fd != -1)
		log_set(fd, log_kind_of(fd), w->cfg->log_format,
		    w->cfg->log_level);
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
		inspect_request(w, fd, line, len);
}

static void
on_message(struct worker *w)
{
	switch (msg.type) {
	case IPC_CLIENTS:
		on_clients(w);
		break;
	case IPC_CONFIG_PREPARE:
		on_config_prepare(w);
		break;
	case IPC_CONFIG_SWITCH:
		on_config_switch(w);
		break;
	case IPC_LOG_TARGET:
		on_log_target(w);
		break;
	case IPC_CTL_REQUEST:
		on_ctl_request(w);
		break;
	case IPC_STOP:
		worker_stop(w, ipc_get_u32(&msg));
		break;
	default:
		fatalx("message out of place type=%s", ipc_name(msg.type));
	}
	if (ipc_end(&msg) == -1)
		fatalx("message makes no sense type=%s", ipc_name(msg.type));
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

void
worker_on_master(int fd, short what, void *arg)
{
	struct worker *w = arg;
	int rc;

	if (ipc_pending(w->master))
		(void)ipc_flush(w->master);
	while ((rc = ipc_recv(w->master, &msg)) == 1)
		on_message(w);
	if (rc == 0)
		return;
	if (errno == EMFILE) {
		log_error("descriptors from the master were lost: no room");
		return;
	}
	if (errno != 0)
		fatal("message from the master");
	/* the master is gone: nobody holds us together any more */
	log_error("the master is gone");
	event_del(w->master_ev);
	worker_stop(w, 2000);
}
