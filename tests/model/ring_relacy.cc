/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_relacy - shm/ring_core.h and shm/wake_core.h under Relacy.
 *
 *	ring_relacy [runs]
 *
 * Relacy runs a few threads in many random interleavings, and lets every
 * load return any value that the C11 memory model allows at that point.  The
 * algorithms are the very lines that production compiles.  First each test
 * must pass with the orders of shm/order.h; then each order that carries
 * weight is weakened, and the test named beside it must fail.
 */

#include <cstdio>
#include <cstdlib>
#include <ostream>

#define CHATD_RELACY
#include "tests/model/relacy_atomic.h"

#include "shm/ring_core.h"
#include "shm/wake_core.h"

static const rl::memory_order right[ORDER__MAX] = {
#define ORDER(name, order) order,
	ORDERS
#undef ORDER
};

rl::memory_order orders[ORDER__MAX];

#define LOG2_SLOTS 1
#define SLOTS (1 << LOG2_SLOTS)
#define ACTIVE (0x100u | RING_CORE_ACTIVE)

/* A ring of two slots, as ring_create() and ring_attach() make it. */
struct tiny_ring {
	a_u64 slot[SLOTS];
	a_u64 free_seq, durable_seq, hint;
	struct ring_consumer consumer[1];
	struct ring_core core;

	void
	init()
	{
		for (unsigned i = 0; i < SLOTS; i++)
			slot[i].store(
			    ring_word(0, RING_NO_ARENA, 0), A_RELAXED, $);
		free_seq.store(0, A_RELAXED, $);
		durable_seq.store(0, A_RELAXED, $);
		hint.store(0, A_RELAXED, $);
		consumer[0].state.store(0, A_RELAXED, $);
		consumer[0].cursor.store(0, A_RELAXED, $);
		consumer[0].join_pos.store(0, A_RELAXED, $);
		core.slot = slot;
		core.free_seq = &free_seq;
		core.hint = &hint;
		core.consumer = consumer;
		core.nconsumers = 1;
		core.log2_slots = LOG2_SLOTS;
		core.n = SLOTS;
		core.mask = SLOTS - 1;
	}

	uint64_t
	word(uint64_t pos)
	{
		return A_LOAD(&slot[pos & core.mask], O_SLOT_SEEN);
	}

	/* Until there is room. */
	uint64_t
	publish(unsigned arena, uint32_t granule, uint64_t from)
	{
		uint64_t pos, free;

		while (ring_core_publish(&core, arena, granule, from, &pos,
			   &free) != RING_CORE_PUBLISHED)
			rl::yield(1, $);
		return pos;
	}

	void
	wait_free(uint64_t above)
	{
		while (A_LOAD(&free_seq, O_FREE_SEEN) <= above)
			rl::yield(1, $);
	}
};

/*
 * Two producers, each with an arena of one record that it uses twice, and
 * the scribe.  The record is plain data: Relacy reports any access that is
 * not ordered.
 */
struct publish : rl::test_suite<publish, 3> {
	tiny_ring r;
	rl::var<unsigned> arena[2];

	void
	before()
	{
		r.init();
	}

	void
	produce(unsigned id)
	{
		uint64_t pos = 0;

		for (unsigned k = 0; k < 2; k++) {
			if (k > 0)
				r.wait_free(pos);
			arena[id]($) = 10 * id + k;
			pos = r.publish(id, k, k == 0 ? 0 : pos + 1);
		}
	}

	void
	sequence()
	{
		unsigned next[2] = { 0, 0 };

		for (uint64_t n = 0; n < 4; n++) {
			while (!ring_core_is_published(&r.core, n))
				rl::yield(1, $);
			unsigned id = r.word(n) >> 24 & 0xff;
			RL_ASSERT(id < 2);
			RL_ASSERT((r.word(n) & 0xffffff) == next[id]);
			RL_ASSERT(arena[id]($) == 10 * id + next[id]);
			next[id]++;
			A_STORE(&r.free_seq, n + 1, O_FREE_RAISE);
		}
	}

	void
	thread(unsigned id)
	{
		if (id < 2)
			produce(id);
		else
			sequence();
	}
};

/*
 * A reader that the scribe waits for: what it reads is not overwritten
 * before it has said so.
 */
struct cursor : rl::test_suite<cursor, 3> {
	tiny_ring r;
	rl::var<unsigned> record;

	void
	before()
	{
		r.init();
		record($) = 1;
		r.consumer[0].state.store(ACTIVE, A_RELAXED, $);
		r.durable_seq.store(1, A_RELAXED, $);
	}

