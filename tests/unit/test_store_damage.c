/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_damage - a file whose bytes are not what was written.
 *
 * Each variant is a copy of one store with some bytes flipped, zeroed or
 * replaced, opened by a process of its own that reads and writes all it can.
 * CHATD_DAMAGE=n runs so many variants, CHATD_SEED= begins elsewhere.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/check.h"
#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define ROOMS 6
#define MESSAGES 400
#define PRESENT 30
#define VARIANTS 150
/* a page of noise whose offsets lead to sound rows of others */
#define HARDEST 530ULL
/* a child that takes longer hangs */
#define PATIENCE 60

enum {
	CHILD_OK,
	CHILD_NOT_OPENED,
	CHILD_WRONG_ROW,
	CHILD_MISSING_ROW,
	CHILD_WRONG_SEQ,
	CHILD_NO_REASON,
	CHILD_BROKEN,
	CHILD_TWICE,
};

static const char *const outcome[] = { "ok", "not opened", "wrong row",
	"missing row", "wrong seq", "no reason", "broken", "seq given twice" };

static struct {
	uint8_t *file;
	size_t size;
	/* the page of a message's key; 0: its body is elsewhere */
	uint64_t page[ROOMS + 1][MESSAGES + 1];
	uint64_t pages;
} good;

static uint64_t seed;

static uint64_t
rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* --- what is stored ---------------------------------------------------- */

static size_t
body_of(uint64_t room, uint64_t seq, char *b, size_t max)
{
	size_t len = seq % 50 == 7 ? 3000 + room : 40 + seq % 300, i;

	if (len > max)
		abort();
	for (i = 0; i < len; i++)
		b[i] = (char)('a' + (room * 7 + seq * 3 + i) % 26);
	return len;
}

static void
add(struct store_txn *t, uint64_t room, uint64_t seq)
{
	uint64_t hash[2] = { room * 1000 + seq, seq };
	char body[4000], id[32];
	struct store_message m = { .room = room,
		.seq = seq,
		.gseq = seq * 10,
		.time_ms = 1000 + seq,
		.user = room,
		.type = 4 };

	snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)room,
	    (unsigned long long)seq);
	m.id = text(id);
	m.body.p = body;
	m.body.len = body_of(room, seq, body, sizeof(body));
	store_message_add(t, &m, hash);
}

static bool
is_right(const struct store_message *m)
{
	char body[4000], id[32];
	size_t len = body_of(m->room, m->seq, body, sizeof(body));

	snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)m->room,
	    (unsigned long long)m->seq);
	return m->gseq == m->seq * 10 && m->time_ms == 1000 + m->seq &&
	    m->user == m->room && m->type == 4 && m->id.len == strlen(id) &&
	    memcmp(m->id.p, id, m->id.len) == 0 && m->body.len == len &&
	    memcmp(m->body.p, body, len) == 0;
}

static void
add_room(struct store_txn *t, uint64_t number)
{
	char name[16];
	struct store_room room = { .room = number, .workspace = text("w") };
	struct store_presence p = { .room = number,
		.user_id = text("u"),
		.status = text("active") };
	uint64_t i;

	snprintf(name, sizeof(name), "s%llu", (unsigned long long)number);
	room.session = text(name);
	store_room_add(t, &room);
	for (i = 1; i <= PRESENT; i++) {
		snprintf(name, sizeof(name), "k%llu", (unsigned long long)i);
		p.user = i;
		p.socket = text(name);
		p.joined_ms = number * 100 + i;
		store_presence_put(t, &p);
	}
}

static bool
note_page(const struct store_row *row, void *arg)
{
	assert_int_equal(row->fault, STORE_SOUND);
	if (row->value_len < 2000)
		good.page[row->u.message.room][row->u.message.seq] = row->page;
	return true;
}

