/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sio - Socket.IO, revision 5: packets, without the Engine.IO type.
 *
 * Decoding is pure: spans point into the text.  Whether a packet is due in
 * the state of its connection is the caller's affair.
 */

#ifndef PROTO_SIO_H
#define PROTO_SIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/eio.h"
#include "proto/span.h"

enum sio_type {
	SIO_CONNECT,
	SIO_DISCONNECT,
	SIO_EVENT,
	SIO_ACK,
	SIO_CONNECT_ERROR,
	SIO_BINARY_EVENT,
	SIO_BINARY_ACK,
	SIO_TYPE__MAX,
};

/* attachments of one packet */
#define SIO_ATTACHMENTS_MAX 10
/* arrays and objects within an event's argument, itself counted */
#define SIO_DEPTH_MAX 32
/* the largest acknowledgement id: what JavaScript counts exactly */
#define SIO_ID_MAX ((UINT64_C(1) << 53) - 1)

struct sio_packet {
	enum sio_type type;
	/*
	 * Binary messages that follow, also if the packet is refused; 0 unless
	 * BINARY_*.  Until they are there no other packet may come.
	 */
	unsigned nattach;
	/* "/" when the packet names none */
	struct span nsp;
	bool has_id;
	uint64_t id;
	/* the JSON text as it came; empty if there is none */
	struct span payload;
	/*
	 * NULL, or why the payload is JSON, but none that we take: too deep,
	 * a key twice, a NUL, half a surrogate pair.  No reason to close: say
	 * so to the sender.  'args' is empty then, and so is a name that is
	 * itself the reason.
	 */
	const char *refused;
	/*
	 * Of events: the first element.  A string's inside, still with its
	 * escapes, or a number's text.
	 */
	struct span name;
	bool name_is_number;
	bool name_has_escapes;
	/*
	 * Of events and acknowledgements: the elements (behind the name), as
	 * JSON text without the brackets; empty if there are none.
	 */
	struct span args;
	/*
	 * The same also of what is refused, for who passes it on as text; it
	 * may not be read with common/json.h.  Empty if that is too deep and
	 * the packet is binary.
	 */
	struct span raw_args;
};

/*
 * Read the text of one Engine.IO message, which is valid UTF-8.
 * False with a sentence if it is no packet: the connection is closed.
 * Of binary packets each placeholder is checked: its "num" is a whole
 * number below 'nattach', and there is no other placeholder in it.
 */
bool sio_decode(const char *p, size_t len, struct sio_packet *pkt_r,
    const char **why_r);

/*
 * Is it the event of that name, whatever escapes it was written with?  Never
 * true for a number.
 */
bool sio_name_is(const struct sio_packet *pkt, const char *name);

/*
 * An event's name as JSON: a string with its quotes, or a number.  Empty if
 * the name is itself what is refused.
 */
struct span sio_name_json(const struct sio_packet *pkt);

/* --- the payload of CONNECT ---------------------------------------------- */

/*
 * Who wants to be recovered: the string members "pid" and "offset" of
 * 'payload' (of a CONNECT that is not refused; may be empty), terminated.
 * False if there is no pid of EIO_SID_LEN characters of its alphabet.  An
 * offset that is no string, or does not fit, is none: "".
 */
bool sio_recovery(struct span payload, char pid_r[EIO_SID_LEN + 1],
    char *offset_r, size_t size);

/*
 * The same object without these two members: what the application may see.
 * Returns the exact length, as an encoder does; "{}" for no payload.
 */
size_t sio_auth(char *buf, size_t size, struct span payload);

/* --- encoders ------------------------------------------------------------ */

/*
 * Each returns the exact length of the packet; if that is more than 'size'
 * (0 with buf NULL is fine) the buffer holds nothing of use.  There is no
 * terminator.
 */

/* Any packet; the functions below are short forms of frequent ones. */
struct sio_message {
	/* if events and acknowledgements are BINARY_* is told by 'nattach' */
	enum sio_type type;
	/* no length: "/" */
	struct span nsp;
	bool has_id;
	uint64_t id;
	/* the placeholders in 'args' are numbered below it */
	unsigned nattach;
	/* of events: as JSON, a string with its quotes or a number */
	struct span name;
	/*
	 * Of events and acknowledgements: the elements, with commas between;
	 * of the others the whole payload.  May be empty.
	 */
	struct span args;
	/* of events: a last element, for recovery; needs no escapes */
	struct span offset;
};
size_t sio_encode(char *buf, size_t size, const struct sio_message *m);

/*
 * 'nsp' is NULL for "/".  Names, sids and messages are ours and need no JSON
 * escapes; 'json' is passed through as it is.
 */

/* 0{"sid":"..."} or, with pid, 0{"sid":"...","pid":"..."} */
size_t sio_connect(char *buf, size_t size, const struct span *nsp,
    const char *sid, const char *pid);
/* 4{"message":"...","data":<json>}; without data if 'json' is NULL */
size_t sio_connect_error(char *buf, size_t size, const struct span *nsp,
    const char *message, const char *json, size_t len);
/* 2["name",<json>]; 'json' holds the arguments, with commas between */
size_t sio_event(char *buf, size_t size, const struct span *nsp,
    const char *name, const char *json, size_t len);
/* 2["name",<json>,"offset"]; the offset, which may be NULL, needs no escapes */
size_t sio_event_offset(char *buf, size_t size, const struct span *nsp,
    const char *name, const char *json, size_t len, const char *offset);
/* 3<id>[<json>] */
size_t sio_ack(char *buf, size_t size, const struct span *nsp, uint64_t id,
    const char *json, size_t len);

#endif /* PROTO_SIO_H */
