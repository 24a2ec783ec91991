/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_iobuf - what iobuf.h promises to a worker.
 */

#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/iobuf.h"
#include "shm/tables.h"
#include "tests/unit/tables_fixture.h"

#define DATA IOBUF_CHUNK_DATA
#define MAX_CHUNKS (2 * IOBUF_SLAB / IOBUF_CHUNK)

/* bytes that tell where they come from */
static uint8_t pattern[4 << 20];

static int
group_setup(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)((i * 2654435761U) >> 13);
	return 0;
}

static struct iobuf
opened(const struct tables *t, unsigned slot)
{
	struct iobuf io;

	iobuf_open(&io, t, slot);
	return io;
}

/* --- read buffer and arena --------------------------------------------- */

static void
an_area_is_as_large_as_configured(void **state)
{
	const struct tables *t = *state;
	struct iobuf io = opened(t, 3);

	assert_int_equal(io.read_size, t->geometry.read_bytes);
	assert_int_equal(io.encode_size, t->geometry.encode_bytes);
	assert_int_equal(iobuf_chunks_max(&io), MAX_CHUNKS);
	assert_int_equal(iobuf_chunks_used(&io), 0);
}

static void
workers_areas_are_their_own(void **state)
{
	struct tables *t = *state;
	struct iobuf io[TABLES_WORKERS];
	struct chain c[TABLES_WORKERS] = { 0 };
	uint8_t byte;
	unsigned i;

	for (i = 0; i < TABLES_WORKERS; i++) {
		io[i] = opened(t, i);
		memset(io[i].read, (int)i, io[i].read_size);
		memset(io[i].encode, (int)i + 64, io[i].encode_size);
		byte = (uint8_t)(i + 128);
		assert_int_equal(chain_append(&io[i], &c[i], &byte, 1), 0);
	}
	for (i = 0; i < TABLES_WORKERS; i++) {
		assert_int_equal(io[i].read[0], i);
		assert_int_equal(io[i].read[io[i].read_size - 1], i);
		assert_int_equal(io[i].encode[0], i + 64);
		assert_int_equal(io[i].encode[io[i].encode_size - 1], i + 64);
		assert_int_equal(chain_copy(&io[i], &c[i], 0, &byte, 1), 1);
		assert_int_equal(byte, i + 128);
	}
}

static void
another_process_finds_the_same_bytes(void **state)
{
	struct tables *t = *state, *o = small_tables_again(t);
	struct iobuf io = opened(t, 3);
	struct chain *c = (void *)io.encode;
	struct iovec iov[4];

	/* the chain's head lies in shared memory, as in a client record */
	assert_int_equal(chain_append(&io, c, pattern, 9000), 0);
	assert_int_equal(chain_iov(&io, c, 0, iov, 4), 3);
	assert_memory_equal((uint8_t *)o->seg.mem +
		((uint8_t *)iov[2].iov_base - (uint8_t *)t->seg.mem),
	    pattern + 2 * DATA, 9000 - 2 * DATA);
	tables_free(&o);
}

static void
frames_lie_one_behind_the_other(void **state)
{
	struct iobuf io = opened(*state, 3);
	uint8_t *p;

	p = iobuf_encode_reserve(&io, 100);
	assert_ptr_equal(p, io.encode);
	memset(p, 'a', 60);
	assert_int_equal(iobuf_encode_commit(&io, 60), 0);
	/* reserved and given up */
	assert_ptr_equal(iobuf_encode_reserve(&io, 500), io.encode + 60);
	p = iobuf_encode_reserve(&io, 10);
	assert_ptr_equal(p, io.encode + 60);
	assert_int_equal(iobuf_encode_commit(&io, 10), 60);
	assert_int_equal(io.encode_used, 70);
	iobuf_encode_reset(&io);
	assert_int_equal(io.encode_used, 0);
	assert_ptr_equal(iobuf_encode_reserve(&io, 1), io.encode);
}

static void
a_full_arena_takes_no_more(void **state)
{
	struct iobuf io = opened(*state, 3);

	assert_null(iobuf_encode_reserve(&io, io.encode_size + 1));
	assert_null(iobuf_encode_reserve(&io, SIZE_MAX));
	assert_non_null(iobuf_encode_reserve(&io, io.encode_size));
	(void)iobuf_encode_commit(&io, io.encode_size - 1);
	assert_non_null(iobuf_encode_reserve(&io, 1));
	assert_null(iobuf_encode_reserve(&io, 2));
	(void)iobuf_encode_commit(&io, 1);
	assert_null(iobuf_encode_reserve(&io, 1));
	assert_non_null(iobuf_encode_reserve(&io, 0));
}

