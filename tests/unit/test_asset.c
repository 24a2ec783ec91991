/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_asset - what asset.h promises about the browser's bundle.
 */

#include <sys/mman.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bundle.h"
#include "worker/asset.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static struct {
	struct bundle_head head;
	char text[64];
} good;

static int
setup(void **state)
{
	memset(&good, 0, sizeof(good));
	good.head = (struct bundle_head){
		.magic = BUNDLE_MAGIC,
		.version = BUNDLE_VERSION,
		.n = 2,
		.size = sizeof(good),
		.entry = {
			{ "socket.io.js", "\"4.8.4\"", sizeof(good.head), 10 },
			{ "socket.io.js.map", "\"4.8.4\"",
			    sizeof(good.head) + 10, 54 },
		},
	};
	memset(good.text, 'j', 10);
	memset(good.text + 10, 'm', 54);
	return 0;
}

/* A descriptor of these bytes. */
static int
memfd(const void *p, size_t len, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, p, len), len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct assets *
open_good(void)
{
	int fd = memfd(&good, sizeof(good), SEALS);
	struct assets *as;
	const char *why;

	as = assets_open(fd, &why);
	assert_null(why);
	assert_non_null(as);
	/* the map needs it no more */
	assert_int_equal(close(fd), 0);
	return as;
}

static const struct asset *
find(const struct assets *as, const char *name)
{
	return asset_find(as, name, strlen(name));
}

static void
a_file_is_found_by_its_whole_name(void **state)
{
	struct assets *as = open_good();
	const struct asset *a = find(as, "socket.io.js");

	assert_non_null(a);
	assert_string_equal(a->name, "socket.io.js");
	assert_int_equal(a->len, 10);
	assert_memory_equal(a->data, "jjjjjjjjjj", 10);
	assert_string_equal(a->type, "application/javascript; charset=utf-8");
	assert_string_equal(a->etag, "\"4.8.4\"");
	a = find(as, "socket.io.js.map");
	assert_int_equal(a->len, 54);
	assert_int_equal(a->data[0], 'm');
	assert_int_equal(a->data[53], 'm');
	assert_string_equal(a->type, "application/json; charset=utf-8");
	assert_null(find(as, "socket.io.j"));
	assert_null(find(as, "socket.io.jsx"));
	assert_null(find(as, "socket.io.min.js"));
	assert_null(find(as, ""));
	/* a name out of a request is not terminated */
	assert_non_null(asset_find(as, "socket.io.js?x", 12));
	assert_null(asset_find(as, "socket.io.js\0", 13));
	assets_unref(&as);
	assert_null(as);
}

static void
without_assets_nothing_is_found(void **state)
{
	struct assets *none = NULL;
	const char *why = "";

	assert_null(assets_open(-1, &why));
	assert_null(why);
	assert_null(find(NULL, "socket.io.js"));
	assets_unref(&none);
}

static void
what_is_being_sent_stays_when_a_new_one_comes(void **state)
{
	struct assets *as = open_good(), *sending = assets_ref(as);
	const struct asset *a = find(sending, "socket.io.js");

	assets_unref(&as);
	assert_null(as);
	as = open_good();
	assert_memory_equal(a->data, "jjjjjjjjjj", 10);
	assert_string_equal(a->etag, "\"4.8.4\"");
	assert_ptr_not_equal(find(as, "socket.io.js")->data, a->data);
	assets_unref(&sending);
	assets_unref(&as);
}

static bool
is_refused(const void *p, size_t len, int seals, const char *what)
{
	int fd = memfd(p, len, seals);
	struct assets *as;
	const char *why;

	as = assets_open(fd, &why);
	(void)close(fd);
	assets_unref(&as);
	return why != NULL && strstr(why, what) != NULL;
}

static void
what_could_shrink_or_change_is_refused(void **state)
{
	assert_true(is_refused(&good, sizeof(good), 0, "not sealed"));
	assert_true(is_refused(&good, sizeof(good), SEALS & ~F_SEAL_SHRINK,
	    "not sealed"));
	assert_true(
	    is_refused(&good, sizeof(good), SEALS & ~F_SEAL_WRITE, "sealed"));
	assert_true(is_refused(&good, 0, SEALS, "too short"));
	assert_true(is_refused(&good, sizeof(good.head) - 1, SEALS, "short"));
}

static void
what_points_outside_is_refused(void **state)
{
	struct bundle_head *h = &good.head;
	struct bundle_entry *e = &h->entry[1];

#define REFUSED(change, what) \
	do { \
		(void)setup(NULL); \
		change; \
		assert_true(is_refused(&good, sizeof(good), SEALS, what)); \
	} while (0)

	REFUSED(h->magic++, "not a bundle");
	REFUSED(h->version++, "not a bundle");
	REFUSED(h->size--, "damaged");
	REFUSED(h->size++, "damaged");
	REFUSED(h->n = BUNDLE_FILES + 1, "damaged");
	REFUSED(e->len++, "damaged");
	REFUSED(e->len = UINT32_MAX, "damaged");
	REFUSED(e->offset++, "damaged");
	REFUSED(e->offset = UINT32_MAX, "damaged");
	REFUSED(e->offset = sizeof(*h) - 1, "damaged");
	REFUSED(e->name[0] = '\0', "damaged");
	REFUSED(memset(e->name, 'x', sizeof(e->name)), "damaged");
	REFUSED(memset(e->etag, 'x', sizeof(e->etag)), "damaged");
	(void)setup(NULL);
	e->offset = h->size;
	e->len = 0;
	assert_false(is_refused(&good, sizeof(good), SEALS, ""));
}

#define T(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_is_found_by_its_whole_name),
		T(without_assets_nothing_is_found),
		T(what_is_being_sent_stays_when_a_new_one_comes),
		T(what_could_shrink_or_change_is_refused),
		T(what_points_outside_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
