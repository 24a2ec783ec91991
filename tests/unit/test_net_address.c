/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_net_address - what proto/address.h promises.
 */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/address.h"

/* From a copy that ends where it ends. */
static bool
parse_n(const char *text, size_t len, struct net_address *addr)
{
	char *copy = malloc(len > 0 ? len : 1);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ok = net_address_parse((struct span){ copy, len }, addr);
	free(copy);
	return ok;
}

/* Parsed and printed again. */
static void
becomes(const char *text, const char *want)
{
	struct net_address addr;
	char buf[NET_ADDRESS_TEXT];

	if (!parse_n(text, strlen(text), &addr))
		fail_msg("%s: refused", text);
	net_address_print(&addr, buf);
	assert_string_equal(buf, want);
}

static void
refused(const char *text)
{
	struct net_address addr = { .port = 77 };

	if (parse_n(text, strlen(text), &addr))
		fail_msg("%s: taken", text);
	assert_int_equal(addr.port, 77);
}

static void
ipv4_is_four_numbers_perhaps_a_port(void **state)
{
	struct net_address addr;

	becomes("1.2.3.4", "1.2.3.4");
	becomes("255.255.255.255:65535", "255.255.255.255:65535");
	becomes("0.0.0.0:0", "0.0.0.0");
	becomes("1.2.3.4:9089", "1.2.3.4:9089");
	becomes("1.2.3.4:00080", "1.2.3.4:80");
	assert_true(parse_n("1.2.3.4:567", 11, &addr));
	assert_int_equal(addr.family, AF_INET);
	assert_memory_equal(addr.addr, "\1\2\3\4\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(addr.port, 567);
	refused("");
	refused("1.2.3");
	refused("1.2.3.4.5");
	refused("1.2.3.256");
	refused("01.2.3.4");
	refused("1.2.3.4 ");
	refused(" 1.2.3.4");
	refused("0x1.2.3.4");
	refused("1.2.3.4:");
	refused("1.2.3.4:65536");
	refused("1.2.3.4:000080");
	refused("1.2.3.4:-1");
	refused("1.2.3.4:8a");
	refused("localhost");
	refused("unknown");
	refused("_hidden");
	refused("\"1.2.3.4\"");
}

static void
ipv6_has_a_port_only_behind_brackets(void **state)
{
	struct net_address addr;

	becomes("::", "::");
	becomes("2001:DB8::1", "2001:db8::1");
	becomes("[2001:db8::1]", "2001:db8::1");
	becomes("[2001:db8::1]:443", "[2001:db8::1]:443");
	becomes("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8");
	becomes("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	assert_true(parse_n("::1", 3, &addr));
	assert_int_equal(addr.family, AF_INET6);
	assert_int_equal(addr.addr[15], 1);
	assert_int_equal(addr.port, 0);
	refused(":");
	refused(":::");
	refused("[::1");
	refused("[]");
	refused("[::1]443");
	refused("[::1]:");
	refused("[::1]:65536");
	refused("[::1]]");
	refused("[1.2.3.4]");
	refused("[1.2.3.4]:5");
	refused("::1%eth0");
	refused("1:2:3:4:5:6:7:8:9");
	refused("g::1");
	/* as long as an address can be, and longer */
	becomes("0000:0000:0000:0000:0000:0000:255.255.255.254",
	    "::255.255.255.254");
	refused("0000:0000:0000:0000:0000:0000:255.255.255.2540");
	refused("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000");
}

static void
ipv4_in_ipv6_clothes_is_ipv4(void **state)
{
	struct net_address addr = { .family = AF_INET6, .port = 9 };

	becomes("::ffff:1.2.3.4", "1.2.3.4");
	becomes("[::ffff:1.2.3.4]:80", "1.2.3.4:80");
	becomes("::ffff:102:304", "1.2.3.4");
	becomes("::1.2.3.4", "::1.2.3.4");
	memcpy(addr.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", 16);
	net_address_unmap(&addr);
	assert_int_equal(addr.family, AF_INET);
	assert_memory_equal(addr.addr, "\1\2\3\4\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(addr.port, 9);
	net_address_unmap(&addr);
	assert_int_equal(addr.family, AF_INET);
	addr.family = AF_INET6;
	net_address_unmap(&addr);
	assert_int_equal(addr.family, AF_INET6);
}

static void
a_nul_is_no_end(void **state)
{
	struct net_address addr;

	assert_false(parse_n("1.2.3.4\0", 8, &addr));
	assert_false(parse_n("1.2.3.4\0:5", 10, &addr));
	assert_false(parse_n("::1\0", 4, &addr));
}

static void
what_has_no_address_has_a_name(void **state)
{
	struct net_address addr = { .family = AF_UNIX, .port = 5 };
	char buf[NET_ADDRESS_TEXT];

	net_address_print(&addr, buf);
	assert_string_equal(buf, "unix");
	addr.family = AF_UNSPEC;
	net_address_print(&addr, buf);
	assert_string_equal(buf, "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_is_four_numbers_perhaps_a_port),
		cmocka_unit_test(ipv6_has_a_port_only_behind_brackets),
		cmocka_unit_test(ipv4_in_ipv6_clothes_is_ipv4),
		cmocka_unit_test(a_nul_is_no_end),
		cmocka_unit_test(what_has_no_address_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
