/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * heard - one JSON object that the server has sent, as far as the torture
 * wants to know it.
 */

#ifndef TORTURE_HEARD_H
#define TORTURE_HEARD_H

#include "tests/bench/scan.h"

struct heard {
	/* insides of strings; empty if absent */
	struct span id, content, session, user, code, chunk;
	/* the array of a history page, with its brackets */
	struct span messages;
	/* of streams in progress, likewise */
	struct span streams;
	uint64_t seq, stamp, first_seq, last_seq, index, revision,
	    last_revision;
	bool has_seq, has_stamp, has_last_seq, has_index, has_revision;
	bool ok, retryable, truncated, duplicate, more, deleted;
	/* of a chunk */
	bool complete, interrupted, cancelled;
};

/* False: it is no object. */
bool heard_read(struct span text, struct heard *h);

/* The packet behind "42" or "43n": its array's elements in turn. */
struct scan heard_args(struct span packet, size_t skip);

/*
 * The string behind 'key' ("\"sid\":\"") in 'text' into 'out'; false, and
 * empty, if there is none or it does not fit.
 */
bool heard_string(struct span text, const char *key, char *out, size_t size);

#endif /* TORTURE_HEARD_H */
