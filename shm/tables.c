/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/tables.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/log.h"
#include "shm/address.h"
#include "shm/burst.h"
#include "shm/client.h"
#include "shm/counter.h"
#include "shm/iobuf.h"
#include "shm/lost.h"
#include "shm/stream.h"
#include "shm/user.h"
#include "shm/wake.h"

/* counts up when something changes its meaning but not its place */
#define VERSION 1
#define CLIENT_AT(field) offsetof(struct client, field)

#define PAGE 4096
#define MAX_CLIENTS (1 << 20)
#define MAX_AREA (UINT64_C(1) << 32)
#define MAX_STREAMS (UINT64_C(1) << 36)

/* In shared memory a lock of libatomic would be one lock a process. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
    "atomics in shared memory must be lock-free");
_Static_assert(sizeof(size_t) == 8, "sizes in shared memory are 64 bits");
_Static_assert(TABLES_WORKERS == WAKE_WORKERS && TABLES_SCRIBE == WAKE_SCRIBE &&
	COUNTER_SCRIBE == WAKE_SCRIBE,
    "one numbering of the children");

/* The first page; written by the master. */
struct tables_head {
	struct tables_geometry geometry;
	uint8_t secret[TABLES_SECRET];
	/* client slots that ever were in use */
	_Atomic uint32_t clients_used;
};

_Static_assert(sizeof(struct tables_head) <= PAGE, "one page");

/* Offsets of the parts. */
struct layout {
	size_t wake;
	size_t state;
	size_t closed;
	size_t counters;
	size_t addresses;
	size_t bursts;
	size_t lost;
	size_t clients;
	size_t users;
	/* end of what is backed at once */
	size_t fixed;
	size_t io;
	size_t io_stride;
	size_t streams;
	size_t end;
};

