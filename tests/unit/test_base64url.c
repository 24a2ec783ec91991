/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_base64url - what base64url.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64url.h"

static const struct {
	const char *raw, *text;
} pairs[] = { { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" },
	{ "\xff\xff\xfe", "___-" }, { "\xfb\xf0", "-_A" } };

static void
there_and_back(void **state)
{
	char text[20], raw[20];
	size_t i, n, len;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		n = strlen(pairs[i].text);
		len = strlen(pairs[i].raw);
		assert_int_equal(base64url_size(len), n);
		base64url_encode(text, pairs[i].raw, len);
		assert_memory_equal(text, pairs[i].text, n);
		assert_int_equal(base64url_decode(raw, text, n), len);
		assert_memory_equal(raw, pairs[i].raw, len);
		/* in place */
		assert_int_equal(base64url_decode(text, text, n), len);
		assert_memory_equal(text, pairs[i].raw, len);
	}
}

/* Three bytes are four characters, whatever they are. */
static void
every_byte_is_itself(void **state)
{
	uint8_t in[256], out[256];
	char text[400];
	size_t len;
	int i;

	for (i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	for (len = 0; len <= 256; len++) {
		base64url_encode(text, in, len);
		assert_int_equal(base64url_decode(out, text,
				     base64url_size(len)),
		    len);
		assert_memory_equal(in, out, len);
	}
}

static void
nothing_else_is_decoded(void **state)
{
	static const char *const texts[] = { "A", "AAAAA",
		"Zg==", "Zm8=", "Zm9v ", " Zm9v", "Zm9v\n", "Zm+v", "Zm/v",
		"Zm.v", "Z\x80gg", "====",
		/* bits that are left over */
		"Zh", "Zk", "Zz", "Zm9", "Zm-", "Zm9vYh" };
	char out[20];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (base64url_decode(out, texts[i], strlen(texts[i])) != -1)
			fail_msg("%s is decoded", texts[i]);
	}
	assert_int_equal(base64url_decode(out, "Zm\0v", 4), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(every_byte_is_itself),
		cmocka_unit_test(nothing_else_is_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
