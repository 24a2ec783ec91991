/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_reload - what reload.h promises: everywhere or nowhere.
 */

#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/log.h"
#include "master/child.h"
#include "master/control.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/supervise.h"
#include "shm/counter.h"
#include "tests/unit/tables_fixture.h"

#define NCHILDREN 3
#define SCRIBE 2

static struct {
	struct master m;
	struct child child[NCHILDREN];
	char file[64];
	void *tables;
	/* per child: what it was sent last of each kind */
	uint64_t prepared[NCHILDREN], switched[NCHILDREN], forgotten[NCHILDREN];
	bool bundle[NCHILDREN];
	struct config *cfg[NCHILDREN];
	unsigned log_targets;
	/* how often the bridge was asked about, by the new configuration */
	unsigned followed;
	/* what the asker was told */
	char data[1024], failed[512];
	unsigned done;
} f;

/* --- the rest of the master ---------------------------------------------- */

const char *
child_name(const struct child *c)
{
	static char name[16];

	(void)snprintf(name, sizeof(name), "child %u", c->slot);
	return name;
}

struct ipc_msg *
child_message(enum ipc_type type)
{
	static struct ipc_msg msg;

	ipc_begin(&msg, type);
	return &msg;
}

static unsigned
number_of(const struct child *c)
{
	return (unsigned)(c - f.child);
}

int
child_send(struct child *c, const struct ipc_msg *m)
{
	struct ipc_msg copy = *m;
	unsigned i = number_of(c);
	uint64_t serial;

	if (c->pid == 0)
		return -1;
	serial = ipc_get_u64(&copy);
	if (m->type == IPC_CONFIG_PREPARE) {
		f.prepared[i] = serial;
		f.bundle[i] = ipc_get_u8(&copy) == 1;
		assert_int_equal(m->nfds, f.bundle[i] ? 2 : 1);
		config_free(&f.cfg[i]);
		f.cfg[i] = config_from_fd(m->fds[0]);
		assert_non_null(f.cfg[i]);
	} else if (ipc_get_u8(&copy) == 1) {
		f.switched[i] = serial;
	} else {
		f.forgotten[i] = serial;
	}
	return 0;
}

bool
child_serves(const struct child *c)
{
	return c->pid != 0;
}

struct child *
supervise_next(struct supervisor *s, struct child *c)
{
	for (c = c == NULL ? f.child : c + 1; c < f.child + NCHILDREN; c++)
		if (c->pid != 0)
			return c;
	return NULL;
}

struct child *
supervise_worker(struct supervisor *s, unsigned slot)
{
	return &f.child[slot];
}

struct child *
supervise_scribe(struct supervisor *s)
{
	return &f.child[SCRIBE];
}

struct child *
supervise_bridge(struct supervisor *s)
{
	return &f.child[SCRIBE];
}

void
supervise_bridge_follow(struct supervisor *s)
{
	f.followed++;
	/* as if it were started: it is asked to prepare nothing */
	reload_child_started(f.m.reload, &f.child[0]);
}

void
supervise_log_target(struct supervisor *s)
{
	f.log_targets++;
}

void
control_data(struct control *c, uint64_t asker, const char *json, size_t len)
{
	if (asker != 0)
		(void)snprintf(f.data, sizeof(f.data), "%.*s", (int)len, json);
}

void
control_done(struct control *c, uint64_t asker)
{
	f.done += asker != 0;
}

