/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_keys - the keys that files of the configuration hold: told
 * with the option and the file when they are wrong, the same in each process,
 * others after a reload.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/keys.h"
#include "tests/unit/token_keys.h"

#define SET(keys) "{\"keys\":[" keys "]}"

struct fixture {
	char dir[40];
	char pem[80], jwks[80], secret[80];
	struct config *cfg;
	struct strbuf said;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	snprintf(f->dir, sizeof(f->dir), "/tmp/chatd-keys-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->pem, sizeof(f->pem), "%s/pem", f->dir);
	snprintf(f->jwks, sizeof(f->jwks), "%s/jwks", f->dir);
	snprintf(f->secret, sizeof(f->secret), "%s/secret", f->dir);
	sb_init(&f->said);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	config_free(&f->cfg);
	sb_clear(&f->said);
	(void)unlink(f->pem);
	(void)unlink(f->jwks);
	(void)unlink(f->secret);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void
write_file(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_true(fputs(text, fp) >= 0);
	assert_int_equal(fclose(fp), 0);
}

/* With those of the files that have a text; what is wrong, or "". */
static const char *
load(struct fixture *f, const char *pem, const char *jwks, const char *secret)
{
	char text[3][120];
	const char *overrides[3];
	struct config_source src = { .overrides = overrides };
	struct config_errors errors;
	const struct {
		const char *option, *path, *text;
	} files[] = { { "auth.key_file", f->pem, pem },
		{ "auth.jwks_file", f->jwks, jwks },
		{ "auth.secret_file", f->secret, secret } };

	for (size_t i = 0; i < 3; i++) {
		if (files[i].text == NULL)
			continue;
		write_file(files[i].path, files[i].text);
		snprintf(text[i], sizeof(text[i]), "%s=%s", files[i].option,
		    files[i].path);
		overrides[src.noverrides++] = text[i];
	}
	config_free(&f->cfg);
	f->cfg = config_load(&src, &errors);
	sb_reset(&f->said);
	sb_adds(&f->said, "");
	for (size_t i = 0; i < errors.n; i++)
		sb_addf(&f->said, "%s%s", i == 0 ? "" : "\n", errors.v[i]);
	assert_int_equal(f->cfg == NULL, errors.n > 0);
	config_errors_clear(&errors);
	return f->said.data == NULL ? "" : f->said.data;
}

static void
any_kind_of_key_is_enough(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(load(f, P256_PUBLIC, NULL, NULL), "");
	assert_int_equal(f->cfg->keys->n, 1);
	assert_string_equal(load(f, NULL, SET(ED_JWK), NULL), "");
	assert_int_equal(f->cfg->keys->n, 1);
	assert_string_equal(load(f, NULL, NULL, SECRET "\n"), "");
	assert_int_equal(f->cfg->keys->n, 1);
	assert_string_equal(load(f, P256_PUBLIC RSA_PUBLIC, SET(ED_JWK),
				SECRET),
	    "");
	assert_int_equal(f->cfg->keys->n, 4);
	/* and none is not */
	assert_non_null(
	    strstr(load(f, NULL, NULL, NULL), "auth.mode jwt (default) needs"));
}

static void
what_is_wrong_is_told_with_its_option_and_file(void **state)
{
	struct fixture *f = *state;
	char want[400];

	(void)load(f, RSA1024_PUBLIC "\n" P256_PRIVATE,
	    SET("{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"AAAA\"}," ED_JWK),
	    "short");
	snprintf(want, sizeof(want),
	    "-o: auth.key_file: %s: line 1: an RSA key of 1024 bits;", f->pem);
	assert_non_null(strstr(f->said.data, want));
	snprintf(want, sizeof(want),
	    "-o: auth.key_file: %s: line 8: a private key does not belong",
	    f->pem);
	assert_non_null(strstr(f->said.data, want));
	snprintf(want, sizeof(want),
	    "-o: auth.jwks_file: %s: key 1 (kid k): a secret of 3 bytes; it "
	    "has 32 to 65536",
	    f->jwks);
	assert_non_null(strstr(f->said.data, want));
	assert_non_null(strstr(f->said.data, "a secret has at least 32"));
}

static void
on_warning(const char *text, void *arg)
{
	sb_addf(arg, "%s\n", text);
}

static void
what_was_left_out_is_a_warning(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(load(f, NULL,
				SET(ED_JWK ",{\"kty\":\"RSA\",\"kid\":\"e\","
					   "\"use\":\"enc\"}"),
				NULL),
	    "");
	sb_reset(&f->said);
	config_warnings(f->cfg, on_warning, &f->said);
	assert_non_null(strstr(f->said.data, "key 2 (kid e): left out"));
}

/* As a worker gets it; and a set that is another is a change. */
static void
it_travels_and_can_be_reloaded(void **state)
{
	struct fixture *f = *state;
	struct config *got, *old;
	int fd;

	assert_string_equal(load(f, ED_PUBLIC,
				SET("{\"kid\":\"a\",\"kty\":"
				    "\"oct\",\"k\":"
				    "\"MDEyMzQ1Njc4OWFiY2RlZjA"
				    "xMjM0NTY3ODlhYmNkZWY\"}"),
				NULL),
	    "");
	assert_true((fd = config_memfd(f->cfg)) != -1);
	assert_non_null(got = config_from_fd(fd));
	(void)close(fd);
	assert_int_equal(got->keys->n, 2);
	assert_int_equal(got->keys->v[0].type, KEY_ED25519);
	assert_string_equal(got->keys->v[1].kid, "a");
	assert_int_equal(config_diff(f->cfg, got, NULL, NULL), 0);
	config_free(&got);
	/* it can be made by a reload */
	old = f->cfg;
	f->cfg = NULL;
	assert_string_equal(load(f, ED_PUBLIC, SET(P256_JWK), NULL), "");
	assert_int_equal(config_diff(old, f->cfg, NULL, NULL), 0);
	assert_int_equal(f->cfg->keys->v[1].type, KEY_P256);
	config_free(&old);
}

/* A tool that only looks something up reads no keys. */
static void
without_files_there_are_none(void **state)
{
	const char *override = "auth.key_file=/nowhere/at/all";
	struct config_source src = { .overrides = &override,
		.noverrides = 1,
		.without_files = true };
	struct config_errors errors;
	struct config *cfg = config_load(&src, &errors);

	assert_non_null(cfg);
	assert_null(cfg->keys);
	config_errors_clear(&errors);
	config_free(&cfg);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(any_kind_of_key_is_enough),
		T(what_is_wrong_is_told_with_its_option_and_file),
		T(what_was_left_out_is_a_warning),
		T(it_travels_and_can_be_reloaded),
		T(without_files_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
