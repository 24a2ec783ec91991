/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_recovery_rows - what joins, leaves and resumes make of recovery rows.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/env.h"
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

static void
copy_text(char *to, size_t size, struct store_text t)
{
	snprintf(to, size, "%.*s", (int)t.len, t.p);
}

static struct row
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

static bool
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

static struct ring_index
join(struct scribe_fixture *f, const struct fix_socket *s, const char *session)
{
	return fix_decided(f, fix_sock_join(f, s, session, 0, NULL));
}

static struct ring_index
rejoin(struct scribe_fixture *f, const struct fix_socket *s,
    const char *session)
{
	return fix_decided(f,
	    fix_sock_join(f, s, session, RECORD_F_RESUME, "99"));
}

static struct ring_index
leave(struct scribe_fixture *f, const struct fix_socket *s,
    const struct ring_index *in, unsigned flags)
{
	return fix_decided(f, fix_sock_leave(f, s, in, flags));
}

static struct ring_index
resume(struct scribe_fixture *f, const struct fix_socket *s)
{
	return fix_decided(f, fix_sock_resume(f, s));
}

static void
set_window(struct scribe_fixture *f, uint64_t ms)
{
	f->limits.recovery_window_ms = ms;
	sequence_configure(f->q, &f->limits);
}

/* A new daemon on the same store. */
static void
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

/* --- joins ------------------------------------------------------------- */

static void
the_first_join_makes_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g = fix_sock_join(f, &ada, "a", 0, "41");
	struct ring_index in = fix_decided(f, g);
	struct row row = row_of(f, &ada);

	assert_int_equal(in.verdict, RING_STORED);
	assert_true(row.there);
	assert_string_equal(row.socket, "socket-of-ada");
	assert_string_equal(row.user, "ada");
	assert_string_equal(row.agent, "agent");
	assert_int_equal(row.r.user, in.user);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(row.r.run, FIX_BASE);
	assert_int_equal(row.r.incarnation, FIX_INCARNATION);
	assert_int_equal(row.r.client, 7);
	assert_int_equal(row.r.generation, 1);
	assert_false(row.r.partial);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].room, in.room);
	assert_int_equal(row.r.room[0].gseq, g);
	assert_true(row.r.room[0].has_after);
	assert_int_equal(row.r.room[0].after_seq, 41);
	assert_true(row.r.room[0].present);
	assert_true(is_member(f, &ada, &in, true));
}

static void
further_joins_add_their_rooms(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row = row_of(f, &ada);

	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_int_equal(row.r.room[1].room, two.room);
	assert_false(row.r.room[1].has_after);
	assert_true(row.r.room[1].gseq > row.r.room[0].gseq);
}

static void
a_join_without_a_pid_makes_no_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in =
	    fix_decided(f, fix_join(f, "w", "a", "ada", "socket-of-ada"));

	assert_int_equal(in.verdict, RING_STORED);
	assert_false(row_of(f, &ada).there);
	assert_true(is_member(f, &ada, &in, false));
}

static void
a_join_that_is_published_again_counts_from_then(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g;
	struct row row;

	(void)join(f, &ada, "a");
	g = fix_sock_join(f, &ada, "a", 0, "5");
	assert_int_equal(fix_decided(f, g).verdict, RING_DUPLICATE);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].gseq, g);
	assert_int_equal(row.r.room[0].after_seq, 5);
}

static void
a_join_with_fields_that_make_no_sense_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	static const char *const after[] = { "x", "-1", "1 ", " 1", "0x1",
		"18446744073709551616", "99999999999999999999" };
	struct fix_socket bad = ada;
	unsigned i;

	for (i = 0; i < sizeof(after) / sizeof(after[0]); i++)
		assert_int_equal(fix_decided(f,
				     fix_sock_join(f, &ada, "a", 0, after[i]))
				     .verdict,
		    RING_REJECTED);
	bad.pid = "a-pid-of-21-character";
	assert_int_equal(join(f, &bad, "a").verdict, RING_REJECTED);
	bad.pid = "short";
	assert_int_equal(join(f, &bad, "a").verdict, RING_REJECTED);
	assert_int_equal(fix_decided(f,
			     fix_sock_join(f, &ada, "a", 0,
				 "18446744073709551615"))
			     .verdict,
	    RING_STORED);
	assert_true(row_of(f, &ada).r.room[0].after_seq == UINT64_MAX);
}

