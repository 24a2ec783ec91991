/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_derive - lists that are taken apart: listeners, transports,
 * origins, proxies, the cookie.
 */

#include <sys/socket.h>

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config.h"

/* The errors of one load with these overrides; "" for none. */
static struct config *cfg;
static struct strbuf said = STRBUF_INIT;

static const char *
check_all(const char *const *overrides, size_t n)
{
	struct config_source src = { .overrides = overrides,
		.noverrides = n,
		.without_files = true };
	struct config_errors errors;

	config_free(&cfg);
	cfg = config_load(&src, &errors);
	sb_reset(&said);
	for (size_t i = 0; i < errors.n; i++)
		sb_addf(&said, "%s%s", i == 0 ? "" : "\n", errors.v[i]);
	config_errors_clear(&errors);
	return said.data;
}

static const char *
check(const char *override)
{
	return check_all(&override, 1);
}

static int
teardown(void **state)
{
	config_free(&cfg);
	sb_clear(&said);
	return 0;
}

static void
listeners_are_taken_apart(void **state)
{
	assert_string_equal(check("listen=10.1.2.3:80,[::]:443,unix:/run/"
				  "x.sock,*:81,"
				  "localhost:82,[2001:db8::1]:65535"),
	    "");
	assert_int_equal(cfg->nlisteners, 6);
	assert_int_equal(cfg->listeners[0].family, LISTENER_TCP4);
	assert_string_equal(cfg->listeners[0].host, "10.1.2.3");
	assert_int_equal(cfg->listeners[0].port, 80);
	assert_int_equal(cfg->listeners[1].family, LISTENER_TCP6);
	assert_string_equal(cfg->listeners[1].host, "::");
	assert_int_equal(cfg->listeners[1].port, 443);
	assert_int_equal(cfg->listeners[2].family, LISTENER_UNIX);
	assert_string_equal(cfg->listeners[2].path, "/run/x.sock");
	assert_string_equal(cfg->listeners[3].host, "0.0.0.0");
	assert_string_equal(cfg->listeners[4].host, "127.0.0.1");
	assert_string_equal(cfg->listeners[5].host, "2001:db8::1");
	assert_int_equal(cfg->listeners[5].port, 65535);
	for (size_t i = 0; i < cfg->nlisteners; i++)
		assert_false(cfg->listeners[i].proxy);
}

static void
a_listener_may_expect_a_proxy(void **state)
{
	assert_string_equal(check("listen=10.1.2.3:80?proxy,[::1]:1?proxy,"
				  "unix:/run/x.sock?proxy,*:81"),
	    "");
	assert_int_equal(cfg->nlisteners, 4);
	for (size_t i = 0; i < 3; i++)
		assert_true(cfg->listeners[i].proxy);
	assert_false(cfg->listeners[3].proxy);
	assert_int_equal(cfg->listeners[0].port, 80);
	assert_string_equal(cfg->listeners[2].path, "/run/x.sock");
	/* one address is one socket */
	assert_string_equal(check("listen=127.0.0.1:1,127.0.0.1:1?proxy"),
	    "-o: listen: 127.0.0.1:1?proxy is there twice");
}

static void
listeners_that_are_wrong_say_why(void **state)
{
	static const char *const bad[][2] = {
		{ "3002", "it is host:port, [v6 address]:port or unix:/path" },
		{ "host:3002",
		    "the host is not a numeric address, localhost or *" },
		{ "1.2.3:80",
		    "the host is not a numeric address, localhost or *" },
		{ "01.2.3.4:80",
		    "the host is not a numeric address, localhost or *" },
		{ ":80", "the host is not a numeric address, localhost or *" },
		{ "127.0.0.1:0", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:65536", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:99999999999999999999",
		    "a port is a number from 1 to 65535" },
		{ "127.0.0.1:+1", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:1x", "a port is a number from 1 to 65535" },
		{ "::1:80", "an IPv6 address stands in brackets: [::1]:3002" },
		{ "[::1]", "it is host:port, [v6 address]:port or unix:/path" },
		{ "[::1:80",
		    "it is host:port, [v6 address]:port or unix:/path" },
		{ "[]:80", "that is not an IPv6 address" },
		{ "[127.0.0.1]:80", "that is not an IPv6 address" },
		{ "unix:x", "the path behind unix: must begin with /" },
		{ "127.0.0.1:80?x", "behind the ? there can only be proxy" },
		{ "127.0.0.1:80?proxy?proxy",
		    "behind the ? there can only be proxy" },
		{ "?proxy",
		    "it is host:port, [v6 address]:port or unix:/path" },
	};
	char text[256], want[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "listen=%s", bad[i][0]);
		(void)snprintf(want, sizeof(want), "-o: listen: %s: %s",
		    bad[i][0], bad[i][1]);
		assert_string_equal(check(text), want);
	}
	assert_string_equal(check("listen=127.0.0.1:1,*:2,127.0.0.1:1"),
	    "-o: listen: 127.0.0.1:1 is there twice");
}

