/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_base64 - what base64.h promises; what is lenient is Node's, measured.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base64.h"

static void
encodes(const char *raw, size_t len, const char *want)
{
	char *src = malloc(len > 0 ? len : 1), *dst;

	assert_non_null(src);
	memcpy(src, raw, len);
	assert_int_equal(base64_size(len), strlen(want));
	assert_non_null(dst = malloc(strlen(want) + 1));
	base64_encode(dst, src, len);
	assert_memory_equal(dst, want, strlen(want));
	free(dst);
	free(src);
}

/* Elsewhere, and in place; both copies end where they end. */
static void
decodes(const char *text, const char *want, size_t len)
{
	size_t n = strlen(text), room = n / 4 * 3 + 2;
	char *src = malloc(n > 0 ? n : 1), *dst = malloc(room);

	assert_non_null(src);
	assert_non_null(dst);
	memcpy(src, text, n);
	assert_int_equal(base64_decode(dst, src, n), len);
	assert_memory_equal(dst, want, len);
	assert_int_equal(base64_decode(src, src, n), len);
	assert_memory_equal(src, want, len);
	free(dst);
	free(src);
}

static void
vectors_of_rfc_4648(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		encodes(rows[i][0], strlen(rows[i][0]), rows[i][1]);
		decodes(rows[i][1], rows[i][0], strlen(rows[i][0]));
	}
	encodes("\xfb\xff\0", 3, "+/8A");
}

static void
case_33_decoding_is_lenient(void **state)
{
	/* padding may be missing, or be too much */
	decodes("Zg", "f", 1);
	decodes("Zm8", "fo", 2);
	decodes("Zm9vYg", "foob", 4);
	decodes("Zg====", "f", 1);
	decodes("Zm9v=", "foo", 3);
	/* a single character tells nothing */
	decodes("Z", "", 0);
	decodes("Zm9vY", "foo", 3);
	decodes("Z=", "", 0);
	/* the alphabet of URLs, mixed */
	decodes("-_8A", "\xfb\xff\0", 3);
	decodes("+_8A", "\xfb\xff\0", 3);
	/* what is of no alphabet is skipped */
	decodes("Z m\r\n9.v", "foo", 3);
	decodes("Z\xc3\xa9m9v", "foo", 3);
	decodes("!", "", 0);
	/* the first = ends it */
	decodes("=Zm9v", "", 0);
	decodes("Zm8=Zm8=", "fo", 2);
	decodes("Z=m8", "", 0);
	/* bits that are left over are not looked at */
	decodes("Zh", "f", 1);
	decodes("Zm9", "fo", 2);
}

static void
all_bytes_survive(void **state)
{
	uint8_t raw[256];
	char text[344 + 1];
	size_t i, len;

	for (i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 167 + 13);
	for (len = 0; len <= sizeof(raw); len++) {
		base64_encode(text, raw, len);
		text[base64_size(len)] = '\0';
		decodes(text, (char *)raw, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_rfc_4648),
		cmocka_unit_test(case_33_decoding_is_lenient),
		cmocka_unit_test(all_bytes_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
