/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_utf8 - what utf8.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf8.h"

/* What RFC 3629 says, written another way: decode, then look. */
static bool
reference(const uint8_t *p, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i = 0, n, k;
	uint32_t c;

	while (i < len) {
		if (p[i] < 0x80)
			n = 1, c = p[i];
		else if ((p[i] & 0xe0) == 0xc0)
			n = 2, c = p[i] & 0x1f;
		else if ((p[i] & 0xf0) == 0xe0)
			n = 3, c = p[i] & 0x0f;
		else if ((p[i] & 0xf8) == 0xf0)
			n = 4, c = p[i] & 0x07;
		else
			return false;
		if (n > len - i)
			return false;
		for (k = 1; k < n; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i + k] & 0x3f);
		}
		if (c < least[n] || c > 0x10ffff ||
		    (c >= 0xd800 && c <= 0xdfff))
			return false;
		i += n;
	}
	return true;
}

static void
agrees_with_the_rfc_on_all_texts_of_three_bytes(void **state)
{
	uint8_t t[3];
	unsigned a, b, c;

	for (a = 0; a < 256; a++) {
		for (b = 0; b < 256; b++) {
			for (c = 0; c < 256; c++) {
				t[0] = (uint8_t)a;
				t[1] = (uint8_t)b;
				t[2] = (uint8_t)c;
				if (utf8_valid((char *)t, 3) != reference(t, 3))
					fail_msg("%02x %02x %02x", a, b, c);
			}
		}
	}
}

static void
agrees_with_the_rfc_on_sequences_of_four_bytes(void **state)
{
	static const uint8_t edge[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
		0xa0, 0xbf, 0xc0, 0xff };
	uint8_t t[4];
	unsigned a;
	size_t i, j, k, n = sizeof(edge);

	for (a = 0xe0; a < 256; a++) {
		for (i = 0; i < n * n * n; i++) {
			j = i / n;
			k = j / n;
			t[0] = (uint8_t)a;
			t[1] = edge[i % n];
			t[2] = edge[j % n];
			t[3] = edge[k];
			if (utf8_valid((char *)t, 4) != reference(t, 4))
				fail_msg("%02x %02x %02x %02x", t[0], t[1],
				    t[2], t[3]);
		}
	}
}

/* A fault must be found wherever it stands to the words of 8 and 16. */
static void
finds_a_bad_byte_at_every_offset(void **state)
{
	char t[64];
	size_t len, i;

	for (len = 1; len < sizeof(t); len++) {
		for (i = 0; i < len; i++) {
			memset(t, 'a', len);
			assert_true(utf8_valid(t, len));
			t[i] = (char)0xff;
			assert_false(utf8_valid(t, len));
		}
	}
}

static void
refuses_a_text_that_ends_within_a_character(void **state)
{
	assert_true(utf8_valid("\xf0\x9f\x98\x80", 4));
	assert_false(utf8_valid("\xf0\x9f\x98", 3));
	assert_false(utf8_valid("\xf0\x9f", 2));
	assert_false(utf8_valid("abcdefgh\xc3", 9));
	assert_true(utf8_valid("", 0));
}

static void
feeding_in_pieces_is_the_same_as_at_once(void **state)
{
	static const char *const texts[] = {
		"plain text that is longer than sixteen bytes",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 and",
		"bad \xed\xa0\x80 surrogate", "half \xe2\x82",
		"overlong \xc0\xaf slash"
	};
	struct utf8 u;
	size_t t, i, j, len;
	bool ok;

	for (t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
		len = strlen(texts[t]);
		for (i = 0; i <= len; i++) {
			for (j = i; j <= len; j++) {
				memset(&u, 0, sizeof(u));
				ok = utf8_feed(&u, texts[t], i) &&
				    utf8_feed(&u, texts[t] + i, j - i) &&
				    utf8_feed(&u, texts[t] + j, len - j) &&
				    utf8_complete(&u);
				assert_int_equal(ok, utf8_valid(texts[t], len));
			}
		}
	}
}

static void
encodes_what_it_decodes(void **state)
{
	uint32_t c, d;
	char buf[4];
	size_t n;

	for (c = 0; c <= 0x10ffff; c++) {
		if (c == 0xd800)
			c = 0xe000;
		n = utf8_encode(c, buf);
		assert_true(reference((uint8_t *)buf, n));
		assert_int_equal(utf8_decode(buf, n, &d), n);
		assert_int_equal(c, d);
		if (n > 1)
			assert_int_equal(utf8_decode(buf, n - 1, &d), 0);
	}
	assert_int_equal(utf8_decode("\xed\xa0\x80", 3, &d), 0);
}

static void
counts_as_javascript_does(void **state)
{
	char t[64] = "";
	size_t i, n;

	assert_int_equal(utf8_utf16_length("", 0), 0);
	assert_int_equal(utf8_utf16_length("abc", 3), 3);
	assert_int_equal(utf8_utf16_length("\xc3\xbc", 2), 1);
	assert_int_equal(utf8_utf16_length("\xe2\x82\xac", 3), 1);
	assert_int_equal(utf8_utf16_length("\xf0\x9f\x98\x80", 4), 2);
	assert_int_equal(utf8_utf16_length("\xf4\x8f\xbf\xbf", 4), 2);
	/* an emoji at every offset to a word */
	for (i = 0; i < 20; i++) {
		n = 0;
		memset(t, 'x', i);
		memcpy(t + i, "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xbcyyyyyyyyyy",
		    19);
		n = utf8_utf16_length(t, i + 19);
		assert_int_equal(n, i + 2 + 1 + 1 + 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    agrees_with_the_rfc_on_all_texts_of_three_bytes),
		cmocka_unit_test(
		    agrees_with_the_rfc_on_sequences_of_four_bytes),
		cmocka_unit_test(finds_a_bad_byte_at_every_offset),
		cmocka_unit_test(refuses_a_text_that_ends_within_a_character),
		cmocka_unit_test(feeding_in_pieces_is_the_same_as_at_once),
		cmocka_unit_test(encodes_what_it_decodes),
		cmocka_unit_test(counts_as_javascript_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
