/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_client - what client.h promises to the master and the workers.
 */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shm/client.h"
#include "shm/tables.h"
#include "tests/unit/tables_fixture.h"

#define CLIENTS 200

struct seen {
	unsigned n;
	uint32_t slot[CLIENTS];
	uint32_t generation[CLIENTS];
};

static void
on_client(void *arg, uint32_t slot, uint32_t generation)
{
	struct seen *s = arg;

	assert_true(s->n < CLIENTS);
	s->slot[s->n] = slot;
	s->generation[s->n++] = generation;
}

/* Pass the next client; returns its slot. */
static uint32_t
pass(struct client_pool *pool, unsigned worker, uint32_t incarnation)
{
	int64_t slot = client_pass(pool, worker, incarnation);

	assert_in_range(slot, 0, CLIENTS - 1);
	return (uint32_t)slot;
}

static void
a_client_goes_from_free_to_free(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	struct seen s = { 0 };
	struct client *c;
	uint32_t slot;

	assert_int_equal(client_pool_available(pool), CLIENTS);
	slot = pass(pool, 3, 77);
	c = client_at(t, slot);
	assert_int_equal(client_state(c), CLIENT_PASSED);
	assert_int_equal(client_owner(c).worker, 3);
	assert_int_equal(client_owner(c).incarnation, 77);
	assert_int_not_equal(c->generation, 0);
	assert_int_equal(client_pool_available(pool), CLIENTS - 1);

	assert_ptr_equal(client_open(t, slot, c->generation, 3, 77), c);
	assert_int_equal(client_state(c), CLIENT_OPEN);
	assert_int_equal(client_collect_closed(t, on_client, &s), 0);

	client_mark_closed(t, slot);
	assert_int_equal(client_state(c), CLIENT_CLOSED);
	assert_int_equal(client_pool_available(pool), CLIENTS - 1);
	assert_int_equal(client_collect_closed(t, on_client, &s), 1);
	assert_int_equal(s.slot[0], slot);
	assert_int_equal(s.generation[0], c->generation);
	/* once only */
	assert_int_equal(client_collect_closed(t, on_client, &s), 0);

	client_release(pool, slot);
	assert_int_equal(client_state(c), CLIENT_FREE);
	assert_int_equal(client_pool_available(pool), CLIENTS);
	client_pool_free(&pool);
	assert_null(pool);
}

static void
a_worker_opens_only_what_was_passed_to_it(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t slot = pass(pool, 3, 77);
	uint32_t gen = client_at(t, slot)->generation;

	assert_null(client_open(t, slot, gen + 1, 3, 77));
	assert_null(client_open(t, slot, gen, 4, 77));
	assert_null(client_open(t, slot, gen, 3, 78));
	assert_null(client_open(t, slot + 1, gen, 3, 77));
	assert_non_null(client_open(t, slot, gen, 3, 77));
	assert_null(client_open(t, slot, gen, 3, 77));
	client_pool_free(&pool);
}

static void
a_client_is_found_by_slot_and_generation(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t slot = pass(pool, 3, 77);
	uint32_t gen = client_at(t, slot)->generation;

	assert_ptr_equal(client_find(t, slot, gen), client_at(t, slot));
	assert_null(client_find(t, slot, gen - 1));
	assert_null(client_find(t, slot + 1, gen));
	assert_null(client_find(t, slot + 1, 0));
	assert_null(client_find(t, CLIENTS, gen));
	assert_null(client_find(t, UINT32_MAX, gen));
	client_release(pool, slot);
	assert_null(client_find(t, slot, gen));
	client_pool_free(&pool);
}

