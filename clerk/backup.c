/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * backup - a copy of the store as it is at one moment.
 *
 * LMDB writes a copy to a descriptor and waits as long as that takes.  Here
 * it is a pipe of ours, which a second thread fills, and this one empties
 * into the output; so this one can give up at any time: it closes the pipe.
 * (The writer's lock, which LMDB takes while it writes the first two pages,
 * is not held for longer than our pipe takes them.)
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clerk/clerk.h"
#include "common/fault.h"
#include "common/json.h"
#include "store/compact.h"
#include "store/write.h"

#define STEP (1 << 20)

/* The other thread, and the pipe's end that we read. */
static struct {
	struct store *store;
	pthread_t thread;
	int read_end, write_end;
	/* of store_copy(); 0: it went well */
	int err;
} copier;

static void *
copy(void *arg)
{
	copier.err =
	    store_copy(copier.store, copier.write_end, false) == 0 ? 0 : errno;
	(void)close(copier.write_end);
	return NULL;
}

/* It ends at its next write, if it is not at its end yet. */
static void
stop_copier(void)
{
	(void)close(copier.read_end);
	(void)pthread_join(copier.thread, NULL);
}

/* As much as there is, at most STEP: so a disk is written in large steps. */
static ssize_t
fill(int fd, char *buf)
{
	size_t len = 0;
	ssize_t n;

	while (len < STEP) {
		n = read(fd, buf + len, STEP - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static int
drain(struct clerk *c, int fd, struct output *out, uint64_t expected)
{
	static char buf[STEP];
	ssize_t n;

	while ((n = fill(fd, buf)) > 0) {
		if (output_write(out, buf, (size_t)n) == -1 ||
		    growth_check(c, out->growth) == -1)
			return -1;
		FAULT(CLERK_COPY);
		answer_progress(c, "bytes", out->bytes, expected);
	}
	return 0;
}

/* All of it into the output, by two threads; 0, or -1 after the answer. */
static int
copy_all(struct clerk *c, struct output *out, uint64_t expected)
{
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return answer_failed(c, "pipe: %s", strerror(errno));
	copier.store = c->store;
	copier.read_end = ends[0];
	copier.write_end = ends[1];
	if ((rc = pthread_create(&copier.thread, NULL, copy, NULL)) != 0)
		return answer_failed(c, "thread: %s", strerror(rc));
	c->undo = stop_copier;
	rc = drain(c, ends[0], out, expected);
	c->undo = NULL;
	stop_copier();
	if (rc == 0 && copier.err != 0)
		return answer_failed(c, "the store cannot be copied: %s",
		    strerror(copier.err));
	return rc;
}

int
backup_run(struct clerk *c)
{
	uint64_t limit = 0, pos, began;
	struct json_out o = { 0 };
	struct store_space space;
	struct growth growth;
	struct output out;

	if (c->nargs == 1 && (limit = growth_parse(c->arg[0])) == 0)
		return answer_failed(c,
		    "--max-growth: %s is no size (300m, 1g)", c->arg[0]);
	if (store_space(c->store, &space) == -1 || clerk_snapshot(c) == -1)
		return answer_failed(c, "the store cannot be read: %s",
		    strerror(errno));
	pos = store_pos(c->txn);
	store_snapshot_end(&c->txn);
	growth_begin(c, &growth, limit);
	output_begin(c, &out, &growth);
	began = clerk_elapsed_ms(c);
	if (copy_all(c, &out, space.used_bytes) == -1 || output_end(&out) == -1)
		return -1;
	json_out_object(&o);
	clerk_put_text(&o, "result", "backup");
	/* it holds at least what was decided below */
	clerk_put_u64(&o, "position", pos);
	clerk_put_u64(&o, "bytes", out.bytes);
	clerk_put_u64(&o, "took_ms", clerk_elapsed_ms(c) - began);
	json_out_object_end(&o);
	answer_data(c, &o);
	json_out_clear(&o);
	return 0;
}