static void
nobody_joins_with_the_pid_of_somebody_else(void **state)
{
	struct scribe_fixture *f = *state;
	struct fix_socket other = ada;
	struct ring_index in = join(f, &ada, "a"), ix;

	assert_int_equal(join(f, &back, "b").verdict, RING_REJECTED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_REJECTED);
	other.user = "eve";
	assert_int_equal(join(f, &other, "b").verdict, RING_REJECTED);
	other.user = "ada";
	other.socket = "another";
	ix = join(f, &other, "b");
	assert_int_equal(ix.verdict, RING_REJECTED);
	/* and no number was given out for it */
	assert_int_equal(ix.room, 0);
	assert_int_equal(row_of(f, &ada).r.nrooms, 1);
	assert_true(is_member(f, &ada, &in, true));
	assert_int_equal(join(f, &ada, "new").room, in.room + 1);
}

static void
a_full_session_leaves_no_trace_in_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in;
	uint64_t g;

	f->limits.members_per_session = 1;
	sequence_configure(f->q, &f->limits);
	(void)fix_room(f, "full", NULL);
	assert_int_equal(join(f, &ada, "full").verdict, RING_SESSION_FULL);
	assert_false(row_of(f, &ada).there);
	in = join(f, &ada, "a");
	g = fix_sock_join(f, &ada, "full", 0, NULL);
	/* with something that is written in the same batch */
	fix_decided(f, fix_message(f, in.room, in.user, "m1", 0));
	assert_int_equal(fix_index(f, g).verdict, RING_SESSION_FULL);
	assert_int_equal(row_of(f, &ada).r.nrooms, 1);
}

static void
a_socket_in_more_rooms_than_fit_cannot_be_recovered(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;
	char session[16];
	unsigned i;

	for (i = 0; i < STORE_RECOVERY_ROOMS; i++) {
		snprintf(session, sizeof(session), "s%u", i);
		ix = join(f, &ada, session);
		assert_int_equal(ix.verdict, RING_STORED);
	}
	assert_false(row_of(f, &ada).r.partial);
	ix = join(f, &ada, "one more");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_true(is_member(f, &ada, &ix, false));
	assert_true(row_of(f, &ada).r.partial);
	assert_int_equal(row_of(f, &ada).r.nrooms, STORE_RECOVERY_ROOMS);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(leave(f, &ada, &ix, RECORD_F_LOST).verdict,
	    RING_STORED);
	/* which is nobody else's fault */
	(void)join(f, &bob, "s1");
	assert_false(row_of(f, &bob).r.partial);
}

static void
an_owner_is_worker_session_and_serial(void **state)
{
	struct scribe_fixture *f = *state;
	struct fix_socket other = ada;
	struct ring *first;
	uint64_t g;

	(void)join(f, &ada, "a");
	other.client++;
	assert_int_equal(join(f, &other, "b").verdict, RING_REJECTED);
	other.client--;
	other.generation++;
	assert_int_equal(join(f, &other, "b").verdict, RING_REJECTED);
	other.generation--;
	assert_int_equal(join(f, &other, "b").verdict, RING_STORED);
	/* the same numbers in another worker */
	first = fix_other_worker(f);
	g = fix_sock_join(f, &other, "c", 0, NULL);
	fix_first_worker(f, first);
	assert_int_equal(fix_decided(f, g).verdict, RING_REJECTED);
}

