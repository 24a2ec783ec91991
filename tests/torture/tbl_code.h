/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * CODE(name, allowed) - codes of refusals, and whether a message that is
 * right may be refused with it while processes die and disks are full.
 */
/* clang-format off */
CODE(NONE, 0)
CODE(OTHER, 0)
CODE(STORE_UNAVAILABLE, 1)
CODE(OVERLOADED, 1)
CODE(ID_TAKEN, 0)
CODE(NOT_JOINED, 0)
CODE(RATE_LIMITED, 0)
CODE(ACCESS_DENIED, 0)
CODE(INVALID_PAYLOAD, 0)
CODE(SESSION_FULL, 0)
CODE(INTERNAL, 0)
CODE(NOT_FOUND, 0)
CODE(STREAM_UNKNOWN, 0)
CODE(FORBIDDEN, 0)