static void
a_slot_in_use_again_is_another_client(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	static const struct client_room none;
	uint32_t slot = pass(pool, 3, 77), gen;
	struct client *c = client_at(t, slot);

	gen = c->generation;
	c->flags = CLIENT_F_UNIX;
	c->out_off = 5;
	c->out.head = 5;
	c->rooms[CLIENT_ROOMS - 1].room = 5;
	c->rooms[CLIENT_ROOMS - 1].flags = 5;
	client_release(pool, slot);

	assert_int_equal(pass(pool, 4, 78), slot);
	assert_int_equal(c->generation, gen + 1);
	assert_int_equal(client_owner(c).worker, 4);
	assert_int_equal(c->flags, 0);
	assert_int_equal(c->out_off, 0);
	assert_int_equal(c->out.head, 0);
	assert_memory_equal(&c->rooms[CLIENT_ROOMS - 1], &none, sizeof(none));
	assert_null(client_find(t, slot, gen));

	/* 0 is nobody's generation */
	client_release(pool, slot);
	c->generation = UINT32_MAX;
	assert_int_equal(pass(pool, 4, 78), slot);
	assert_int_equal(c->generation, 1);
	client_pool_free(&pool);
}

static void
few_clients_use_few_slots(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	unsigned i;

	for (i = 0; i < 200; i++) {
		assert_int_equal(pass(pool, 0, 1), 0);
		assert_int_equal(pass(pool, 0, 1), 1);
		client_release(pool, 1);
		client_release(pool, 0);
	}
	assert_int_equal(*t->clients_used, 2);
	client_pool_free(&pool);
}

static void
when_all_slots_are_in_use_there_is_none(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	bool taken[CLIENTS] = { false };
	unsigned i;
	uint32_t slot;

	for (i = 0; i < CLIENTS; i++) {
		slot = pass(pool, 0, 1);
		assert_false(taken[slot]);
		taken[slot] = true;
	}
	assert_int_equal(client_pool_available(pool), 0);
	assert_int_equal(client_pass(pool, 0, 1), -1);
	client_release(pool, 17);
	assert_int_equal(client_pass(pool, 0, 1), 17);
	assert_int_equal(client_pass(pool, 0, 1), -1);
	client_pool_free(&pool);
}

static void
a_client_may_be_closed_before_it_is_opened(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	struct seen s = { 0 };
	uint32_t slot = pass(pool, 3, 77);

	client_mark_closed(t, slot);
	assert_null(
	    client_open(t, slot, client_at(t, slot)->generation, 3, 77));
	assert_int_equal(client_collect_closed(t, on_client, &s), 1);
	client_pool_free(&pool);
}

static void
all_closed_are_collected_in_one_go(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	struct seen s = { 0 };
	unsigned i;

	for (i = 0; i < CLIENTS; i++)
		(void)pass(pool, i % 3, 1);
	for (i = 0; i < CLIENTS; i += 7)
		client_mark_closed(t, i);
	client_mark_closed(t, CLIENTS - 2);
	assert_int_equal(client_collect_closed(t, on_client, &s), 30);
	for (i = 0; i < 29; i++)
		assert_int_equal(s.slot[i], i * 7);
	assert_int_equal(s.slot[29], CLIENTS - 2);
	client_pool_free(&pool);
}

static void
a_dead_worker_s_clients_are_all_found(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t a = pass(pool, 3, 77), b = pass(pool, 3, 77);
	uint32_t c = pass(pool, 3, 77), d = pass(pool, 3, 77);
	struct seen s = { 0 };

	/* not its: another slot, its successor's, one already free */
	(void)pass(pool, 4, 77);
	(void)pass(pool, 3, 78);
	client_release(pool, d);
	assert_non_null(client_open(t, b, client_at(t, b)->generation, 3, 77));
	/* killed between the state and the bit */
	client_mark_closed(t, c);
	t->closed[0] = 0;

	assert_int_equal(client_bury(t, 3, 77, on_client, &s), 3);
	assert_int_equal(s.slot[0], a);
	assert_int_equal(s.slot[1], b);
	assert_int_equal(s.slot[2], c);
	assert_int_equal(client_bury(t, 5, 77, on_client, &s), 0);
	/* each once, and released later */
	assert_int_equal(client_state(client_at(t, b)), CLIENT_BURIED);
	assert_int_equal(client_bury(t, 3, 77, on_client, &s), 0);
	client_release(pool, a);
	client_release(pool, b);
	client_release(pool, c);
	assert_int_equal(client_pool_available(pool), CLIENTS - 2);
	client_pool_free(&pool);
}

