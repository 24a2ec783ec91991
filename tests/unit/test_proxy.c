/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_proxy - what proxy.h promises.  Each header is also read as it grows
 * byte by byte.
 */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/proxy.h"

static struct net_address source;
static size_t used;
static const char *why;

/* From a copy that ends where it ends. */
static enum proxy_result
parse_copy(const void *p, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum proxy_result result;

	assert_non_null(copy);
	memcpy(copy, p, len);
	memset(&source, 0x55, sizeof(source));
	used = SIZE_MAX;
	why = NULL;
	result = proxy_parse(copy, len, &source, &used, &why);
	free(copy);
	if (result != PROXY_OK) {
		assert_int_equal(source.port, 0x5555);
		assert_int_equal(used, SIZE_MAX);
	}
	assert_true((result == PROXY_BAD) == (why != NULL));
	return result;
}

static enum proxy_result
parse(const void *p, size_t len)
{
	enum proxy_result result = PROXY_MORE, whole;
	size_t n;

	for (n = 0; n <= len && result == PROXY_MORE; n++)
		result = parse_copy(p, n);
	/* OK comes with the last byte, BAD as soon as it is clear */
	if (result == PROXY_OK)
		assert_int_equal(used, n - 1);
	whole = parse_copy(p, len);
	assert_int_equal(whole, result);
	return whole;
}

static void
gives(const void *p, size_t len, const char *want)
{
	char buf[NET_ADDRESS_TEXT];

	if (parse(p, len) != PROXY_OK)
		fail_msg("%s", why == NULL ? "more" : why);
	assert_int_equal(used, len);
	net_address_print(&source, buf);
	assert_string_equal(buf, want);
}

static void
refused(const void *p, size_t len, const char *want)
{
	if (parse(p, len) != PROXY_BAD)
		fail_msg("taken: %s", want);
	assert_string_equal(why, want);
}

#define GIVES(text, want) gives(text, sizeof(text) - 1, want)
#define REFUSED(text, want) refused(text, sizeof(text) - 1, want)

/* --- version 1 ----------------------------------------------------------- */

static void
version_1_tells_addresses_and_ports(void **state)
{
	GIVES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
	    "192.168.0.1:56324");
	GIVES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
	    "255.255.255.255:65535");
	GIVES("PROXY TCP6 2001:db8::1 ::1 56324 443\r\n",
	    "[2001:db8::1]:56324");
	GIVES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	GIVES("PROXY TCP6 ::ffff:1.2.3.4 ::1 5 6\r\n", "1.2.3.4:5");
	GIVES("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4");
}

static void
unknown_tells_nothing(void **state)
{
	GIVES("PROXY UNKNOWN\r\n", "unknown");
	assert_int_equal(source.family, AF_UNSPEC);
	GIVES("PROXY UNKNOWN ffff::1 ::2 65535 65535\r\n", "unknown");
	GIVES("PROXY UNKNOWN what ever ~ this is!\r\n", "unknown");
}

static void
version_1_has_one_form(void **state)
{
	static const char *const lines[] = {
		"PROXY \r\n",
		"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4\r\n",
		"PROXY TCP4 \r\n",
		"PROXY TCP4 1.2.3.4\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 100000 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 4294967297 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 a\r\n",
		"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
		"PROXY TCP4 1.2.3.4:5 5.6.7.8 1 2\r\n",
		"PROXY TCP4 ::1 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
		"PROXY TCP6 [::1] ::1 1 2\r\n",
		"PROXY TCP6 ::1 [::1]:5 1 2\r\n",
		"PROXY TCP5 ::1 ::1 1 2\r\n",
		"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY UNKNOWNX\r\n",
		"PROXY UNKNOWN\rx",
	};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		refused(lines[i], strlen(lines[i]), "malformed PROXY line");
}

static void
version_1_is_printable(void **state)
{
	static const char want[] = "character not allowed in PROXY line";

	REFUSED("PROXY UNKNOWN\n", want);
	REFUSED("PROXY TCP4\t1.2.3.4 5.6.7.8 1 2\r\n", want);
	REFUSED("PROXY UNKNOWN \0\r\n", want);
	REFUSED("PROXY UNKNOWN \x80\r\n", want);
	REFUSED("PROXY UNKNOWN \x7f\r\n", want);
}

