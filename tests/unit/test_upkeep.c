/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_upkeep - what is done between batches, in which order and how often.
 */

#include "scribe/upkeep.h"

#include "common/clock.h"
#include "tests/unit/room_fixture.h"

#define DAY_MS 86400000ULL

struct fixture {
	struct room_fixture r;
	struct sequence *q;
	struct steps steps;
	struct upkeep u;
	struct upkeep_limits limits;
	struct clock_shift shift;
	struct upkeep_done done;
	unsigned ndone, slices;
};

static void
on_done(void *arg, const struct upkeep_done *done)
{
	struct fixture *f = arg;

	f->done = *done;
	f->ndone++;
}

static void
on_slice(void *arg, uint64_t ns)
{
	struct fixture *f = arg;

	f->slices++;
}

static int
setup(void **state)
{
	struct sequence_limits limits = { .dedupe_window_ms = 7 * DAY_MS };
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (room_fixture_open(&f->r) == -1 ||
	    (f->q = sequence_new(&limits)) == NULL)
		return -1;
	rooms_free(&f->r.rs);
	f->r.rs = sequence_rooms(f->q);
	clock_set_shift(&f->shift);
	(void)steps_begin(&f->steps, clock_mono_ns(), clock_real_ms(), 0, NULL);
	f->limits.dedupe_window_ms = 7 * DAY_MS;
	f->limits.recovery_window_ms = 120000;
	upkeep_init(&f->u, f->r.st.s, f->q, &f->steps, &f->limits);
	upkeep_listen(&f->u, on_done, on_slice, f);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc;

	clock_set_shift(NULL);
	upkeep_clear(&f->u);
	sequence_free(&f->q);
	f->r.rs = NULL;
	rc = store_fixture_close(&f->r.st);
	free(f);
	return rc;
}

static int
turn(struct fixture *f)
{
	uint64_t now_ns = clock_mono_ns(), now_ms = clock_real_ms();

	(void)steps_look(&f->steps, now_ns, now_ms);
	return upkeep_turn(&f->u, now_ns, now_ms);
}

/* Time goes on from turn to turn until this is true, or for an hour. */
#define UNTIL(f, x) \
	do { \
		unsigned left_ = 100000; \
		while (!(x) && left_-- > 0) { \
			(f)->shift.mono_ns += 36000000; \
			(f)->shift.real_ms += 36; \
			assert_int_equal(turn(f), 0); \
		} \
		assert_true(x); \
	} while (0)

static void
rooms_with_many_ids_are_merged_and_others_are_not(void **state)
{
	struct fixture *f = *state;
	uint64_t now = clock_real_ms();

	room_add(&f->r, 1);
	room_add(&f->r, 2);
	room_fill(&f->r, 1, 1, ROOMS_MERGE_IDS + 1, now);
	room_fill(&f->r, 2, 1, 100, now);
	UNTIL(f, room_merged(&f->r, 1).seq == ROOMS_MERGE_IDS + 1);
	assert_int_equal(rooms_ids(f->r.rs), 100);
	assert_int_equal(room_rows(&f->r, "dedupe"), ROOMS_MERGE_IDS + 2);
}

static void
without_a_window_nothing_is_merged(void **state)
{
	struct fixture *f = *state;
	int i;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, ROOMS_MERGE_IDS + 1, clock_real_ms());
	f->limits.dedupe_window_ms = 0;
	upkeep_configure(&f->u, &f->limits);
	for (i = 0; i < 100; i++) {
		f->shift.mono_ns += 36000000;
		assert_int_equal(turn(f), 0);
	}
	assert_int_equal(room_rows(&f->r, "dedupe"), 0);
}

static void
merging_and_retention_go_on_together(void **state)
{
	struct fixture *f = *state;
	uint64_t now = clock_real_ms();

	room_add(&f->r, 1);
	room_add(&f->r, 2);
	f->limits.max_messages = 100;
	upkeep_configure(&f->u, &f->limits);
	room_fill(&f->r, 1, 1, 2 * ROOMS_MERGE_IDS, now);
	room_fill(&f->r, 2, 1, 2 * ROOMS_MERGE_IDS, now);
	UNTIL(f,
	    merge_count(&f->u.merge) > 1000 &&
		retention_count(&f->u.retention) > 1000);
	UNTIL(f, room_rows(&f->r, "msg") == 200);
	/* whichever of the two did it, all ids are known */
	UNTIL(f,
	    room_rows(&f->r, "dedupe") + rooms_ids(f->r.rs) >=
		4 * ROOMS_MERGE_IDS);
	assert_true(room_id_merged(&f->r, 1, 1, now));
	assert_true(room_id_merged(&f->r, 2, 1, now));
}

static void
messages_of_a_year_ago_go_and_their_ids_too(void **state)
{
	struct fixture *f = *state;
	uint64_t now = clock_real_ms();

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 100, now - 366 * DAY_MS);
	room_fill(&f->r, 1, 101, 200, now);
	f->limits.retention_ms = 365 * DAY_MS;
	upkeep_configure(&f->u, &f->limits);
	UNTIL(f, room_rows(&f->r, "msg") == 100);
	assert_true(room_has_message(&f->r, 1, 101));
	assert_int_equal(room_rows(&f->r, "dedupe"), 0);
}