/* One of many sockets, with an agent of its own in each room. */
static uint64_t
join_with_agent(struct scribe_fixture *f, unsigned i, unsigned room)
{
	char pid[STORE_PID + 1], socket[16], session[16], agent[64];
	const char *const fields[] = { "w", session, "ada", "A", socket, agent,
		pid, "" };
	struct record h = { .type = RECORD_JOIN, .client = i };

	snprintf(pid, sizeof(pid), "pid-%016u", i);
	snprintf(socket, sizeof(socket), "s%u", i);
	snprintf(session, sizeof(session), "room%u", room);
	snprintf(agent, sizeof(agent), "agent-%u-%0*u", i, (int)(room * 7 + 1),
	    room);
	return fix_publish(f, &h, fields, 8);
}

static void
rows_that_grow_side_by_side_keep_their_text(void **state)
{
	struct scribe_fixture *f = *state;
	char pid[STORE_PID + 1], agent[64];
	struct store_recovery row;
	struct store_txn *t;
	unsigned i, k;

	for (k = 0; k < 6; k++)
		for (i = 0; i < 40; i++)
			(void)join_with_agent(f, i, k);
	fix_turns(f);
	assert_non_null(t = store_snapshot(f->st.s));
	for (i = 0; i < 40; i++) {
		snprintf(pid, sizeof(pid), "pid-%016u", i);
		assert_int_equal(store_recovery_get(t, text(pid), &row), 0);
		assert_int_equal(row.nrooms, 6);
		for (k = 0; k < 6; k++) {
			snprintf(agent, sizeof(agent), "agent-%u-%0*u", i,
			    (int)(k * 7 + 1), k);
			assert_int_equal(row.room[k].agent.len, strlen(agent));
			assert_memory_equal(row.room[k].agent.p, agent,
			    strlen(agent));
		}
	}
	store_snapshot_end(&t);
}

static void
a_change_of_status_keeps_the_pid(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");

	fix_decided(f, fix_presence(f, in.room, in.user, ada.socket, "away"));
	assert_true(is_member(f, &ada, &in, true));
	leave(f, &ada, &in, RECORD_F_LOST);
	assert_true(row_of(f, &ada).r.lost_ms > 0);
}

/* --- leaves ------------------------------------------------------------ */

static void
who_leaves_a_room_forgets_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct ring_index three = join(f, &ada, "c");
	struct row row;

	assert_int_equal(leave(f, &ada, &two, 0).verdict, RING_STORED);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_int_equal(row.r.room[1].room, three.room);
	assert_int_equal(row.r.lost_ms, 0);
	leave(f, &ada, &one, 0);
	leave(f, &ada, &three, 0);
	assert_false(row_of(f, &ada).there);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
}

static void
a_lost_transport_keeps_the_rooms_from_the_last_leave_on(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	uint64_t before;
	struct row row;

	leave(f, &ada, &one, RECORD_F_LOST);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_false(row.r.room[0].present);
	assert_true(row.r.room[1].present);
	assert_int_equal(row.r.lost_ms, 0);
	before = clock_real_ms();
	leave(f, &ada, &two, RECORD_F_LOST);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_in_range(row.r.lost_ms, before, clock_real_ms());
	assert_false(is_member(f, &ada, &one, true));
}

static void
a_disconnect_on_purpose_ends_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");

	assert_int_equal(leave(f, &ada, &one, RECORD_F_FINAL).verdict,
	    RING_STORED);
	assert_false(row_of(f, &ada).there);
	assert_int_equal(leave(f, &ada, &two, RECORD_F_FINAL).verdict,
	    RING_STORED);
	assert_false(is_member(f, &ada, &two, true));
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(sequence_counts(f->q)->resumes_refused, 1);
}

static void
what_is_left_behind_is_lost_when_the_last_present_room_is_left(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, 0);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_true(row.r.lost_ms > 0);
}

static void
members_of_a_dead_worker_are_lost_not_gone(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c)),
	    0);
	while (orphans_turn(f->o, commit_next(f->c)))
		fix_turns(f);
	fix_turns(f);
	assert_false(is_member(f, &ada, &one, true));
	assert_false(is_member(f, &ada, &two, true));
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_true(row.r.lost_ms > 0);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
}

