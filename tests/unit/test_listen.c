/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_listen - what listen.h promises about sockets and accepting.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/log.h"
#include "master/deal.h"
#include "master/listen.h"
#include "master/master.h"
#include "shm/counter.h"
#include "tests/unit/tables_fixture.h"

static struct {
	struct master m;
	char dir[64];
	char sock[80];
	/* what deal_room() says, and what deal_clients() got */
	unsigned room;
	struct deal_client got[500];
	unsigned ngot, turns;
	void *tables;
} f;

unsigned
deal_room(struct deal *d)
{
	return f.room;
}

void
deal_clients(struct deal *d, const struct deal_client *c, unsigned n)
{
	assert_in_range(n, 1, f.room);
	memcpy(f.got + f.ngot, c, n * sizeof(*c));
	f.ngot += n;
	f.turns++;
}

static struct config *
make_config(const char *listen)
{
	char o[512];
	const char *overrides[] = { o, "auth.mode=none" };
	const struct config_source src = { .overrides = overrides,
		.noverrides = 2 };
	struct config_errors errors;
	struct config *cfg;

	(void)snprintf(o, sizeof(o), "listen=%s", listen);
	cfg = config_load(&src, &errors);
	config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	assert_non_null(cfg);
	return cfg;
}

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.room = DEAL_BATCH;
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/test_listen.XXXXXX");
	if (mkdtemp(f.dir) == NULL || small_tables_setup(&f.tables) == -1)
		return -1;
	(void)snprintf(f.sock, sizeof(f.sock), "%s/sock", f.dir);
	f.m.shared.tables = f.tables;
	f.m.base = event_base_new();
	return f.m.base == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[128];

	for (unsigned i = 0; i < f.ngot; i++)
		(void)close(f.got[i].fd);
	listeners_free(&f.m.listeners);
	event_base_free(f.m.base);
	config_free(&f.m.cfg);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f.dir);
	return system(command) == 0 ? small_tables_teardown(&f.tables) : -1;
}

static void
open_listeners(const char *listen)
{
	f.m.cfg = make_config(listen);
	f.m.listeners = listeners_open(&f.m);
	listeners_start(f.m.listeners);
}

/* A port that is free, as far as one can know. */
static unsigned
free_port(int family)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&sin
						: (struct sockaddr *)&sin6;
	socklen_t len = family == AF_INET ? sizeof(sin) : sizeof(sin6);
	int fd = socket(family, SOCK_STREAM, 0);
	unsigned port = 0;

	if (fd != -1 && bind(fd, sa, len) == 0 &&
	    getsockname(fd, sa, &len) == 0)
		port = ntohs(family == AF_INET ? sin.sin_port : sin6.sin6_port);
	(void)close(fd);
	return port;
}