/* --- chains ------------------------------------------------------------ */

/* From 'at' on, pieces of the chain are these bytes, a few at a time. */
static void
assert_pieces(const struct iobuf *io, const struct chain *c,
    const uint8_t *bytes, size_t len, size_t at)
{
	struct iovec iov[8];
	int i, n, most = 3;
	size_t k;

	while (at < len) {
		n = chain_iov(io, c, at, iov, most);
		assert_in_range(n, 1, most);
		for (i = 0; i < n; i++) {
			k = iov[i].iov_len;
			assert_in_range(k, 1, DATA);
			assert_true(k <= len - at);
			assert_memory_equal(iov[i].iov_base, bytes + at, k);
			at += k;
		}
		most = most % 8 + 1;
	}
	assert_int_equal(at, len);
	assert_int_equal(chain_iov(io, c, len, iov, 8), 0);
}

/* The chain holds exactly these bytes, however one looks at it. */
static void
assert_chain(const struct iobuf *io, const struct chain *c,
    const uint8_t *bytes, size_t len)
{
	static uint8_t buf[sizeof(pattern)];

	assert_int_equal(c->bytes, len);
	assert_int_equal(chain_copy(io, c, 0, buf, sizeof(buf)), len);
	assert_memory_equal(buf, bytes, len);
	assert_pieces(io, c, bytes, len, 0);
	assert_pieces(io, c, bytes, len, len / 3);
}

static void
a_chain_gives_back_what_was_put_in(void **state)
{
	static const size_t sizes[] = { 1, 2, DATA - 1, DATA, DATA + 1,
		2 * DATA, 3 * DATA + 7, 100 * DATA, 300 * DATA + 1 };
	struct iobuf io = opened(*state, 3);
	struct chain c;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(&c, 0, sizeof(c));
		assert_int_equal(chain_append(&io, &c, pattern, sizes[i]), 0);
		assert_chain(&io, &c, pattern, sizes[i]);
		assert_int_equal(iobuf_chunks_used(&io),
		    (sizes[i] + DATA - 1) / DATA);
		chain_free(&io, &c);
		assert_int_equal(c.head | c.tail | c.bytes | c.skip, 0);
		assert_int_equal(iobuf_chunks_used(&io), 0);
	}
}

static void
an_empty_chain_owns_nothing(void **state)
{
	struct iobuf io = opened(*state, 3);
	struct chain c = { 0 };
	struct iovec iov[2];
	uint8_t byte;

	assert_int_equal(chain_append(&io, &c, pattern, 0), 0);
	assert_int_equal(iobuf_chunks_used(&io), 0);
	assert_int_equal(chain_iov(&io, &c, 0, iov, 2), 0);
	assert_int_equal(chain_copy(&io, &c, 0, &byte, 1), 0);
	chain_consume(&io, &c, 5);
	chain_free(&io, &c);
	assert_int_equal(iobuf_chunks_used(&io), 0);

	/* consumed to the last byte, it owns nothing again */
	assert_int_equal(chain_append(&io, &c, pattern, DATA), 0);
	chain_consume(&io, &c, DATA);
	assert_int_equal(c.head | c.tail | c.bytes | c.skip, 0);
	assert_int_equal(iobuf_chunks_used(&io), 0);
	/* more than there is: all */
	assert_int_equal(chain_append(&io, &c, pattern, 10), 0);
	chain_consume(&io, &c, SIZE_MAX);
	assert_int_equal(iobuf_chunks_used(&io), 0);
}

static void
any_part_of_a_chain_can_be_looked_at(void **state)
{
	struct iobuf io = opened(*state, 3);
	struct chain c = { 0 };
	static uint8_t buf[8 * DATA];
	size_t off, len;

	assert_int_equal(chain_append(&io, &c, pattern, 5 * DATA + 9), 0);
	chain_consume(&io, &c, 700);
	for (off = 0; off < 5 * DATA - 691; off += 331) {
		for (len = 1; len < 3 * DATA; len = len * 3 + 1) {
			size_t n = chain_copy(&io, &c, off, buf, len);

			assert_int_equal(n,
			    len < c.bytes - off ? len : c.bytes - off);
			assert_memory_equal(buf, pattern + 700 + off, n);
		}
	}
	chain_free(&io, &c);
}