/* --- coming back ------------------------------------------------------- */

static void
a_resume_makes_the_row_the_publishers_and_joins_make_it_whole(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g = fix_sock_join(f, &ada, "a", 0, "3");
	struct ring_index one = fix_decided(f, g), two = join(f, &ada, "b"), ix;
	struct row was, row;

	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, RECORD_F_LOST);
	was = row_of(f, &ada);
	usleep(3000);
	ix = resume(f, &back);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.type, RECORD_RESUME);
	assert_int_equal(ix.room, 0);
	assert_int_equal(ix.user, one.user);
	row = row_of(f, &back);
	assert_int_equal(row.r.client, 8);
	assert_int_equal(row.r.generation, 2);
	/* nobody is in a room yet: its window runs from now */
	assert_true(row.r.lost_ms > was.r.lost_ms);

	ix = rejoin(f, &back, "a");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.room, one.room);
	assert_int_equal(ix.user, one.user);
	row = row_of(f, &back);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(rejoin(f, &back, "b").verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(row.r.nrooms, 2);
	assert_true(row.r.room[0].present && row.r.room[1].present);
	/* what the first join said */
	assert_int_equal(row.r.room[0].gseq, g);
	assert_int_equal(row.r.room[0].after_seq, 3);
	assert_int_equal(row.r.room[1].gseq, was.r.room[1].gseq);
	assert_false(row.r.room[1].has_after);
	assert_true(is_member(f, &back, &one, true));
	assert_int_equal(sequence_counts(f->q)->resumed, 1);
	assert_int_equal(sequence_counts(f->q)->resumes_refused, 0);
}

static void
a_socket_that_is_there_is_taken_over_without_leaving(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	/* in the room all the time: nobody is told */
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_DUPLICATE);
	/* the old one goes, in whatever way, and harms nothing */
	assert_int_equal(leave(f, &ada, &one, RECORD_F_FINAL).verdict,
	    RING_REJECTED);
	/* in the other room it is still the old one's, and can leave it */
	assert_int_equal(leave(f, &ada, &two, RECORD_F_FINAL).verdict,
	    RING_STORED);
	row = row_of(f, &back);
	assert_true(row.there);
	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.lost_ms, 0);
	assert_true(is_member(f, &back, &one, true));
	assert_int_equal(rejoin(f, &back, "b").verdict, RING_STORED);
	assert_true(is_member(f, &back, &two, true));
	/* nor can it join any more */
	assert_int_equal(join(f, &ada, "c").verdict, RING_REJECTED);
}

static void
of_two_in_one_batch_the_later_one_has_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");
	uint64_t g[5];

	leave(f, &ada, &in, RECORD_F_LOST);
	g[0] = fix_sock_resume(f, &back);
	g[1] = fix_sock_join(f, &back, "a", RECORD_F_RESUME, NULL);
	g[2] = fix_sock_resume(f, &again);
	g[3] = fix_sock_join(f, &back, "b", 0, NULL);
	g[4] = fix_sock_join(f, &again, "a", RECORD_F_RESUME, NULL);
	fix_turns(f);
	assert_int_equal(fix_index(f, g[0]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[1]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[2]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[3]).verdict, RING_REJECTED);
	assert_int_equal(fix_index(f, g[4]).verdict, RING_DUPLICATE);
	assert_int_equal(row_of(f, &again).r.client, again.client);
	assert_int_equal(leave(f, &back, &in, 0).verdict, RING_REJECTED);
	assert_true(is_member(f, &again, &in, true));
}

static void
what_is_published_again_changes_nothing(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");
	struct row row, same;

	leave(f, &ada, &in, RECORD_F_LOST);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_DUPLICATE);
	same = row_of(f, &back);
	assert_int_equal(same.r.lost_ms, 0);
	assert_int_equal(same.r.nrooms, 1);
	assert_true(same.r.room[0].present);
	assert_int_equal(same.r.room[0].gseq, row.r.room[0].gseq);
	assert_int_equal(sequence_counts(f->q)->resumed, 1);
}

