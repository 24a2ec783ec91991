/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_segment - what segment.h promises.
 */

#include <sys/mman.h>
#include <sys/resource.h>
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

#include "shm/segment.h"
#include "tests/unit/tables_fixture.h"

#define SIZE (256 << 10)
#define ABI 0x1234

static int
setup(void **state)
{
	struct segment *seg = calloc(1, sizeof(*seg));
	const char *why;

	*state = seg;
	return seg == NULL
	    ? -1
	    : segment_create(seg, "test", SIZE, SIZE, ABI, 0, &why);
}

static int
teardown(void **state)
{
	segment_close(*state);
	free(*state);
	return 0;
}

/* attach must fail, and leave the descriptor open */
static void
refused(int fd, uint64_t abi, const char *sentence)
{
	struct segment other = { .fd = -1 };
	const char *why = NULL;

	errno = 0;
	assert_int_equal(segment_attach(&other, fd, abi, 0, &why), -1);
	assert_int_not_equal(errno, 0);
	assert_non_null(why);
	assert_string_equal(why, sentence);
	assert_null(other.mem);
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
}

static void
a_segment_is_zeroed_and_as_large_as_asked(void **state)
{
	const struct segment *seg = *state;
	const uint8_t *p = seg->mem;
	size_t i;

	assert_int_equal(seg->size, SIZE);
	assert_int_equal((uintptr_t)p % 4096, 0);
	for (i = 0; i < SIZE; i++)
		assert_int_equal(p[i], 0);
}

static void
a_segment_is_shared_with_whoever_attaches(void **state)
{
	const struct segment *seg = *state;
	struct segment other;
	const char *why;

	assert_int_equal(segment_attach(&other, dup(seg->fd), ABI, 0, &why), 0);
	assert_int_equal(other.size, SIZE);
	assert_ptr_not_equal(other.mem, seg->mem);
	memcpy((uint8_t *)seg->mem + SIZE - 5, "there", 5);
	assert_memory_equal((uint8_t *)other.mem + SIZE - 5, "there", 5);
	segment_close(&other);
	assert_int_equal(other.fd, -1);
	assert_null(other.mem);
	/* again is harmless */
	segment_close(&other);
}

