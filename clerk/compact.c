/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * compact - a copy of the store without what is free in it, next to it.
 *
 * store/compact.h says how it takes the store's place at the next start, and
 * why one that is not complete never does.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "clerk/clerk.h"
#include "common/fault.h"
#include "common/json.h"
#include "store/compact.h"
#include "store/write.h"

#define FILE_NAME "db/" STORE_COMPACT_FILE
#define LOOK_MS 50

/* The other thread. */
static struct {
	struct store *store;
	int fd;
	/* closed when it is done */
	int done;
	int err;
} compactor;

int
compact_open(struct clerk *c)
{
	if (clerk_open_store(c) == -1)
		return -1;
	/* the daemon's user owns it, like the store */
	c->out = open(FILE_NAME,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->out == -1)
		return answer_failed(c, FILE_NAME ": %s", strerror(errno));
	return 0;
}

static void *
compact(void *arg)
{
	uint64_t txn;

	FAULT(CLERK_COMPACT);
	compactor.err =
	    store_compact(compactor.store, compactor.fd, &txn) == 0 ? 0 : errno;
	(void)close(compactor.done);
	return NULL;
}

static uint64_t
size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == -1 ? 0 : (uint64_t)st.st_size;
}

/* Nothing is left of it, and nobody has to wait for its threads. */
static void
give_up(void)
{
	(void)unlinkat(AT_FDCWD, FILE_NAME, 0);
	_exit(1);
}

/* Look around until the other thread is done. */
static void
watch(struct clerk *c, int done, const struct growth *g, uint64_t expected)
{
	struct pollfd pfd = { .fd = done, .events = POLLIN };

	while (poll(&pfd, 1, LOOK_MS) <= 0) {
		clerk_look(c);
		if (growth_check(c, g) == -1)
			give_up();
		answer_progress(c, "bytes", size_of(c->out), expected);
	}
}

static int
compact_all(struct clerk *c, const struct growth *g, uint64_t expected)
{
	pthread_t thread;
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return answer_failed(c, "pipe: %s", strerror(errno));
	compactor.store = c->store;
	compactor.fd = c->out;
	compactor.done = ends[1];
	if ((rc = pthread_create(&thread, NULL, compact, NULL)) != 0)
		return answer_failed(c, "thread: %s", strerror(rc));
	watch(c, ends[0], g, expected);
	(void)pthread_join(thread, NULL);
	(void)close(ends[0]);
	if (compactor.err == 0)
		return 0;
	(void)answer_failed(c, "the store cannot be compacted: %s",
	    strerror(compactor.err));
	/* a thread of LMDB's may be left */
	give_up();
	return -1;
}

static void
tell(struct clerk *c, uint64_t before)
{
	uint64_t after = size_of(c->out);
	struct json_out o = { 0 };

	json_out_object(&o);
	clerk_put_text(&o, "result", "compact");
	clerk_put_u64(&o, "now_bytes", before);
	clerk_put_u64(&o, "then_bytes", after);
	clerk_put_u64(&o, "saved_bytes", before > after ? before - after : 0);
	clerk_put_u64(&o, "took_ms", clerk_elapsed_ms(c));
	clerk_put_text(&o, "takes_effect", "when the daemon starts again");
	json_out_object_end(&o);
	answer_data(c, &o);
	json_out_clear(&o);
}

int
compact_run(struct clerk *c)
{
	struct store_space space;
	struct growth growth;

	/* from here on nothing of it may be left behind */
	c->undo = give_up;
	if (store_space(c->store, &space) == -1)
		return answer_failed(c, "the store cannot be read: %s",
		    strerror(errno));
	growth_begin(c, &growth, 0);
	if (compact_all(c, &growth,
		space.used_bytes - space.free_bytes - space.held_bytes) == -1)
		return -1;
	c->undo = NULL;
	tell(c, space.file_bytes);
	return 0;
}
