/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_bundle - what the master makes of client_dir.
 */

#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bundle.h"
#include "common/config.h"
#include "common/log.h"
#include "master/bundle.h"

static struct {
	char dir[64];
	char said[4096];
	int log_fd;
	struct config cfg;
	int fd;
	/* the bundle, read */
	uint8_t *mem;
	const struct bundle_head *head;
} f;

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.fd = -1;
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/test_bundle.XXXXXX");
	if (mkdtemp(f.dir) == NULL)
		return -1;
	f.cfg.client_dir = f.dir;
	f.cfg.where[CONFIG_client_dir] = strdup("-o");
	f.log_fd = memfd_create("log", MFD_CLOEXEC);
	log_set(f.log_fd, LOG_KIND_FILE, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	log_set(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_KIND_FILE,
	    LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	free(f.mem);
	free(f.cfg.where[CONFIG_client_dir]);
	if (f.fd != -1)
		(void)close(f.fd);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f.dir);
	return system(command) == 0 ? 0 : -1;
}

static void
write_file(const char *name, const char *text, size_t len)
{
	char path[128];
	FILE *fp;

	(void)snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	assert_non_null(fp = fopen(path, "w"));
	assert_int_equal(fwrite(text, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

static void
file(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

/* Make it and read it; false: there is none. */
static bool
make(void)
{
	struct stat st;

	if (f.fd != -1)
		(void)close(f.fd);
	free(f.mem);
	f.mem = NULL;
	f.head = NULL;
	if ((f.fd = bundle_make(&f.cfg)) == -1)
		return false;
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_true(st.st_size > (off_t)sizeof(*f.head));
	assert_non_null(f.mem = malloc((size_t)st.st_size));
	assert_int_equal(pread(f.fd, f.mem, (size_t)st.st_size, 0), st.st_size);
	f.head = (const void *)f.mem;
	assert_int_equal(f.head->magic, BUNDLE_MAGIC);
	assert_int_equal(f.head->version, BUNDLE_VERSION);
	assert_int_equal(f.head->size, st.st_size);
	return true;
}

/* What was logged since the last time. */
static const char *
said(void)
{
	ssize_t n = pread(f.log_fd, f.said, sizeof(f.said) - 1, 0);

	assert_true(n >= 0);
	f.said[n] = '\0';
	assert_int_equal(ftruncate(f.log_fd, 0), 0);
	assert_int_equal(lseek(f.log_fd, 0, SEEK_SET), 0);
	return f.said;
}

static void
holds(unsigned i, const char *name, const char *text, const char *etag)
{
	const struct bundle_entry *e = &f.head->entry[i];

	assert_string_equal(e->name, name);
	assert_int_equal(e->len, strlen(text));
	assert_memory_equal(f.mem + e->offset, text, e->len);
	if (etag != NULL)
		assert_string_equal(e->etag, etag);
}

#define BANNER "/*!\n * Socket.IO v4.8.4\n * (c) 2014-2025 somebody\n */\n"

static void
the_files_that_are_there_are_in_it_and_no_others(void **state)
{
	file("socket.io.js", BANNER "the client");
	file("socket.io.js.map", "{\"version\":3}");
	file("socket.io.msgpack.min.js", "/*! Socket.IO v5.0.0-beta.1+x */");
	file("index.html", "not that");
	assert_true(make());
	assert_int_equal(f.head->n, 3);
	holds(0, "socket.io.js", BANNER "the client", "\"4.8.4\"");
	/* a map has no banner, and its script's version */
	holds(1, "socket.io.js.map", "{\"version\":3}", "\"4.8.4\"");
	holds(2, "socket.io.msgpack.min.js", "/*! Socket.IO v5.0.0-beta.1+x */",
	    "\"5.0.0-beta.1+x\"");
	assert_string_equal(said(), "");
	assert_int_equal(fcntl(f.fd, F_GET_SEALS),
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	assert_true(fcntl(f.fd, F_GETFD) & FD_CLOEXEC);
}

static void
without_a_banner_the_contents_are_the_version(void **state)
{
	char first[40], text[400];

	file("socket.io.js", "one");
	assert_true(make());
	holds(0, "socket.io.js", "one", NULL);
	(void)snprintf(first, sizeof(first), "%s", f.head->entry[0].etag);
	assert_int_equal(strlen(first), 34);
	assert_int_equal(first[0], '"');
	assert_int_equal(first[33], '"');
	assert_true(make());
	assert_string_equal(f.head->entry[0].etag, first);
	file("socket.io.js", "two");
	assert_true(make());
	assert_string_not_equal(f.head->entry[0].etag, first);
	/* what is no version is none, nor is one that is far behind */
	file("socket.io.js", "/* Socket.IO v\"x */");
	assert_true(make());
	assert_int_equal(strlen(f.head->entry[0].etag), 34);
	memset(text, ' ', 300);
	(void)snprintf(text + 300, sizeof(text) - 300, BANNER);
	file("socket.io.js", text);
	assert_true(make());
	assert_int_equal(strlen(f.head->entry[0].etag), 34);
	/* and one that ends with the file is cut there */
	file("socket.io.js", "Socket.IO v1.2.3");
	assert_true(make());
	assert_string_equal(f.head->entry[0].etag, "\"1.2.3\"");
	/* no room for it: rather the contents than half a version */
	(void)snprintf(text, sizeof(text), "Socket.IO v%0*d", 60, 1);
	file("socket.io.js", text);
	assert_true(make());
	assert_int_equal(strlen(f.head->entry[0].etag), 34);
}

static void
no_directory_is_an_error_only_if_it_was_named(void **state)
{
	static char none[] = "/nonexistent/client";

	f.cfg.client_dir = none;
	assert_false(make());
	assert_non_null(strstr(said(), "/nonexistent/client"));
	free(f.cfg.where[CONFIG_client_dir]);
	f.cfg.where[CONFIG_client_dir] = strdup("default");
	assert_false(make());
	assert_string_equal(said(), "");
	none[0] = '\0';
	assert_false(make());
	assert_string_equal(said(), "");
}

static void
an_empty_directory_is_told(void **state)
{
	assert_false(make());
	assert_non_null(strstr(said(), "no socket.io.js there"));
}

static void
what_is_no_plain_file_is_left_out_and_told(void **state)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/socket.io.js", f.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/socket.io.js.map", f.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	file("socket.io.min.js.map", "");
	file("socket.io.min.js", "x");
	(void)snprintf(path, sizeof(path), "%s/socket.io.esm.min.js", f.dir);
	file("socket.io.esm.min.js", "x");
	assert_int_equal(truncate(path, BUNDLE_FILE_MAX + 1), 0);
	assert_true(make());
	assert_int_equal(f.head->n, 1);
	holds(0, "socket.io.min.js", "x", NULL);
	(void)said();
	assert_non_null(strstr(f.said, "/socket.io.js "));
	assert_non_null(strstr(f.said, "/socket.io.js.map "));
	assert_non_null(strstr(f.said, "/socket.io.min.js.map "));
	assert_non_null(strstr(f.said, "/socket.io.esm.min.js "));
	assert_int_equal(truncate(path, BUNDLE_FILE_MAX), 0);
	assert_true(make());
	assert_int_equal(f.head->n, 2);
	assert_int_equal(f.head->entry[1].len, BUNDLE_FILE_MAX);
}

static void
two_are_the_same_if_their_contents_are(void **state)
{
	int a, b;

	assert_true(bundle_same(-1, -1));
	file("socket.io.js", "one");
	a = bundle_make(&f.cfg);
	assert_false(bundle_same(a, -1));
	assert_false(bundle_same(-1, a));
	b = bundle_make(&f.cfg);
	assert_true(bundle_same(a, b));
	(void)close(b);
	file("socket.io.js", "onf");
	b = bundle_make(&f.cfg);
	assert_false(bundle_same(a, b));
	(void)close(b);
	file("socket.io.js", "one");
	file("socket.io.js.map", "more");
	b = bundle_make(&f.cfg);
	assert_false(bundle_same(a, b));
	(void)close(b);
	(void)close(a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_files_that_are_there_are_in_it_and_no_others),
		T(without_a_banner_the_contents_are_the_version),
		T(no_directory_is_an_error_only_if_it_was_named),
		T(an_empty_directory_is_told),
		T(what_is_no_plain_file_is_left_out_and_told),
		T(two_are_the_same_if_their_contents_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
