/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * dump - writes all messages of a run down as a ledger: out of the files of
 * a daemon that is not running, or by reading history like any client.
 */

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/rows.h"
#include "store/store.h"
#include "tests/bench/frame.h"
#include "tests/bench/util.h"
#include "tests/torture/heard.h"
#include "tests/torture/ledger.h"
#include "tests/torture/names.h"

#define PAGE 200
#define ROOMS 65536
#define USERS 65536
#define BUFFER (8 << 20)

struct dump {
	FILE *out;
	uint64_t rows, last_seq;
	/* files */
	struct store *store;
	struct store_txn *snapshot;
	uint64_t room_number[ROOMS];
	unsigned room_name[ROOMS];
	unsigned nrooms;
	/* whose receipts are written */
	unsigned room;
	/* names of users by their number in the store */
	char *user[USERS];
	/* the daemon */
	int fd;
	char *buf;
	size_t len, used;
	unsigned requests;
};

static const char usage[] =
    "usage: dump --seed N --out F [--final] --store data_dir\n"
    "       dump --seed N --out F [--final] --rooms N --port N\n";

/* --- out of the files ---------------------------------------------------- */

static bool
keep_room(const struct store_room *room, void *arg)
{
	struct dump *d = arg;
	unsigned name;

	if (!names_is_room((struct span){ room->session.p, room->session.len },
		&name))
		return true;
	if (d->nrooms == ROOMS)
		die(EXIT_FAILED, "too many sessions");
	d->room_number[d->nrooms] = room->room;
	d->room_name[d->nrooms++] = name;
	return true;
}

static struct span
user_name(struct dump *d, uint64_t number)
{
	struct store_user u;

	if (number >= USERS)
		die(EXIT_FAILED, "user %llu", (unsigned long long)number);
	if (d->user[number] == NULL) {
		if (store_user_get(d->snapshot, number, &u) == -1)
			die(EXIT_VIOLATED, "user %llu: %s",
			    (unsigned long long)number, strerror(errno));
		d->user[number] = xcalloc(1, u.id.len + 1);
		memcpy(d->user[number], u.id.p, u.id.len);
	}
	return (struct span){ d->user[number], strlen(d->user[number]) };
}

/* A row, and what was changed of it last. */
static void
put_item(struct dump *d, struct ledger_entry *e, const struct store_message *m)
{
	e->conn = (uint32_t)m->revision;
	ledger_put(d->out, e);
	d->rows++;
	if (m->revision == 0)
		return;
	ledger_put(d->out,
	    &(struct ledger_entry){ .kind = LEDGER_ITEM,
		.message = e->message,
		.room = e->room,
		.hash = e->hash,
		.seq = e->conn });
}

static void
put_row(struct dump *d, unsigned room, const struct store_message *m)
{
	struct ledger_entry e = { .kind = LEDGER_STORED,
		.ns = m->gseq,
		.room = (uint16_t)room,
		.seq = (uint32_t)m->seq,
		.stamp = m->time_ms };
	struct heard h;

	if (m->deleted) {
		e.code = FLAG_DELETED;
		if (!names_is_message((struct span){ m->id.p, m->id.len },
			&e.message))
			die(EXIT_VIOLATED, "session %u, seq %llu: not ours",
			    room, (unsigned long long)m->seq);
		put_item(d, &e, m);
		return;
	}
	/* the inside of an object */
	d->buf[0] = '{';
	memcpy(d->buf + 1, m->body.p, m->body.len);
	d->buf[m->body.len + 1] = '}';
	if (!names_is_message((struct span){ m->id.p, m->id.len },
		&e.message) ||
	    !heard_read((struct span){ d->buf, m->body.len + 2 }, &h))
		die(EXIT_VIOLATED, "session %u, seq %llu: not ours", room,
		    (unsigned long long)m->seq);
	e.hash = names_hash(user_name(d, m->user), h.content);
	put_item(d, &e, m);
}

static bool
put_receipt(const struct store_receipt *r, void *arg)
{
	struct dump *d = arg;
	unsigned user;

	if (!names_is_user(user_name(d, r->user), &user))
		die(EXIT_VIOLATED, "session %u: a receipt of %llu", d->room,
		    (unsigned long long)r->user);
	ledger_put(d->out,
	    &(struct ledger_entry){ .kind = LEDGER_ITEM,
		.message = LEDGER_READS | (uint64_t)d->room << 32 | user,
		.room = (uint16_t)d->room,
		.hash = r->seq,
		.seq = (uint32_t)r->revision });
	return true;
}