static void
version_1_has_107_bytes_at_most(void **state)
{
	char line[200];

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	gives(line, 107, "unknown");
	memset(line + 105, 'x', 2);
	assert_int_equal(parse_copy(line, 105), PROXY_MORE);
	refused(line, 106, "PROXY line too long");
	memcpy(line + 106, "\r\n", 2);
	refused(line, 108, "PROXY line too long");
	refused(line, sizeof(line), "PROXY line too long");
	memset(line + 106, 'x', 2);
	refused(line, sizeof(line), "PROXY line too long");
}

/* --- version 2 ----------------------------------------------------------- */

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define FROM4 "\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb"
#define FROM6 \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02" \
	"\x12\x34\x01\xbb"

static void
version_2_tells_addresses_and_ports(void **state)
{
	static char unix_header[16 + 216] =
	    SIGNATURE "\x21\x31\x00\xd8/run/a.sock";

	GIVES(SIGNATURE "\x21\x11\x00\x0c" FROM4, "1.2.3.4:4660");
	GIVES(SIGNATURE "\x21\x21\x00\x24" FROM6, "[2001:db8::1]:4660");
	GIVES(SIGNATURE "\x21\x21\x00\x24"
			"\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04"
			"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02"
			"\x00\x05\x01\xbb",
	    "1.2.3.4:5");
	gives(unix_header, sizeof(unix_header), "unix");
}

static void
version_2_may_tell_nothing(void **state)
{
	GIVES(SIGNATURE "\x20\x00\x00\x00", "unknown");
	/* LOCAL: whatever follows */
	GIVES(SIGNATURE "\x20\x11\x00\x0c" FROM4, "unknown");
	GIVES(SIGNATURE "\x20\xff\x00\x03\xff\xff\xff", "unknown");
	/* unspecified, and datagrams, which we have none of */
	GIVES(SIGNATURE "\x21\x00\x00\x00", "unknown");
	GIVES(SIGNATURE "\x21\x00\x00\x02xx", "unknown");
	GIVES(SIGNATURE "\x21\x12\x00\x0c" FROM4, "unknown");
	GIVES(SIGNATURE "\x21\x22\x00\x24" FROM6, "unknown");
}

static void
the_client_begins_behind_the_header(void **state)
{
	static const char v1[] = "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n";
	static const char v2[] = SIGNATURE "\x21\x11\x00\x0c" FROM4 "GET /";

	assert_int_equal(parse_copy(v1, sizeof(v1) - 1), PROXY_OK);
	assert_int_equal(used, 15);
	assert_int_equal(parse_copy(v2, sizeof(v2) - 1), PROXY_OK);
	assert_int_equal(used, 28);
}

static void
what_is_no_header_is_refused_at_once(void **state)
{
	REFUSED("G", "no PROXY header");
	REFUSED("PROXX", "no PROXY header");
	REFUSED("PROXY\t", "no PROXY header");
	REFUSED("proxy TCP4", "no PROXY header");
	REFUSED(" PROXY", "no PROXY header");
	REFUSED("\r\n\r\n\r", "no PROXY header");
	REFUSED("\0", "no PROXY header");
	REFUSED(SIGNATURE "\x11", "unknown PROXY version or command");
	REFUSED(SIGNATURE "\x31", "unknown PROXY version or command");
	REFUSED(SIGNATURE "\x22", "unknown PROXY version or command");
	REFUSED(SIGNATURE "\x2f", "unknown PROXY version or command");
	assert_int_equal(parse_copy("", 0), PROXY_MORE);
}

static void
version_2_families_are_known_or_refused(void **state)
{
	static const char good[] = "\x00\x11\x12\x21\x22\x31\x32";
	static char header[16 + 216] = SIGNATURE "\x21\x00\x00\xd8";
	unsigned family;

	/* what stands behind the addresses are fields without anything */
	for (family = 0; family < 256; family++) {
		header[13] = (char)family;
		assert_int_equal(parse_copy(header, sizeof(header)),
		    memchr(good, (int)family, 7) != NULL ? PROXY_OK
							 : PROXY_BAD);
	}
}

static void
version_2_addresses_are_whole(void **state)
{
	REFUSED(SIGNATURE "\x21\x11\x00\x0b" FROM4,
	    "PROXY addresses are cut off");
	REFUSED(SIGNATURE "\x21\x21\x00\x23" FROM6,
	    "PROXY addresses are cut off");
	REFUSED(SIGNATURE "\x21\x31\x00\x24" FROM6,
	    "PROXY addresses are cut off");
}