static void
read_good(void)
{
	struct stat st;
	int fd;

	assert_true((fd = open("db/data.mdb", O_RDONLY)) >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	good.size = (size_t)st.st_size;
	assert_non_null(good.file = malloc(good.size));
	assert_int_equal(read(fd, good.file, good.size), good.size);
	close(fd);
	good.pages = good.size / 4096;
}

static int
make_store(void **state)
{
	struct store_place place = { .len = 0 };
	struct store_ring ring = { .base = 64, .pos = 1 << 20 };
	struct store_fixture *f;
	struct store_txn *t;
	uint64_t room, seq;

	/* what is killed here need not survive on a disk */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	if ((f = calloc(1, sizeof(*f))) == NULL || store_fixture_open(f) == -1)
		return -1;
	*state = f;
	for (seq = 1; seq <= MESSAGES; seq++) {
		assert_non_null(t = store_begin(f->s));
		for (room = 1; room <= ROOMS; room++) {
			if (seq == 1)
				add_room(t, room);
			add(t, room, seq);
		}
		store_ring_put(t, &ring);
		assert_int_equal(store_commit(&t), 0);
	}
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_row_walk(t, STORE_MSG, &place,
			     ROOMS * MESSAGES + 1, note_page, NULL),
	    0);
	store_snapshot_end(&t);
	store_close(&f->s);
	read_good();
	return 0;
}

static int
leave_store(void **state)
{
	struct store_fixture *f = *state;
	int rc = store_fixture_leave(f);

	free(good.file);
	free(f);
	return rc;
}

/* --- a variant --------------------------------------------------------- */

struct variant {
	uint8_t *file;
	/* a bit a page that was changed */
	uint8_t hit[4096];
	/* a branch, a root, a list: more than its own rows may be lost */
	bool inner;
};

static void
touch(struct variant *v, size_t at)
{
	const uint8_t *page = good.file + at / 4096 * 4096;

	v->hit[at / 4096 / 8] |= (uint8_t)(1 << at / 4096 % 8);
	/* a page that is no leaf; the tables' own rows are in one too */
	if (page[10] != 2 || memmem(page, 4096, "presence", 8) != NULL)
		v->inner = true;
}

static void
damage(struct variant *v)
{
	unsigned times = 1 + (unsigned)rnd(4), kind = (unsigned)rnd(5), i;
	size_t at, n;

	while (times-- > 0) {
		/* not the meta pages: they are refused as a whole */
		at = 2 * 4096 + rnd(good.size - 2 * 4096);
		n = 1;
		switch (kind) {
		case 0:
			v->file[at] ^= (uint8_t)(1 << rnd(8));
			break;
		case 1:
			v->file[at] = (uint8_t)rnd(256);
			break;
		case 2:
			/* the head of a page, or its list of nodes */
			at = at / 4096 * 4096 + rnd(64);
			v->file[at] = (uint8_t)rnd(256);
			break;
		case 3:
			at = at / 4096 * 4096;
			n = 4096;
			memset(v->file + at, 0, n);
			break;
		default:
			at = at / 4096 * 4096;
			n = 4096;
			for (i = 0; i < n; i++)
				v->file[at + i] = (uint8_t)rnd(256);
			break;
		}
		touch(v, at);
	}
}

static bool
was_hit(const struct variant *v, uint64_t page)
{
	return (v->hit[page / 8] & (1 << page % 8)) != 0;
}

/* --- the child --------------------------------------------------------- */

struct served {
	bool seen[ROOMS + 1][MESSAGES + 2];
};

static int
read_room(struct store_txn *t, uint64_t room, bool backward,
    struct served *served)
{
	struct store_message m[50];
	struct store_query q = { .room = room,
		.count = 50,
		.backward = backward,
		.from = backward ? UINT64_MAX : 0 };
	unsigned i, n, pages = 0;
	bool more = true;

	while (more) {
		if (store_page(t, &q, m, &n, &more) == -1)
			return CHILD_MISSING_ROW;
		if (++pages > 2 * MESSAGES)
			return CHILD_WRONG_ROW;
		for (i = 0; i < n; i++) {
			if (m[i].room != room || m[i].seq == 0 ||
			    m[i].seq > MESSAGES + 1 || !is_right(&m[i]))
				return CHILD_WRONG_ROW;
			served->seen[room][m[i].seq] = true;
		}
		if (n == 0)
			break;
		q.from = backward ? m[0].seq - 1 : m[n - 1].seq + 1;
	}
	return CHILD_OK;
}

