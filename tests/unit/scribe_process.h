/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * scribe_process - a real scribe process, and a master and worker that are
 * the test: it starts scribe_main() in a child, publishes through a real
 * ring, keeps a ledger of the verdicts, and compares it with the store.
 */

#ifndef TESTS_UNIT_SCRIBE_PROCESS_H
#define TESTS_UNIT_SCRIBE_PROCESS_H

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <xxhash.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/ipc.h"
#include "common/role.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "shm/segment.h"
#include "shm/tables.h"
#include "tests/unit/store_fixture.h"

#define SLOT 0
#define INCARNATION 2
#define ROOMS 7
#define SOCKETS 9
#define MAX_IDS 60000
#define WINDOW 4096

/* What we know of a message id. */
struct known {
	uint64_t seq;
	uint64_t time_ms;
	uint8_t room;
};

/* What stands at a position of ours that has no verdict yet. */
struct flight {
	uint16_t type;
	uint8_t room;
	uint8_t socket;
	uint32_t id;
};

struct harness {
	struct store_fixture st;
	struct config *cfg;
	int cfg_fd;
	struct tables *tables;
	struct segment seg;
	struct wake *wake;
	struct ring *ring;
	/* the ring that follows, and whether the first is closed */
	struct segment next_seg;
	struct ring *next;
	bool closed;
	uint64_t generation;
	int efd[WAKE_CONSUMERS];
	struct ipc *ipc;
	pid_t scribe;
	uint32_t incarnation;
	uint8_t ring_name;

	uint64_t cursor;
	uint64_t published;
	struct flight flight[WINDOW];
	struct known known[MAX_IDS];
	uint32_t ids;
	uint64_t room[ROOMS];
	uint64_t user;
	uint64_t seq[ROOMS];
	uint64_t time_ms[ROOMS];
	bool present[ROOMS][SOCKETS];

	uint64_t rnd;
	unsigned kills, kills_in_flight, duplicates;
	uint8_t rec[2048] __attribute__((aligned(8)));
};

static inline unsigned
rnd(struct harness *h, unsigned n)
{
	h->rnd ^= h->rnd << 13;
	h->rnd ^= h->rnd >> 7;
	h->rnd ^= h->rnd << 17;
	return (unsigned)((h->rnd >> 20) % n);
}

/* --- master ------------------------------------------------------------ */

static inline void
child(int fd, int master)
{
	/* or it would never see that the master is gone */
	close(master);
	/* 3 must be ours, whatever it was before */
	if (dup2(fd, ROLE_IPC_FD) == -1)
		_exit(126);
	_exit(scribe_main());
}

static inline void
send_next(struct harness *h)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_RINGS_NEXT);
	ipc_put_u64(&m, h->generation);
	ipc_put_u32(&m, RING_SCRIBE_ARENA);
	ipc_put_u32(&m, RING_SCRIBE_ARENA);
	ipc_put_fd(&m, h->next_seg.fd);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
}

static inline void
say_hello(struct harness *h, bool first)
{
	static struct ipc_msg m;
	int i, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ipc_begin(&m, IPC_HELLO);
	ipc_put_u8(&m, ROLE_SCRIBE);
	ipc_put_u32(&m, TABLES_SCRIBE);
	ipc_put_u32(&m, h->incarnation++);
	ipc_put_u32(&m, RING_SCRIBE_ARENA);
	ipc_put_u32(&m, RING_SCRIBE_ARENA);
	ipc_put_u8(&m, (uint8_t)(first | (h->closed ? 2 : 0)));
	ipc_put_u32(&m, 1);
	ipc_put_u32(&m, SLOT);
	ipc_put_u32(&m, INCARNATION);
	/* no inboxes, no bundle */
	ipc_put_u32(&m, 0);
	ipc_put_u8(&m, 0);
	ipc_put_fd(&m, h->cfg_fd);
	ipc_put_fd(&m, h->tables->seg.fd);
	ipc_put_fd(&m, h->seg.fd);
	/* the live ring, which it does not want */
	ipc_put_fd(&m, h->seg.fd);
	ipc_put_fd(&m, dir);
	ipc_put_fd(&m, null);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		ipc_put_fd(&m, h->efd[i]);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
	if (h->next != NULL)
		send_next(h);
	close(null);
	close(dir);
}

static inline void
start_scribe(struct harness *h, bool first)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			     sv),
	    0);
	if ((h->scribe = fork()) == 0)
		child(sv[1], sv[0]);
	assert_true(h->scribe > 0);
	close(sv[1]);
	assert_non_null(h->ipc = ipc_new(sv[0], IPC_FROM_MASTER));
	say_hello(h, first);
}

