/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clerk - starts the process that does one long command of chatctl.
 */

#include "master/clerk.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/ipc.h"
#include "common/log.h"
#include "master/child.h"
#include "master/control.h"
#include "master/master.h"
#include "master/request.h"
#include "master/spawn.h"

/* how long one that was told to stop may take, at the daemon's very end */
#define END_MS 500

struct clerk {
	struct master *master;
	/* 0: none runs */
	pid_t pid;
	char command[32];
	uint64_t since_ms;
	struct ipc *ipc;
};

struct clerk *
clerk_new(struct master *m)
{
	struct clerk *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->master = m;
	return c;
}

/* It has been told, and says so to its chatctl if it gets that far. */
static void
end_process(pid_t pid)
{
	const struct timespec wait = { .tv_nsec = END_MS * 1000000L / 100 };

	for (unsigned i = 0; i < 100; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		(void)nanosleep(&wait, NULL);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

void
clerk_free(struct clerk **cp)
{
	struct clerk *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->pid != 0)
		end_process(c->pid);
	ipc_free(&c->ipc);
	free(c);
}

/* --- starting ---------------------------------------------------------- */

/* Start the process with one end of a channel; 0, or -1 with errno. */
static int
start(struct clerk *c)
{
	int sv[2], saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1)
		return -1;
	if ((c->ipc = ipc_new(sv[0], IPC_FROM_MASTER)) == NULL) {
		saved = errno;
		(void)close(sv[0]);
		(void)close(sv[1]);
		errno = saved;
		return -1;
	}
	c->pid = spawn_clerk(c->command, sv[1]);
	saved = errno;
	(void)close(sv[1]);
	if (c->pid > 0)
		return 0;
	c->pid = 0;
	ipc_free(&c->ipc);
	errno = saved;
	return -1;
}

/* The order; the channel is new, so it takes it at once. */
static void
give_order(struct clerk *c, const struct request *r, int conn, int output)
{
	struct ipc_msg *msg = child_message(IPC_CLERK);
	const struct master *m = c->master;

	ipc_put_str(msg, r->command);
	ipc_put_u32(msg, (uint32_t)r->nargs);
	for (size_t i = 0; i < r->nargs; i++)
		ipc_put_str(msg, r->args[i]);
	ipc_put_u8(msg, 0);
	ipc_put_u8(msg, output != -1);
	ipc_put_fd(msg, m->place.data_fd);
	ipc_put_fd(msg, conn);
	ipc_put_fd(msg, m->log_fd);
	if (output != -1)
		ipc_put_fd(msg, output);
	if (ipc_send(c->ipc, msg) == 0 && !ipc_pending(c->ipc))
		return;
	log_error_errno("cannot tell the clerk what to do");
	/* chatctl sees its end, and so do we */
	(void)kill(c->pid, SIGKILL);
}

static void
forget(struct clerk *c)
{
	c->pid = 0;
	ipc_free(&c->ipc);
}

/* It has given its answer, and only has to end; that nobody waits for. */
static void
forget_finished(struct clerk *c)
{
	static struct ipc_msg msg;

	if (c->pid == 0 || ipc_recv(c->ipc, &msg) != 1 ||
	    msg.type != IPC_READY || ipc_end(&msg) == -1)
		return;
	log_info("clerk ends command=%s child_pid=%d ms=%llu",
	    log_text(c->command, strlen(c->command)), (int)c->pid,
	    (unsigned long long)(clock_mono_ms() - c->since_ms));
	forget(c);
}

static bool
is_busy(struct clerk *c, uint64_t asker)
{
	if (c->master->state != MASTER_RUNNING) {
		control_failed(c->master->control, asker, "the daemon is %s",
		    master_state_name(c->master->state));
		return true;
	}
	forget_finished(c);
	if (c->pid == 0)
		return false;
	control_failed(c->master->control, asker,
	    "%s is under way (pid %d, for %llu s): one at a time", c->command,
	    (int)c->pid,
	    (unsigned long long)(clock_mono_ms() - c->since_ms) / 1000);
	return true;
}

/* With the asker's file in 'output', which stays the caller's; -1: none. */
static void
begin(struct clerk *c, uint64_t asker, const struct request *r, int output)
{
	struct control *control = c->master->control;
	int conn;

	/* 'r' is the caller's, not the asker's: it outlives the asker */
	(void)strlcpy(c->command, r->command, sizeof(c->command));
	c->since_ms = clock_mono_ms();
	if (start(c) == -1) {
		log_error_errno("cannot start a clerk");
		control_failed(control, asker, "cannot start a clerk: %s",
		    strerror(errno));
		return;
	}
	FAULT(CLERK_SPAWNED);
	log_info("clerk started command=%s child_pid=%d",
	    log_text(c->command, strlen(c->command)), (int)c->pid);
	if ((conn = control_take(control, asker)) == -1) {
		(void)kill(c->pid, SIGKILL);
		return;
	}
	give_order(c, r, conn, output);
	(void)close(conn);
}

void
clerk_begin(struct clerk *c, uint64_t asker, const struct request *r,
    bool output)
{
	int file;

	if (is_busy(c, asker))
		return;
	file = control_take_file(c->master->control, asker);
	if (output && file == -1)
		control_failed(c->master->control, asker,
		    "%s: no file came with the request", r->command);
	else
		begin(c, asker, r, output ? file : -1);
	if (file != -1)
		(void)close(file);
}

/* --- ending ------------------------------------------------------------ */

bool
clerk_reaped(struct clerk *c, pid_t pid, int status)
{
	if (c == NULL || c->pid == 0 || c->pid != pid)
		return false;
	if (WIFSIGNALED(status))
		log_error("clerk died command=%s child_pid=%d signal=%d",
		    log_text(c->command, strlen(c->command)), (int)pid,
		    WTERMSIG(status));
	else
		log_info("clerk ended command=%s child_pid=%d status=%d "
			 "ms=%llu",
		    log_text(c->command, strlen(c->command)), (int)pid,
		    WEXITSTATUS(status),
		    (unsigned long long)(clock_mono_ms() - c->since_ms));
	FAULT(CLERK_REAPED);
	forget(c);
	return true;
}

void
clerk_stop(struct clerk *c)
{
	struct ipc_msg *msg;

	if (c == NULL || c->pid == 0)
		return;
	msg = child_message(IPC_STOP);
	ipc_put_u32(msg, 0);
	(void)ipc_send(c->ipc, msg);
}

const char *
clerk_running(const struct clerk *c, uint64_t *since_ms_r, pid_t *pid_r)
{
	if (c == NULL || c->pid == 0)
		return NULL;
	*since_ms_r = c->since_ms;
	*pid_r = c->pid;
	return c->command;
}