static void
only_the_user_of_the_socket_resumes_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;
	struct fix_socket other = back;

	leave(f, &ada, &in, RECORD_F_LOST);
	other.user = "eve";
	ix = resume(f, &other);
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_int_equal(ix.user, 0);
	other.user = "";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	other = back;
	other.socket = "another";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	other = back;
	other.pid = "pid-of-nobody-aaaaaa";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	other.pid = "";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	assert_int_equal(row_of(f, &ada).r.client, ada.client);
	assert_int_equal(sequence_counts(f->q)->resumes_refused, 5);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
}

static void
after_its_window_nobody_resumes_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");

	set_window(f, 50);
	usleep(80000);
	/* it was there all the time */
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_DUPLICATE);
	leave(f, &back, &in, RECORD_F_LOST);
	usleep(80000);
	assert_int_equal(resume(f, &again).verdict, RING_REJECTED);
	assert_true(row_of(f, &ada).there);
}

static void
without_a_window_there_are_no_rows(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;

	set_window(f, 0);
	ix = join(f, &bob, "a");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_true(is_member(f, &bob, &ix, false));
	assert_false(row_of(f, &bob).there);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	/* a row that is there stays true, and ends with its socket */
	ix = join(f, &ada, "b");
	assert_int_equal(row_of(f, &ada).r.nrooms, 2);
	assert_true(is_member(f, &ada, &ix, true));
	leave(f, &ada, &in, RECORD_F_LOST);
	leave(f, &ada, &ix, RECORD_F_LOST);
	assert_false(row_of(f, &ada).there);
}

static void
a_restored_join_makes_no_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in;

	/* the row is gone by the time that it comes: the socket is in */
	in = rejoin(f, &back, "a");
	assert_int_equal(in.verdict, RING_STORED);
	assert_false(row_of(f, &back).there);
	assert_true(is_member(f, &back, &in, false));
	assert_int_equal(leave(f, &back, &in, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_false(row_of(f, &back).there);
}

static void
a_restored_join_of_a_room_left_meanwhile_is_a_new_one(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	uint64_t g;
	struct row row;

	leave(f, &ada, &one, 0);
	leave(f, &ada, &two, RECORD_F_LOST);
	(void)resume(f, &back);
	g = fix_sock_join(f, &back, "a", RECORD_F_RESUME, "8");
	assert_int_equal(fix_decided(f, g).verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.room[1].room, one.room);
	assert_int_equal(row.r.room[1].gseq, g);
	assert_int_equal(row.r.room[1].after_seq, 8);
}

static void
who_was_cut_off_finds_a_place_in_a_full_session(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;
	struct fix_socket bob_back = bob;

	f->limits.members_per_session = 1;
	sequence_configure(f->q, &f->limits);
	leave(f, &ada, &in, RECORD_F_LOST);
	ix = join(f, &bob, "a");
	assert_int_equal(ix.verdict, RING_STORED);
	(void)resume(f, &back);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_STORED);
	/* but not any number of them */
	leave(f, &bob, &ix, RECORD_F_LOST);
	fix_decided(f, fix_join(f, "w", "a", "max", "s-max"));
	leave(f, &back, &in, RECORD_F_LOST);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "max", "s-max"))
			     .verdict,
	    RING_STORED);
	bob_back.generation++;
	(void)resume(f, &bob_back);
	assert_int_equal(rejoin(f, &bob_back, "a").verdict, RING_STORED);
	(void)resume(f, &again);
	assert_int_equal(rejoin(f, &again, "a").verdict, RING_SESSION_FULL);
	/* it keeps what it had, and can try again */
	assert_int_equal(row_of(f, &again).r.nrooms, 1);
}