static void
a_segment_can_neither_shrink_nor_grow(void **state)
{
	const struct segment *seg = *state;

	assert_int_equal(ftruncate(seg->fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(seg->fd, SIZE * 4), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(seg->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
}

static void
a_segment_is_closed_on_exec(void **state)
{
	const struct segment *seg = *state;

	assert_true(fcntl(seg->fd, F_GETFD) & FD_CLOEXEC);
}

static void
another_abi_is_refused(void **state)
{
	const struct segment *seg = *state;

	refused(seg->fd, ABI + 1, "the segment was made by another version");
}

static void
a_size_that_is_not_the_file_s_is_refused(void **state)
{
	const struct segment *seg = *state;
	const uint64_t more = SIZE + 4096;

	/* the third word of the head */
	assert_int_equal(pwrite(seg->fd, &more, 8, 16), 8);
	refused(seg->fd, ABI, "the segment's size is not what it says");
}

static void
other_memory_is_refused(void **state)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("other", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4096), 0);
	refused(fd, ABI, "the segment is not sealed");
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	refused(fd, ABI, "the segment is too small to be one");
	assert_int_equal(close(fd), 0);

	fd = memfd_create("other", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	refused(fd, ABI, "the memory is not a segment of chatd");
	assert_int_equal(close(fd), 0);
}

static void
what_is_no_memfd_is_refused(void **state)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	refused(fd[0], ABI, "the descriptor is not a shared segment");
	assert_int_equal(close(fd[0]), 0);
	assert_int_equal(close(fd[1]), 0);
}

static void
an_absurd_size_is_refused(void **state)
{
	struct segment seg = { .fd = -1 };
	const char *why = NULL;

	assert_int_equal(segment_create(&seg, "no", 0, 0, ABI, 0, &why), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(why);
	assert_int_equal(segment_create(&seg, "no", SIZE_MAX, 0, ABI, 0, &why),
	    -1);
	assert_int_equal(errno, EINVAL);
}

/* in a process of its own, with a limit that the segment would break */
static int
create_over_the_limit(void)
{
	const struct rlimit rl = { 64 << 10, 64 << 10 };
	struct segment seg = { .fd = -1 };
	const char *why = NULL;

	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    setrlimit(RLIMIT_FSIZE, &rl) == -1)
		return 2;
	if (segment_create(&seg, "no", SIZE, SIZE, ABI, 0, &why) == 0)
		return 3;
	if (errno != EFBIG || why == NULL || seg.mem != NULL)
		return 4;
	return 0;
}

static void
a_size_that_the_machine_refuses_is_an_error(void **state)
{
	pid_t pid;
	int status;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		_exit(create_over_the_limit());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
only_what_is_asked_for_is_backed(void **state)
{
	struct segment seg;
	const char *why;
	size_t before;
	char *mem;

	assert_int_equal(segment_create(&seg, "sparse", 64 << 20, 8192, ABI, 0,
			     &why),
	    0);
	mem = seg.mem;
	before = backed_bytes(seg.fd);
	assert_in_range(before, 8192, 64 << 10);
	assert_int_equal(segment_allocate(&seg, 1 << 20, 1 << 20), 0);
	assert_in_range(backed_bytes(seg.fd), before + (1 << 20),
	    before + (1 << 20) + 8192);

	/* what is in it stays when it is allocated again */
	mem[1 << 20] = 'x';
	assert_int_equal(segment_allocate(&seg, 1 << 20, 1 << 20), 0);
	assert_int_equal(mem[1 << 20], 'x');

	/* and is gone when the memory is given back */
	assert_int_equal(segment_punch(&seg, 1 << 20, 1 << 20), 0);
	assert_in_range(backed_bytes(seg.fd), before, before + 8192);
	assert_int_equal(mem[1 << 20], 0);
	assert_int_equal(segment_allocate(&seg, 64 << 20, 0), 0);
	assert_int_equal(segment_punch(&seg, 0, 0), 0);
	segment_close(&seg);
}

static void
pages_are_mapped_at_once_only_when_asked(void **state)
{
	struct segment lazy, eager;
	char flags[256];
	const char *why;

	assert_int_equal(segment_create(&lazy, "lazy", 1 << 20, 1 << 20, ABI, 0,
			     &why),
	    0);
	assert_in_range(smaps(lazy.mem, flags), 0, 128);
	segment_close(&lazy);
	assert_int_equal(segment_create(&eager, "eager", 1 << 20, 1 << 20, ABI,
			     SEGMENT_POPULATE, &why),
	    0);
	assert_in_range(smaps(eager.mem, flags), 1024, 1 << 20);
	segment_close(&eager);
}

static void
a_segment_stays_out_of_core_dumps_when_asked(void **state)
{
	const struct segment *seg = *state;
	struct segment other;
	char flags[256];
	const char *why;

	assert_true(smaps(seg->mem, flags) >= 0);
	assert_null(strstr(flags, " dd"));
	assert_int_equal(segment_attach(&other, dup(seg->fd), ABI,
			     SEGMENT_DONTDUMP, &why),
	    0);
	assert_true(smaps(other.mem, flags) >= 0);
	assert_non_null(strstr(flags, " dd"));
	segment_close(&other);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_segment_is_zeroed_and_as_large_as_asked),
		T(a_segment_is_shared_with_whoever_attaches),
		T(a_segment_can_neither_shrink_nor_grow),
		T(a_segment_is_closed_on_exec),
		T(another_abi_is_refused),
		T(a_size_that_is_not_the_file_s_is_refused),
		T(other_memory_is_refused),
		T(what_is_no_memfd_is_refused),
		T(an_absurd_size_is_refused),
		T(a_size_that_the_machine_refuses_is_an_error),
		T(only_what_is_asked_for_is_backed),
		T(pages_are_mapped_at_once_only_when_asked),
		T(a_segment_stays_out_of_core_dumps_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