static bool
on_present(const struct store_presence *p, void *arg)
{
	if (p->joined_ms != p->room * 100 + p->user)
		*(int *)arg = CHILD_WRONG_ROW;
	return true;
}

static bool
on_row(const struct store_row *row, void *arg)
{
	if (row->fault == STORE_SOUND && row->kind == STORE_ROW_MESSAGE &&
	    !is_right(&row->u.message))
		*(int *)arg = CHILD_WRONG_ROW;
	return true;
}

static bool
on_page(uint64_t page, const char *table, const char *what, void *arg)
{
	return true;
}

static int
read_rows(struct store_txn *t)
{
	struct store_place place;
	uint64_t pages, room, n;
	int rc = CHILD_OK;
	unsigned table;

	for (table = 0; table < STORE_TABLES; table++) {
		memset(&place, 0, sizeof(place));
		(void)store_row_walk(t, table, &place, 100000, on_row, &rc);
	}
	(void)store_check_pages(t, on_page, NULL, &pages);
	for (room = 1; room <= ROOMS; room++) {
		(void)store_roster(t, room, on_present, &rc);
		(void)store_presence_count(t, room, 0, &n);
	}
	return rc;
}

static int
check_served(const struct variant *v, const struct served *served)
{
	uint64_t room, seq;

	if (v->inner)
		return CHILD_OK;
	for (room = 1; room <= ROOMS; room++)
		for (seq = 1; seq <= MESSAGES; seq++) {
			uint64_t page = good.page[room][seq];

			if (page != 0 && !was_hit(v, page) &&
			    !served->seen[room][seq])
				return CHILD_MISSING_ROW;
		}
	return CHILD_OK;
}

static int
read_all(struct store *s, const struct variant *v)
{
	struct served *served;
	struct store_txn *t;
	uint64_t room, seq;
	int rc;

	if ((served = calloc(1, sizeof(*served))) == NULL ||
	    (t = store_snapshot(s)) == NULL)
		return CHILD_MISSING_ROW;
	rc = read_rows(t);
	for (room = 1; rc == CHILD_OK && room <= ROOMS; room++) {
		rc = read_room(t, room, false, served);
		if (rc == CHILD_OK && v != NULL)
			rc = check_served(&(struct variant){ .inner = true },
			    served);
		/* only who writes must know it for certain */
		if (rc == CHILD_OK && store_last_seq(t, room, &seq) == 0 &&
		    seq > MESSAGES + 1)
			rc = CHILD_WRONG_SEQ;
	}
	if (rc == CHILD_OK && v != NULL)
		rc = check_served(v, served);
	memset(served, 0, sizeof(*served));
	for (room = 1; rc == CHILD_OK && room <= ROOMS; room++)
		rc = read_room(t, room, true, served);
	if (rc == CHILD_OK && v != NULL)
		rc = check_served(v, served);
	store_snapshot_end(&t);
	free(served);
	return rc;
}

/* As the scribe does: what is damaged is refused, and only that. */
static int
write_all(struct store *s)
{
	struct store_damage d;
	struct store_txn *t;
	uint64_t room, seq, rev;

	for (room = 1; room <= ROOMS; room++) {
		if ((t = store_begin(s)) == NULL)
			return CHILD_BROKEN;
		if (store_last_seq(t, room, &seq) == 0) {
			if (seq != MESSAGES)
				return CHILD_WRONG_SEQ;
			add(t, room, seq + 1);
		}
		(void)store_message_edit(t, room, 5,
		    (struct store_text){ "e", 1 }, 1, 1, &rev);
		store_presence_del(t, room, 3, text("k3"));
		if (store_error(t) == EEXIST)
			return CHILD_TWICE;
		if (store_commit(&t) == 0)
			continue;
		if (errno == ENOTRECOVERABLE)
			return CHILD_BROKEN;
		if (errno == EUCLEAN && !store_take_damage(s, &d))
			return CHILD_NO_REASON;
	}
	return CHILD_OK;
}