static void
what_dies_between_resume_and_join_is_lost_since_then(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");
	struct row row;

	leave(f, &ada, &in, RECORD_F_LOST);
	(void)resume(f, &back);
	/* nobody is in presence, so no orphan is found */
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c)),
	    0);
	while (orphans_turn(f->o, commit_next(f->c)))
		;
	assert_int_equal(orphans_count(f->o), 0);
	row = row_of(f, &ada);
	assert_true(row.r.lost_ms > 0);
	assert_int_equal(resume(f, &again).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &again, "a").verdict, RING_STORED);
}

/* --- releases ---------------------------------------------------------- */

static struct ring_index
release(struct scribe_fixture *f, const struct fix_socket *s, uint64_t room)
{
	return fix_decided(f, fix_sock_row(f, s, RECORD_RELEASE, room));
}

static void
a_room_without_access_is_released(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, RECORD_F_LOST);
	(void)resume(f, &back);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_STORED);
	/* nobody else's, nor one that it is in, nor one that is not there */
	assert_int_equal(release(f, &ada, two.room).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, one.room).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, 99).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, 0).verdict, RING_REJECTED);
	assert_int_equal(row_of(f, &back).r.nrooms, 2);
	assert_int_equal(release(f, &back, two.room).verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_int_equal(row.r.lost_ms, 0);
}

static void
the_last_room_or_all_of_them_released_end_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two;
	uint64_t lost;

	leave(f, &ada, &one, RECORD_F_LOST);
	(void)resume(f, &back);
	assert_int_equal(release(f, &back, one.room).verdict, RING_STORED);
	assert_false(row_of(f, &back).there);
	assert_int_equal(release(f, &back, one.room).verdict, RING_REJECTED);

	one = join(f, &ada, "a");
	two = join(f, &ada, "b");
	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, RECORD_F_LOST);
	(void)resume(f, &back);
	lost = row_of(f, &back).r.lost_ms;
	usleep(3000);
	/* no new window because of that */
	assert_int_equal(release(f, &back, one.room).verdict, RING_STORED);
	assert_int_equal(row_of(f, &back).r.lost_ms, lost);
	assert_int_equal(release(f, &back, 0).verdict, RING_STORED);
	assert_false(row_of(f, &back).there);
}

/* --- damage ------------------------------------------------------------ */

/* A row under ada's pid that is none. */
static void
spoil(struct scribe_fixture *f)
{
	struct store_put put;
	struct store_txn *t;
	struct store_key k;

	store_key_begin(&k);
	assert_true(store_key_bytes(&k, ada.pid, STORE_PID));
	assert_non_null(t = store_begin(f->st.s));
	store_put_begin(t, STORE_RECOVERY, &k, 0, 4, false, &put);
	store_add_u32(&put.f, 7);
	store_put_end(&put);
	assert_int_equal(store_commit(&t), 0);
}

