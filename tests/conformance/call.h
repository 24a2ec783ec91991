/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * call - the arguments of an event or of an acknowledgement.
 *
 * They are JSON text as it came; where bytes belong there is a placeholder,
 * {"_placeholder":true,"num":n}, and the bytes stand beside the text.
 */

#ifndef CONFORMANCE_CALL_H
#define CONFORMANCE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/strbuf.h"
#include "proto/sio.h"
#include "proto/sio_binary.h"
#include "proto/span.h"

/* Valid while the application's operation runs. */
struct call {
	const struct sio_packet *pkt;
	/* by the number in the placeholders */
	const struct span *attachments;
};

/*
 * Argument 'i', counted from 0.  KIND_NONE if there is none, or if the
 * packet is one that may only be passed on (sio.h, refused).
 */
struct json_value call_arg(const struct call *c, unsigned i);

/* Does this value stand for bytes? */
bool call_is_binary(const struct call *c, struct json_value v);

/* What JavaScript takes for true: neither false, 0, "", null nor nothing. */
bool json_is_true(struct json_value v);

/* Arguments to be sent: text, and bytes in the order of placeholders. */
struct packed {
	struct strbuf json;
	struct span attachments[SIO_ATTACHMENTS_MAX];
	unsigned n;
};

/*
 * All arguments, behind what pk->json holds already (a comma comes between),
 * with placeholders numbered as a sender would.  The bytes stay the call's.
 * False if there are more placeholders than a packet may have.
 */
bool call_pack(const struct call *c, struct packed *pk);

#endif /* CONFORMANCE_CALL_H */
