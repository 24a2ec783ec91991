/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - from the command line to an exit status.
 */

#include "tests/conformance/conformance.h"

int
main(int argc, char **argv)
{
	struct options o;
	int rc;

	if ((rc = options_read(&o, argc, argv)) != 0)
		return rc == 1 ? 0 : 2;
	rc = server_run(&o);
	options_free(&o);
	return rc;
}