void
control_failed(struct control *c, uint64_t asker, const char *fmt, ...)
{
	va_list ap;

	if (asker == 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(f.failed, sizeof(f.failed), fmt, ap);
	va_end(ap);
}

const char *
master_state_name(enum master_state state)
{
	return "the state";
}

/* --- fixture --------------------------------------------------------------- */

static void
write_file(const char *text)
{
	FILE *fp = fopen(f.file, "w");

	assert_non_null(fp);
	(void)fputs("auth.mode = none\n", fp);
	(void)fputs(text, fp);
	assert_int_equal(fclose(fp), 0);
}

static int
setup(void **state)
{
	struct config_errors errors;
	struct config_source src;

	memset(&f, 0, sizeof(f));
	if (small_tables_setup(&f.tables) == -1)
		return -1;
	(void)snprintf(f.file, sizeof(f.file), "/tmp/test_reload.XXXXXX");
	(void)close(mkstemp(f.file));
	write_file("limits.message_rate = 5\n");
	f.m.opt.file = f.file;
	f.m.opt.foreground = true;
	options_source(&f.m.opt, &src);
	f.m.cfg = config_load(&src, &errors);
	config_errors_clear(&errors);
	f.m.cfg_fd = open("/dev/null", O_RDONLY);
	f.m.log_fd = open("/dev/null", O_WRONLY);
	f.m.bundle_fd = -1;
	f.m.shared.tables = f.tables;
	f.m.base = event_base_new();
	f.m.state = MASTER_RUNNING;
	for (unsigned i = 0; i < NCHILDREN; i++) {
		f.child[i].slot = i == SCRIBE ? TABLES_SCRIBE : i;
		f.child[i].role = i == SCRIBE ? ROLE_SCRIBE : ROLE_WORKER;
		f.child[i].pid = 100 + (pid_t)i;
	}
	f.m.reload = reload_new(&f.m);
	return f.m.cfg == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	reload_abort(f.m.reload);
	reload_free(&f.m.reload);
	event_base_free(f.m.base);
	config_free(&f.m.cfg);
	for (unsigned i = 0; i < NCHILDREN; i++)
		config_free(&f.cfg[i]);
	(void)close(f.m.cfg_fd);
	(void)close(f.m.log_fd);
	if (f.m.bundle_fd != -1)
		(void)close(f.m.bundle_fd);
	(void)unlink(f.file);
	return small_tables_teardown(&f.tables);
}

static void
says_prepared(unsigned i, uint64_t serial, bool ok)
{
	struct ipc_msg *m = child_message(IPC_CONFIG_PREPARED);

	ipc_put_u64(m, serial);
	ipc_put_u8(m, ok);
	ipc_put_str(m, ok ? "" : "I cannot");
	reload_prepared(f.m.reload, &f.child[i], m);
	assert_false(m->bad);
}

static void
says_switched(unsigned i, uint64_t serial)
{
	struct ipc_msg *m = child_message(IPC_CONFIG_SWITCHED);

	ipc_put_u64(m, serial);
	reload_switched(f.m.reload, &f.child[i], m);
	assert_false(m->bad);
}

static void
loop(unsigned ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
}

/* Both phases with whoever is there. */
static void
all_agree(void)
{
	uint64_t serial = 0;

	for (unsigned i = 0; i < NCHILDREN; i++)
		if (f.prepared[i] > serial)
			serial = f.prepared[i];
	for (unsigned i = 0; i < NCHILDREN; i++)
		if (f.child[i].pid != 0)
			says_prepared(i, serial, true);
	for (unsigned i = 0; i < NCHILDREN; i++)
		if (f.child[i].pid != 0)
			says_switched(i, serial);
}

static uint64_t
reloads(void)
{
	return counter_get(f.tables, COUNTER_MASTER, COUNTER_RELOADS);
}

/* --- promises -------------------------------------------------------------- */

static void
nobody_switches_before_all_have_agreed(void **state)
{
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	for (unsigned i = 0; i < NCHILDREN; i++) {
		assert_int_equal(f.prepared[i], 1);
		assert_int_equal(f.cfg[i]->limits_message_rate, 6);
	}
	says_prepared(0, 1, true);
	says_prepared(2, 1, true);
	/* an answer to another question does not count, nor does one twice */
	says_prepared(1, 0, true);
	says_prepared(0, 1, true);
	assert_int_equal(f.m.cfg->limits_message_rate, 5);
	assert_int_equal(f.switched[0], 0);
	says_prepared(1, 1, true);
	assert_int_equal(f.m.cfg->limits_message_rate, 6);
	for (unsigned i = 0; i < NCHILDREN; i++)
		assert_int_equal(f.switched[i], 1);
	/* the asker hears when it is so, not when it will be */
	assert_int_equal(f.done, 0);
	for (unsigned i = 0; i < NCHILDREN; i++)
		says_switched(i, 1);
	assert_int_equal(f.done, 1);
	assert_string_equal(f.data,
	    "{\"changed\":[{\"option\":\"limits.message_rate\",\"old\":\"5\","
	    "\"new\":\"6\",\"what\":\"value\"}]}");
	assert_int_equal(reloads(), 1);
	assert_int_equal(f.followed, 1);
	assert_int_equal(f.prepared[0], 1);
	assert_int_equal(f.log_targets, 0);
}

static void
one_who_cannot_stops_it_for_all(void **state)
{
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	says_prepared(0, 1, true);
	says_prepared(2, 1, false);
	assert_string_equal(f.failed, "child 64: I cannot");
	for (unsigned i = 0; i < NCHILDREN; i++)
		assert_int_equal(f.forgotten[i], 1);
	says_prepared(1, 1, true);
	assert_int_equal(f.m.cfg->limits_message_rate, 5);
	assert_int_equal(f.switched[1], 0);
	/* and the next one is not confused by it */
	reload_begin(f.m.reload, 8);
	assert_int_equal(f.prepared[0], 2);
	says_prepared(0, 1, true);
	all_agree();
	assert_int_equal(f.m.cfg->limits_message_rate, 6);
	assert_int_equal(f.done, 1);
}

static void
silence_stops_it_for_all(void **state)
{
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	says_prepared(0, 1, true);
	says_prepared(2, 1, true);
	loop(5100);
	assert_string_equal(f.failed, "child 1 did not answer in 5 s");
	assert_int_equal(f.forgotten[0], 1);
	assert_int_equal(f.m.cfg->limits_message_rate, 5);
}

static void
silence_after_the_switch_is_too_late(void **state)
{
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	for (unsigned i = 0; i < NCHILDREN; i++)
		says_prepared(i, 1, true);
	says_switched(0, 1);
	loop(5100);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.m.cfg->limits_message_rate, 6);
}