static void
a_note_about_a_released_client_is_ignored(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	struct seen s = { 0 };
	uint32_t slot = pass(pool, 3, 77);

	/* the worker dies, the master releases first and collects later */
	client_mark_closed(t, slot);
	client_release(pool, slot);
	assert_int_equal(client_collect_closed(t, on_client, &s), 0);

	/* the same, and the slot is in use again */
	assert_int_equal(pass(pool, 3, 77), slot);
	client_mark_closed(t, slot);
	client_release(pool, slot);
	assert_int_equal(pass(pool, 4, 78), slot);
	assert_int_equal(client_collect_closed(t, on_client, &s), 0);
	assert_int_equal(client_state(client_at(t, slot)), CLIENT_PASSED);
	client_pool_free(&pool);
}

static void
the_list_of_free_slots_can_be_rebuilt(void **state)
{
	struct tables *t = *state, *o;
	struct client_pool *pool = client_pool_new(t);
	bool used[CLIENTS] = { false };
	unsigned i;
	int64_t slot;

	for (i = 0; i < 40; i++)
		used[pass(pool, 0, 1)] = true;
	for (i = 0; i < 40; i += 3) {
		client_release(pool, i);
		used[i] = false;
	}
	client_pool_free(&pool);

	/* as a master that was re-executed */
	o = small_tables_again(t);
	pool = client_pool_new(o);
	assert_int_equal(client_pool_available(pool), CLIENTS - 26);
	for (i = 0; i < CLIENTS - 26; i++) {
		slot = client_pass(pool, 0, 1);
		assert_in_range(slot, 0, CLIENTS - 1);
		assert_false(used[slot]);
		used[slot] = true;
	}
	assert_int_equal(client_pass(pool, 0, 1), -1);
	client_pool_free(&pool);
	tables_free(&o);
}

/* --- from hand to hand ------------------------------------------------- */

/* A client of worker 3 (incarnation 77) on its way to worker 4. */
static struct client *
handed(struct tables *t, struct client_pool *pool)
{
	uint32_t slot = pass(pool, 3, 77);
	struct client *c = client_at(t, slot);

	assert_non_null(client_open(t, slot, c->generation, 3, 77));
	client_hand(t, slot, 4);
	return c;
}

static void
a_client_goes_from_hand_to_hand(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	struct client *c = handed(t, pool);
	struct client_owner o = client_owner(c);
	struct seen s = { 0 };
	uint32_t gen = c->generation;

	assert_int_equal(o.state, CLIENT_HANDED);
	assert_int_equal(o.worker, 3);
	assert_int_equal(o.incarnation, 77);
	assert_int_equal(o.to, 4);
	assert_ptr_equal(client_take_handed(t, 0, gen, 4, 91), c);
	o = client_owner(c);
	assert_int_equal(o.state, CLIENT_OPEN);
	assert_int_equal(o.worker, 4);
	assert_int_equal(o.incarnation, 91);
	/* and on */
	client_hand(t, 0, 63);
	assert_ptr_equal(client_take_handed(t, 0, gen, 63, UINT32_MAX), c);
	o = client_owner(c);
	assert_int_equal(o.worker, 63);
	assert_int_equal(o.incarnation, UINT32_MAX);
	client_mark_closed(t, 0);
	assert_int_equal(client_collect_closed(t, on_client, &s), 1);
	client_pool_free(&pool);
}