static void
a_long_host_or_path_is_refused_not_cut(void **state)
{
	char text[256] = "listen=unix:/";

	memset(text + 13, 'x', 106);
	assert_string_equal(check(text), "");
	assert_int_equal(strlen(cfg->listeners[0].path), 107);
	text[119] = 'x';
	assert_non_null(strstr(check(text), "has at most 107 bytes"));
	memset(text + 7, '1', 100);
	memcpy(text + 107, ":80", 4);
	assert_non_null(strstr(check(text), "the host is not a numeric"));
}

static void
too_many_listeners_are_refused(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	for (int i = 1; i <= 65; i++)
		sb_addf(&sb, "%s127.0.0.1:%d", i == 1 ? "listen=" : ",", i);
	assert_string_equal(check(sb.data),
	    "-o: listen: 65 are too many; at most 64");
	sb_clear(&sb);
}

static void
transports_are_both_or_one(void **state)
{
	assert_string_equal(check("engine.transports=polling,websocket"), "");
	assert_true(cfg->engine_polling && cfg->engine_websocket);
	assert_string_equal(check("engine.transports=websocket"), "");
	assert_true(!cfg->engine_polling && cfg->engine_websocket);
	assert_string_equal(check("engine.transports=polling"), "");
	assert_true(cfg->engine_polling && !cfg->engine_websocket);
	assert_string_equal(check("engine.transports="),
	    "-o: engine.transports: must not be empty");
	assert_string_equal(check("engine.transports=polling, webtransport"),
	    "-o: engine.transports: webtransport is unknown; there are "
	    "polling and websocket");
	assert_string_equal(check("engine.transports=polling,polling"),
	    "-o: engine.transports: polling is there twice");
}

static bool
allowed(const char *origin)
{
	return config_allows_origin(cfg, origin, strlen(origin));
}

static void
origins_are_compared_byte_for_byte(void **state)
{
	assert_string_equal(check("cors.origins="), "");
	assert_false(allowed("https://a.example"));
	assert_string_equal(check("cors.origins=https://a.example,"
				  "http://localhost:3000,http://[::1]:8080,"
				  "capacitor://localhost,file://"),
	    "");
	assert_true(allowed("https://a.example"));
	assert_true(allowed("http://localhost:3000"));
	assert_true(allowed("http://[::1]:8080"));
	assert_true(allowed("capacitor://localhost"));
	assert_true(allowed("file://"));
	assert_false(allowed("http://a.example"));
	assert_false(allowed("https://a.example:443"));
	assert_false(allowed("https://a.example."));
	assert_false(allowed("https://a.exampl"));
	assert_false(allowed("https://A.example"));
	assert_false(allowed("null"));
	assert_false(allowed(""));
	assert_false(allowed("*"));
	assert_string_equal(check("cors.origins=*"), "");
	assert_true(cfg->cors_any);
	assert_true(allowed("null"));
}

static void
origins_that_no_browser_writes_say_why(void **state)
{
	static const char form[] = "it is scheme://host or "
				   "scheme://host:port, in lower case";
	static const char tail[] =
	    "nothing follows the host and its port, not even a /";
	static const char lower[] =
	    "the host is in lower case, as browsers write it";
	static const char port[] = "a port is a number from 1 to 65535";
	static const char *const bad[][2] = {
		{ "a.example", form },
		{ "://a.example", form },
		{ "HTTPS://a.example", form },
		{ "https:/a.example", form },
		{ "https://a.example/", tail },
		{ "https://a.example/chat", tail },
		{ "https://a.example?x", tail },
		{ "https://A.example", lower },
		{ "https://a b", lower },
		{ "https://b\xc3\xbc.example", lower },
		{ "https://*.example", lower },
		{ "https://me@a.example", lower },
		{ "https://a.example:", port },
		{ "https://a.example:x", port },
		{ "https://a.example:0", port },
		{ "https://a.example:65536", port },
		{ "https://a.example:443",
		    "browsers leave this port out; do so, too" },
		{ "http://a.example:80",
		    "browsers leave this port out; do so, too" },
		{ "http://[::1", "an IPv6 address ends with ]" },
		{ "http://[::1]x/", tail },
		{ "null",
		    "any site can make a page of which browsers say "
		    "that; if that is meant, say *" },
	};
	char text[256], want[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "cors.origins=%s",
		    bad[i][0]);
		(void)snprintf(want, sizeof(want), ": %s", bad[i][1]);
		(void)check(text);
		if (strstr(said.data, want) == NULL)
			fail_msg("%s: %s", bad[i][0], said.data);
	}
	assert_string_equal(check("cors.origins=*,https://a.example"),
	    "-o: cors.origins: * stands for all, and alone");
	assert_string_equal(check("cors.origins=https://a.example:8443"), "");
	assert_string_equal(check("cors.origins=http://a.example:443"), "");
}

