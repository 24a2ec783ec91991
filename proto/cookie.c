/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/cookie.h"

void
cookie_header(struct put *w, const char *name, const char *attributes,
    struct span sid)
{
	put_text(w, "Set-Cookie: ");
	put_text(w, name);
	put_char(w, '=');
	/* of [A-Za-z0-9_-]: nothing to be encoded */
	put_bytes(w, sid.p, sid.len);
	if (attributes != NULL && *attributes != '\0') {
		put_text(w, "; ");
		put_text(w, attributes);
	}
	put_text(w, "\r\n");
}
