/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fault - what happens at a fault point is what its row says.
 */

#include "common/fault.h"

#ifdef CHATD_FAULTS

#include <sys/mman.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/role.h"

static const struct {
	const char *name, *who, *text;
} points[FAULT__MAX] = {
#define FAULT_POINT(name, who, text) { #name, who, text },
#include "common/tbl_fault.h"
};

static const char *const action_names[FAULT_ACTION__MAX] = {
	[FAULT_ACTION_NONE] = "none",
	[FAULT_ACTION_KILL] = "kill",
	[FAULT_ACTION_STOP] = "stop",
	[FAULT_ACTION_ABORT] = "abort",
	[FAULT_ACTION_DELAY] = "delay",
	[FAULT_ACTION_FAIL] = "error",
};

_Static_assert(sizeof(struct fault_row) == 64, "tests know the layout");
_Static_assert(offsetof(struct fault_file, row) == 64, "and where it begins");

static struct {
	struct fault_file *file;
	/* 1 << our role */
	uint32_t role;
	int32_t slot;
} self;

const char *
fault_point_name(enum fault_point point)
{
	return points[point].name;
}

const char *
fault_point_who(enum fault_point point)
{
	return points[point].who;
}

const char *
fault_point_text(enum fault_point point)
{
	return points[point].text;
}

const char *
fault_action_name(enum fault_action action)
{
	return action < FAULT_ACTION__MAX ? action_names[action] : "?";
}

struct fault_file *
fault_file(void)
{
	return self.file;
}

/* ------------------------------------------------------------------ */
/* The file. */

static void
map_file(const char *path)
{
	struct fault_file *f;
	int fd;

	if ((fd = open(path, O_RDWR | O_CLOEXEC)) == -1)
		goto bad;
	f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (f == MAP_FAILED)
		goto bad;
	if (f->magic != FAULT_FILE_MAGIC || f->npoints != FAULT__MAX ||
	    f->row_size != sizeof(f->row[0])) {
		errno = EINVAL;
		goto bad;
	}
	self.file = f;
	return;
bad:
	/* a test that believes that something is armed tests nothing */
	perror(path);
	_exit(2);
}

static uint32_t
role_bit(const char *name)
{
	static const char *const names[] = { "master", "worker", "scribe",
		"clerk", "bridge" };

	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		if (name != NULL && strcmp(name, names[i]) == 0)
			return 1U << i;
	return 1U << ROLE_MASTER;
}

/* The title is "chatd: worker 3" (master/spawn.c). */
static int32_t
slot_of(const char *title)
{
	static const char worker[] = "chatd: worker ";

	if (title == NULL || strncmp(title, worker, sizeof(worker) - 1) != 0)
		return -1;
	return (int32_t)strtol(title + sizeof(worker) - 1, NULL, 10);
}

/* Before main(): a role is in its sandbox soon after. */
__attribute__((constructor)) static void
fault_open(int argc, char *argv[])
{
	const char *path = getenv(FAULT_FILE_ENV);

	self.role = role_bit(getenv("CHATD_ROLE"));
	self.slot = argc > 0 ? slot_of(argv[0]) : -1;
	if (path != NULL)
		map_file(path);
}

void
fault_set(enum fault_point point, enum fault_action action, int32_t hit,
    uint32_t roles, int32_t slot, int32_t value)
{
	struct fault_row *row;

	if (self.file == NULL || point >= FAULT__MAX)
		return;
	row = &self.file->row[point];
	__atomic_store_n(&row->action, FAULT_ACTION_NONE, __ATOMIC_SEQ_CST);
	row->left = hit;
	row->times = 1;
	row->roles = roles;
	row->slot = slot;
	row->value = value;
	row->stopped = 0;
	__atomic_store_n(&row->action, action, __ATOMIC_SEQ_CST);
}

/* ------------------------------------------------------------------ */
/* A hit. */

/* What is to happen now; FAULT_ACTION_NONE nearly always. */
static uint32_t
take(struct fault_row *row)
{
	uint32_t action;
	int32_t left;

	(void)__atomic_fetch_add(&row->hits, 1, __ATOMIC_RELAXED);
	action = __atomic_load_n(&row->action, __ATOMIC_ACQUIRE);
	if (action == FAULT_ACTION_NONE ||
	    (row->roles != 0 && (row->roles & self.role) == 0) ||
	    (row->slot != -1 && row->slot != self.slot))
		return FAULT_ACTION_NONE;
	left = __atomic_fetch_sub(&row->left, 1, __ATOMIC_SEQ_CST);
	if (left > 1 || 1 - left >= row->times)
		return FAULT_ACTION_NONE;
	row->pid = (uint32_t)getpid();
	(void)__atomic_fetch_add(&row->fired, 1, __ATOMIC_SEQ_CST);
	return action;
}

/* Sandboxes let a process signal nobody but its own threads. */
static void
signal_self(int sig)
{
	(void)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), sig);
}

static void
sleep_ms(int32_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		continue;
}

static bool
suffer(struct fault_row *row, uint32_t action)
{
	switch (action) {
	case FAULT_ACTION_KILL:
		signal_self(SIGKILL);
		break;
	case FAULT_ACTION_STOP:
		__atomic_store_n(&row->stopped, (uint32_t)getpid(),
		    __ATOMIC_SEQ_CST);
		signal_self(SIGSTOP);
		break;
	case FAULT_ACTION_ABORT:
		abort();
	case FAULT_ACTION_DELAY:
		sleep_ms(row->value);
		break;
	case FAULT_ACTION_FAIL:
		return true;
	default:
		break;
	}
	return false;
}

void
fault_hit(enum fault_point point)
{
	(void)fault_error(point);
}

bool
fault_error(enum fault_point point)
{
	struct fault_row *row;
	int saved = errno;
	uint32_t action;

	if (self.file == NULL)
		return false;
	row = &self.file->row[point];
	if ((action = take(row)) == FAULT_ACTION_NONE)
		return false;
	if (suffer(row, action)) {
		errno = row->value;
		return true;
	}
	errno = saved;
	return false;
}

#endif /* CHATD_FAULTS */