static void
a_clock_set_ahead_by_years_removes_nothing_for_an_hour(void **state)
{
	struct fixture *f = *state;
	int i;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 100, clock_real_ms() - 1000);
	f->limits.retention_ms = 365 * DAY_MS;
	upkeep_configure(&f->u, &f->limits);
	assert_int_equal(turn(f), 0);
	f->shift.real_ms += (int64_t)(3000 * DAY_MS);
	for (i = 0; i < 3500; i++) {
		f->shift.mono_ns += 1000000000;
		f->shift.real_ms += 1000;
		assert_int_equal(turn(f), 0);
	}
	assert_int_equal(room_rows(&f->r, "msg"), 100);
	/* a run on demand does not, either, and says why */
	upkeep_run(&f->u, 5);
	UNTIL(f, f->ndone == 1);
	assert_non_null(f->done.why);
	assert_int_equal(room_rows(&f->r, "msg"), 100);
	/* nobody has set it right: so it is */
	UNTIL(f, room_rows(&f->r, "msg") == 0);
}

static void
a_number_of_messages_counts_whatever_the_clock_says(void **state)
{
	struct fixture *f = *state;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 100, clock_real_ms());
	assert_int_equal(turn(f), 0);
	f->shift.real_ms += (int64_t)(3000 * DAY_MS);
	f->limits.max_messages = 30;
	upkeep_configure(&f->u, &f->limits);
	UNTIL(f, room_rows(&f->r, "msg") == 30);
	/* and the ids of those that went are known for their window */
	assert_int_equal(room_rows(&f->r, "dedupe"), 71);
}

static void
a_run_on_demand_tells_what_it_did(void **state)
{
	struct fixture *f = *state;
	uint64_t now = clock_real_ms();

	room_add(&f->r, 1);
	room_add(&f->r, 2);
	room_fill(&f->r, 1, 1, 1500, now - 20 * DAY_MS);
	room_fill(&f->r, 2, 1, 10, now);
	f->limits.retention_ms = 30 * DAY_MS;
	upkeep_configure(&f->u, &f->limits);
	UNTIL(f, f->slices > 10);
	assert_int_equal(room_rows(&f->r, "msg"), 1510);
	f->limits.retention_ms = 10 * DAY_MS;
	upkeep_configure(&f->u, &f->limits);
	upkeep_run(&f->u, 99);
	UNTIL(f, f->ndone == 1);
	assert_null(f->done.why);
	assert_int_equal(f->done.serial, 99);
	assert_int_equal(f->done.rooms, 2);
	assert_int_equal(f->done.messages, 1500);
	assert_int_equal(f->done.ids, 0);
	assert_int_equal(room_rows(&f->r, "msg"), 10);
}

static void
of_two_runs_the_second_counts_and_the_first_is_told(void **state)
{
	struct fixture *f = *state;

	upkeep_run(&f->u, 1);
	upkeep_run(&f->u, 2);
	assert_int_equal(f->ndone, 1);
	assert_int_equal(f->done.serial, 1);
	assert_non_null(f->done.why);
	UNTIL(f, f->ndone == 2);
	assert_int_equal(f->done.serial, 2);
	assert_null(f->done.why);
	/* on a disk that fails there is none */
	upkeep_run(&f->u, 3);
	upkeep_wait(&f->u);
	assert_int_equal(f->ndone, 3);
	assert_non_null(f->done.why);
	upkeep_wait(&f->u);
	assert_int_equal(f->ndone, 3);
}

static void
after_a_slice_there_is_a_pause(void **state)
{
	struct fixture *f = *state;
	uint64_t now_ns;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, ROOMS_MERGE_IDS + 1, clock_real_ms());
	now_ns = clock_mono_ns();
	assert_int_equal(upkeep_turn(&f->u, now_ns, clock_real_ms()), 0);
	assert_int_equal(f->slices, 1);
	assert_true(upkeep_next(&f->u, now_ns) > now_ns);
	assert_int_equal(upkeep_turn(&f->u, now_ns + 1, clock_real_ms()), 0);
	assert_int_equal(f->slices, 1);
	now_ns = upkeep_next(&f->u, now_ns);
	assert_int_equal(upkeep_turn(&f->u, now_ns, clock_real_ms()), 0);
	assert_int_equal(f->slices, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(rooms_with_many_ids_are_merged_and_others_are_not),
		T(without_a_window_nothing_is_merged),
		T(merging_and_retention_go_on_together),
		T(messages_of_a_year_ago_go_and_their_ids_too),
		T(a_clock_set_ahead_by_years_removes_nothing_for_an_hour),
		T(a_number_of_messages_counts_whatever_the_clock_says),
		T(a_run_on_demand_tells_what_it_did),
		T(of_two_runs_the_second_counts_and_the_first_is_told),
		T(after_a_slice_there_is_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
