/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_notify - what notify.h promises to a service manager.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/notify.h"

/* A manager that listens on this name ('@' for an abstract one). */
static int
manager(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", name);
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, len), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	notify_init();
	return fd;
}

static const char *
heard(int fd)
{
	static char buf[256];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void
each_state_is_told(void **state)
{
	unsigned long long us;
	const char *text;
	char name[64];
	int fd;

	(void)snprintf(name, sizeof(name), "@test_notify.%d", (int)getpid());
	fd = manager(name);
	notify_ready();
	assert_string_equal(heard(fd), "READY=1");
	notify_reloading();
	text = heard(fd);
	assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &us),
	    1);
	assert_true(us <= clock_mono_ns() / 1000 &&
	    us > clock_mono_ns() / 1000 - 5000000);
	notify_stopping();
	assert_string_equal(heard(fd), "STOPPING=1");
	(void)close(fd);
}

static void
a_name_may_be_a_path(void **state)
{
	char name[64];
	int fd;

	(void)snprintf(name, sizeof(name), "/tmp/test_notify.%d",
	    (int)getpid());
	fd = manager(name);
	notify_ready();
	assert_string_equal(heard(fd), "READY=1");
	(void)close(fd);
	(void)unlink(name);
}

static void
children_do_not_see_it(void **state)
{
	assert_int_equal(setenv("NOTIFY_SOCKET", "/x", 1), 0);
	notify_init();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_int_equal(setenv("NOTIFY_SOCKET", "nonsense", 1), 0);
	notify_init();
	assert_null(getenv("NOTIFY_SOCKET"));
}

static void
without_a_manager_nothing_happens(void **state)
{
	int before = dup(0), after;

	notify_init();
	notify_ready();
	notify_reloading();
	notify_stopping();
	/* nor with one that is gone */
	assert_int_equal(setenv("NOTIFY_SOCKET", "/nonexistent/x", 1), 0);
	notify_init();
	notify_ready();
	(void)close(before);
	after = dup(0);
	assert_int_equal(before, after);
	(void)close(after);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_is_told),
		cmocka_unit_test(a_name_may_be_a_path),
		cmocka_unit_test(children_do_not_see_it),
		cmocka_unit_test(without_a_manager_nothing_happens),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