static void
dump_changes(struct dump *d, unsigned i)
{
	uint64_t last;

	d->room = d->room_name[i];
	if (store_receipt_each(d->snapshot, d->room_number[i], put_receipt,
		d) == -1 ||
	    store_last_revision(d->snapshot, d->room_number[i], &last) == -1)
		die(EXIT_VIOLATED, "session %u: %s", d->room, strerror(errno));
	ledger_put(d->out,
	    &(struct ledger_entry){ .kind = LEDGER_REVISION,
		.room = (uint16_t)d->room,
		.seq = (uint32_t)last });
}

static void
dump_room(struct dump *d, unsigned i)
{
	struct store_message m[PAGE];
	struct store_query q = { .room = d->room_number[i],
		.from = 1,
		.count = PAGE };
	bool more = true;
	unsigned n, k;

	while (more) {
		if (store_page(d->snapshot, &q, m, &n, &more) == -1)
			die(EXIT_VIOLATED, "session %u from %llu: %s",
			    d->room_name[i], (unsigned long long)q.from,
			    strerror(errno));
		for (k = 0; k < n; k++)
			put_row(d, d->room_name[i], &m[k]);
		if (n > 0)
			q.from = m[n - 1].seq + 1;
	}
}

static void
dump_files(struct dump *d, const char *dir)
{
	const char *why;
	unsigned i;

	if (chdir(dir) == -1)
		die(EXIT_FAILED, "%s: %s", dir, strerror(errno));
	if ((d->store = store_open(STORE_READ, &why)) == NULL)
		die(EXIT_VIOLATED, "%s: %s", dir, why);
	if ((d->snapshot = store_snapshot(d->store)) == NULL)
		die(EXIT_VIOLATED, "%s: %s", dir, strerror(errno));
	if (store_room_each(d->snapshot, 0, keep_room, d) == -1)
		die(EXIT_VIOLATED, "%s: %s", dir, strerror(errno));
	for (i = 0; i < d->nrooms; i++)
		dump_room(d, i);
	for (i = 0; i < d->nrooms; i++)
		dump_changes(d, i);
	if (store_bad_values(d->store) > 0)
		die(EXIT_VIOLATED, "%llu damaged values",
		    (unsigned long long)store_bad_values(d->store));
	store_snapshot_end(&d->snapshot);
	store_close(&d->store);
}

/* --- by the daemon ------------------------------------------------------- */

static void
fill(struct dump *d)
{
	ssize_t n;

	if (d->used > 0) {
		d->len -= d->used;
		memmove(d->buf, d->buf + d->used, d->len);
		d->used = 0;
	}
	if (d->len == BUFFER)
		die(EXIT_VIOLATED, "an endless frame");
	n = recv(d->fd, d->buf + d->len, BUFFER - d->len, 0);
	if (n <= 0)
		die(EXIT_VIOLATED, "the connection is lost: %s",
		    n == 0 ? "closed" : strerror(errno));
	d->len += (size_t)n;
}

static void
say(struct dump *d, const char *text)
{
	char frame[1024];
	size_t n;

	n = frame_write(frame, FRAME_TEXT, text, strlen(text), 0x11223344);
	if (send(d->fd, frame, n, MSG_NOSIGNAL) != (ssize_t)n)
		die(EXIT_VIOLATED, "send: %s", strerror(errno));
}

/* The next packet that begins with 'prefix'; all others are passed over. */
static struct span
wait_for(struct dump *d, const char *prefix)
{
	enum frame_result r;
	struct frame f;

	for (;;) {
		while ((r = frame_read(d->buf + d->used, d->len - d->used,
			    &f)) == FRAME_MORE)
			fill(d);
		if (r == FRAME_BAD || f.opcode == FRAME_CLOSE)
			die(EXIT_VIOLATED, "no frame that goes on");
		d->used += f.total;
		if (f.len == 1 && *f.payload == '2')
			say(d, "3");
		if (f.len >= strlen(prefix) &&
		    memcmp(f.payload, prefix, strlen(prefix)) == 0)
			return (struct span){ f.payload, f.len };
	}
}

/* Ask, until it is granted: what was killed last may not be up yet. */
static struct heard
request(struct dump *d, const char *event, const char *payload)
{
	char text[512], prefix[32];
	struct span element;
	struct scan s;
	struct heard h;
	unsigned tries;

	for (tries = 0; tries < 200; tries++) {
		d->requests++;
		snprintf(text, sizeof(text), "42%u[\"chat:%s\",%s]",
		    d->requests, event, payload);
		snprintf(prefix, sizeof(prefix), "43%u[", d->requests);
		say(d, text);
		s = heard_args(wait_for(d, prefix), 2);
		if (!scan_element(&s, &element) || !heard_read(element, &h))
			die(EXIT_VIOLATED, "%s: a broken answer", event);
		if (h.ok)
			return h;
		if (!h.retryable)
			break;
		usleep(100000);
	}
	die(EXIT_VIOLATED, "%s: %.*s", event, (int)h.code.len, h.code.p);
}

