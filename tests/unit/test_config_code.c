/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_code - a configuration arrives as it left, or not at all.
 */

#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/keys.h"

struct fixture {
	struct config *cfg;
	struct strbuf bytes;
};

static int
setup(void **state)
{
	static const char secret[] = "a secret of 36 bytes, one of them a \0";
	static const char jwks[] =
	    "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k1\","
	    "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlh"
	    "YmNkZWY\"}]}";
	static const char *const overrides[] = { "workers=7",
		"listen=127.0.0.1:1,unix:/tmp/a b, [::1]:3",
		"auth.issuer=\"quo\\\"te, # \\\\\"", "log.format=json",
		"typing.expiry=6001ms", "store.max_bytes=17g",
		"engine.transports=websocket", "engine.eio3=yes",
		"engine.cookie=io; Path=/x, y; Secure", "recovery.window=0",
		"cors.origins=*", "trusted_proxies=10.0.0.0/8, unix" };
	struct config_source src = { .overrides = overrides,
		.noverrides = sizeof(overrides) / sizeof(overrides[0]),
		.without_files = true };
	struct config_errors errors;
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	f->cfg = config_load(&src, &errors);
	if (f->cfg == NULL)
		return -1;
	f->cfg->auth_secret = malloc(sizeof(secret) - 1);
	if (f->cfg->auth_secret == NULL)
		return -1;
	memcpy(f->cfg->auth_secret, secret, sizeof(secret) - 1);
	f->cfg->auth_secret_len = sizeof(secret) - 1;
	f->cfg->blob[CONFIG_BLOB_JWKS].p = (uint8_t *)strdup(jwks);
	f->cfg->blob[CONFIG_BLOB_JWKS].len = sizeof(jwks) - 1;
	sb_init(&f->bytes);
	config_encode(f->cfg, &f->bytes);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	config_free(&f->cfg);
	sb_clear(&f->bytes);
	free(f);
	return 0;
}

static void
same(const struct config *a, const struct config *b)
{
	assert_int_equal(config_diff(a, b, NULL, NULL), 0);
	for (unsigned i = 0; i < CONFIG__MAX; i++)
		assert_string_equal(a->where[i], b->where[i]);
	assert_int_equal(a->nlisteners, b->nlisteners);
	assert_memory_equal(a->listeners, b->listeners,
	    a->nlisteners * sizeof(*a->listeners));
	assert_int_equal(a->engine_polling, b->engine_polling);
	assert_int_equal(a->engine_websocket, b->engine_websocket);
	assert_int_equal(a->cors_any, b->cors_any);
	assert_int_equal(a->ntrusted, b->ntrusted);
	assert_memory_equal(a->trusted, b->trusted,
	    a->ntrusted * sizeof(*a->trusted));
	assert_int_equal(a->trusted_unix, b->trusted_unix);
	assert_string_equal(a->cookie_name, b->cookie_name);
	assert_string_equal(a->cookie_attributes, b->cookie_attributes);
	assert_int_equal(a->auth_secret_len, b->auth_secret_len);
	assert_memory_equal(a->auth_secret, b->auth_secret, a->auth_secret_len);
	/* and both kinds of keys are read */
	assert_int_equal(b->keys->n, 2);
	assert_null(b->keys->v[0].kid);
	assert_string_equal(b->keys->v[1].kid, "k1");
}

static void
everything_arrives_as_it_left(void **state)
{
	struct fixture *f = *state;
	struct config *got = config_decode(f->bytes.data, f->bytes.len);

	assert_non_null(got);
	same(f->cfg, got);
	assert_string_equal(got->auth_issuer, "quo\"te, # \\");
	assert_string_equal(got->listen.v[1], "unix:/tmp/a b");
	assert_int_equal(got->typing_expiry, 6001);
	assert_int_equal(got->workers, 7);
	assert_true(got->cors_any && got->trusted_unix && got->engine_eio3);
	assert_false(got->engine_polling);
	assert_string_equal(got->cookie_attributes, "Path=/x, y; Secure");
	config_free(&got);
}

static void
the_memfd_is_sealed_and_can_be_read_again(void **state)
{
	struct fixture *f = *state;
	struct config *got;
	int fd = config_memfd(f->cfg);

	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	for (int i = 0; i < 2; i++) {
		got = config_from_fd(fd);
		assert_non_null(got);
		same(f->cfg, got);
		config_free(&got);
	}
	(void)close(fd);
}

static void
a_descriptor_that_holds_none_is_refused(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_null(config_from_fd(fd));
	assert_int_equal(errno, EPROTO);
	assert_int_equal(write(fd, "not a configuration", 19), 19);
	assert_null(config_from_fd(fd));
	assert_int_equal(errno, EPROTO);
	assert_int_equal(ftruncate(fd, 1LL << 40), 0);
	assert_null(config_from_fd(fd));
	assert_int_equal(errno, EPROTO);
	(void)close(fd);
	assert_null(config_from_fd(-1));
	assert_int_equal(errno, EBADF);
}

static void
no_shorter_or_longer_text_is_accepted(void **state)
{
	struct fixture *f = *state;
	char *copy;

	for (size_t len = 0; len < f->bytes.len; len++) {
		/* a copy of its own, so that a byte too far is noticed */
		copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy, f->bytes.data, len);
		copy = realloc(copy, len == 0 ? 1 : len);
		errno = 0;
		assert_null(config_decode(copy, len));
		assert_int_equal(errno, EPROTO);
		free(copy);
	}
	sb_addc(&f->bytes, 'x');
	assert_null(config_decode(f->bytes.data, f->bytes.len));
}

static void
no_changed_byte_does_harm(void **state)
{
	struct fixture *f = *state;
	struct config *got;
	unsigned refused = 0;

	for (size_t i = 0; i < f->bytes.len; i++) {
		for (int bit = 0; bit < 8; bit += 3) {
			f->bytes.data[i] ^= (char)(1 << bit);
			got = config_decode(f->bytes.data, f->bytes.len);
			refused += got == NULL;
			config_free(&got);
			f->bytes.data[i] ^= (char)(1 << bit);
		}
	}
	assert_true(refused > 0);
	got = config_decode(f->bytes.data, f->bytes.len);
	assert_non_null(got);
	config_free(&got);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(everything_arrives_as_it_left),
		T(the_memfd_is_sealed_and_can_be_read_again),
		T(a_descriptor_that_holds_none_is_refused),
		T(no_shorter_or_longer_text_is_accepted),
		T(no_changed_byte_does_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