static void
the_dead_are_not_waited_for_and_their_successors_asked(void **state)
{
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	says_prepared(0, 1, true);
	f.child[1].pid = 0;
	reload_child_gone(f.m.reload, &f.child[1]);
	/* its replacement was given the old one */
	f.child[1].pid = 200;
	f.prepared[1] = 0;
	reload_child_started(f.m.reload, &f.child[1]);
	assert_int_equal(f.prepared[1], 1);
	says_prepared(2, 1, true);
	assert_int_equal(f.m.cfg->limits_message_rate, 5);
	/* and dies as well */
	f.child[1].pid = 0;
	reload_child_gone(f.m.reload, &f.child[1]);
	assert_int_equal(f.m.cfg->limits_message_rate, 6);
	assert_int_equal(f.switched[1], 0);
	/* who starts now has the new one from its hello */
	f.child[1].pid = 201;
	f.prepared[1] = 0;
	reload_child_started(f.m.reload, &f.child[1]);
	assert_int_equal(f.prepared[1], 0);
	says_switched(0, 1);
	f.child[2].pid = 0;
	reload_child_gone(f.m.reload, &f.child[2]);
	assert_int_equal(f.done, 1);
}

static void
one_at_a_time(void **state)
{
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	reload_begin(f.m.reload, 8);
	assert_string_equal(f.failed, "another reload is under way");
	/* a signal has nobody to tell: it is done afterwards */
	write_file("limits.message_rate = 7\n");
	reload_begin(f.m.reload, 0);
	reload_begin(f.m.reload, 0);
	all_agree();
	assert_int_equal(f.m.cfg->limits_message_rate, 6);
	assert_int_equal(f.prepared[0], 2);
	all_agree();
	assert_int_equal(f.m.cfg->limits_message_rate, 7);
	assert_int_equal(reloads(), 2);
}