static size_t
pages(size_t n)
{
	return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static void
lay_out(const struct tables_geometry *g, struct layout *l)
{
	size_t at = PAGE;

	l->wake = at;
	at += pages(wake_size());
	l->state = at;
	at += pages(sizeof(struct tables_state));
	l->closed = at;
	at += pages((g->max_clients + 63) / 64 * sizeof(uint64_t));
	l->counters = at;
	at += pages(COUNTER_ROWS * sizeof(struct counter_row));
	l->addresses = at;
	at += pages(g->addresses * sizeof(uint64_t));
	l->bursts = at;
	at += pages(bursts_size());
	l->lost = at;
	at += pages(lost_size());
	l->clients = at;
	at += pages((size_t)g->max_clients * sizeof(struct client));
	l->users = at;
	l->fixed = at + users_fixed_size(g->users);
	at += pages(users_size(g->users));
	l->io = at;
	l->io_stride =
	    iobuf_size(g->read_bytes, g->encode_bytes, g->chunk_bytes);
	l->streams = at + TABLES_WORKERS * l->io_stride;
	l->end = l->streams + streams_size(g->stream_bytes);
}

static bool
power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static bool
area_ok(size_t n, size_t unit)
{
	return n != 0 && n % unit == 0 && n <= MAX_AREA;
}

static bool
acceptable(const struct tables_geometry *g)
{
	return g->max_clients > 0 && g->max_clients <= MAX_CLIENTS &&
	    power_of_two(g->users) && g->users >= 2 * g->max_clients &&
	    g->users >= 64 && power_of_two(g->addresses) &&
	    g->addresses >= ADDRESS_WAYS && area_ok(g->read_bytes, PAGE) &&
	    area_ok(g->encode_bytes, PAGE) &&
	    area_ok(g->chunk_bytes, IOBUF_SLAB) &&
	    g->stream_bytes <= MAX_STREAMS &&
	    (g->stream_bytes == 0 || streams_size(g->stream_bytes) > 0);
}

void
tables_geometry_init(struct tables_geometry *g, uint32_t max_clients,
    size_t max_payload)
{
	memset(g, 0, sizeof(*g));
	g->max_clients = max_clients;
	for (g->users = 64; g->users < UINT64_C(2) * max_clients;)
		g->users *= 2;
	g->addresses = 16384;
	g->read_bytes = pages(max_payload) + (64 << 10);
	/* room for some of the largest frames */
	g->encode_bytes = 4 << 20;
	if (g->encode_bytes < 4 * max_payload)
		g->encode_bytes = pages(4 * max_payload);
	g->chunk_bytes = 64 << 20;
	g->stream_bytes = 64 << 20;
}

size_t
tables_size(const struct tables_geometry *g)
{
	struct layout l;

	if (!acceptable(g))
		return 0;
	lay_out(g, &l);
	return l.end;
}

uint64_t
tables_abi(void)
{
	const uint64_t shape[] = { VERSION, PAGE, wake_size(),
		sizeof(struct tables_head), sizeof(struct tables_state),
		offsetof(struct tables_state, store),
		offsetof(struct tables_state, child),
		sizeof(struct tables_child), sizeof(struct tables_store),
		sizeof(struct client), CLIENT_AT(out), CLIENT_AT(in),
		CLIENT_AT(owner), CLIENT_AT(due), CLIENT_AT(raw), CLIENT_AT(ws),
		CLIENT_AT(engine_sid), CLIENT_AT(opened_ms),
		CLIENT_AT(user_row), CLIENT_AT(user), CLIENT_AT(nrooms),
		CLIENT_AT(recovery_pid), CLIENT_AT(identity), CLIENT_AT(rooms),
		sizeof(struct client_room), sizeof(struct chain), IOBUF_CHUNK,
		IOBUF_SLAB, ADDRESS_WAYS, BURST_WAYS, bursts_size(), LOST_WAYS,
		lost_size(), USER_RATE__MAX, users_size(1 << 20), HIST_BUCKETS,
		sizeof(struct counter_row), streams_abi() };
	static const char rows[] =
#define COUNTER(NAME, name, help) name ","
#include "shm/tbl_counters.h"
	    ";"
#define GAUGE(NAME, name, help) name ","
#include "shm/tbl_counters.h"
	    ";"
#define HISTOGRAM(NAME, name, unit, help) name ","
#include "shm/tbl_counters.h"
	    ;

	return XXH3_64bits_withSeed(rows, sizeof(rows),
	    XXH3_64bits(shape, sizeof(shape)));
}

/* Point at the parts of an attached segment: 0, or -1 with errno ENOMEM. */
static int
settle(struct tables *t, const char **why_r)
{
	uint8_t *mem = t->seg.mem;
	struct tables_head *head = t->seg.mem;
	struct layout l;

	t->geometry = head->geometry;
	lay_out(&t->geometry, &l);
	t->wake = mem + l.wake;
	t->state = (void *)(mem + l.state);
	t->closed = (void *)(mem + l.closed);
	t->counters = (void *)(mem + l.counters);
	t->addresses = (void *)(mem + l.addresses);
	t->bursts = (void *)(mem + l.bursts);
	t->lost = (void *)(mem + l.lost);
	t->clients = (void *)(mem + l.clients);
	t->users = (void *)(mem + l.users);
	t->clients_used = &head->clients_used;
	t->io_at = l.io;
	t->io_stride = l.io_stride;
	t->secret = head->secret;
	*why_r = "out of memory";
	return streams_open(t, mem + l.streams);
}

static struct tables *
new_tables(const char **why_r)
{
	struct tables *t = calloc(1, sizeof(*t));

	if (t == NULL)
		*why_r = "out of memory";
	else
		t->seg.fd = -1;
	return t;
}

struct tables *
tables_create(const struct tables_geometry *g, const char **why_r)
{
	struct tables_head *head;
	struct layout l;
	struct tables *t;

	if (!acceptable(g)) {
		*why_r = "the tables' sizes are not acceptable";
		errno = EINVAL;
		return NULL;
	}
	lay_out(g, &l);
	if ((t = new_tables(why_r)) == NULL)
		return NULL;
	if (segment_create(&t->seg, "chatd-tables", l.end, l.fixed,
		tables_abi(), SEGMENT_DONTDUMP, why_r) == -1) {
		tables_free(&t);
		return NULL;
	}
	if (segment_allocate(&t->seg, l.streams,
		streams_fixed_size(g->stream_bytes)) == -1) {
		*why_r = "there is not enough memory to share";
		tables_free(&t);
		return NULL;
	}
	head = t->seg.mem;
	head->geometry = *g;
	arc4random_buf(head->secret, sizeof(head->secret));
	if (settle(t, why_r) == -1)
		tables_free(&t);
	return t;
}

struct tables *
tables_attach(int fd, const char **why_r)
{
	const struct tables_head *head;
	struct tables *t;

	if ((t = new_tables(why_r)) == NULL)
		return NULL;
	if (segment_attach(&t->seg, fd, tables_abi(), SEGMENT_DONTDUMP,
		why_r) == -1) {
		tables_free(&t);
		return NULL;
	}
	head = t->seg.mem;
	if (t->seg.size < PAGE || tables_size(&head->geometry) != t->seg.size) {
		*why_r = "the tables are not as large as they say";
		/* the descriptor stays the caller's */
		t->seg.fd = -1;
		tables_free(&t);
		errno = EINVAL;
		return NULL;
	}
	if (settle(t, why_r) == -1) {
		t->seg.fd = -1;
		tables_free(&t);
	}
	return t;
}

void
tables_free(struct tables **t)
{
	int saved = errno;

	if (*t != NULL) {
		streams_close(*t);
		segment_close(&(*t)->seg);
	}
	free(*t);
	*t = NULL;
	errno = saved;
}

/* The column and the area of a worker. */
static size_t
column_at(const struct tables *t, unsigned slot)
{
	return (size_t)((uint8_t *)t->users - (uint8_t *)t->seg.mem) +
	    users_column_at(t->geometry.users, slot);
}

static size_t
area_at(const struct tables *t, unsigned slot)
{
	CHECK(slot <= TABLES_WORKERS);
	return t->io_at + slot * t->io_stride;
}

int
tables_open_slot(struct tables *t, unsigned slot)
{
	const struct tables_geometry *g = &t->geometry;

	CHECK(slot < TABLES_WORKERS);
	if (segment_allocate(&t->seg, column_at(t, slot),
		users_column_size(g->users)) == -1)
		return -1;
	return segment_allocate(&t->seg, area_at(t, slot),
	    iobuf_fixed_size(g->read_bytes, g->encode_bytes));
}

void
tables_close_slot(struct tables *t, unsigned slot)
{
	CHECK(slot < TABLES_WORKERS);
	users_clear_column(t, slot);
	(void)segment_punch(&t->seg, column_at(t, slot),
	    users_column_size(t->geometry.users));
	(void)segment_punch(&t->seg, area_at(t, slot), t->io_stride);
}

/* Make the whole pages of a range of the payload read-only. */
static int
read_only(const struct tables *t, size_t from, size_t to)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t base = (uintptr_t)t->seg.mem;
	uintptr_t first = (base + from + page - 1) & ~(page - 1);
	uintptr_t end = (base + to) & ~(page - 1);

	if (end <= first)
		return 0;
	return mprotect((uint8_t *)t->seg.mem + (first - base), end - first,
	    PROT_READ);
}