static bool
trusted(const char *address)
{
	int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	uint8_t addr[16] = { 0 };

	/* what is behind an IPv4 address is not looked at */
	memset(addr + 4, 0xa5, 12);
	assert_int_equal(inet_pton(family, address, addr), 1);
	return config_trusts(cfg, family, addr);
}

static void
proxies_are_addresses_and_nets(void **state)
{
	static const uint8_t none[16];

	assert_string_equal(check("trusted_proxies=10.1.2.3,192.168.8.0/21,"
				  "2001:db8::/33,fe80::1,::ffff:9.8.7.0/120"),
	    "");
	assert_int_equal(cfg->ntrusted, 5);
	assert_true(trusted("10.1.2.3"));
	assert_false(trusted("10.1.2.2"));
	assert_false(trusted("10.1.2.4"));
	assert_false(trusted("192.168.7.255"));
	assert_true(trusted("192.168.8.0"));
	assert_true(trusted("192.168.15.255"));
	assert_false(trusted("192.168.16.0"));
	assert_true(trusted("2001:db8:7fff::1"));
	assert_false(trusted("2001:db8:8000::1"));
	assert_true(trusted("fe80::1"));
	assert_false(trusted("fe80::2"));
	/* IPv4 in IPv6 clothes is IPv4, on both sides */
	assert_true(trusted("::ffff:10.1.2.3"));
	assert_false(trusted("::ffff:10.1.2.4"));
	assert_true(trusted("9.8.7.6"));
	assert_true(trusted("::ffff:9.8.7.6"));
	assert_false(trusted("9.8.6.6"));
	assert_false(config_trusts(cfg, AF_UNIX, none));
	assert_false(config_trusts(cfg, AF_UNSPEC, none));
	/* an IPv6 net that happens to begin as an address does is not it */
	assert_false(trusted("a01:203::"));

	assert_string_equal(check("trusted_proxies="), "");
	assert_int_equal(cfg->ntrusted, 0);
	assert_false(trusted("127.0.0.1"));
	assert_false(trusted("0.0.0.0"));
	assert_string_equal(check("trusted_proxies=unix"), "");
	assert_true(config_trusts(cfg, AF_UNIX, none));
	assert_false(trusted("0.0.0.0"));
	assert_string_equal(check("trusted_proxies=0.0.0.0/0"), "");
	assert_true(trusted("255.255.255.255"));
	assert_false(trusted("::1"));
	assert_string_equal(check("trusted_proxies=::/0"), "");
	assert_true(trusted("::1"));
	assert_false(trusted("1.2.3.4"));
}

static void
proxies_that_are_wrong_say_why(void **state)
{
	static const char form[] = "it is an address, address/bits, or unix";
	static const char v4[] = "behind the / is a number from 0 to 32";
	static const char v6[] = "behind the / is a number from 0 to 128";
	static const char behind[] =
	    "the address has bits behind those that count";
	static const char *const bad[][2] = {
		{ "localhost", form },
		{ "10.0.0", form },
		{ "10.0.0.0.0", form },
		{ "1::2::3", form },
		{ "unix:/x", form },
		{ "/8", form },
		{ "0123:4567:89ab:cdef:0123:4567:89ab:cdef:0123:4567", form },
		{ "10.0.0.0/33", v4 },
		{ "10.0.0.0/", v4 },
		{ "10.0.0.0/-1", v4 },
		{ "10.0.0.0/8x", v4 },
		{ "10.0.0.0/99999999999999999999", v4 },
		{ "fe80::/129", v6 },
		{ "10.0.0.1/8", behind },
		{ "10.0.0.1/31", behind },
		{ "fe80::1/127", behind },
	};
	char text[256], want[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "trusted_proxies=%s",
		    bad[i][0]);
		(void)snprintf(want, sizeof(want),
		    "-o: trusted_proxies: %s: %s", bad[i][0], bad[i][1]);
		assert_string_equal(check(text), want);
	}
}