static inline void
wait_ready(struct harness *h)
{
	static struct ipc_msg m;
	struct pollfd p = { .fd = ipc_fd(h->ipc), .events = POLLIN };

	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(ipc_recv(h->ipc, &m), 1);
	assert_int_equal(m.type, IPC_READY);
	assert_int_equal(ipc_end(&m), 0);
}

static inline void
kill_scribe(struct harness *h)
{
	int status;

	h->kills++;
	h->kills_in_flight += h->published > ring_limit(h->ring, 0);
	assert_int_equal(kill(h->scribe, SIGKILL), 0);
	assert_int_equal(waitpid(h->scribe, &status, 0), h->scribe);
	assert_true(WIFSIGNALED(status));
	ipc_free(&h->ipc);
	ring_scribe_dead(h->closed ? h->next : h->ring);
	wake_kick_all(h->wake);
}

static inline int
stop_scribe(struct harness *h)
{
	static struct ipc_msg m;
	int status;

	ipc_begin(&m, IPC_STOP);
	ipc_put_u32(&m, 10000);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
	assert_int_equal(waitpid(h->scribe, &status, 0), h->scribe);
	ipc_free(&h->ipc);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void
setup_shared(struct harness *h)
{
	struct ring_geometry g = { .kind = RING_LOG,
		.log2_slots = 12,
		.narenas = 3,
		.arena_bytes = 1 << 20 };
	const uint8_t id[16] = { h->ring_name };
	struct tables_geometry tg;
	const char *why;
	int arena, i;

	tables_geometry_init(&tg, 16, 4096);
	assert_non_null(h->tables = tables_create(&tg, &why));
	for (i = 0; i < WAKE_CONSUMERS; i++) {
		h->efd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_not_equal(h->efd[i], -1);
	}
	assert_non_null(h->wake = wake_attach(h->tables->wake, h->efd));
	assert_int_equal(segment_create(&h->seg, "test-log", ring_size(&g),
			     ring_size(&g), ring_abi(), 0, &why),
	    0);
	assert_int_equal(ring_create(h->seg.mem, h->seg.size, &g, id,
			     1ULL << 40),
	    0);
	h->ring = ring_attach(h->seg.mem, h->seg.size, h->wake, &why);
	assert_non_null(h->ring);
	assert_int_not_equal(arena =
				 ring_arena_take(h->ring, SLOT, INCARNATION),
	    -1);
	ring_producer_init(h->ring, (unsigned)arena);
	ring_join(h->ring, SLOT, INCARNATION);
}

static inline void
teardown_shared(struct harness *h)
{
	int i;

	ring_detach(&h->ring);
	segment_close(&h->seg);
	wake_detach(&h->wake);
	tables_free(&h->tables);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		close(h->efd[i]);
}

static inline int
setup(void **state)
{
	const char *const overrides[] = { "auth.mode=none" };
	struct config_source src = { .overrides = overrides,
		.noverrides = 1,
		.without_files = true };
	struct config_errors errors;
	struct harness *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return -1;
	*state = h;
	/* so that children find 3 taken and may put their own there */
	while (open("/dev/null", O_RDWR | O_CLOEXEC) <= ROLE_LOCK_FD)
		;
	if ((h->cfg = config_load(&src, &errors)) == NULL)
		return -1;
	if ((h->cfg_fd = config_memfd(h->cfg)) == -1 ||
	    store_fixture_enter(&h->st) == -1)
		return -1;
	setup_shared(h);
	/* later than any worker here: see tbl_ipc.h */
	h->incarnation = INCARNATION + 1;
	return 0;
}

static inline int
teardown(void **state)
{
	struct harness *h = *state;
	int rc;

	teardown_shared(h);
	close(h->cfg_fd);
	config_free(&h->cfg);
	rc = store_fixture_leave(&h->st);
	free(h);
	return rc;
}

/* --- worker ------------------------------------------------------------ */

static inline bool
publish(struct harness *h, const struct record *rec, const char *const *fields,
    unsigned n, struct flight flight)
{
	struct record_field rf[RECORD_MAX_FIELDS] = { { NULL, 0 } };
	uint64_t gseq;
	unsigned i;
	size_t len;

	/* behind what was published there may be what a scribe asked */
	if (h->published > h->cursor && h->published - h->cursor >= WINDOW)
		return false;
	for (i = 0; i < n; i++) {
		rf[i].p = fields[i];
		rf[i].len = (uint32_t)strlen(fields[i]);
	}
	len = record_build(h->rec, sizeof(h->rec), rec, rf, n);
	assert_true(len > 0);
	if (ring_publish(h->ring, h->rec, len, &gseq) == -1) {
		ring_want_space(h->ring, SLOT);
		return false;
	}
	h->flight[gseq % WINDOW] = flight;
	h->published = gseq + 1;
	return true;
}

static inline bool
publish_join(struct harness *h, unsigned room, unsigned socket)
{
	struct record rec = { .type = RECORD_JOIN };
	char session[16], sock[16];
	const char *const fields[] = { "w", session, "ada", "Ada", sock, "", "",
		"" };

	snprintf(session, sizeof(session), "s%u", room);
	snprintf(sock, sizeof(sock), "sock%u", socket);
	return publish(h, &rec, fields, 8,
	    (struct flight){ .type = RECORD_JOIN,
		.room = (uint8_t)room,
		.socket = (uint8_t)socket });
}

static inline bool
publish_leave(struct harness *h, unsigned room, unsigned socket)
{
	struct record rec = { .type = RECORD_LEAVE,
		.room = h->room[room],
		.user = h->user };
	char sock[16];
	const char *const fields[] = { sock, "ada", "transport close" };

	snprintf(sock, sizeof(sock), "sock%u", socket);
	return publish(h, &rec, fields, 3,
	    (struct flight){ .type = RECORD_LEAVE,
		.room = (uint8_t)room,
		.socket = (uint8_t)socket });
}

static inline void
make_id(char *buf, size_t size, uint32_t id)
{
	snprintf(buf, size, "message-%u", id);
}

static inline void
make_body(char *buf, size_t size, uint32_t id)
{
	snprintf(buf, size, "\"id\":\"message-%u\",\"content\":\"%0*u\"", id,
	    (int)(id % 300) + 1, id);
}

static inline bool
publish_message(struct harness *h, unsigned room, uint32_t id)
{
	struct record rec = { .type = RECORD_MESSAGE,
		.room = h->room[room],
		.user = h->user };
	char name[32], body[512];
	const char *const fields[] = { name, "sock0", body };
	XXH128_hash_t hash;

	make_id(name, sizeof(name), id);
	make_body(body, sizeof(body), id);
	hash = XXH3_128bits(name, strlen(name));
	rec.id_hash[0] = hash.low64;
	rec.id_hash[1] = hash.high64;
	return publish(h, &rec, fields, 3,
	    (struct flight){ .type = RECORD_MESSAGE,
		.room = (uint8_t)room,
		.id = id });
}

/* --- the ledger -------------------------------------------------------- */

static inline void
on_join(struct harness *h, const struct flight *fl, const struct ring_index *ix)
{
	bool *there = &h->present[fl->room][fl->socket];

	assert_int_equal(ix->verdict, *there ? RING_DUPLICATE : RING_STORED);
	assert_int_equal(ix->seq, h->seq[fl->room]);
	if (h->room[fl->room] != 0)
		assert_int_equal(ix->room, h->room[fl->room]);
	if (h->user != 0)
		assert_int_equal(ix->user, h->user);
	h->room[fl->room] = ix->room;
	h->user = ix->user;
	*there = true;
}

static inline void
on_leave(struct harness *h, const struct flight *fl,
    const struct ring_index *ix)
{
	bool *there = &h->present[fl->room][fl->socket];
	uint64_t left = 0;
	int i;

	assert_int_equal(ix->verdict, *there ? RING_STORED : RING_REJECTED);
	if (!*there)
		return;
	*there = false;
	for (i = 0; i < SOCKETS; i++)
		left += h->present[fl->room][i];
	assert_int_equal(ix->seq, left);
}

static inline void
on_message(struct harness *h, const struct flight *fl,
    const struct ring_index *ix)
{
	struct known *k = &h->known[fl->id];

	if (k->seq != 0) {
		assert_int_equal(ix->verdict, RING_DUPLICATE);
		assert_int_equal(ix->seq, k->seq);
		assert_int_equal(ix->time_ms, k->time_ms);
		h->duplicates++;
		return;
	}
	assert_int_equal(ix->verdict, RING_STORED);
	assert_int_equal(ix->seq, ++h->seq[fl->room]);
	assert_true(ix->time_ms >= h->time_ms[fl->room]);
	h->time_ms[fl->room] = ix->time_ms;
	k->seq = ix->seq;
	k->time_ms = ix->time_ms;
	k->room = fl->room;
}

/* Everything that has become durable, in order. */
static inline void
deliver(struct harness *h)
{
	struct ring_index ix;
	const struct flight *fl;
	uint64_t limit = ring_limit(h->ring, h->cursor);

	for (; h->cursor < limit; h->cursor++) {
		assert_int_equal(ring_peek(h->ring, SLOT, h->cursor, &ix),
		    RING_OK);
		/* a scribe that took over asks */
		if (ix.arena == RING_SCRIBE_ARENA && ix.type == RECORD_ASK)
			continue;
		fl = &h->flight[h->cursor % WINDOW];
		assert_int_equal(ix.type, fl->type);
		assert_int_equal(ix.incarnation, INCARNATION);
		switch (fl->type) {
		case RECORD_JOIN:
			on_join(h, fl, &ix);
			break;
		case RECORD_LEAVE:
			on_leave(h, fl, &ix);
			break;
		case RECORD_MESSAGE:
			on_message(h, fl, &ix);
			break;
		}
	}
	ring_advance(h->ring, SLOT, h->cursor);
}

/* Deliver until everything published is decided. */
static inline void
settle(struct harness *h)
{
	uint64_t end = clock_mono_ns() + 20 * CLOCK_S_NS;

	while (h->cursor < h->published && clock_mono_ns() < end) {
		deliver(h);
		usleep(200);
	}
	assert_true(h->cursor >= h->published);
}

static inline void
join_ring(struct harness *h)
{
	uint64_t end = clock_mono_ns() + 10 * CLOCK_S_NS;
	unsigned room;

	while (
	    ring_state(h->ring, SLOT) != RING_ACTIVE && clock_mono_ns() < end)
		usleep(500);
	assert_int_equal(ring_state(h->ring, SLOT), RING_ACTIVE);
	h->cursor = h->published = ring_join_pos(h->ring, SLOT);
	for (room = 0; room < ROOMS; room++)
		assert_true(publish_join(h, room, 0));
	settle(h);
}

/* --- the store in the end ---------------------------------------------- */

static inline void
check_room(struct harness *h, struct store_txn *t, unsigned room,
    uint64_t *found)
{
	struct store_message m[100];
	struct store_query q = { .room = h->room[room],
		.from = 1,
		.count = 100 };
	char id[32], body[512];
	unsigned i, n;
	uint32_t number;
	bool more = true;

	while (more) {
		assert_int_equal(store_page(t, &q, m, &n, &more), 0);
		for (i = 0; i < n; i++) {
			assert_int_equal(m[i].seq, q.from);
			snprintf(id, sizeof(id), "%.*s", (int)m[i].id.len,
			    m[i].id.p);
			assert_int_equal(sscanf(id, "message-%u", &number), 1);
			assert_true(number < h->ids);
			assert_int_equal(h->known[number].seq, m[i].seq);
			assert_int_equal(h->known[number].room, room);
			assert_int_equal(h->known[number].time_ms,
			    m[i].time_ms);
			make_body(body, sizeof(body), number);
			assert_int_equal(m[i].body.len, strlen(body));
			assert_memory_equal(m[i].body.p, body, m[i].body.len);
			q.from++;
			++*found;
		}
	}
	assert_int_equal(q.from, h->seq[room] + 1);
}

static inline void
check_presence(struct harness *h, struct store_txn *t, unsigned room)
{
	struct store_presence p;
	char socket[16];
	uint64_t n, expected = 0;
	int i;

	for (i = 0; i < SOCKETS; i++) {
		snprintf(socket, sizeof(socket), "sock%d", i);
		assert_int_equal(store_presence_get(t, h->room[room], h->user,
				     text(socket), &p) == 0,
		    h->present[room][i]);
		expected += h->present[room][i];
	}
	assert_int_equal(store_presence_count(t, h->room[room], 0, &n), 0);
	assert_int_equal(n, expected);
}

static inline void
check_store(struct harness *h)
{
	uint64_t found = 0, known = 0;
	struct store_txn *t;
	struct store *s;
	const char *why;
	uint32_t id;
	unsigned room;

	assert_non_null(s = store_open(STORE_READ, &why));
	assert_non_null(t = store_snapshot(s));
	for (room = 0; room < ROOMS; room++) {
		check_room(h, t, room, &found);
		check_presence(h, t, room);
	}
	for (id = 0; id < h->ids; id++)
		known += h->known[id].seq != 0;
	assert_int_equal(found, known);
	assert_int_equal(known, h->ids);
	assert_int_equal(store_bad_values(s), 0);
	store_snapshot_end(&t);
	store_close(&s);
}

#endif /* TESTS_UNIT_SCRIBE_PROCESS_H */