	void
	thread(unsigned id)
	{
		uint64_t at;

		if (id == 0) {
			RL_ASSERT(record($) == 1);
			A_STORE(&r.consumer[0].cursor, 1, O_CURSOR);
		} else if (id == 1) {
			while ((at = A_LOAD(&r.consumer[0].cursor,
				    O_CURSOR_SEEN)) == 0)
				rl::yield(1, $);
			A_STORE(&r.free_seq, at, O_FREE_RAISE);
		} else {
			r.wait_free(0);
			record($) = 2;
		}
	}
};

/*
 * A reader that the scribe does not wait for: what it copied is either the
 * old record, or it learns that it was evicted.
 */
struct evict : rl::test_suite<evict, 3> {
	tiny_ring r;
	a_u64 record[2];

	void
	before()
	{
		r.init();
		record[0].store(1, A_RELAXED, $);
		record[1].store(1, A_RELAXED, $);
		r.consumer[0].state.store(ACTIVE, A_RELAXED, $);
	}

	void
	thread(unsigned id)
	{
		uint64_t copy[2], next[2] = { 2, 2 };

		if (id == 0) {
			ring_core_read(copy, record, 2);
			if (ring_core_still(&r.consumer[0], ACTIVE))
				RL_ASSERT(copy[0] == 1 && copy[1] == 1);
		} else if (id == 1) {
			RL_ASSERT(ring_core_evict(&r.consumer[0], ACTIVE));
			A_STORE(&r.free_seq, 1, O_FREE_RAISE);
		} else {
			r.wait_free(0);
			A_FENCE(O_WRITE_FENCE);
			ring_core_write(record, next, 2);
		}
	}
};

/*
 * The same in the live ring, where another than the one who evicts may raise
 * free_seq.
 */
struct live_evict : rl::test_suite<live_evict, 4> {
	tiny_ring r;
	a_u64 record[2];

	void
	before()
	{
		r.init();
		record[0].store(1, A_RELAXED, $);
		record[1].store(1, A_RELAXED, $);
		r.consumer[0].state.store(ACTIVE, A_RELAXED, $);
	}

	void
	thread(unsigned id)
	{
		uint64_t copy[2], next[2] = { 2, 2 };
		unsigned evicted = 0;

		if (id == 0) {
			ring_core_read(copy, record, 2);
			if (ring_core_still(&r.consumer[0], ACTIVE))
				RL_ASSERT(copy[0] == 1 && copy[1] == 1);
		} else if (id <= 2) {
			(void)ring_core_raise(
			    &r.core, 0, 2, id == 1 ? 1 : 0, &evicted);
		} else {
			for (unsigned i = 0; i < 8; i++)
				if (A_LOAD(&r.free_seq, O_FREE_SEEN) > 0)
					break;
			if (A_LOAD(&r.free_seq, O_FREE_SEEN) == 0)
				return;
			A_FENCE(O_WRITE_FENCE);
			ring_core_write(record, next, 2);
		}
	}
};

/* How the tests below see a lost wake-up: everybody else has finished, and
 * the sleeper, which has something to do, was not woken. */
struct bed {
	a_u64 sleepers, eventfd, finished;

	void
	init()
	{
		sleepers.store(0, A_RELAXED, $);
		eventfd.store(0, A_RELAXED, $);
		finished.store(0, A_RELAXED, $);
	}

	void
	wake()
	{
		if (wake_core_take(&sleepers, 1) != 0)
			eventfd.store(1, A_SEQ_CST, $);
		finished.store(1, A_SEQ_CST, $);
	}

	void
	block()
	{
		while (eventfd.load(A_SEQ_CST, $) == 0) {
			if (finished.load(A_SEQ_CST, $) != 0) {
				RL_ASSERT(eventfd.load(A_SEQ_CST, $) != 0);
				break;
			}
			rl::yield(1, $);
		}
	}
};

/* A producer, and the scribe about to sleep. */
struct wake_scribe : rl::test_suite<wake_scribe, 2> {
	tiny_ring r;
	bed b;

	void
	before()
	{
		r.init();
		b.init();
	}

	void
	thread(unsigned id)
	{
		if (id == 0) {
			(void)r.publish(0, 0, 0);
			b.wake();
			return;
		}
		wake_core_announce(&b.sleepers, 1);
		if (!ring_core_is_taken(&r.core, 0))
			b.block();
		wake_core_retract(&b.sleepers, 1);
	}
};

