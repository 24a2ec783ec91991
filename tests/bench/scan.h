/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * scan - just enough JSON to read what a chat server sends.
 *
 * A cursor walks over the members of one object or the elements of one
 * array without building anything; nested values are skipped over and
 * handed out as their bytes.  Text that cannot be walked sets 'bad'.
 */

#ifndef BENCH_SCAN_H
#define BENCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const char *p;
	size_t len;
};

struct scan {
	const char *p;
	const char *end;
	bool bad;
};

/*
 * Begin with the object or array that stands at the start of 'text'.
 * Then scan_member() or scan_element() gives one after the other, and false
 * after the last one or when the text is bad.
 */
struct scan scan_begin(struct span text, char opening);
bool scan_member(struct scan *s, struct span *key, struct span *value);
bool scan_element(struct scan *s, struct span *value);

bool span_is(struct span a, const char *text);

/* The inside of a string's bytes; empty if it is no string. */
struct span span_unquote(struct span value);

/* The number at the start; false if there is none or it is too large. */
bool span_number(struct span text, uint64_t *n);

/* What a benchmark wants of a ChatMessage or of an acknowledgement. */
struct scan_message {
	/* insides of strings; empty if absent */
	struct span id, content, session, code;
	/* the array of a history page, with its brackets */
	struct span messages;
	uint64_t seq, last_seq;
	bool has_seq, has_last_seq, ok, retryable, truncated, more;
};

/* Read one object; false if it is none. */
bool scan_message(struct span text, struct scan_message *m);

#endif /* BENCH_SCAN_H */