static void
fields_are_skipped_but_whole(void **state)
{
	GIVES(SIGNATURE "\x21\x11\x00\x14" FROM4 "\x04\x00\x00\xea\x00\x02xx",
	    "1.2.3.4:4660");
	REFUSED(SIGNATURE "\x21\x11\x00\x0d" FROM4 "\x04",
	    "PROXY field is cut off");
	REFUSED(SIGNATURE "\x21\x11\x00\x0e" FROM4 "\x04\x00",
	    "PROXY field is cut off");
	REFUSED(SIGNATURE "\x21\x11\x00\x10" FROM4 "\x04\x00\x02x",
	    "PROXY field longer than the header");
	REFUSED(SIGNATURE "\x21\x11\x00\x0f" FROM4 "\x04\xff\xff",
	    "PROXY field longer than the header");
}

/* From HAProxy 2.6 with "proxy-v2-options crc32c,unique-id". */
static const char haproxy4[] =
    "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x21\x00\x58"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"
    "\xbe\x94\x4a\x3b\x03\x00\x04\x83\x17\x5d\x35\x05\x00\x2a\x30\x30"
    "\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30"
    "\x30\x30\x46\x46\x46\x46\x37\x46\x30\x30\x30\x30\x30\x31\x3a\x42"
    "\x45\x39\x34\x5f\x30\x30\x30\x34";
static const char haproxy6[] =
    "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x21\x00\x58"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    "\xad\xb8\x4a\x3b\x03\x00\x04\xc9\xd2\x84\xa3\x05\x00\x2a\x30\x30"
    "\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30"
    "\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x31\x3a\x41"
    "\x44\x42\x38\x5f\x30\x30\x30\x35";
static const char haproxy_check[] =
    "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x20\x00\x00\x07"
    "\x03\x00\x04\xa9\xb8\x7e\x8f";

static void
headers_of_haproxy_are_read(void **state)
{
	GIVES(haproxy4, "127.0.0.1:48788");
	GIVES(haproxy6, "[::1]:44472");
	GIVES(haproxy_check, "unknown");
	GIVES("PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 44940 19001\r\n",
	    "127.0.0.1:44940");
}

static void
a_checksum_must_be_right(void **state)
{
	char header[sizeof(haproxy4) - 1];
	size_t i;

	memcpy(header, haproxy4, sizeof(header));
	/* any byte that changes is seen: addresses, and other fields */
	for (i = 16; i < sizeof(header); i++) {
		/* the beginnings of fields have errors of their own */
		if ((i >= 52 && i < 55) || (i >= 59 && i < 62))
			continue;
		header[i] ^= 0x10;
		refused(header, sizeof(header), "wrong PROXY checksum");
		header[i] ^= 0x10;
	}
	REFUSED(SIGNATURE "\x21\x11\x00\x12" FROM4 "\x03\x00\x03xxx",
	    "malformed PROXY checksum");
	REFUSED(SIGNATURE "\x21\x11\x00\x14" FROM4 "\x03\x00\x05xxxxx",
	    "malformed PROXY checksum");
}

static void
version_2_has_4096_bytes_at_most(void **state)
{
	static char header[PROXY_V2_MAX] =
	    SIGNATURE "\x21\x11\x0f\xf0" FROM4 "\x04\x0f\xe1";

	assert_int_equal(parse_copy(header, sizeof(header) - 1), PROXY_MORE);
	assert_int_equal(parse_copy(header, sizeof(header)), PROXY_OK);
	assert_int_equal(used, PROXY_V2_MAX);
	header[15] = '\xf1';
	refused(header, 16, "PROXY header too long");
	REFUSED(SIGNATURE "\x20\x00\xff\xff", "PROXY header too long");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1_tells_addresses_and_ports),
		cmocka_unit_test(unknown_tells_nothing),
		cmocka_unit_test(version_1_has_one_form),
		cmocka_unit_test(version_1_is_printable),
		cmocka_unit_test(version_1_has_107_bytes_at_most),
		cmocka_unit_test(version_2_tells_addresses_and_ports),
		cmocka_unit_test(version_2_may_tell_nothing),
		cmocka_unit_test(the_client_begins_behind_the_header),
		cmocka_unit_test(what_is_no_header_is_refused_at_once),
		cmocka_unit_test(version_2_families_are_known_or_refused),
		cmocka_unit_test(version_2_addresses_are_whole),
		cmocka_unit_test(fields_are_skipped_but_whole),
		cmocka_unit_test(headers_of_haproxy_are_read),
		cmocka_unit_test(a_checksum_must_be_right),
		cmocka_unit_test(version_2_has_4096_bytes_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