static void
chains_are_queues_whatever_is_done_to_them(void **state)
{
	enum {
		CHAINS = 7
	};
	struct iobuf io = opened(*state, 3);
	struct chain c[CHAINS] = { 0 };
	size_t from[CHAINS] = { 0 }, to[CHAINS] = { 0 };
	unsigned round, i;
	size_t n, used;

	srandom(7);
	for (round = 0; round < 20000; round++) {
		i = (unsigned)random() % CHAINS;
		n = (size_t)random() % (1 << (random() % 15));
		if (random() % 2 && to[i] - from[i] < 50 * DATA &&
		    to[i] + n < sizeof(pattern)) {
			assert_int_equal(chain_append(&io, &c[i],
					     pattern + to[i], n),
			    0);
			to[i] += n;
		} else if (to[i] + n >= sizeof(pattern)) {
			chain_free(&io, &c[i]);
			from[i] = to[i] = 0;
		} else {
			chain_consume(&io, &c[i], n);
			from[i] += n < to[i] - from[i] ? n : to[i] - from[i];
		}
		assert_int_equal(c[i].bytes, to[i] - from[i]);
		if (round % 16 == 0)
			assert_chain(&io, &c[i], pattern + from[i],
			    to[i] - from[i]);
		for (i = 0, used = 0; i < CHAINS; i++)
			used += (c[i].skip + c[i].bytes + DATA - 1) / DATA;
		assert_int_equal(iobuf_chunks_used(&io), used);
	}
	for (i = 0; i < CHAINS; i++)
		chain_free(&io, &c[i]);
	assert_int_equal(iobuf_chunks_used(&io), 0);
}

/* --- the pool ---------------------------------------------------------- */

static void
an_empty_pool_is_an_error_and_changes_nothing(void **state)
{
	struct iobuf io = opened(*state, 3);
	struct chain big = { 0 }, small = { 0 };

	assert_int_equal(chain_append(&io, &small, pattern, 10), 0);
	assert_int_equal(chain_append(&io, &big, pattern,
			     (MAX_CHUNKS - 2) * DATA),
	    0);
	/* needs two, there is one; the rest of its chunk would be free */
	errno = 0;
	assert_int_equal(chain_append(&io, &small, pattern, 2 * DATA), -1);
	assert_int_equal(errno, ENOBUFS);
	assert_chain(&io, &small, pattern, 10);
	assert_int_equal(iobuf_chunks_used(&io), MAX_CHUNKS - 1);

	/* what does fit is taken */
	assert_int_equal(chain_append(&io, &small, pattern + 10, 2 * DATA - 10),
	    0);
	assert_int_equal(chain_append(&io, &small, pattern, 1), -1);
	assert_chain(&io, &small, pattern, 2 * DATA);
	assert_int_equal(iobuf_chunks_used(&io), MAX_CHUNKS);

	/* and what is given back can be had again */
	chain_consume(&io, &big, DATA);
	assert_int_equal(chain_append(&io, &small, pattern + 2 * DATA, DATA),
	    0);
	assert_int_equal(chain_append(&io, &small, pattern, 1), -1);
	chain_free(&io, &small);
	chain_free(&io, &big);
	assert_int_equal(iobuf_chunks_used(&io), 0);
}

static void
chunks_are_backed_a_slab_at_a_time(void **state)
{
	struct tables *t = *state;
	struct chain c = { 0 };
	struct iobuf io;
	size_t before;

	assert_int_equal(tables_open_slot(t, 3), 0);
	before = backed_bytes(t->seg.fd);
	io = opened(t, 3);
	assert_int_equal(backed_bytes(t->seg.fd), before);
	assert_int_equal(chain_append(&io, &c, pattern, 1), 0);
	assert_int_equal(backed_bytes(t->seg.fd), before + IOBUF_SLAB);
	assert_int_equal(chain_append(&io, &c, pattern, 200 * DATA), 0);
	assert_int_equal(backed_bytes(t->seg.fd), before + IOBUF_SLAB);
	assert_int_equal(chain_append(&io, &c, pattern, 200 * DATA), 0);
	assert_int_equal(backed_bytes(t->seg.fd), before + 2 * IOBUF_SLAB);
	chain_free(&io, &c);
}