static void
a_damaged_row_costs_the_recovery_and_nothing_else(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two;

	spoil(f);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, 0).verdict, RING_REJECTED);
	/* nobody knows any more what else it held */
	two = join(f, &ada, "b");
	assert_int_equal(two.verdict, RING_STORED);
	assert_true(row_of(f, &ada).r.partial);
	assert_int_equal(row_of(f, &ada).r.nrooms, 1);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(leave(f, &ada, &one, RECORD_F_LOST).verdict,
	    RING_STORED);
	spoil(f);
	assert_int_equal(leave(f, &ada, &two, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_false(is_member(f, &ada, &two, true));
	assert_false(row_of(f, &ada).there);
	assert_int_equal(join(f, &ada, "a").verdict, RING_STORED);
	assert_false(row_of(f, &ada).r.partial);
}

/* --- restarts ---------------------------------------------------------- */

static void
a_new_scribe_knows_whose_rows_they_are(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");

	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(row_of(f, &ada).r.lost_ms, 0);
	assert_int_equal(join(f, &back, "b").verdict, RING_REJECTED);
	assert_int_equal(join(f, &ada, "b").verdict, RING_STORED);
	assert_int_equal(leave(f, &ada, &in, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_int_equal(row_of(f, &ada).r.nrooms, 2);
}

static void
after_a_restart_of_the_daemon_sockets_come_back(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;
	uint64_t before = clock_real_ms();
	struct row row;

	restart(f);
	assert_false(is_member(f, &ada, &in, true));
	row = row_of(f, &ada);
	assert_true(row.there);
	assert_in_range(row.r.lost_ms, before, clock_real_ms());
	assert_false(row.r.room[0].present);
	/* the same numbers, but of another run */
	assert_int_equal(join(f, &ada, "b").verdict, RING_REJECTED);
	assert_int_equal(release(f, &ada, 0).verdict, RING_REJECTED);
	ix = resume(f, &ada);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.user, in.user);
	assert_int_equal(rejoin(f, &ada, "a").verdict, RING_STORED);
	row = row_of(f, &ada);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(row.r.run, ring_base(f->scribe));
	assert_int_equal(row.r.room[0].room, in.room);
}

static void
after_a_restart_the_window_runs_from_the_start(void **state)
{
	struct scribe_fixture *f = *state;

	(void)join(f, &ada, "a");
	restart(f);
	set_window(f, 50);
	usleep(80000);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
}

static void
a_batch_rolled_back_leaves_the_row_as_it_was(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;
	struct store_txn *t;
	struct row row;
	uint64_t g;

	(void)join(f, &ada, "a");
	g = commit_next(f->c);
	memset(&ix, 0, sizeof(ix));
	ix.incarnation = FIX_INCARNATION;
	assert_non_null(t = store_begin(f->st.s));
	assert_int_equal(sequence_begin(f->q, t, 1ULL << 42, false), 0);
	(void)fix_sock_resume(f, &back);
	sequence_decide(f->q, g, f->rec, ((struct record *)f->rec)->len, &ix);
	assert_int_equal(ix.verdict, RING_STORED);
	store_abort(&t);
	sequence_rollback(f->q);
	row = row_of(f, &ada);
	assert_int_equal(row.r.client, ada.client);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(sequence_counts(f->q)->resumed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_join_makes_the_row),
		T(further_joins_add_their_rooms),
		T(a_join_without_a_pid_makes_no_row),
		T(a_join_that_is_published_again_counts_from_then),
		T(a_join_with_fields_that_make_no_sense_is_rejected),
		T(nobody_joins_with_the_pid_of_somebody_else),
		T(a_full_session_leaves_no_trace_in_the_row),
		T(a_socket_in_more_rooms_than_fit_cannot_be_recovered),
		T(an_owner_is_worker_session_and_serial),
		T(rows_that_grow_side_by_side_keep_their_text),
		T(a_change_of_status_keeps_the_pid),
		T(who_leaves_a_room_forgets_it),
		T(a_lost_transport_keeps_the_rooms_from_the_last_leave_on),
		T(a_disconnect_on_purpose_ends_it),
		T(what_is_left_behind_is_lost_when_the_last_present_room_is_left),
		T(members_of_a_dead_worker_are_lost_not_gone),
		T(a_resume_makes_the_row_the_publishers_and_joins_make_it_whole),
		T(a_socket_that_is_there_is_taken_over_without_leaving),
		T(of_two_in_one_batch_the_later_one_has_it),
		T(what_is_published_again_changes_nothing),
		T(only_the_user_of_the_socket_resumes_it),
		T(after_its_window_nobody_resumes_it),
		T(without_a_window_there_are_no_rows),
		T(a_restored_join_makes_no_row),
		T(a_restored_join_of_a_room_left_meanwhile_is_a_new_one),
		T(who_was_cut_off_finds_a_place_in_a_full_session),
		T(what_dies_between_resume_and_join_is_lost_since_then),
		T(a_room_without_access_is_released),
		T(the_last_room_or_all_of_them_released_end_the_row),
		T(a_damaged_row_costs_the_recovery_and_nothing_else),
		T(a_new_scribe_knows_whose_rows_they_are),
		T(after_a_restart_of_the_daemon_sockets_come_back),
		T(after_a_restart_the_window_runs_from_the_start),
		T(a_batch_rolled_back_leaves_the_row_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
