/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - what the master tells the scribe.
 */

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/role.h"
#include "scribe/scribe.h"

/* how long a scribe without a master goes on committing */
#define ALONE_NS (2 * CLOCK_S_NS)

/* one message at a time; too large for a stack */
static struct ipc_msg msg;

static void
on_configure(void *arg)
{
	struct scribe *s = arg;

	s->cfg = s->child.cfg;
	scribe_configure(s);
}

void
scribe_hello(struct scribe *s)
{
	child_hello(&s->child, ROLE_SCRIBE);
	s->child.configure = on_configure;
	s->child.arg = s;
	s->mastered = true;
	s->cfg = s->child.cfg;
	s->tables = s->child.tables;
	s->wake = s->child.wake;
	s->ring = s->child.log;
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
	FAULT(ORPHANS_TOLD);
	/* its reader, if it was reading, keeps pages from being reused */
	(void)store_reader_check(s->store);
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
	case IPC_WORKER_DEAD:
		on_worker_dead(s);
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
	while ((rc = child_receive(&s->child, &msg)) == 1) {
		on_message(s);
		child_end(&msg);
	}
	if (rc == 0)
		return;
	if (s->phase != SCRIBE_STOPPING)
		log_warn("the master is gone");
	s->mastered = false;
	stop(s, ALONE_NS);
}
