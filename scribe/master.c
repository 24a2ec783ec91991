/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - what the master tells the scribe.
 */

#include <errno.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/role.h"
#include "scribe/scribe.h"
#include "shm/counter.h"

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
	bool ordered = ipc_get_u32(&msg) != 0;

	if (msg.bad)
		return;
	log_debug("worker dead slot=%u incarnation=%u", slot, incarnation);
	if (orphans_worker_dead(s->orphans, incarnation, pos, ordered) == -1)
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
	commit_hurry(s->commit);
	s->stop_ns = clock_mono_ns() + left_ns;
}

static void
on_retention(struct scribe *s)
{
	uint64_t serial = ipc_get_u64(&msg);

	if (msg.bad)
		return;
	upkeep_run(&s->upkeep, serial);
}

void
scribe_retention_done(void *arg, const struct upkeep_done *done)
{
	static struct ipc_msg answer;
	struct scribe *s = arg;

	if (!s->mastered)
		return;
	ipc_begin(&answer, IPC_RETENTION_DONE);
	ipc_put_u64(&answer, done->serial);
	ipc_put_str(&answer, done->why != NULL ? done->why : "");
	ipc_put_u64(&answer, done->rooms);
	ipc_put_u64(&answer, done->messages);
	ipc_put_u64(&answer, done->ids);
	if (ipc_send(s->child.master, &answer) == -1 && errno != EPIPE)
		log_error_errno("answer to the master");
}

void
scribe_reader_stuck(void *arg, pid_t pid, uint64_t ms)
{
	static struct ipc_msg tell;
	struct scribe *s = arg;

	counter_add(s->tables, COUNTER_SCRIBE, COUNTER_READERS_STUCK, 1);
	if (!s->mastered)
		return;
	ipc_begin(&tell, IPC_READER_STUCK);
	ipc_put_u32(&tell, (uint32_t)pid);
	ipc_put_u64(&tell, ms);
	if (ipc_send(s->child.master, &tell) == -1 && errno != EPIPE)
		log_error_errno("message to the master");
}

static void
on_message(struct scribe *s)
{
	switch (msg.type) {
	case IPC_WORKER_DEAD:
		on_worker_dead(s);
		break;
	case IPC_RETENTION:
		on_retention(s);
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