static int
child(const struct variant *v)
{
	const char *why = NULL;
	struct store *s;
	int rc;

	alarm(PATIENCE);
	/* not the test's own handlers */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	signal(SIGFPE, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	if ((s = store_open(STORE_WRITE, &why)) == NULL)
		return why != NULL ? CHILD_NOT_OPENED : CHILD_NO_REASON;
	if ((rc = read_all(s, v)) == CHILD_OK)
		rc = write_all(s);
	return rc;
}

static void
put_file(const uint8_t *file, size_t size)
{
	int fd;

	(void)unlink("db/data.mdb");
	assert_true((fd = open("db/data.mdb", O_WRONLY | O_CREAT, 0600)) >= 0);
	assert_int_equal(write(fd, file, size), size);
	close(fd);
}

static int
run_variant(const struct variant *v)
{
	int status;
	pid_t pid;

	put_file(v->file, good.size);
	if ((pid = fork()) == 0) {
		log_set_level(LOG_LEVEL_ERROR);
		if (getenv("CHATD_VERBOSE") == NULL)
			(void)!freopen("/dev/null", "w", stderr);
		_exit(child(v));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
whatever_is_damaged_nothing_wrong_is_served_and_nobody_dies(void **state)
{
	const char *n = getenv("CHATD_DAMAGE"), *s = getenv("CHATD_SEED");
	unsigned variants =
		     n != NULL ? (unsigned)strtoul(n, NULL, 10) : VARIANTS,
		 i;
	uint64_t first = s != NULL ? strtoull(s, NULL, 10) : 1;
	unsigned count[8] = { 0 }, failed = 0;
	struct variant v;
	int status;

	assert_non_null(v.file = malloc(good.size));
	for (i = 0; i < variants; i++) {
		memcpy(v.file, good.file, good.size);
		memset(v.hit, 0, sizeof(v.hit));
		v.inner = false;
		seed = (first + i) * 0x9E3779B97F4A7C15ULL;
		/* this one was the hardest */
		if (i + 1 == variants && variants == VARIANTS)
			seed = HARDEST * 0x9E3779B97F4A7C15ULL;
		damage(&v);
		status = run_variant(&v);
		if (!WIFEXITED(status) || WEXITSTATUS(status) > CHILD_TWICE) {
			print_error("seed %llu: status %x\n",
			    (unsigned long long)(first + i), status);
			failed++;
			continue;
		}
		count[WEXITSTATUS(status)]++;
		if (WEXITSTATUS(status) > CHILD_NOT_OPENED) {
			print_error("seed %llu: %s\n",
			    (unsigned long long)(first + i),
			    outcome[WEXITSTATUS(status)]);
			failed++;
		}
	}
	free(v.file);
	for (i = 0; i < 8; i++)
		if (count[i] > 0)
			print_message("%s: %u\n", outcome[i], count[i]);
	assert_int_equal(failed, 0);
	assert_true(count[CHILD_OK] > variants / 2);
}

/* LMDB would copy it with memcpy(): past our memory. */
static void
a_page_with_wrong_bounds_is_never_copied(void **state)
{
	struct variant v = { .inner = true };
	unsigned leaves = 0;
	size_t at;
	int status;

	assert_non_null(v.file = malloc(good.size));
	memcpy(v.file, good.file, good.size);
	for (at = 2 * 4096; at < good.size; at += 4096) {
		uint8_t *page = v.file + at;

		if (page[10] != 2 || page[11] != 0 ||
		    memmem(page, 4096, "presence", 8) != NULL || page[17] > 15)
			continue;
		/* rows of rooms: keys of 16 bytes */
		if (page[page[16] + page[17] * 256U + 6] != 16)
			continue;
		page[14] = 0xf0;
		page[15] = 0xff;
		leaves++;
	}
	assert_true(leaves > 100);
	status = run_variant(&v);
	free(v.file);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), CHILD_OK);
}

/* Change each leaf of such keys of the file that is there. */
static unsigned
damage_leaves(size_t key_len, void (*change)(uint8_t *page))
{
	unsigned leaves = 0;
	uint8_t page[4096];
	off_t at;
	int fd;

	assert_true((fd = open("db/data.mdb", O_RDWR)) >= 0);
	for (at = 2 * 4096; pread(fd, page, 4096, at) == 4096; at += 4096) {
		if (page[10] != 2 || page[11] != 0 ||
		    memmem(page, 4096, "presence", 8) != NULL || page[17] > 15)
			continue;
		if (page[page[16] + page[17] * 256U + 6] != key_len)
			continue;
		change(page);
		assert_int_equal(pwrite(fd, page, 4096, at), 4096);
		leaves++;
	}
	close(fd);
	return leaves;
}

static void
spoil_bounds(uint8_t *page)
{
	page[14] = 0xf0;
	page[15] = 0xff;
}

static void
turn_round(uint8_t *page)
{
	unsigned n = (unsigned)((page[12] | page[13] << 8) - 16) / 2, i;
	uint16_t *offset = (uint16_t *)(void *)(page + 16), swap;

	for (i = 0; i < n / 2; i++) {
		swap = offset[i];
		offset[i] = offset[n - 1 - i];
		offset[n - 1 - i] = swap;
	}
}

static void
a_page_that_was_sound_a_second_ago_is_looked_at_again(void **state)
{
	struct clock_shift later = { .mono_ns = (int64_t)(2 * CLOCK_S_NS) };
	struct store_damage d;
	struct store_txn *t;
	const char *why;
	struct store *s;

	put_file(good.file, good.size);
	assert_non_null(s = store_open(STORE_WRITE, &why));
	assert_non_null(t = store_begin(s));
	add(t, 1, MESSAGES + 1);
	store_abort(&t);
	assert_true(damage_leaves(16, spoil_bounds) > 100);
	clock_set_shift(&later);
	assert_non_null(t = store_begin(s));
	add(t, 1, MESSAGES + 1);
	assert_int_equal(store_commit(&t), -1);
	assert_int_equal(errno, EUCLEAN);
	assert_true(store_take_damage(s, &d));
	clock_set_shift(NULL);
	store_close(&s);
}

static void
a_name_that_is_not_found_on_a_damaged_page_is_not_given_again(void **state)
{
	struct store_room room = { .workspace = text("w") };
	struct store_damage d;
	struct store_txn *t;
	unsigned lost = 0;
	const char *why;
	struct store *s;
	uint64_t number;
	char name[16];

	put_file(good.file, good.size);
	/* "n", workspace, NUL, session; and "#", number: one page here */
	assert_true(damage_leaves(9, turn_round) > 0);
	assert_non_null(s = store_open(STORE_WRITE, &why));
	for (number = 1; number <= ROOMS; number++) {
		assert_non_null(t = store_begin(s));
		snprintf(name, sizeof(name), "s%llu",
		    (unsigned long long)number);
		room.session = text(name);
		room.room = 1000 + number;
		if (store_room_find(t, room.workspace, room.session,
			&(uint64_t){ 0 }) == 0) {
			store_abort(&t);
			continue;
		}
		lost++;
		store_room_add(t, &room);
		assert_int_equal(store_commit(&t), -1);
		assert_int_equal(errno, EUCLEAN);
		assert_true(store_take_damage(s, &d));
	}
	assert_true(lost > 0);
	store_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    whatever_is_damaged_nothing_wrong_is_served_and_nobody_dies),
		cmocka_unit_test(a_page_with_wrong_bounds_is_never_copied),
		cmocka_unit_test(
		    a_page_that_was_sound_a_second_ago_is_looked_at_again),
		cmocka_unit_test(
		    a_name_that_is_not_found_on_a_damaged_page_is_not_given_again),
	};

	return cmocka_run_group_tests(tests, make_store, leave_store);
}