/* The scribe, and a worker about to sleep.  The index entry is plain data. */
struct wake_worker : rl::test_suite<wake_worker, 2> {
	tiny_ring r;
	bed b;
	rl::var<unsigned> index;

	void
	before()
	{
		r.init();
		b.init();
		index($) = 0;
	}

	void
	thread(unsigned id)
	{
		if (id == 0) {
			index($) = 7;
			A_STORE(&r.durable_seq, 1, O_DURABLE);
			b.wake();
			return;
		}
		if (A_LOAD(&r.durable_seq, O_DURABLE_SEEN) == 1) {
			RL_ASSERT(index($) == 7);
			return;
		}
		wake_core_announce(&b.sleepers, 1);
		if (A_LOAD(&r.durable_seq, O_DURABLE_RECHECK) == 0)
			b.block();
		wake_core_retract(&b.sleepers, 1);
	}
};

/*
 * Who follows a room says so, then looks where the log stands; the scribe
 * moves the log on, then looks who follows.  The same shape as asking for
 * space or for admission.
 */
struct interest : rl::test_suite<interest, 2> {
	tiny_ring r;
	a_u64 mask;
	rl::var<unsigned> told, seen;

	void
	before()
	{
		r.init();
		mask.store(0, A_RELAXED, $);
		told($) = seen($) = 0;
	}

	void
	after()
	{
		RL_ASSERT(told($) || seen($));
	}

	void
	thread(unsigned id)
	{
		if (id == 0) {
			A_STORE(&r.durable_seq, 1, O_DURABLE);
			if (A_LOAD(&mask, O_WANT) != 0)
				told($) = 1;
		} else {
			(void)A_OR(&mask, 1, O_WANT);
			if (A_LOAD(&r.durable_seq, O_DURABLE_RECHECK) == 1)
				seen($) = 1;
		}
	}
};

/* Admission and eviction, and the consumer about to sleep. */
template <bool admission>
struct wake_consumer : rl::test_suite<wake_consumer<admission>, 2> {
	tiny_ring r;
	bed b;

	static const uint64_t before_it =
	    0x100u | (admission ? RING_CORE_JOINING : RING_CORE_ACTIVE);

	void
	before()
	{
		r.init();
		b.init();
		r.consumer[0].state.store(before_it, A_RELAXED, $);
	}

	void
	thread(unsigned id)
	{
		struct ring_consumer *k = &r.consumer[0];

		if (id == 0) {
			if (admission)
				RL_ASSERT(ring_core_admit(k, before_it, 5));
			else
				RL_ASSERT(ring_core_evict(k, before_it));
			b.wake();
			return;
		}
		wake_core_announce(&b.sleepers, 1);
		if (A_LOAD(&k->state, O_STATE_SCAN) == before_it)
			b.block();
		wake_core_retract(&b.sleepers, 1);
	}
};

/*
 * A consumer's line changes hands: it is its owner's until JOINING, then the
 * scribe's until ACTIVE, then its owner's again.  The line is plain data.
 */
struct admit : rl::test_suite<admit, 2> {
	tiny_ring r;
	rl::var<unsigned> line;

	void
	before()
	{
		r.init();
		line($) = 0;
	}

	void
	thread(unsigned id)
	{
		struct ring_consumer *k = &r.consumer[0];
		const uint64_t joining = 0x100u | RING_CORE_JOINING;
		uint64_t free = 0;

		if (id == 0) {
			while (A_LOAD(&k->state, O_STATE_SEEN) != joining)
				rl::yield(1, $);
			line($) = 2;
			RL_ASSERT(ring_core_admit(k, joining, 5));
			return;
		}
		line($) = 1;
		RL_ASSERT(A_CAS(&k->state, &free, joining, O_STATE_JOIN));
		while (A_LOAD(&k->state, O_STATE_SCAN) == joining)
			rl::yield(1, $);
		RL_ASSERT(line($) == 2);
		RL_ASSERT(A_LOAD(&k->join_pos, A_RELAXED) == 5);
		RL_ASSERT(A_LOAD(&k->cursor, A_RELAXED) == 5);
	}
};

/*
 * The live ring: two producers that make room for themselves, and a consumer
 * that joins in the middle.  As long as it is ACTIVE, free_seq is not above
 * its cursor and no slot from its cursor on is used again.
 */
struct live_join : rl::test_suite<live_join, 3> {
	tiny_ring r;

	void
	before()
	{
		r.init();
	}