int
tables_protect(struct tables *t, unsigned slot)
{
	/* no worker's own: nothing is left writable between the ranges */
	const unsigned mine = slot < TABLES_WORKERS ? slot : TABLES_WORKERS;
	const unsigned next = mine < TABLES_WORKERS ? mine + 1 : mine;
	const size_t streams = area_at(t, TABLES_WORKERS);

	if (read_only(t, 0, PAGE) == -1 ||
	    read_only(t, column_at(t, 0), column_at(t, mine)) == -1 ||
	    read_only(t, column_at(t, next), column_at(t, TABLES_WORKERS)) ==
		-1 ||
	    read_only(t, area_at(t, 0), area_at(t, mine)) == -1 ||
	    read_only(t, area_at(t, next), streams) == -1)
		return -1;
	/* every worker may come to own every stream */
	return slot < TABLES_WORKERS ? 0 : read_only(t, streams, t->seg.size);
}

int
tables_narrow(struct tables *t)
{
	struct layout l;

	lay_out(&t->geometry, &l);
	if (munmap((uint8_t *)t->seg.mem + l.addresses,
		t->seg.size - l.addresses) == -1)
		return -1;
	t->seg.size = l.addresses;
	/* or it could all be mapped again */
	(void)close(t->seg.fd);
	t->seg.fd = -1;
	t->addresses = NULL;
	t->clients = NULL;
	t->users = NULL;
	t->io_at = 0;
	streams_close(t);
	if (read_only(t, 0, l.state) == -1)
		return -1;
	return read_only(t, l.closed, l.counters);
}
