/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * keys_impl - what the files of keys share.
 */

#ifndef COMMON_KEYS_IMPL_H
#define COMMON_KEYS_IMPL_H

#include <openssl/evp.h>

#include "common/keys.h"

/* Who is told what is wrong with which key. */
struct keys_reader {
	struct keys *keys;
	keys_wrong_fn fn;
	void *arg;
	/* "key 2 (kid a)" */
	char which[300];
	bool failed;
};

/* "<which>: <what>" */
void keys_wrong(struct keys_reader *rd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for keys->notes. */
void keys_note(struct keys_reader *rd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void keys_add_note(struct keys *keys, const char *text);

/*
 * Check a public key and fill in what follows from it, the pkey included,
 * which it takes over in any case.  False: keys_wrong() was told.
 */
bool key_of_pkey(struct keys_reader *rd, struct key *k, EVP_PKEY *pkey);
/* Of a secret that is long enough for one algorithm at least. */
void key_of_secret(struct key *k, const void *secret, size_t len);

/* All algorithms that this type can be used with. */
unsigned key_type_algs(enum key_type type);
/* False if there are too many already; '*k' is taken over in any case. */
bool keys_add(struct keys_reader *rd, struct key *k);
void key_clear(struct key *k);

#endif /* COMMON_KEYS_IMPL_H */