	void
	produce(unsigned id)
	{
		uint64_t pos = 0, free, from = 0;
		unsigned evicted = 0;

		for (unsigned k = 0; k < 3;) {
			if (ring_core_publish(&r.core, id, k, from, &pos,
				&free) == RING_CORE_PUBLISHED) {
				from = pos + 1;
				k++;
			} else if (!ring_core_raise(&r.core, free, pos,
				       k == 2 ? pos - 1 : 0, &evicted))
				rl::yield(1, $);
		}
	}

	void
	consume()
	{
		struct ring_consumer *k = &r.consumer[0];
		uint64_t pos = ring_core_join(&r.core, k, ACTIVE), w;
		uint32_t tag;

		for (unsigned i = 0; i < 3; i++) {
			w = A_LOAD(&r.free_seq, O_FREE_SEEN);
			if (ring_core_still(k, ACTIVE))
				RL_ASSERT(w <= pos);
			w = r.word(pos);
			tag = ring_word_tag(w) - ring_lap(&r.core, pos);
			if (!ring_core_still(k, ACTIVE))
				return;
			RL_ASSERT(tag <= 1);
			if (tag == 1)
				A_STORE(&k->cursor, ++pos, O_CURSOR);
		}
		/* be evicted or leave, lest the producers wait for ever */
		w = ACTIVE;
		(void)A_CAS(&k->state, &w, ring_state_word(w, 0),
		    O_STATE_JOIN);
	}

	void
	thread(unsigned id)
	{
		if (id < 2)
			produce(id);
		else
			consume();
	}
};

/*
 * Two accesses each, on purpose: who joins says so and looks for the end; who
 * raises saw the end and looks for who is there.  If both miss the other,
 * free_seq passes the joiner.  The producer is a third.
 */
struct live_race : rl::test_suite<live_race, 3> {
	tiny_ring r;

	void
	before()
	{
		r.init();
	}

	void
	thread(unsigned id)
	{
		unsigned evicted = 0;
		uint64_t pos;

		if (id == 0) {
			(void)r.publish(0, 0, 0);
		} else if (id == 1) {
			if (ring_core_is_published(&r.core, 0))
				(void)ring_core_raise(
				    &r.core, 0, 1, 0, &evicted);
		} else {
			pos = ring_core_join(&r.core, &r.consumer[0], ACTIVE);
			for (unsigned i = 0; i < 3; i++) {
				rl::yield(1, $);
				RL_ASSERT(A_LOAD(&r.free_seq, A_SEQ_CST) <=
				    pos);
			}
		}
	}
};

/*
 * A producer whose idea of free_seq is old meets words of a later lap; it
 * must not take them for damage and "repair" them.
 */
struct repair : rl::test_suite<repair, 3> {
	tiny_ring r;

	void
	before()
	{
		r.init();
		/* position 0 is published, consumed, and free again */
		r.slot[0].store(ring_word(1, 0, 0), A_RELAXED, $);
	}

	void
	thread(unsigned id)
	{
		uint64_t word;

		if (id == 0) {
			A_STORE(&r.free_seq, 1, O_FREE_RAISE);
		} else if (id == 1) {
			/* publishes position 2 where 0 was */
			r.wait_free(0);
			word = ring_word(1, 0, 0);
			if (A_CAS(&r.slot[0], &word, ring_word(2, 1, 0),
				O_SLOT_PUBLISH))
				RL_ASSERT(r.word(2) == ring_word(2, 1, 0));
		} else {
			RL_ASSERT(!ring_core_repair(&r.core, 0));
		}
	}
};

/* --- running ----------------------------------------------------------- */

static unsigned long runs = 300000;

template <class test>
static bool
passes(unsigned long n)
{
	static std::ostream nowhere(0);
	rl::test_params p;

	p.search_type = rl::random_scheduler_type;
	p.iteration_count = n;
	p.output_stream = &nowhere;
	p.progress_stream = &nowhere;
	p.output_history = false;
	return rl::simulate<test>(p);
}

