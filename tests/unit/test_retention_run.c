/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_retention_run - what master/retention.h promises to chatctl.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/log.h"
#include "master/child.h"
#include "master/control.h"
#include "master/master.h"
#include "master/retention.h"
#include "master/supervise.h"
#include "shm/counter.h"

static struct {
	struct master m;
	struct child scribe;
	bool takes;
	/* what the scribe was sent */
	struct ipc_msg sent;
	unsigned nsent;
	/* what chatctl was told */
	char said[1024];
} f;

/* --- the rest of the master ---------------------------------------------- */

struct child *
supervise_scribe(struct supervisor *s)
{
	return &f.scribe;
}

bool
child_takes(const struct child *c)
{
	return f.takes;
}

struct ipc_msg *
child_message(enum ipc_type type)
{
	static struct ipc_msg msg;

	ipc_begin(&msg, type);
	return &msg;
}

int
child_send(struct child *c, const struct ipc_msg *m)
{
	assert_ptr_equal(c, &f.scribe);
	f.sent = *m;
	f.nsent++;
	return 0;
}

static void
said(uint64_t asker, const char *what, const char *text)
{
	size_t len = strlen(f.said);

	(void)snprintf(f.said + len, sizeof(f.said) - len, "%d %s %s\n",
	    (int)asker, what, text);
}

void
control_data(struct control *c, uint64_t asker, const char *json, size_t len)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%.*s", (int)len, json);
	said(asker, "data", text);
}

void
control_done(struct control *c, uint64_t asker)
{
	said(asker, "done", "");
}

void
control_failed(struct control *c, uint64_t asker, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	said(asker, "failed", text);
}

/* --- helpers ----------------------------------------------------------- */

static int
setup(void **state)
{
	struct tables_geometry g;
	const char *why;

	memset(&f, 0, sizeof(f));
	f.takes = true;
	tables_geometry_init(&g, 16, 1000000);
	f.m.shared.tables = tables_create(&g, &why);
	f.m.base = event_base_new();
	f.m.retention = retention_new(&f.m);
	return f.m.shared.tables == NULL;
}

static int
teardown(void **state)
{
	retention_free(&f.m.retention);
	event_base_free(f.m.base);
	tables_free(&f.m.shared.tables);
	return 0;
}

static uint64_t
serial(void)
{
	uint64_t n;

	assert_int_equal(f.sent.type, IPC_RETENTION);
	assert_int_equal(f.sent.len, sizeof(n));
	memcpy(&n, f.sent.data, sizeof(n));
	return n;
}

static void
done(uint64_t n, const char *why)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_RETENTION_DONE);
	ipc_put_u64(&m, n);
	ipc_put_str(&m, why);
	ipc_put_u64(&m, 3);
	ipc_put_u64(&m, 200);
	ipc_put_u64(&m, 10);
	retention_done(f.m.retention, &m);
}

/* --- promises -------------------------------------------------------------- */

static void
the_scribe_is_asked_and_its_answer_told(void **state)
{
	retention_begin(f.m.retention, 7);
	assert_int_equal(f.nsent, 1);
	assert_string_equal(f.said, "");
	done(serial(), "");
	assert_non_null(strstr(f.said,
	    "7 data {\"result\":\"retention\",\"sessions\":3,"
	    "\"messages_removed\":200,\"ids_forgotten\":10,"));
	assert_non_null(strstr(f.said, "\n7 done \n"));
}

static void
a_scribe_that_cannot_says_why(void **state)
{
	retention_begin(f.m.retention, 7);
	done(serial(), "the disk fails");
	assert_non_null(strstr(f.said, "7 failed the disk fails\n"));
}

static void
one_at_a_time(void **state)
{
	retention_begin(f.m.retention, 7);
	retention_begin(f.m.retention, 8);
	assert_int_equal(f.nsent, 1);
	assert_non_null(strstr(f.said, "8 failed retention run is under way"));
	done(serial(), "");
	retention_begin(f.m.retention, 9);
	assert_int_equal(f.nsent, 2);
}

static void
progress_is_told_until_it_is_done(void **state)
{
	const struct timeval tv = { .tv_sec = 1, .tv_usec = 200000 };
	size_t len;

	counter_add(f.m.shared.tables, COUNTER_SCRIBE, COUNTER_TRIMMED, 5);
	retention_begin(f.m.retention, 7);
	counter_add(f.m.shared.tables, COUNTER_SCRIBE, COUNTER_TRIMMED, 37);
	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
	assert_non_null(strstr(f.said,
	    "7 data {\"progress\":\"messages removed\",\"done\":37,\"of\":0}"));
	done(serial(), "");
	len = strlen(f.said);
	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
	assert_int_equal(strlen(f.said), len);
}

static void
an_answer_to_an_older_question_is_none(void **state)
{
	retention_begin(f.m.retention, 7);
	retention_scribe_dead(f.m.retention);
	assert_non_null(strstr(f.said, "7 failed the scribe died"));
	done(serial(), "");
	retention_begin(f.m.retention, 8);
	done(serial() - 1, "");
	assert_null(strstr(f.said, "8 d"));
	done(serial(), "");
	assert_non_null(strstr(f.said, "8 done"));
}

static void
a_scribe_that_is_not_there_cannot_be_asked(void **state)
{
	f.takes = false;
	retention_begin(f.m.retention, 7);
	assert_int_equal(f.nsent, 0);
	assert_non_null(strstr(f.said, "7 failed the scribe is not ready"));
	/* nobody asked: nobody is told */
	f.said[0] = '\0';
	retention_scribe_dead(f.m.retention);
	assert_string_equal(f.said, "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_scribe_is_asked_and_its_answer_told),
		T(a_scribe_that_cannot_says_why),
		T(one_at_a_time),
		T(progress_is_told_until_it_is_done),
		T(an_answer_to_an_older_question_is_none),
		T(a_scribe_that_is_not_there_cannot_be_asked),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
