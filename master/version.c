/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * version - what this binary is, and what it was built from.
 */

#include "master/version.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "common/ipc.h"
#include "shm/ring.h"
#include "shm/tables.h"

#ifdef CHATD_SANITIZED
#define OPTIONS "sanitizers"
#elif defined(__OPTIMIZE__)
#define OPTIONS "optimized, sandbox"
#else
#define OPTIONS "debug, sandbox"
#endif

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void
put_abi(role_version_fn fn, void *arg, const char *what, uint64_t abi)
{
	char text[20];

	(void)snprintf(text, sizeof(text), "%016" PRIx64, abi);
	fn(what, text, arg);
}

void
version_each(role_version_fn fn, void *arg)
{
	char number[12];

	fn("chatd", CHATD_VERSION, arg);
	fn("build", OPTIONS ", " COMPILER, arg);
	fn("libevent", event_get_version(), arg);
	fn("openssl", OpenSSL_version(OPENSSL_VERSION), arg);
	scribe_version(fn, arg);
	bridge_version(fn, arg);
	put_abi(fn, arg, "ring_abi", ring_abi());
	put_abi(fn, arg, "tables_abi", tables_abi());
	(void)snprintf(number, sizeof(number), "%d", IPC_VERSION);
	fn("ipc", number, arg);
}

static void
print_line(const char *what, const char *value, void *arg)
{
	(void)printf("%-12s %s\n", what, value);
}

void
version_print(void)
{
	version_each(print_line, NULL);
}