static void
what_is_wrong_is_told_and_asks_nobody(void **state)
{
	write_file("limits.message_rate = x\nnonsense = 1\n");
	reload_begin(f.m.reload, 7);
	assert_string_equal(f.failed, "the new configuration has 2 errors");
	assert_non_null(strstr(f.data, ":2: "));
	assert_non_null(strstr(f.data, ":3: "));
	write_file("limits.message_rate = 6\nworkers = 5\n");
	reload_begin(f.m.reload, 7);
	assert_string_equal(f.failed, "a restart is needed to change workers");
	assert_int_equal(f.prepared[0], 0);
	assert_int_equal(f.m.cfg->limits_message_rate, 5);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_RELOADS_REFUSED),
	    2);
}

static void
nothing_new_is_no_reload(void **state)
{
	reload_begin(f.m.reload, 7);
	assert_int_equal(f.done, 1);
	assert_string_equal(f.data, "{\"changed\":[]}");
	assert_int_equal(f.prepared[0], 0);
	assert_int_equal(reloads(), 0);
}

static void
a_log_target_that_cannot_be_opened_is_refused(void **state)
{
	f.m.opt.foreground = false;
	write_file("limits.message_rate = 5\n"
		   "log.target = /nonexistent/log\n");
	reload_begin(f.m.reload, 7);
	assert_non_null(strstr(f.failed, "/nonexistent/log"));
	assert_int_equal(f.prepared[0], 0);
}

static void
in_the_background_there_is_no_stderr_to_log_to(void **state)
{
	f.m.opt.foreground = false;
	write_file("limits.message_rate = 5\nlog.target = stderr\n");
	reload_begin(f.m.reload, 7);
	assert_non_null(strstr(f.failed, "stderr"));
	assert_int_equal(f.prepared[0], 0);
}

static void
children_get_a_new_log_target_after_the_switch(void **state)
{
	write_file("limits.message_rate = 5\nlog.format = json\n");
	reload_begin(f.m.reload, 7);
	assert_int_equal(f.log_targets, 0);
	all_agree();
	assert_int_equal(f.log_targets, 1);
}

static void
what_the_application_is_asked_at_is_not_logged(void **state)
{
	char log[4096] = "";
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	(void)close(f.m.log_fd);
	f.m.log_fd = fd;
	write_file("auth.webhook_url = \"https://app.example/?key=geheim\"\n"
		   "limits.message_rate = 6\n");
	logs_use(fd, f.m.cfg);
	reload_begin(f.m.reload, 7);
	all_agree();
	assert_true(pread(fd, log, sizeof(log) - 1, 0) > 0);
	assert_non_null(strstr(log, "auth.webhook_url"));
	assert_non_null(strstr(log, "limits.message_rate"));
	assert_null(strstr(log, "geheim"));
	log_set(open("/dev/null", O_WRONLY), LOG_KIND_FILE, LOG_FORMAT_TEXT,
	    LOG_LEVEL_INFO);
}

static void
before_the_start_is_over_it_waits_after_it_is_refused(void **state)
{
	f.m.state = MASTER_STARTING;
	write_file("limits.message_rate = 6\n");
	reload_begin(f.m.reload, 7);
	assert_string_equal(f.failed, "the state");
	reload_begin(f.m.reload, 0);
	assert_int_equal(f.prepared[0], 0);
	f.m.state = MASTER_RUNNING;
	reload_ready(f.m.reload);
	assert_int_equal(f.prepared[0], 1);
	/* the end comes before all have agreed */
	f.m.state = MASTER_STOPPING;
	reload_abort(f.m.reload);
	assert_int_equal(f.forgotten[0], 1);
	assert_int_equal(f.m.cfg->limits_message_rate, 5);
	reload_begin(f.m.reload, 0);
	assert_int_equal(f.prepared[0], 1);
}

static void
a_message_that_makes_no_sense_is_marked(void **state)
{
	struct ipc_msg *m = child_message(IPC_CONFIG_PREPARED);

	ipc_put_u64(m, 1);
	reload_prepared(f.m.reload, &f.child[0], m);
	assert_true(m->bad);
	m = child_message(IPC_CONFIG_SWITCHED);
	ipc_put_u64(m, 1);
	ipc_put_u8(m, 1);
	reload_switched(f.m.reload, &f.child[0], m);
	assert_true(m->bad);
}

