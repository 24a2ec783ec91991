/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_address - what address.h promises.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shm/address.h"
#include "shm/tables.h"
#include "tests/unit/tables_fixture.h"

#define SECOND UINT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define NOW (1000 * SECOND)

static uint64_t
rate4(struct tables *t, uint32_t addr, uint32_t per_minute, uint64_t now)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = 1 };

	in.sin_addr.s_addr = htonl(addr);
	return address_rate(t, (struct sockaddr *)&in, per_minute, now);
}

static uint64_t
rate6(struct tables *t, const char *addr, uint32_t per_minute, uint64_t now)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = 2 };

	assert_int_equal(inet_pton(AF_INET6, addr, &in6.sin6_addr), 1);
	return address_rate(t, (struct sockaddr *)&in6, per_minute, now);
}

static void
so_many_at_once_then_one_at_a_time(void **state)
{
	struct tables *t = *state;
	uint64_t now = NOW;
	unsigned i;

	for (i = 0; i < 600; i++)
		assert_int_equal(rate4(t, 0x7f000001, 600, now), 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(rate4(t, 0x7f000001, 600, now), SECOND / 10);
	now += SECOND / 10;
	assert_int_equal(rate4(t, 0x7f000001, 600, now), 0);
	assert_int_not_equal(rate4(t, 0x7f000001, 600, now), 0);
	assert_int_equal(rate4(t, 0x7f000002, 600, now), 0);
}

static void
ports_make_no_difference(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct tables *t = *state;

	in.sin_port = 1000;
	assert_int_equal(address_rate(t, (struct sockaddr *)&in, 1, NOW), 0);
	in.sin_port = 1001;
	assert_int_not_equal(address_rate(t, (struct sockaddr *)&in, 1, NOW),
	    0);
}

static void
ipv4_in_ipv6_clothes_is_ipv4(void **state)
{
	struct tables *t = *state;

	assert_int_equal(rate4(t, 0xc0000201, 1, NOW), 0);
	assert_int_not_equal(rate6(t, "::ffff:192.0.2.1", 1, NOW), 0);
	assert_int_equal(rate6(t, "::ffff:192.0.2.2", 1, NOW), 0);
	assert_int_not_equal(rate4(t, 0xc0000202, 1, NOW), 0);
}

static void
ipv6_is_limited_by_its_network(void **state)
{
	struct tables *t = *state;

	assert_int_equal(rate6(t, "2001:db8:0:1::1", 1, NOW), 0);
	assert_int_not_equal(rate6(t, "2001:db8:0:1:ffff::9", 1, NOW), 0);
	assert_int_equal(rate6(t, "2001:db8:0:2::1", 1, NOW), 0);
	assert_int_equal(rate6(t, "::1", 1, NOW), 0);
	assert_int_not_equal(rate6(t, "::1", 1, NOW), 0);
}

static void
what_has_no_address_is_not_limited(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct tables *t = *state;
	unsigned i;

	for (i = 0; i < 10; i++) {
		assert_int_equal(address_rate(t, (struct sockaddr *)&un, 1,
				     NOW),
		    0);
		assert_int_equal(rate4(t, 1, 0, NOW), 0);
	}
}

static void
years_of_uptime_make_no_difference(void **state)
{
	const uint64_t now = UINT64_C(8) * 365 * 86400 * SECOND;
	struct tables *t = *state;

	assert_int_equal(rate4(t, 1, 2, now), 0);
	assert_int_equal(rate4(t, 1, 2, now), 0);
	assert_int_equal(rate4(t, 1, 2, now), 30 * SECOND);
	assert_int_equal(rate4(t, 1, 2, now + 30 * SECOND), 0);
	assert_int_not_equal(rate4(t, 1, 2, now + 30 * SECOND), 0);
}

static void
a_newcomer_takes_the_place_of_the_quietest(void **state)
{
	struct tables_geometry g = small_geometry();
	struct tables *t;
	const char *why;
	unsigned i;

	/* one set: who was there is known */
	g.addresses = ADDRESS_WAYS;
	assert_non_null(t = tables_create(&g, &why));
	for (i = 0; i < ADDRESS_WAYS; i++)
		assert_int_equal(rate4(t, i, 1, NOW + i * SECOND), 0);
	for (i = 0; i < ADDRESS_WAYS; i++)
		assert_int_not_equal(rate4(t, i, 1, NOW + 9 * SECOND), 0);

	assert_int_equal(rate4(t, 99, 1, NOW + 9 * SECOND), 0);
	for (i = 1; i < ADDRESS_WAYS; i++)
		assert_int_not_equal(rate4(t, i, 1, NOW + 9 * SECOND), 0);
	assert_int_not_equal(rate4(t, 99, 1, NOW + 9 * SECOND), 0);
	assert_int_equal(rate4(t, 0, 1, NOW + 9 * SECOND), 0);
	tables_free(&t);
}

static void
many_addresses_are_told_apart(void **state)
{
	struct tables_geometry g;
	unsigned i, first = 0, again = 0;
	struct tables *t;
	const char *why;

	tables_geometry_init(&g, 100, 4096);
	assert_non_null(t = tables_create(&g, &why));
	for (i = 0; i < 4000; i++)
		first += rate4(t, i, 1, NOW) == 0;
	for (i = 0; i < 4000; i++)
		again += rate4(t, i, 1, NOW + SECOND) == 0;
	/* two of a set with the same 16 bits are as rare as this */
	assert_in_range(first, 3995, 4000);
	assert_in_range(again, 0, 5);
	tables_free(&t);
}

/* --- all at once ------------------------------------------------------- */

#define THREADS 4
#define PER_MINUTE 4000

struct caller {
	struct tables *tables;
	unsigned passed[4];
};

static void *
call(void *arg)
{
	struct caller *c = arg;
	unsigned i;

	for (i = 0; i < 4 * PER_MINUTE; i++)
		c->passed[i % 4] +=
		    rate4(c->tables, i % 4, PER_MINUTE, NOW) == 0;
	return NULL;
}

static void
exactly_the_rate_passes_of_all_together(void **state)
{
	struct tables *t = *state;
	struct caller c[THREADS];
	pthread_t thread[THREADS];
	unsigned i, k, sum[4] = { 0 };

	for (i = 0; i < THREADS; i++) {
		c[i] = (struct caller){ .tables = t };
		assert_int_equal(pthread_create(&thread[i], NULL, call, &c[i]),
		    0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		for (k = 0; k < 4; k++)
			sum[k] += c[i].passed[k];
	}
	for (k = 0; k < 4; k++)
		assert_int_equal(sum[k], PER_MINUTE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(so_many_at_once_then_one_at_a_time),
		T(ports_make_no_difference),
		T(ipv4_in_ipv6_clothes_is_ipv4),
		T(ipv6_is_limited_by_its_network),
		T(what_has_no_address_is_not_limited),
		T(years_of_uptime_make_no_difference),
		T(a_newcomer_takes_the_place_of_the_quietest),
		T(many_addresses_are_told_apart),
		T(exactly_the_rate_passes_of_all_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
