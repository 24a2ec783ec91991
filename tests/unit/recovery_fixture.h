/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * recovery_fixture - sockets that come and go, and their recovery rows.
 */

#ifndef TESTS_UNIT_RECOVERY_FIXTURE_H
#define TESTS_UNIT_RECOVERY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_fixture.h"

/* One socket as its first session knows it, and as the next ones do. */
static const struct fix_socket ada = { 7, 1, "pid-of-ada-aaaaaaaaa", "ada",
	"socket-of-ada" };
static const struct fix_socket back = { 8, 2, "pid-of-ada-aaaaaaaaa", "ada",
	"socket-of-ada" };
static const struct fix_socket again = { 9, 3, "pid-of-ada-aaaaaaaaa", "ada",
	"socket-of-ada" };

static const struct fix_socket bob = { 3, 1, "pid-of-bob-aaaaaaaaa", "bob",
	"s-bob" };

/* A copy, which outlives the snapshot. */
struct row {
	bool there;
	struct store_recovery r;
	char socket[64], user[64], agent[64];
};

static inline void
copy_text(char *to, size_t size, struct store_text t)
{
	snprintf(to, size, "%.*s", (int)t.len, t.p);
}

static inline struct row
row_of(struct scribe_fixture *f, const struct fix_socket *s)
{
	struct row row = { .there = false };
	struct store_txn *t;

	assert_non_null(t = store_snapshot(f->st.s));
	if (store_recovery_get(t, text(s->pid), &row.r) == 0) {
		row.there = true;
		copy_text(row.socket, sizeof(row.socket), row.r.socket);
		copy_text(row.user, sizeof(row.user), row.r.user_id);
		copy_text(row.agent, sizeof(row.agent), row.r.room[0].agent);
	}
	store_snapshot_end(&t);
	return row;
}

static inline bool
is_member(struct scribe_fixture *f, const struct fix_socket *s,
    const struct ring_index *in, bool with_pid)
{
	struct store_presence p;
	struct store_txn *t;
	bool there;

	assert_non_null(t = store_snapshot(f->st.s));
	there =
	    store_presence_get(t, in->room, in->user, text(s->socket), &p) == 0;
	if (there)
		assert_int_equal(p.pid.len, with_pid ? STORE_PID : 0);
	store_snapshot_end(&t);
	return there;
}

static inline struct ring_index
join(struct scribe_fixture *f, const struct fix_socket *s, const char *session)
{
	return fix_decided(f, fix_sock_join(f, s, session, 0, NULL));
}

static inline struct ring_index
rejoin(struct scribe_fixture *f, const struct fix_socket *s,
    const char *session)
{
	return fix_decided(f,
	    fix_sock_join(f, s, session, RECORD_F_RESUME, "99"));
}

static inline struct ring_index
leave(struct scribe_fixture *f, const struct fix_socket *s,
    const struct ring_index *in, unsigned flags)
{
	return fix_decided(f, fix_sock_leave(f, s, in, flags));
}

static inline struct ring_index
resume(struct scribe_fixture *f, const struct fix_socket *s)
{
	return fix_decided(f, fix_sock_resume(f, s));
}

static inline struct ring_index
release(struct scribe_fixture *f, const struct fix_socket *s, uint64_t room)
{
	return fix_decided(f, fix_sock_row(f, s, RECORD_RELEASE, room));
}

static inline void
set_window(struct scribe_fixture *f, uint64_t ms)
{
	f->limits.recovery_window_ms = ms;
	sequence_configure(f->q, &f->limits);
}

/* A new daemon on the same store. */
static inline void
restart(struct scribe_fixture *f)
{
	static uint8_t id = 10;

	fix_stop(f);
	fix_drop_ring(f);
	id++;
	assert_int_equal(fix_ring(f, 12, id, FIX_BASE + ((uint64_t)id << 20)),
	    0);
	assert_int_equal(fix_start(f), 0);
}

#endif /* TESTS_UNIT_RECOVERY_FIXTURE_H */
