/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_config - configuration files: what is accepted can be printed, read
 * again, encoded and decoded and is still the same; what is refused says
 * why in whole lines.  An input that begins with the encoding's magic is
 * decoded as it is.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *
load(const char *text, size_t len)
{
	struct config_source src = { .text = text,
		.text_len = len,
		.without_files = true };
	struct config_errors errors;
	struct config *cfg = config_load(&src, &errors);

	CHECK((cfg == NULL) == (errors.n > 0));
	for (size_t i = 0; i < errors.n; i++)
		for (const char *p = errors.v[i]; *p != '\0'; p++)
			CHECK((unsigned char)*p >= ' ');
	config_errors_clear(&errors);
	return cfg;
}

static void
check_same(struct config *a, struct config *b)
{
	CHECK(b != NULL);
	CHECK(config_diff(a, b, NULL, NULL) == 0);
	CHECK(a->nlisteners == b->nlisteners);
	CHECK(memcmp(a->listeners, b->listeners,
		  a->nlisteners * sizeof(*a->listeners)) == 0);
	config_free(&b);
}

static void
changed(const char *name, const char *old_value, const char *new_value,
    bool reloadable, void *arg)
{
	CHECK(!"a value that did not survive");
}

static void
check_print(struct config *cfg)
{
	struct config *again;
	char *text;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	CHECK(fp != NULL);
	config_dump(cfg, fp);
	CHECK(fclose(fp) == 0);
	again = load(text, len);
	CHECK(again != NULL);
	(void)config_diff(cfg, again, changed, NULL);
	check_same(cfg, again);
	free(text);
}

static void
check_code(struct config *cfg)
{
	struct strbuf sb = STRBUF_INIT;

	config_encode(cfg, &sb);
	check_same(cfg, config_decode(sb.data, sb.len));
	sb_clear(&sb);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy that ends where it ends */
	char *copy = malloc(size > 0 ? size : 1);
	struct config *cfg;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	cfg = load(copy, size);
	if (cfg != NULL) {
		check_print(cfg);
		check_code(cfg);
		config_free(&cfg);
	}
	cfg = config_decode(copy, size);
	config_free(&cfg);
	free(copy);
	return 0;
}