/* One file of the bundle in a directory of its own. */
static void
write_bundle(const char *dir, const char *text)
{
	char path[96];
	FILE *fp;

	(void)snprintf(path, sizeof(path), "%s/socket.io.js", dir);
	assert_non_null(fp = fopen(path, "w"));
	(void)fputs(text, fp);
	assert_int_equal(fclose(fp), 0);
}

static void
a_new_bundle_is_a_reload_and_goes_to_the_workers(void **state)
{
	char dir[] = "/tmp/test_reload.XXXXXX", text[96], path[96];

	assert_non_null(mkdtemp(dir));
	write_bundle(dir, "one");
	(void)snprintf(text, sizeof(text),
	    "limits.message_rate = 5\nclient_dir = %s\n", dir);
	write_file(text);
	reload_begin(f.m.reload, 7);
	assert_true(f.bundle[0]);
	assert_true(f.bundle[1]);
	assert_false(f.bundle[SCRIBE]);
	assert_int_equal(f.m.bundle_fd, -1);
	all_agree();
	assert_int_not_equal(f.m.bundle_fd, -1);
	assert_int_equal(reloads(), 1);
	/* read again: the same */
	reload_begin(f.m.reload, 8);
	assert_int_equal(f.prepared[0], 1);
	assert_int_equal(f.done, 2);
	/* another file under the same name, and nothing else is new */
	write_bundle(dir, "two");
	reload_begin(f.m.reload, 9);
	assert_int_equal(f.prepared[0], 2);
	all_agree();
	assert_int_equal(reloads(), 2);
	(void)snprintf(path, sizeof(path),
	    "{\"changed\":[{\"option\":\"client_dir\",\"old\":\"%s\"", dir);
	assert_non_null(strstr(f.data, path));
	assert_non_null(strstr(f.data, "\"what\":\"contents\""));
	/* it is gone: then there is none */
	(void)snprintf(path, sizeof(path), "%s/socket.io.js", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	reload_begin(f.m.reload, 10);
	assert_int_equal(f.prepared[0], 3);
	assert_false(f.bundle[0]);
	all_agree();
	assert_int_equal(f.m.bundle_fd, -1);
	assert_int_equal(f.done, 4);
}

static void
what_is_refused_leaves_the_bundle_as_it_was(void **state)
{
	char dir[] = "/tmp/test_reload.XXXXXX", text[96], path[96];

	assert_non_null(mkdtemp(dir));
	write_bundle(dir, "one");
	(void)snprintf(text, sizeof(text), "client_dir = %s\n", dir);
	write_file(text);
	reload_begin(f.m.reload, 7);
	says_prepared(0, 1, false);
	assert_int_equal(f.m.bundle_fd, -1);
	assert_int_equal(f.forgotten[1], 1);
	(void)snprintf(path, sizeof(path), "%s/socket.io.js", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nobody_switches_before_all_have_agreed),
		T(one_who_cannot_stops_it_for_all),
		T(silence_stops_it_for_all),
		T(silence_after_the_switch_is_too_late),
		T(the_dead_are_not_waited_for_and_their_successors_asked),
		T(one_at_a_time),
		T(what_is_wrong_is_told_and_asks_nobody),
		T(nothing_new_is_no_reload),
		T(a_log_target_that_cannot_be_opened_is_refused),
		T(in_the_background_there_is_no_stderr_to_log_to),
		T(children_get_a_new_log_target_after_the_switch),
		T(what_the_application_is_asked_at_is_not_logged),
		T(before_the_start_is_over_it_waits_after_it_is_refused),
		T(a_message_that_makes_no_sense_is_marked),
		T(a_new_bundle_is_a_reload_and_goes_to_the_workers),
		T(what_is_refused_leaves_the_bundle_as_it_was),
	};

	log_set(open("/dev/null", O_WRONLY), LOG_KIND_FILE, LOG_FORMAT_TEXT,
	    LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
