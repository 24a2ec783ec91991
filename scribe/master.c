/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - what the master tells the scribe.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/role.h"
#include "scribe/scribe.h"

/* how long a scribe without a master goes on committing */
#define ALONE_NS (2 * CLOCK_S_NS)

/* one message at a time; too large for a stack */
static struct ipc_msg msg;
static struct ipc_msg out;

/* --- hello ------------------------------------------------------------- */

static void
hello_receive(struct scribe *s)
{
	struct pollfd p = { .fd = ROLE_IPC_FD, .events = POLLIN };
	int rc;

	if ((s->master = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD)) == NULL)
		fatal("connection to the master");
	while ((rc = ipc_recv(s->master, &msg)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || msg.type != IPC_HELLO || ipc_get_u8(&msg) != ROLE_SCRIBE)
		fatalx("no hello from the master");
}

/* Slot and arenas say nothing new; that the daemon has just started is seen
 * in the store, which does not know the ring. */
static void
hello_numbers(struct scribe *s)
{
	uint32_t n;
	int i;

	(void)ipc_get_u32(&msg);
	s->incarnation = ipc_get_u32(&msg);
	for (i = 0; i < 2; i++)
		(void)ipc_get_u32(&msg);
	(void)ipc_get_u8(&msg);
	for (n = ipc_get_u32(&msg); n > 0 && !msg.bad; n--) {
		if (s->nliving == TABLES_WORKERS)
			fatalx("hello from the master makes no sense");
		(void)ipc_get_u32(&msg);
		s->living[s->nliving++] = ipc_get_u32(&msg);
	}
}

static void
hello_configuration(struct scribe *s)
{
	int fd = ipc_get_fd(&msg);

	if ((s->cfg = config_from_fd(fd)) == NULL)
		fatal("configuration from the master");
	close(fd);
}

static void
hello_segments(struct scribe *s)
{
	const char *why;
	int fd;

	if ((s->tables = tables_attach(ipc_get_fd(&msg), &why)) == NULL)
		fatalx("tables: %s", why);
	if (segment_attach(&s->seg, ipc_get_fd(&msg), ring_abi(),
		SEGMENT_DONTDUMP, &why) == -1)
		fatalx("log ring: %s", why);
	/* the live ring is not the scribe's */
	if ((fd = ipc_get_fd(&msg)) != -1)
		close(fd);
}

static void
hello_places(struct scribe *s)
{
	int fd;

	if ((fd = ipc_get_fd(&msg)) == -1 || fchdir(fd) == -1)
		fatal("data directory");
	close(fd);
	if ((fd = ipc_get_fd(&msg)) == -1)
		fatalx("no log target from the master");
	log_set(fd, log_kind_of(fd), s->cfg->log_format, s->cfg->log_level);
}

void
scribe_hello(struct scribe *s)
{
	const char *why;
	int i;

	hello_receive(s);
	s->mastered = true;
	hello_numbers(s);
	hello_configuration(s);
	hello_segments(s);
	hello_places(s);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		s->efd[i] = ipc_get_fd(&msg);
	if (ipc_end(&msg) == -1)
		fatalx("hello from the master makes no sense");
	if ((s->wake = wake_attach(s->tables->wake, s->efd)) == NULL)
		fatal("wake area");
	s->ring = ring_attach(s->seg.mem, s->seg.size, s->wake, &why);
	if (s->ring == NULL)
		fatalx("log ring: %s", why);
	ring_producer_init(s->ring, RING_SCRIBE_ARENA);
	if (ring_protect(s->ring, RING_SCRIBE_ARENA) == -1)
		fatal("log ring");
}

/* --- later ------------------------------------------------------------- */

static void
answer(struct scribe *s)
{
	if (ipc_send(s->master, &out) == -1)
		log_error_errno("answer to the master");
}

static void
on_config_prepare(struct scribe *s)
{
	uint64_t serial = ipc_get_u64(&msg);
	int fd = ipc_get_fd(&msg);

	config_free(&s->next_cfg);
	if (fd != -1) {
		s->next_cfg = config_from_fd(fd);
		close(fd);
	}
	s->next_serial = serial;
	ipc_begin(&out, IPC_CONFIG_PREPARED);
	ipc_put_u64(&out, serial);
	ipc_put_u8(&out, s->next_cfg != NULL);
	ipc_put_str(&out, s->next_cfg != NULL ? "" : "cannot be decoded");
	answer(s);
}

static void
on_config_switch(struct scribe *s)
{
	uint64_t serial = ipc_get_u64(&msg);
	bool take = ipc_get_u8(&msg) == 1;

	if (s->next_cfg == NULL || serial != s->next_serial)
		return;
	if (!take) {
		config_free(&s->next_cfg);
		return;
	}
	config_free(&s->cfg);
	s->cfg = s->next_cfg;
	s->next_cfg = NULL;
	scribe_configure(s);
	log_set_level(s->cfg->log_level);
	ipc_begin(&out, IPC_CONFIG_SWITCHED);
	ipc_put_u64(&out, serial);
	answer(s);
}

static void
on_worker_dead(struct scribe *s)
{
	uint32_t slot = ipc_get_u32(&msg), incarnation = ipc_get_u32(&msg);
	uint64_t pos = ipc_get_u64(&msg);

	if (msg.bad)
		return;
	log_debug("worker dead slot=%u incarnation=%u", slot, incarnation);
	if (orphans_worker_dead(s->orphans, incarnation, pos) == -1)
		fatal("memory for a scribe");
	/* its reader, if it was reading, keeps pages from being reused */
	(void)store_reader_check(s->store);
}

static void
on_log_target(struct scribe *s)
{
	int fd = ipc_get_fd(&msg);

	if (fd != -1)
		log_set(fd, log_kind_of(fd), s->cfg->log_format,
		    s->cfg->log_level);
}

static void
stop(struct scribe *s, uint64_t left_ns)
{
	if (s->phase == SCRIBE_STOPPING)
		return;
	s->phase = SCRIBE_STOPPING;
	s->stop_ns = clock_mono_ns() + left_ns;
}

static void
on_message(struct scribe *s)
{
	switch (msg.type) {
	case IPC_CONFIG_PREPARE:
		on_config_prepare(s);
		break;
	case IPC_CONFIG_SWITCH:
		on_config_switch(s);
		break;
	case IPC_WORKER_DEAD:
		on_worker_dead(s);
		break;
	case IPC_LOG_TARGET:
		on_log_target(s);
		break;
	case IPC_STOP:
		stop(s, ipc_get_u32(&msg) * CLOCK_MS_NS);
		break;
	default:
		fatalx("the master sent %s", ipc_name(msg.type));
	}
}

void
scribe_on_master(struct scribe *s)
{
	int rc;

	if (!s->mastered)
		return;
	while ((rc = ipc_recv(s->master, &msg)) == 1) {
		on_message(s);
		if (ipc_end(&msg) == -1)
			fatalx("%s from the master makes no sense",
			    ipc_name(msg.type));
	}
	if (rc == 0 && ipc_flush(s->master) != -1)
		return;
	if (s->phase != SCRIBE_STOPPING)
		log_warn("the master is gone");
	s->mastered = false;
	stop(s, ALONE_NS);
}
