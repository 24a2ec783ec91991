/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * output - bytes to the descriptor that chatctl opened.
 *
 * It may be a file, or a pipe whose reader takes an hour.  The descriptor is
 * shared with whoever opened it, so it is not made non-blocking; a pipe that
 * poll(2) calls writable takes PIPE_BUF bytes without waiting.
 */

#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "clerk/clerk.h"

#define WAIT_MS 50
#define FILE_STEP (1 << 20)
/* more unwritten bytes than this would hold up the store's own */
#define SYNC_STEP (32 << 20)

void
output_begin(struct clerk *c, struct output *out, const struct growth *growth)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	out->clerk = c;
	out->growth = growth;
	out->is_file = fstat(c->out, &st) == 0 && S_ISREG(st.st_mode);
}

static int
failed(struct output *out)
{
	unsigned long long n = (unsigned long long)out->bytes;

	if (errno == ENOSPC || errno == EDQUOT)
		return answer_failed(out->clerk,
		    "the output's disk is full: %s, after %llu bytes",
		    strerror(errno), n);
	if (errno == EPIPE)
		return answer_failed(out->clerk,
		    "nobody reads the output any more, after %llu bytes", n);
	return answer_failed(out->clerk,
	    "cannot write the output: %s, after %llu bytes", strerror(errno),
	    n);
}

/* Until it takes something. */
static int
wait_writable(struct output *out)
{
	struct pollfd pfd = { .fd = out->clerk->out, .events = POLLOUT };

	for (;;) {
		clerk_look(out->clerk);
		if (out->growth != NULL &&
		    growth_check(out->clerk, out->growth) == -1)
			return -1;
		if (poll(&pfd, 1, WAIT_MS) > 0)
			return 0;
	}
}

/* What is written is on the disk before there is too much of it. */
static int
write_back(struct output *out)
{
	if (out->bytes - out->synced < SYNC_STEP)
		return 0;
	out->synced = out->bytes;
	if (fdatasync(out->clerk->out) == -1)
		return failed(out);
	clerk_look(out->clerk);
	return out->growth == NULL ? 0 : growth_check(out->clerk, out->growth);
}

int
output_write(struct output *out, const void *p, size_t len)
{
	const size_t step = out->is_file ? FILE_STEP : PIPE_BUF;
	const char *at = p;
	ssize_t n;

	while (len > 0) {
		if (!out->is_file && wait_writable(out) == -1)
			return -1;
		n = write(out->clerk->out, at, len < step ? len : step);
		if (n == -1 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n == -1)
			return failed(out);
		at += n;
		len -= (size_t)n;
		out->bytes += (uint64_t)n;
	}
	return out->is_file ? write_back(out) : 0;
}

int
output_end(struct output *out)
{
	if (out->is_file && fsync(out->clerk->out) == -1)
		return failed(out);
	return 0;
}
