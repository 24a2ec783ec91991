/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ledger - see ledger.h.
 */

#include "tests/torture/ledger.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/util.h"

FILE *
ledger_create(const char *path)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		die(EXIT_FAILED, "%s: %s", path, strerror(errno));
	(void)setvbuf(f, NULL, _IOFBF, 1 << 20);
	return f;
}

void
ledger_put(FILE *f, const struct ledger_entry *e)
{
	if (fwrite(e, sizeof(*e), 1, f) != 1)
		die(EXIT_FAILED, "the ledger: %s", strerror(errno));
}

void
ledger_close(FILE *f, const char *path)
{
	if (fclose(f) != 0)
		die(EXIT_FAILED, "%s: %s", path, strerror(errno));
}

void
ledger_map(struct ledger *l, const char *path)
{
	struct stat st;
	void *p;
	int fd;

	l->path = path;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(fd, &st) == -1)
		die(EXIT_FAILED, "%s: %s", path, strerror(errno));
	if (st.st_size == 0 ||
	    (size_t)st.st_size % sizeof(struct ledger_entry) != 0)
		die(EXIT_FAILED, "%s: no ledger", path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(EXIT_FAILED, "%s: %s", path, strerror(errno));
	close(fd);
	l->entry = p;
	l->n = (size_t)st.st_size / sizeof(struct ledger_entry);
}

const char *
ledger_kind_name(unsigned kind)
{
	static const char *const names[] = {
#define KIND(name, text) #name,
#include "tests/torture/tbl_kind.h"
#undef KIND
	};

	return kind < LEDGER__MAX ? names[kind] : "?";
}

const char *
ledger_code_name(unsigned code)
{
	static const char *const names[] = {
#define CODE(name, allowed) #name,
#include "tests/torture/tbl_code.h"
#undef CODE
	};

	return code < CODE__MAX ? names[code] : "?";
}