static void
a_cookie_has_a_name_and_attributes(void **state)
{
	assert_string_equal(check("engine.cookie="), "");
	assert_null(cfg->cookie_name);
	assert_null(cfg->cookie_attributes);
	assert_string_equal(check("engine.cookie=io"), "");
	assert_string_equal(cfg->cookie_name, "io");
	assert_string_equal(cfg->cookie_attributes,
	    "Path=/; HttpOnly; SameSite=Lax");
	assert_string_equal(check("engine.cookie=__Host-io;Path=/;  Secure; "
				  "SameSite=None"),
	    "");
	assert_string_equal(cfg->cookie_name, "__Host-io");
	assert_string_equal(cfg->cookie_attributes,
	    "Path=/;  Secure; SameSite=None");
}

static void
a_cookie_cannot_break_out_of_its_field(void **state)
{
	static const char name[] = "its name is of letters, digits";
	static const char *const bad[][2] = {
		{ ";Path=/", name },
		{ "a b", name },
		{ "a=b", name },
		{ "a,b", name },
		{ "a\"b", name },
		{ "io;", "an attribute is missing" },
		{ "io;;Secure", "an attribute is missing" },
		{ "io; Path=/; ", "an attribute is missing" },
		{ "io; Path=/\xc3\xbc", "printable ASCII" },
	};
	char text[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "engine.cookie=%s",
		    bad[i][0]);
		(void)check(text);
		if (strstr(said.data, bad[i][1]) == NULL)
			fail_msg("%s: %s", bad[i][0], said.data);
	}
	/* nothing that ends a line gets as far as that */
	assert_non_null(strstr(check("engine.cookie=io\r\nX: y"), "not text"));
	assert_non_null(strstr(check("engine.cookie=io; a\tb"), "not text"));
}

static void
note(const char *text, void *arg)
{
	sb_addf(&said, "%s\n", text);
}

/* What is warned of when this is set. */
static const char *
warnings(const char *const *overrides, size_t n)
{
	assert_string_equal(check_all(overrides, n), "");
	config_warnings(cfg, note, NULL);
	return said.data;
}

static void
what_is_hardly_meant_is_warned_of(void **state)
{
	static const char *const any[] = { "cors.origins=*",
		"cors.credentials=on", "auth.mode=none" };
	static const char *const proxy[] = { "auth.mode=none",
		"listen=127.0.0.1:1?proxy" };
	const char *one[] = { "auth.mode=jwt" };

	assert_string_equal(warnings(one, 1), "");
	assert_string_equal(warnings(any, 1), "");
	assert_non_null(strstr(warnings(any, 2), "browsers refuse"));
	assert_non_null(strstr(warnings(any, 3), "any page"));
	assert_string_equal(warnings(proxy, 1), "");
	assert_non_null(strstr(warnings(proxy, 2), "behind a proxy"));
	one[0] = "trusted_proxies=10.0.0.0/8";
	assert_string_equal(warnings(one, 1), "");
	one[0] = "trusted_proxies=10.0.0.0/8,::/0";
	assert_non_null(strstr(warnings(one, 1), "all addresses"));
	one[0] = "engine.cookie=io; samesite=none; secure";
	assert_string_equal(warnings(one, 1), "");
	one[0] = "engine.cookie=io; SameSite=None";
	assert_non_null(strstr(warnings(one, 1), "without Secure"));
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(listeners_are_taken_apart),
		T(a_listener_may_expect_a_proxy),
		T(listeners_that_are_wrong_say_why),
		T(a_long_host_or_path_is_refused_not_cut),
		T(too_many_listeners_are_refused),
		T(transports_are_both_or_one),
		T(origins_are_compared_byte_for_byte),
		T(origins_that_no_browser_writes_say_why),
		T(proxies_are_addresses_and_nets),
		T(proxies_that_are_wrong_say_why),
		T(a_cookie_has_a_name_and_attributes),
		T(a_cookie_cannot_break_out_of_its_field),
		T(what_is_hardly_meant_is_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
