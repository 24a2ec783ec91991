/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * asset - the browser's bundle as a worker serves it: socket.io.js, its
 * variants and their source maps, out of memory that the master filled.
 *
 * A reload may bring another one while the old one is still being sent, so
 * whoever sends from it holds a reference.
 */

#ifndef WORKER_ASSET_H
#define WORKER_ASSET_H

#include <stddef.h>
#include <stdint.h>

struct assets;

struct asset {
	const char *name;
	/* valid as long as the assets are */
	const uint8_t *data;
	size_t len;
	/* "application/javascript; charset=utf-8", or json for a map */
	const char *type;
	/* in quotes, as it stands in the field: "\"4.8.4\"" */
	const char *etag;
};

/*
 * Map the bundle behind 'fd' (common/bundle.h), which stays the caller's.
 * One reference.  NULL: 'fd' is -1 (there are no assets), or what is there
 * is not one and *why_r is a sentence, else NULL.
 */
struct assets *assets_open(int fd, const char **why_r);
struct assets *assets_ref(struct assets *as);
/* Unmapped with the last reference; *as is NULL then.  NULL is harmless. */
void assets_unref(struct assets **as);

/* The one of this name ("socket.io.js"); NULL: there is none.  'as' may be
 * NULL. */
const struct asset *asset_find(const struct assets *as, const char *name,
    size_t len);

#endif /* WORKER_ASSET_H */