static void
put_page(struct dump *d, unsigned room, struct span messages)
{
	struct scan s = scan_begin(messages, '[');
	struct ledger_entry e;
	struct span element;
	struct heard m;

	while (scan_element(&s, &element)) {
		e = (struct ledger_entry){ .kind = LEDGER_STORED,
			.room = (uint16_t)room };
		if (!heard_read(element, &m) || !m.has_seq ||
		    m.has_stamp == m.deleted ||
		    !names_is_message(m.id, &e.message))
			die(EXIT_VIOLATED, "session %u: %.*s", room,
			    (int)element.len, element.p);
		e.seq = (uint32_t)m.seq;
		e.stamp = m.stamp;
		if (m.deleted)
			e.code = FLAG_DELETED;
		else
			e.hash = names_hash(m.user, m.content);
		ledger_put(d->out, &e);
		d->rows++;
		d->last_seq = m.seq;
	}
}

static void
walk_room(struct dump *d, unsigned room)
{
	char name[NAMES_SIZE], payload[256];
	struct heard h;

	names_room(room, name);
	snprintf(payload, sizeof(payload),
	    "{\"sessionId\":\"%s\",\"workspaceId\":\"" NAMES_WORKSPACE "\"}",
	    name);
	(void)request(d, "join-session", payload);
	d->last_seq = 0;
	do {
		snprintf(payload, sizeof(payload),
		    "{\"sessionId\":\"%s\",\"afterSeq\":%llu,\"limit\":%d}",
		    name, (unsigned long long)d->last_seq, PAGE);
		h = request(d, "request-history", payload);
		put_page(d, room, h.messages);
	} while (h.more);
	snprintf(payload, sizeof(payload), "{\"sessionId\":\"%s\"}", name);
	(void)request(d, "leave-session", payload);
}

static void
dump_daemon(struct dump *d, const char *port, unsigned rooms)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)arg_number("port", port, 1, 65535)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 60 };
	static const char handshake[] =
	    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
	    "Host: localhost\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n";
	const char *end;
	unsigned i;

	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->fd == -1 ||
	    setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		sizeof(patience)) == -1 ||
	    connect(d->fd, (struct sockaddr *)&to, sizeof(to)) == -1 ||
	    send(d->fd, handshake, sizeof(handshake) - 1, MSG_NOSIGNAL) == -1)
		die(EXIT_FAILED, "port %s: %s", port, strerror(errno));
	while ((end = memmem(d->buf, d->len, "\r\n\r\n", 4)) == NULL)
		fill(d);
	d->used = (size_t)(end - d->buf) + 4;
	(void)wait_for(d, "0");
	say(d, "40{\"userId\":\"auditor\",\"userName\":\"auditor\"}");
	(void)wait_for(d, "40");
	for (i = 0; i < rooms; i++)
		walk_room(d, i);
	close(d->fd);
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "store", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "rooms", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 'S' },
		{ "out", required_argument, NULL, 'o' },
		{ "final", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	const char *store = NULL, *port = NULL, *out = NULL;
	static struct dump d;
	unsigned rooms = 0, final = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (opt == 'd')
			store = optarg;
		else if (opt == 'p')
			port = optarg;
		else if (opt == 'r')
			rooms = (unsigned)arg_number("rooms", optarg, 1, 65535);
		else if (opt == 'S')
			names_tag(arg_number("seed", optarg, 1, UINT64_MAX));
		else if (opt == 'o')
			out = optarg;
		else if (opt == 'f')
			final = FLAG_FINAL;
		else
			break;
	}
	if (opt != -1 || out == NULL || (store == NULL) == (port == NULL)) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	d.out = ledger_create(out);
	d.buf = xcalloc(1, BUFFER);
	ledger_put(d.out,
	    &(struct ledger_entry){ .kind = LEDGER_DUMP,
		.ns = now_ns(),
		.code = (uint8_t)(final | (store ? FLAG_POSITIONS : 0)) });
	if (store != NULL)
		dump_files(&d, store);
	else
		dump_daemon(&d, port, rooms);
	ledger_put(d.out, &(struct ledger_entry){ .kind = LEDGER_END });
	ledger_close(d.out, out);
	printf("%llu rows\n", (unsigned long long)d.rows);
	return EXIT_FINE;
}