static int
connect_tcp(unsigned port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static int
connect_unix(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
loop(unsigned ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
}

static int
option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

/* What would end the process ends a copy of it; its last words. */
static void
fails_to_open(const char *listen, const char *what)
{
	char said[1024];
	int fd[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		(void)dup2(fd[1], STDERR_FILENO);
		open_listeners(listen);
		_exit(0);
	}
	(void)close(fd[1]);
	while ((n = read(fd[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_non_null(strstr(said, what));
	assert_non_null(strstr(said, strrchr(listen, ':') + 1));
}

/* --- promises -------------------------------------------------------------- */

static void
accepted_sockets_have_the_options_that_we_count_on(void **state)
{
	unsigned port = free_port(AF_INET);
	char listen[64];
	int fd, got;

	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	open_listeners(listen);
	fd = connect_tcp(port);
	loop(50);
	assert_int_equal(f.ngot, 1);
	got = f.got[0].fd;
	assert_int_equal(option(got, SOL_SOCKET, SO_OOBINLINE), 1);
	assert_int_equal(option(got, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(got, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(got, IPPROTO_TCP, TCP_KEEPIDLE), 60);
	assert_true(fcntl(got, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	assert_int_equal(f.got[0].peer.ss_family, AF_INET);
	(void)close(fd);
}

static void
v4_and_v6_can_have_the_same_port(void **state)
{
	unsigned port = free_port(AF_INET6);
	char listen[96];

	if (port == 0)
		skip();
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u,[::1]:%u", port,
	    port);
	open_listeners(listen);
	assert_string_equal(listeners_state(f.m.listeners), "accepting");
}

static void
a_unix_socket_is_for_all_and_removed_at_the_end(void **state)
{
	char listen[96];
	struct stat st;
	int fd;

	(void)snprintf(listen, sizeof(listen), "unix:%s", f.sock);
	open_listeners(listen);
	assert_int_equal(stat(f.sock, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	assert_true((fd = connect_unix(f.sock)) != -1);
	loop(50);
	assert_int_equal(f.ngot, 1);
	assert_int_equal(f.got[0].peer.ss_family, AF_UNIX);
	(void)close(fd);
	listeners_free(&f.m.listeners);
	assert_int_equal(access(f.sock, F_OK), -1);
}

static void
only_a_stale_unix_socket_is_replaced(void **state)
{
	char listen[96], stale[80];
	struct stat st;
	FILE *fp;

	(void)snprintf(listen, sizeof(listen), "unix:%s", f.sock);
	(void)snprintf(stale, sizeof(stale), "%s/stale", f.dir);
	open_listeners(listen);
	fails_to_open(listen, "somebody answers");
	/* its owner dies without a word */
	assert_int_equal(rename(f.sock, stale), 0);
	listeners_free(&f.m.listeners);
	config_free(&f.m.cfg);
	assert_int_equal(rename(stale, f.sock), 0);
	open_listeners(listen);
	/* somebody else's in the same place is not ours to remove */
	assert_int_equal(unlink(f.sock), 0);
	assert_non_null(fp = fopen(f.sock, "w"));
	(void)fclose(fp);
	listeners_free(&f.m.listeners);
	assert_int_equal(stat(f.sock, &st), 0);
	fails_to_open(listen, "no socket");
	assert_int_equal(stat(f.sock, &st), 0);
}

static void
what_cannot_be_bound_is_named(void **state)
{
	unsigned port = free_port(AF_INET);
	struct config_errors errors = { 0 };
	char listen[96];

	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	open_listeners(listen);
	fails_to_open(listen, "Address already in use");
	/* a check does not mind: that may be the daemon itself */
	listeners_check(f.m.cfg, &errors);
	assert_int_equal(errors.n, 0);
	config_free(&f.m.cfg);
	f.m.cfg = make_config("unix:/nonexistent/sock");
	listeners_check(f.m.cfg, &errors);
	assert_int_equal(errors.n, 0);
	config_errors_clear(&errors);
}

static void
a_turn_takes_no_more_than_there_is_room_for(void **state)
{
	unsigned port = free_port(AF_INET);
	char listen[64];
	int fd[100];

	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	open_listeners(listen);
	for (unsigned i = 0; i < 100; i++)
		fd[i] = connect_tcp(port);
	f.room = 10;
	loop(50);
	assert_int_equal(f.ngot, 100);
	assert_int_equal(f.turns, 10);
	for (unsigned i = 0; i < 100; i++)
		(void)close(fd[i]);
}

static void
without_room_nobody_is_accepted_until_there_is(void **state)
{
	unsigned port = free_port(AF_INET);
	char listen[64];
	int fd;

	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	open_listeners(listen);
	f.room = 0;
	fd = connect_tcp(port);
	loop(50);
	assert_int_equal(f.ngot, 0);
	assert_string_equal(listeners_state(f.m.listeners), "no room");
	f.room = 1;
	listeners_room(f.m.listeners);
	loop(50);
	assert_int_equal(f.ngot, 1);
	/* and if nobody tells it looks again by itself */
	f.room = 0;
	(void)close(fd);
	fd = connect_tcp(port);
	loop(50);
	f.room = 1;
	loop(400);
	assert_int_equal(f.ngot, 2);
	(void)close(fd);
}

static void
without_descriptors_it_pauses_for_a_second(void **state)
{
	unsigned port = free_port(AF_INET);
	struct rlimit old, low;
	char listen[64];
	int fd, next;

	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	open_listeners(listen);
	fd = connect_tcp(port);
	next = dup(fd);
	(void)close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	loop(300);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f.ngot, 0);
	assert_string_equal(listeners_state(f.m.listeners), "no descriptors");
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_ACCEPT_PAUSED),
	    1);
	/* news of room do not concern it */
	listeners_room(f.m.listeners);
	loop(100);
	assert_int_equal(f.ngot, 0);
	loop(900);
	assert_int_equal(f.ngot, 1);
	(void)close(fd);
}

static void
clients_of_a_proxy_are_marked(void **state)
{
	unsigned port = free_port(AF_INET);
	char listen[200];
	int fd[2];

	(void)snprintf(listen, sizeof(listen),
	    "127.0.0.1:%u?proxy,unix:%s?proxy", port, f.sock);
	open_listeners(listen);
	fd[0] = connect_tcp(port);
	loop(20);
	fd[1] = connect_unix(f.sock);
	loop(20);
	assert_int_equal(f.ngot, 2);
	assert_true(f.got[0].proxy);
	assert_true(f.got[1].proxy);
	assert_int_equal(f.got[1].peer.ss_family, AF_UNIX);
	(void)close(fd[0]);
	(void)close(fd[1]);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(accepted_sockets_have_the_options_that_we_count_on),
		T(v4_and_v6_can_have_the_same_port),
		T(a_unix_socket_is_for_all_and_removed_at_the_end),
		T(only_a_stale_unix_socket_is_replaced),
		T(what_cannot_be_bound_is_named),
		T(a_turn_takes_no_more_than_there_is_room_for),
		T(without_room_nobody_is_accepted_until_there_is),
		T(without_descriptors_it_pauses_for_a_second),
		T(clients_of_a_proxy_are_marked),
	};

	/* what is said at the start is not the point here */
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