/* Which test must catch which order when it is weakened to what. */
#define MUTANTS \
	MUTANT(publish, SLOT_PUBLISH, A_ACQUIRE) \
	MUTANT(publish, SLOT_SEEN, A_RELAXED) \
	MUTANT(publish, FREE_RAISE, A_RELAXED) \
	MUTANT(publish, FREE_SEEN, A_RELAXED) \
	MUTANT(cursor, CURSOR, A_RELAXED) \
	MUTANT(cursor, CURSOR_SEEN, A_RELAXED) \
	MUTANT(evict, WRITE_FENCE, A_RELAXED) \
	MUTANT(evict, READ_FENCE, A_RELAXED) \
	MUTANT(evict, FREE_RAISE, A_RELAXED) \
	MUTANT(evict, FREE_SEEN, A_RELAXED) \
	MUTANT(live_evict, WRITE_FENCE, A_RELAXED) \
	MUTANT(live_evict, READ_FENCE, A_RELAXED) \
	MUTANT(live_evict, FREE_RAISE, A_RELAXED) \
	MUTANT(wake_scribe, SLOT_PUBLISH, A_ACQ_REL) \
	MUTANT(wake_scribe, SLOT_RECHECK, A_ACQUIRE) \
	MUTANT(wake_scribe, SLEEP_SET, A_ACQ_REL) \
	MUTANT(wake_scribe, SLEEP_SEEN, A_ACQUIRE) \
	MUTANT(wake_worker, DURABLE, A_RELEASE) \
	MUTANT(wake_worker, DURABLE_SEEN, A_RELAXED) \
	MUTANT(wake_worker, DURABLE_RECHECK, A_ACQUIRE) \
	MUTANT(interest, WANT, A_ACQ_REL) \
	MUTANT(wake_admitted, STATE_ADMIT, A_ACQ_REL) \
	MUTANT(wake_admitted, STATE_SCAN, A_ACQUIRE) \
	MUTANT(admit, STATE_SEEN, A_RELAXED) \
	MUTANT(admit, STATE_JOIN, A_ACQUIRE) \
	MUTANT(admit, STATE_ADMIT, A_ACQUIRE) \
	MUTANT(admit, STATE_SCAN, A_RELAXED) \
	MUTANT(wake_evicted, STATE_EVICT, A_ACQ_REL) \
	MUTANT(live_race, STATE_JOIN, A_ACQ_REL) \
	MUTANT(live_race, STATE_SCAN, A_ACQUIRE) \
	MUTANT(live_race, SLOT_RECHECK, A_ACQUIRE) \
	MUTANT(repair, SLOT_SEEN, A_RELAXED) \
	MUTANT(repair, SLOT_PUBLISH, A_ACQUIRE)

typedef wake_consumer<true> wake_admitted;
typedef wake_consumer<false> wake_evicted;

static unsigned wrong;
/* orders that have a mutant, or need none: there is nothing below relaxed,
 * and for SLEEP_TAKE see shm/order.h */
static bool covered[ORDER__MAX];

static void
reset_orders()
{
	for (unsigned i = 0; i < ORDER__MAX; i++)
		orders[i] = right[i];
}

template <class test>
static void
expect_pass(const char *name)
{
	bool ok = passes<test>(runs);

	std::printf("%-4s relacy %s\n", ok ? "ok" : "FAIL", name);
	wrong += !ok;
}

template <class test>
static void
expect_fail(const char *name, enum order_name which, const char *order,
    rl::memory_order weak)
{
	bool caught;

	covered[which] = true;
	orders[which] = weak;
	caught = !passes<test>(10 * runs);
	orders[which] = right[which];
	std::printf("%-4s relacy %s catches %s as %s\n",
	    caught ? "ok" : "FAIL", name, order, rl::format(weak));
	wrong += !caught;
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		runs = std::strtoul(argv[1], NULL, 10);
	std::setvbuf(stdout, NULL, _IOLBF, 0);
	reset_orders();
	expect_pass<publish>("publish");
	expect_pass<cursor>("cursor");
	expect_pass<evict>("evict");
	expect_pass<live_evict>("live_evict");
	expect_pass<wake_scribe>("wake_scribe");
	expect_pass<wake_worker>("wake_worker");
	expect_pass<interest>("interest");
	expect_pass<wake_admitted>("wake_admitted");
	expect_pass<wake_evicted>("wake_evicted");
	expect_pass<admit>("admit");
	expect_pass<live_join>("live_join");
	expect_pass<live_race>("live_race");
	expect_pass<repair>("repair");
#define MUTANT(test, name, weak) \
	expect_fail<test>(#test, ORDER_##name, #name, weak);
	MUTANTS
#undef MUTANT
	for (unsigned i = 0; i < ORDER__MAX; i++)
		if (!covered[i] && right[i] != A_RELAXED &&
		    i != ORDER_SLEEP_TAKE) {
			std::printf("FAIL relacy order %u has no mutant\n", i);
			wrong++;
		}
	return wrong == 0 ? 0 : 1;
}