static void
only_who_was_to_get_it_takes_it_and_once(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t gen = handed(t, pool)->generation;

	assert_null(client_take_handed(t, 0, gen + 1, 4, 91));
	/* the tag in the word alone would not see this */
	assert_null(client_take_handed(t, 0, gen + 0x10000, 4, 91));
	assert_null(client_take_handed(t, 0, gen, 5, 91));
	assert_null(client_take_handed(t, 0, gen, 3, 77));
	assert_null(client_take_handed(t, 1, gen, 4, 91));
	assert_null(client_take_handed(t, CLIENTS, gen, 4, 91));
	assert_null(client_open(t, 0, gen, 3, 77));
	assert_null(client_open(t, 0, gen, 4, 91));
	assert_non_null(client_take_handed(t, 0, gen, 4, 91));
	assert_null(client_take_handed(t, 0, gen, 4, 91));
	assert_null(client_take_handed(t, 0, gen, 4, 92));
	client_pool_free(&pool);
}

static void
what_could_not_be_sent_is_taken_back(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	struct client *c = handed(t, pool);
	uint32_t gen = c->generation;

	assert_false(client_take_back(t, 0, gen, 4, 91));
	assert_false(client_take_back(t, 0, gen, 3, 78));
	assert_false(client_take_back(t, 0, gen + 1, 3, 77));
	assert_true(client_take_back(t, 0, gen, 3, 77));
	assert_int_equal(client_state(c), CLIENT_OPEN);
	assert_int_equal(client_owner(c).worker, 3);
	assert_int_equal(client_owner(c).to, 0);
	assert_null(client_take_handed(t, 0, gen, 4, 91));
	assert_false(client_take_back(t, 0, gen, 3, 77));
	client_pool_free(&pool);
}

static void
with_the_giver_it_is_buried_unless_it_was_taken(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t gen = handed(t, pool)->generation;
	struct seen s = { 0 };

	(void)handed(t, pool);
	assert_non_null(client_take_handed(t, 1, 1, 4, 91));
	assert_int_equal(client_bury(t, 3, 77, on_client, &s), 1);
	assert_int_equal(s.slot[0], 0);
	assert_null(client_take_handed(t, 0, gen, 4, 91));
	assert_int_equal(client_state(client_at(t, 1)), CLIENT_OPEN);
	client_pool_free(&pool);
}

static void
with_the_receiver_it_is_buried_whoever_gave_it(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t gen = handed(t, pool)->generation;
	struct seen s = { 0 };

	assert_int_equal(client_bury(t, 4, 91, on_client, &s), 1);
	assert_int_equal(s.slot[0], 0);
	/* the message is still in the inbox, for the next one */
	assert_null(client_take_handed(t, 0, gen, 4, 92));
	/* and the giver wants it back */
	assert_false(client_take_back(t, 0, gen, 3, 77));
	client_release(pool, 0);
	assert_false(client_take_back(t, 0, gen, 3, 77));

	/* the slot lives again and is on the same way: not by that message */
	assert_int_equal(handed(t, pool)->generation, gen + 1);
	assert_null(client_take_handed(t, 0, gen, 4, 92));
	assert_false(client_take_back(t, 0, gen, 3, 77));
	assert_non_null(client_take_handed(t, 0, gen + 1, 4, 92));
	client_pool_free(&pool);
}

static void
nobody_comes_to_get_it(void **state)
{
	struct tables *t = *state;
	struct client_pool *pool = client_pool_new(t);
	uint32_t own = pass(pool, 4, 91);
	struct seen s = { 0 };

	(void)handed(t, pool);
	assert_int_equal(client_bury_handed(t, 5, on_client, &s), 0);
	assert_int_equal(client_bury_handed(t, 3, on_client, &s), 0);
	assert_int_equal(client_bury_handed(t, 4, on_client, &s), 1);
	assert_int_equal(s.slot[0], 1);
	assert_int_equal(client_bury_handed(t, 4, on_client, &s), 0);
	assert_int_equal(client_state(client_at(t, own)), CLIENT_PASSED);
	client_pool_free(&pool);
}

