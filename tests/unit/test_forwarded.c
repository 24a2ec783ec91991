/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_forwarded - what forwarded.h promises: nobody chooses an address.
 */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/forwarded.h"

static unsigned asked;

/* 10/8 and fd00::/8 are our proxies. */
static bool
trusts(void *arg, const struct net_address *addr)
{
	assert_ptr_equal(arg, &asked);
	asked++;
	return (addr->family == AF_INET && addr->addr[0] == 10) ||
	    (addr->family == AF_INET6 && addr->addr[0] == 0xfd);
}

/* "" for false */
static const char *
client(const char *fields)
{
	static char text[HTTP_HEAD_MAX], buf[NET_ADDRESS_TEXT];
	static struct http_request req;
	struct http_scan scan = { 0 };
	struct http_error err = { 0 };
	struct net_address addr = { .port = 4711 };

	(void)snprintf(text, sizeof(text),
	    "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
	if (http_parse(text, strlen(text), &scan, &req, &err) != HTTP_OK)
		fail_msg("%s: %s", fields, err.why);
	asked = 0;
	if (!forwarded_for(&req, trusts, &asked, &addr)) {
		assert_int_equal(addr.port, 4711);
		return "";
	}
	net_address_print(&addr, buf);
	return buf;
}

#define XFF "X-Forwarded-For: "

static void
the_rightmost_that_is_not_trusted_is_the_client(void **state)
{
	assert_string_equal(client(XFF "1.2.3.4\r\n"), "1.2.3.4");
	assert_string_equal(client(XFF "6.6.6.6, 1.2.3.4\r\n"), "1.2.3.4");
	assert_int_equal(asked, 1);
	assert_string_equal(client(XFF "6.6.6.6, 1.2.3.4, 10.0.0.1\r\n"),
	    "1.2.3.4");
	assert_int_equal(asked, 2);
	assert_string_equal(client(
				XFF "10.6.6.6, 1.2.3.4 ,10.0.0.2,10.0.0.1\r\n"),
	    "1.2.3.4");
}

static void
all_forms_are_understood(void **state)
{
	assert_string_equal(client(XFF "1.2.3.4:567, 10.0.0.1:80\r\n"),
	    "1.2.3.4:567");
	assert_string_equal(client(XFF "2001:db8::1\r\n"), "2001:db8::1");
	assert_string_equal(client(XFF "[2001:db8::1]:9, [fd00::1]:80\r\n"),
	    "[2001:db8::1]:9");
	assert_string_equal(client(XFF "::ffff:1.2.3.4, ::ffff:10.0.0.1\r\n"),
	    "1.2.3.4");
	assert_string_equal(client(XFF "1.2.3.4\t,\t10.0.0.1 \t,10.0.0.2\r\n"),
	    "1.2.3.4");
	assert_string_equal(client("x-forwarded-for:\t1.2.3.4\t\r\n"),
	    "1.2.3.4");
}

static void
if_all_are_trusted_it_is_the_leftmost(void **state)
{
	assert_string_equal(client(XFF "10.0.0.3, 10.0.0.2, fd00::1\r\n"),
	    "10.0.0.3");
	assert_int_equal(asked, 3);
}

static void
fields_are_one_list(void **state)
{
	assert_string_equal(client(XFF "6.6.6.6\r\n" XFF "1.2.3.4\r\n"),
	    "1.2.3.4");
	assert_string_equal(client(XFF
				"6.6.6.6, 1.2.3.4\r\nOther: 7.7.7.7\r\n"
				"x-forwarded-for: 10.0.0.1, 10.0.0.2\r\n" XFF
				"\r\n"),
	    "1.2.3.4");
}

static void
what_is_no_address_ends_the_walk(void **state)
{
	assert_string_equal(client(XFF "1.2.3.4, unknown, 10.0.0.1\r\n"),
	    "10.0.0.1");
	assert_string_equal(client(XFF "1.2.3.4, _hidden, 10.0.0.2,"
				       "10.0.0.1\r\n"),
	    "10.0.0.2");
	assert_string_equal(client(XFF "1.2.3.4\r\n" XFF "a b\r\n" XFF
				       "10.0.0.1\r\n"),
	    "10.0.0.1");
	assert_string_equal(client(XFF "1.2.3.4, for=5.6.7.8\r\n"), "");
	assert_string_equal(client(XFF "1.2.3.4 5.6.7.8\r\n"), "");
	assert_int_equal(asked, 0);
}

static void
empty_elements_do_not_count(void **state)
{
	assert_string_equal(client(XFF ",1.2.3.4,, ,10.0.0.1 , ,\r\n"),
	    "1.2.3.4");
	assert_string_equal(client(XFF "\r\n"), "");
	assert_string_equal(client(XFF ", ,\r\n"), "");
	assert_string_equal(client(""), "");
}

static void
a_long_list_is_walked(void **state)
{
	static char fields[8192];
	size_t n = (size_t)snprintf(fields, sizeof(fields), XFF "1.2.3.4");

	while (n < 8000)
		n += (size_t)snprintf(fields + n, sizeof(fields) - n,
		    ",10.0.0.1");
	(void)snprintf(fields + n, sizeof(fields) - n, "\r\n");
	assert_string_equal(client(fields), "1.2.3.4");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_rightmost_that_is_not_trusted_is_the_client),
		cmocka_unit_test(all_forms_are_understood),
		cmocka_unit_test(if_all_are_trusted_it_is_the_leftmost),
		cmocka_unit_test(fields_are_one_list),
		cmocka_unit_test(what_is_no_address_ends_the_walk),
		cmocka_unit_test(empty_elements_do_not_count),
		cmocka_unit_test(a_long_list_is_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