static void
a_machine_without_memory_is_an_error(void **state)
{
	struct tables *t = *state;
	const int fd = t->seg.fd;
	struct iobuf io = opened(t, 3);
	struct chain c = { 0 };

	/* a descriptor that cannot allocate */
	t->seg.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(chain_append(&io, &c, pattern, 1), -1);
	assert_int_equal(errno, ENOBUFS);
	assert_int_equal(c.head | c.tail | c.bytes | c.skip, 0);
	assert_int_equal(close(t->seg.fd), 0);
	t->seg.fd = fd;
	assert_int_equal(chain_append(&io, &c, pattern, 1), 0);
	chain_free(&io, &c);
}

static void
an_idle_worker_gives_memory_back(void **state)
{
	struct tables *t = *state;
	struct iobuf io = opened(t, 3);
	struct chain c = { 0 }, d = { 0 };
	size_t before;

	assert_false(iobuf_idle(&io));
	assert_int_equal(chain_append(&io, &c, pattern, 1), 0);
	before = backed_bytes(t->seg.fd);
	assert_int_equal(chain_append(&io, &d, pattern, 400 * DATA), 0);
	chain_free(&io, &d);
	/* not while a chunk is in use */
	assert_false(iobuf_idle(&io));
	assert_true(backed_bytes(t->seg.fd) > before);
	chain_free(&io, &c);
	assert_true(iobuf_idle(&io));
	assert_int_equal(backed_bytes(t->seg.fd), before);
	assert_false(iobuf_idle(&io));

	/* and takes it again */
	assert_int_equal(chain_append(&io, &c, pattern, MAX_CHUNKS * DATA), 0);
	assert_chain(&io, &c, pattern, MAX_CHUNKS * DATA);
	assert_int_equal(chain_append(&io, &d, pattern, 1), -1);
	chain_free(&io, &c);
}

static void
a_successor_begins_with_an_empty_pool(void **state)
{
	struct tables *t = *state;
	struct iobuf io = opened(t, 3), next;
	struct chain c = { 0 };
	size_t before;

	assert_int_equal(chain_append(&io, &c, pattern, 400 * DATA), 0);
	(void)iobuf_encode_commit(&io, 10);
	before = backed_bytes(t->seg.fd);

	next = opened(t, 3);
	assert_int_equal(iobuf_chunks_used(&next), 0);
	assert_int_equal(next.encode_used, 0);
	memset(&c, 0, sizeof(c));
	assert_int_equal(chain_append(&next, &c, pattern, MAX_CHUNKS * DATA),
	    0);
	assert_chain(&next, &c, pattern, MAX_CHUNKS * DATA);
	/* in the memory that was there */
	assert_int_equal(backed_bytes(t->seg.fd), before);
	chain_free(&next, &c);
}

static void
a_chain_that_makes_no_sense_stops_the_worker(void **state)
{
	struct iobuf io = opened(*state, 3);
	struct chain c = { 0 };
	uint8_t byte;
	int status, null;
	pid_t pid;

	assert_int_equal(chain_append(&io, &c, pattern, 10), 0);
	c.head = 2;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if ((null = open("/dev/null", O_WRONLY)) != -1)
			(void)dup2(null, STDERR_FILENO);
		if (signal(SIGABRT, SIG_DFL) != SIG_ERR)
			(void)chain_copy(&io, &c, 0, &byte, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_area_is_as_large_as_configured),
		T(workers_areas_are_their_own),
		T(another_process_finds_the_same_bytes),
		T(frames_lie_one_behind_the_other),
		T(a_full_arena_takes_no_more),
		T(a_chain_gives_back_what_was_put_in),
		T(an_empty_chain_owns_nothing),
		T(any_part_of_a_chain_can_be_looked_at),
		T(chains_are_queues_whatever_is_done_to_them),
		T(an_empty_pool_is_an_error_and_changes_nothing),
		T(chunks_are_backed_a_slab_at_a_time),
		T(a_machine_without_memory_is_an_error),
		T(an_idle_worker_gives_memory_back),
		T(a_successor_begins_with_an_empty_pool),
		T(a_chain_that_makes_no_sense_stops_the_worker),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