/* --- a master and two workers at once ---------------------------------- */

#define ROUNDS 20000

struct serving {
	struct tables *tables;
	unsigned worker;
	/* what the master has passed, as the socket between them does it */
	_Atomic uint64_t inbox;
	unsigned served;
};

static void *
serve(void *arg)
{
	struct serving *w = arg;
	uint32_t slot, generation;
	struct client *c;
	uint64_t msg;

	while (w->served < ROUNDS) {
		if ((msg = atomic_exchange(&w->inbox, 0)) == 0) {
			(void)sched_yield();
			continue;
		}
		slot = (uint32_t)msg;
		generation = (uint32_t)(msg >> 32);
		c = client_open(w->tables, slot, generation, w->worker, 1);
		if (c == NULL || c->in_off != 0)
			break;
		c->in_off = generation;
		c->rooms[0].room = w->worker + 1;
		client_mark_closed(w->tables, slot);
		w->served++;
	}
	return NULL;
}

struct collecting {
	struct tables *tables;
	struct client_pool *pool;
	unsigned n, wrong;
};

static void
on_closed(void *arg, uint32_t slot, uint32_t generation)
{
	struct collecting *m = arg;
	const struct client *c = client_at(m->tables, slot);

	/* all that the worker wrote is seen */
	if (c->in_off != generation ||
	    c->rooms[0].room != client_owner(c).worker + 1U)
		m->wrong++;
	client_release(m->pool, slot);
	m->n++;
}

static void
closing_is_told_once_while_all_run(void **state)
{
	struct tables *t = *state;
	struct collecting m = { t, client_pool_new(t), 0, 0 };
	struct serving w[2] = { { t, 0, 0, 0 }, { t, 1, 0, 0 } };
	unsigned i, passed[2] = { 0, 0 };
	pthread_t thread[2];
	int64_t slot;

	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, serve, &w[i]),
		    0);
	while (passed[0] + passed[1] < 2 * ROUNDS) {
		for (i = 0; i < 2; i++) {
			if (passed[i] == ROUNDS || w[i].inbox != 0)
				continue;
			if ((slot = client_pass(m.pool, i, 1)) == -1)
				continue;
			w[i].inbox = (uint64_t)slot |
			    (uint64_t)client_at(t, (uint32_t)slot)->generation
				<< 32;
			passed[i]++;
		}
		(void)client_collect_closed(t, on_closed, &m);
		(void)sched_yield();
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(w[i].served, ROUNDS);
	}
	(void)client_collect_closed(t, on_closed, &m);
	assert_int_equal(m.n, 2 * ROUNDS);
	assert_int_equal(m.wrong, 0);
	assert_int_equal(client_pool_available(m.pool), CLIENTS);
	client_pool_free(&m.pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_client_goes_from_free_to_free),
		T(a_worker_opens_only_what_was_passed_to_it),
		T(a_client_is_found_by_slot_and_generation),
		T(a_slot_in_use_again_is_another_client),
		T(few_clients_use_few_slots),
		T(when_all_slots_are_in_use_there_is_none),
		T(a_client_may_be_closed_before_it_is_opened),
		T(all_closed_are_collected_in_one_go),
		T(a_dead_worker_s_clients_are_all_found),
		T(a_note_about_a_released_client_is_ignored),
		T(the_list_of_free_slots_can_be_rebuilt),
		T(a_client_goes_from_hand_to_hand),
		T(only_who_was_to_get_it_takes_it_and_once),
		T(what_could_not_be_sent_is_taken_back),
		T(with_the_giver_it_is_buried_unless_it_was_taken),
		T(with_the_receiver_it_is_buried_whoever_gave_it),
		T(nobody_comes_to_get_it),
		T(closing_is_told_once_while_all_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
