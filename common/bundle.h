/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bundle - the files that a browser needs, in one sealed memfd.
 *
 *   head | entries | text of the files, one behind the other
 *
 * The master makes it out of client_dir, workers map it.  It is sealed: it
 * cannot shrink under their feet.
 */

#ifndef COMMON_BUNDLE_H
#define COMMON_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#define BUNDLE_MAGIC 0x42686366U
#define BUNDLE_VERSION 1
/* the files that are looked for; the reference serves the same */
#define BUNDLE_FILES 8
/* one that is larger is none of them */
#define BUNDLE_FILE_MAX (8U << 20)

struct bundle_entry {
	/* "socket.io.min.js", terminated */
	char name[40];
	/* as it stands in the ETag field, quotes included; terminated */
	char etag[40];
	/* from the beginning of the bundle */
	uint32_t offset;
	uint32_t len;
};

struct bundle_head {
	uint32_t magic;
	uint32_t version;
	uint32_t n;
	/* of all of it */
	uint32_t size;
	struct bundle_entry entry[BUNDLE_FILES];
};

#endif /* COMMON_BUNDLE_H */
