/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clerk_fixture - a store with something of everything in it, and a clerk
 * that works on it in the test's own process.
 */

#ifndef TESTS_UNIT_CLERK_FIXTURE_H
#define TESTS_UNIT_CLERK_FIXTURE_H

#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <lmdb.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "clerk/clerk.h"
#include "common/clock.h"
#include "common/ipc.h"
#include "common/json.h"
#include "tests/unit/store_fixture.h"

#define ROOM 1
#define USER 1
#define MESSAGES 10
#define POS 1000
#define PID "pid-pid-pid-pid-pid-"

struct clerk_fixture {
	struct store_fixture store;
	struct clerk clerk;
	/* chatctl's end, and the master's */
	int conn;
	struct ipc *master;
	char answer[1 << 18];
};

static inline void
add_message(struct store_txn *t, uint64_t seq, uint64_t gseq, uint64_t time)
{
	char id[16], body[64];
	struct store_message m = { .room = ROOM,
		.seq = seq,
		.gseq = gseq,
		.time_ms = time,
		.user = USER,
		.type = 1 };
	XXH128_hash_t h;
	uint64_t hash[2];

	snprintf(id, sizeof(id), "id-%d", (int)seq);
	snprintf(body, sizeof(body), "\"id\":\"%s\",\"content\":\"hello\"", id);
	m.id = text(id);
	m.body = text(body);
	h = XXH3_128bits(id, strlen(id));
	hash[0] = h.low64;
	hash[1] = h.high64;
	store_message_add(t, &m, hash);
}

static inline void
add_people(struct store_txn *t)
{
	const struct store_room room = { .room = ROOM,
		.workspace = text("w"),
		.session = text("s"),
		.created_ms = 1 };
	const struct store_user user = { .user = USER,
		.id = text("ada"),
		.name = text("Ada"),
		.last_seen_ms = 1 };
	const struct store_presence p = { .room = ROOM,
		.user = USER,
		.socket = text("socket"),
		.user_id = text("ada"),
		.user_name = text("Ada"),
		.status = text("active"),
		.agent = text(""),
		.pid = text(PID),
		.gseq = 5 };
	static struct store_recovery r;

	r = (struct store_recovery){ .socket = text("socket"),
		.user_id = text("ada"),
		.user = USER,
		.run = 7,
		.nrooms = 1 };
	r.room[0] = (struct store_recovery_room){ .room = ROOM,
		.gseq = 5,
		.present = true,
		.agent = text("") };
	store_room_add(t, &room);
	store_user_add(t, &user);
	store_presence_put(t, &p);
	store_recovery_put(t, text(PID), &r);
}

static inline void
add_rest(struct store_txn *t)
{
	const struct store_member member = { .room = ROOM, .user = USER };
	const struct store_ban ban = { .kind = 1,
		.id = text("eve"),
		.reason = text(""),
		.by = text("ada") };
	const struct store_stream stream = { .room = ROOM,
		.id = text("stream"),
		.user = USER,
		.text = text("so far") };
	struct store_dedupe d = { .room = ROOM,
		.seq = 1,
		.user = USER,
		.id = text("id-1") };
	const struct store_merged merged = { .room = ROOM,
		.seq = 1,
		.gseq = 101,
		.count = 1 };
	uint64_t revision;

	d.hash = XXH3_128bits("id-1", 4).low64;
	store_member_put(t, &member);
	store_ban_put(t, &ban);
	store_stream_put(t, &stream);
	store_dedupe_put(t, &d);
	store_merged_put(t, &merged);
	assert_int_equal(store_message_edit(t, ROOM, 3, text("\"id\":\"id-3\""),
			     500, 200, &revision),
	    0);
	assert_int_equal(store_message_delete(t, ROOM, 4, 500, 201, &revision),
	    0);
	assert_int_equal(store_receipt_put(t, ROOM, USER, 7, 500, 202,
			     &revision),
	    0);
}

/* A store in which everything is in order; the current directory is its. */
static inline void
make_store(struct clerk_fixture *f)
{
	const struct store_ring ring = { .base = 1, .pos = POS };
	const struct store_run run = { .base = 7, .begun_ms = 1 };
	const struct store_next next = { .room = ROOM + 1, .user = USER + 1 };
	struct store_txn *t;

	assert_int_equal(store_fixture_open(&f->store), 0);
	assert_non_null(t = store_begin(f->store.s));
	store_ring_put(t, &ring);
	store_run_put(t, &run);
	store_next_put(t, &next);
	add_people(t);
	for (uint64_t i = 1; i <= MESSAGES; i++)
		add_message(t, i, 100 + i, 10 * i);
	add_rest(t);
	assert_int_equal(store_commit(&t), 0);
}

/* Everything that a clerk has when it begins; 'dir' is a descriptor. */
static inline void
make_clerk(struct clerk_fixture *f, const char *command, int dir)
{
	struct clerk *c = &f->clerk;
	int sv[2], order[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, order), 0);
	memset(c, 0, sizeof(*c));
	snprintf(c->command, sizeof(c->command), "%s", command);
	c->offline = true;
	c->dir = dir;
	c->conn = sv[0];
	c->out = -1;
	c->began_ms = clock_mono_ms();
	assert_non_null(c->master = ipc_new(order[0], IPC_FROM_CHILD));
	assert_non_null(f->master = ipc_new(order[1], IPC_FROM_MASTER));
	f->conn = sv[1];
}

/* What it has said, all lines. */
static inline const char *
hear(struct clerk_fixture *f)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(f->conn, f->answer + len, sizeof(f->answer) - 1 - len,
		    MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	f->answer[len] = '\0';
	return f->answer;
}

static inline void
end_clerk(struct clerk_fixture *f)
{
	struct clerk *c = &f->clerk;

	store_snapshot_end(&c->txn);
	store_close(&c->store);
	ipc_free(&c->master);
	ipc_free(&f->master);
	close(c->conn);
	close(f->conn);
}

#endif /* TESTS_UNIT_CLERK_FIXTURE_H */
