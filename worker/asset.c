/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/asset.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/bundle.h"
#include "common/log.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct assets {
	unsigned refs;
	const uint8_t *mem;
	size_t size;
	size_t n;
	struct asset v[BUNDLE_FILES];
};

static const char *
type_of(const char *name)
{
	size_t len = strlen(name);

	if (len > 4 && strcmp(name + len - 4, ".map") == 0)
		return "application/json; charset=utf-8";
	return "application/javascript; charset=utf-8";
}

static bool
is_string(const char *s, size_t size)
{
	return s[0] != '\0' && memchr(s, '\0', size) != NULL;
}

/* NULL, or what is wrong. */
static const char *
take_entries(struct assets *as)
{
	const struct bundle_head *head = (const void *)as->mem;
	const struct bundle_entry *e;

	if (head->magic != BUNDLE_MAGIC || head->version != BUNDLE_VERSION)
		return "it is not a bundle";
	if (head->size != as->size || head->n > BUNDLE_FILES)
		return "it is damaged";
	for (; as->n < head->n; as->n++) {
		e = &head->entry[as->n];
		if (!is_string(e->name, sizeof(e->name)) ||
		    !is_string(e->etag, sizeof(e->etag)) ||
		    e->offset < sizeof(*head) || e->offset > as->size ||
		    e->len > as->size - e->offset)
			return "it is damaged";
		as->v[as->n] = (struct asset){
			.name = e->name,
			.data = as->mem + e->offset,
			.len = e->len,
			.type = type_of(e->name),
			.etag = e->etag,
		};
	}
	return NULL;
}

/* NULL, or what is wrong. */
static const char *
map_bundle(struct assets *as, int fd)
{
	struct stat st;
	void *mem;

	if (fstat(fd, &st) == -1 ||
	    st.st_size < (off_t)sizeof(struct bundle_head))
		return "it is too short";
	/* what can shrink can kill us */
	if ((fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
		return "it is not sealed";
	mem = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return "there is no memory to map it";
	as->mem = mem;
	as->size = (size_t)st.st_size;
	return take_entries(as);
}

static void
assets_free(struct assets *as)
{
	if (as->mem != NULL)
		(void)munmap((void *)(uintptr_t)as->mem, as->size);
	free(as);
}

struct assets *
assets_open(int fd, const char **why_r)
{
	struct assets *as;

	*why_r = NULL;
	if (fd == -1)
		return NULL;
	if ((as = calloc(1, sizeof(*as))) == NULL)
		fatal("memory for assets");
	as->refs = 1;
	if ((*why_r = map_bundle(as, fd)) == NULL)
		return as;
	assets_free(as);
	return NULL;
}

struct assets *
assets_ref(struct assets *as)
{
	CHECK(as->refs > 0);
	as->refs++;
	return as;
}

void
assets_unref(struct assets **asp)
{
	struct assets *as = *asp;

	*asp = NULL;
	if (as != NULL && --as->refs == 0)
		assets_free(as);
}

const struct asset *
asset_find(const struct assets *as, const char *name, size_t len)
{
	const struct asset *a;

	if (as == NULL)
		return NULL;
	for (a = as->v; a < as->v + as->n; a++)
		if (strlen(a->name) == len && memcmp(a->name, name, len) == 0)
			return a;
	return NULL;
}
