/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ctl - what worker/ctl.h promises to a chatctl that reads slowly.
 */

#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include <cmocka.h>

#include "common/log.h"
#include "tests/unit/store_fixture.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/worker.h"

#define WAIT_MS 5000
/* as much as may wait for it (ctl.c), and some */
#define QUEUE (4 << 20)
#define DOCUMENT 1000

static struct {
	struct store_fixture store;
	struct worker w;
	/* chatctl's end */
	int fd;
} f;

/* --- the commands, of which one is asked for ---------------------------- */

static const struct ctl_ops no_ops;

#define SERVE(name) \
	void name(struct ctl *c, const char *command, \
	    const struct json_tree *args) \
	{ \
		c->ops = &no_ops; \
	}
SERVE(inspect_serve)
SERVE(steer_serve)
SERVE(bans_serve)
SERVE(events_serve)
SERVE(filter_serve)
SERVE(look_serve)
SERVE(limits_serve)

void
publisher_put(struct publisher *p, const struct publish_waiter *waiter,
    const struct chat_event *ev, uint64_t now_ms)
{
	fail_msg("nothing is published");
}

/* --- chatctl and worker ---------------------------------------------------- */

static void
wake(void *arg)
{
}

static int
setup(void **state)
{
	static const char request[] = "{\"command\":\"events\",\"args\":[]}";
	struct store *s;
	int sv[2];

	log_set_level(LOG_LEVEL_ERROR);
	memset(&f, 0, sizeof(f));
	if (store_fixture_open(&f.store) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		return -1;
	s = f.store.s;
	TAILQ_INIT(&f.w.ctls);
	f.w.reader = reader_new(&s, wake, NULL);
	f.w.base = event_base_new();
	if (f.w.reader == NULL || f.w.base == NULL)
		return -1;
	f.fd = sv[1];
	ctl_request(&f.w, sv[0], request, sizeof(request) - 1);
	return 0;
}

static int
teardown(void **state)
{
	ctl_free_all(&f.w);
	event_base_free(f.w.base);
	(void)close(f.fd);
	reader_free(&f.w.reader, WAIT_MS);
	return store_fixture_leave(&f.store);
}

/* One more event for it. */
static void
tell(struct ctl *c)
{
	char text[DOCUMENT];
	struct json_out o = { 0 };

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	json_out_cstring(&o, text);
	ctl_put(c, &o, true);
	json_out_clear(&o);
	assert_true(ctl_flush(c));
}

/* It reads so much at the most; how much that was. */
static size_t
take(size_t max)
{
	static char buf[64 * 1024];
	size_t n = 0;
	ssize_t rc;

	while (n < max &&
	    (rc = recv(f.fd, buf, max - n < sizeof(buf) ? max - n : sizeof(buf),
		 0)) > 0)
		n += (size_t)rc;
	return n;
}

/* Never so slow that something is missed, and never done. */
static void
who_is_always_a_little_behind_costs_no_more(void **state)
{
	struct ctl *c = TAILQ_FIRST(&f.w.ctls);
	size_t told = 0, taken = 0;

	while (c->len - c->sent < QUEUE / 4) {
		tell(c);
		told += DOCUMENT;
	}
	while (told < (size_t)16 * QUEUE) {
		tell(c);
		told += DOCUMENT;
		taken += take(DOCUMENT + 10);
		assert_true(c->len > c->sent);
	}
	assert_int_equal(c->missed, 0);
	assert_true(taken > (size_t)8 * QUEUE);
	assert_in_range(c->size, QUEUE / 4, (size_t)4 * QUEUE);
}

/* What is too much is told as a number. */
static void
who_does_not_read_misses_something(void **state)
{
	struct ctl *c = TAILQ_FIRST(&f.w.ctls);
	int i;

	for (i = 0; i < 2 * QUEUE / DOCUMENT; i++)
		tell(c);
	assert_true(c->missed > 0);
	assert_in_range(c->len - c->sent, QUEUE - 2 * DOCUMENT, QUEUE + 100);
	for (i = 0; i < 100 && c->len > 0; i++) {
		(void)take(QUEUE);
		assert_true(ctl_flush(c));
	}
	assert_int_equal(c->len, 0);
	tell(c);
	assert_int_equal(c->missed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_is_always_a_little_behind_costs_no_more),
		T(who_does_not_read_misses_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
