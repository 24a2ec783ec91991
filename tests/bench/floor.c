/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * floor - the least that a server can do for the same clients: what chatd
 * is measured against, in the same run.
 *
 * One process, one epoll.  It shakes hands, lets everybody join, and relays
 * each message to the other members of the sender's room with the next
 * number: no JSON, no checks, no history, no second copy of anything.
 *
 *   limit-write      one send(2) a delivery
 *   limit-coalesce   (--coalesce) all that is due to a socket in one turn
 *                    of the loop leaves in one sendmsg(2)
 *
 * It trusts its clients; it must only ever listen on the loopback.
 */

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/floor_http.h"
#include "tests/bench/util.h"

#define EVENTS 1024
#define READ_SIZE 65536
#define ROOMS 65536
#define REFS 16

/* A client, at the index of its descriptor. */
struct conn {
	/* a piece of a frame, and what the socket did not take */
	char *in, *out;
	uint32_t in_len, out_len;
	/* 1 + index; 0: has not joined */
	uint32_t room;
	uint32_t slot;
	/* 1 + index into 'dirty'; 0: nothing is due */
	uint32_t dirty;
	bool open;
};

struct room {
	char *name;
	size_t name_len;
	uint32_t *member;
	uint32_t n, size;
	uint64_t seq;
};

/* What is due to a socket at the end of the turn: pieces of the arena. */
struct dirty {
	uint32_t fd;
	uint32_t n;
	struct {
		size_t at, len;
	} ref[REFS];
};

static struct {
	int epfd, listener;
	bool coalesce;
	volatile sig_atomic_t stop;
	struct conn *conn;
	struct room room[ROOMS];
	struct dirty *dirty;
	size_t ndirty, dirty_size;
	/* frames of this turn, until they are sent */
	char *arena;
	size_t arena_len, arena_size;
	char *buf;
	uint64_t nsids;
} self;

/* Room for 'len' bytes more at the end of the arena. */
static char *
arena_want(size_t len)
{
	if (self.arena_len + len > self.arena_size) {
		self.arena_size = (self.arena_len + len) * 2;
		self.arena = xreallocarray(self.arena, self.arena_size, 1);
	}
	return self.arena + self.arena_len;
}

/* Put the head of a text frame before what is written with it. */
static size_t
frame_head(char *p, size_t len)
{
	p[0] = (char)0x81;
	if (len < 126) {
		p[1] = (char)len;
		return 2;
	}
	if (len > 65535)
		die(EXIT_FAILED, "a frame of %zu bytes", len);
	p[1] = 126;
	p[2] = (char)(len >> 8);
	p[3] = (char)len;
	return 4;
}

static void
keep_unsent(struct conn *c, const char *p, size_t len)
{
	c->out = xreallocarray(c->out, c->out_len + len, 1);
	memcpy(c->out + c->out_len, p, len);
	c->out_len += (uint32_t)len;
}

static void
send_now(uint32_t fd, const char *p, size_t len)
{
	struct conn *c = &self.conn[fd];
	ssize_t n = 0;

	if (c->out_len == 0) {
		n = send((int)fd, p, len, MSG_NOSIGNAL);
		if (n == (ssize_t)len)
			return;
		if (n == -1)
			n = 0;
	}
	keep_unsent(c, p + n, len - (size_t)n);
}

static void
flush_refs(struct dirty *d)
{
	struct conn *c = &self.conn[d->fd];
	struct iovec iov[REFS];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = d->n };
	ssize_t n = 0;
	size_t i, skip;

	for (i = 0; i < d->n; i++) {
		iov[i].iov_base = self.arena + d->ref[i].at;
		iov[i].iov_len = d->ref[i].len;
	}
	if (c->out_len == 0) {
		n = sendmsg((int)d->fd, &msg, MSG_NOSIGNAL);
		if (n == -1)
			n = 0;
	}
	for (i = 0; i < d->n; i++) {
		skip = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
		n -= (ssize_t)skip;
		if (skip < iov[i].iov_len)
			keep_unsent(c, (char *)iov[i].iov_base + skip,
			    iov[i].iov_len - skip);
	}
	d->n = 0;
}

static struct dirty *
dirty_of(uint32_t fd)
{
	struct conn *c = &self.conn[fd];

	if (c->dirty == 0) {
		if (self.ndirty == self.dirty_size) {
			self.dirty_size = self.dirty_size * 2 + 64;
			self.dirty = xreallocarray(self.dirty, self.dirty_size,
			    sizeof(*self.dirty));
		}
		self.dirty[self.ndirty].fd = fd;
		self.dirty[self.ndirty].n = 0;
		c->dirty = (uint32_t)++self.ndirty;
	}
	return &self.dirty[c->dirty - 1];
}

/* The 'len' bytes at 'at' of the arena are due to this socket. */
static void
deliver(uint32_t fd, size_t at, size_t len)
{
	struct dirty *d;

	if (!self.coalesce) {
		send_now(fd, self.arena + at, len);
		return;
	}
	d = dirty_of(fd);
	if (d->n > 0 && d->ref[d->n - 1].at + d->ref[d->n - 1].len == at) {
		d->ref[d->n - 1].len += len;
		return;
	}
	if (d->n == REFS)
		flush_refs(d);
	d->ref[d->n].at = at;
	d->ref[d->n++].len = len;
}

/* Send what the arena holds from 'at' on to one socket, as one frame. */
static void
answer(uint32_t fd, const char *text, size_t len)
{
	char *p = arena_want(len + 4);
	size_t at = self.arena_len, head = frame_head(p, len);

	memcpy(p + head, text, len);
	self.arena_len += head + len;
	deliver(fd, at, head + len);
}

static void
end_of_turn(void)
{
	size_t i;

	for (i = 0; i < self.ndirty; i++) {
		flush_refs(&self.dirty[i]);
		self.conn[self.dirty[i].fd].dirty = 0;
	}
	self.ndirty = 0;
	self.arena_len = 0;
}

static uint32_t
room_of(const char *name, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	struct room *r;
	uint32_t i;
	size_t k;

	for (k = 0; k < len; k++)
		h = (h ^ (unsigned char)name[k]) * UINT64_C(0x100000001b3);
	for (k = 0; k < ROOMS; k++) {
		i = (uint32_t)((h + k) % ROOMS);
		r = &self.room[i];
		if (r->name == NULL) {
			r->name = xcalloc(1, len);
			memcpy(r->name, name, len);
			r->name_len = len;
			return i;
		}
		if (r->name_len == len && memcmp(r->name, name, len) == 0)
			return i;
	}
	die(EXIT_FAILED, "too many rooms");
}

static void
room_join(uint32_t room, uint32_t fd)
{
	struct room *r = &self.room[room];

	if (r->n == r->size) {
		r->size = r->size ? r->size * 2 : 2;
		r->member =
		    xreallocarray(r->member, r->size, sizeof(*r->member));
	}
	self.conn[fd].room = room + 1;
	self.conn[fd].slot = r->n;
	r->member[r->n++] = fd;
}

static void
room_leave(uint32_t fd)
{
	struct conn *c = &self.conn[fd];
	struct room *r;

	if (c->room == 0)
		return;
	r = &self.room[c->room - 1];
	r->member[c->slot] = r->member[--r->n];
	self.conn[r->member[c->slot]].slot = c->slot;
	c->room = 0;
}

/* The inside of the string behind 'key' in the 'len' bytes at 'p'. */
static const char *
find_string(const char *p, size_t len, const char *key, size_t *n)
{
	const char *s = memmem(p, len, key, strlen(key)), *end;

	if (s == NULL)
		return NULL;
	s += strlen(key);
	if ((end = memchr(s, '"', (size_t)(p + len - s))) == NULL)
		return NULL;
	*n = (size_t)(end - s);
	return s;
}

static void
on_join(uint32_t fd, const char *id, int id_len, const char *p, size_t len)
{
	const char *name;
	char text[256];
	size_t n;
	uint32_t room;

	if ((name = find_string(p, len, "\"sessionId\":\"", &n)) == NULL ||
	    n > 100)
		return;
	room = room_of(name, n);
	if (self.conn[fd].room == 0)
		room_join(room, fd);
	n = (size_t)snprintf(text, sizeof(text),
	    "43%.*s[{\"ok\":true,\"sessionId\":\"%.*s\",\"lastSeq\":%llu}]",
	    id_len, id, (int)n, name, (unsigned long long)self.room[room].seq);
	answer(fd, text, n);
}

/* Both answers that a sender gets, in one delivery. */
static void
tell_sender(uint32_t fd, const char *id, int id_len, const char *mid,
    int mid_len, const struct room *r)
{
	char text[512];
	size_t at = self.arena_len, n, head;
	char *p;
	int i;

	for (i = 0; i < 2; i++) {
		n = (size_t)snprintf(text, sizeof(text),
		    "%s%.*s%s\"messageId\":\"%.*s\",\"sessionId\":\"%.*s\","
		    "\"seq\":%llu,\"timestamp\":1700000000000}]",
		    i ? "43" : "42", i ? id_len : 0, id,
		    i ? "[{\"ok\":true," : "[\"chat:message-sent\",{", mid_len,
		    mid, (int)r->name_len, r->name, (unsigned long long)r->seq);
		p = arena_want(n + 4);
		head = frame_head(p, n);
		memcpy(p + head, text, n);
		self.arena_len += head + n;
	}
	deliver(fd, at, self.arena_len - at);
}

/*
 * Relay the message object in the 'len' bytes at 'p' as it is, with its
 * number and as many bytes more as chatd adds.
 */
static void
on_send(uint32_t fd, const char *id, int id_len, const char *p, size_t len)
{
	static const char open[] = "{\"message\":{";
	static const char event[] = "42[\"chat:message-received\",{";
	static const char more[] =
	    ",\"userId\":\"b0123456789abcdef-u100\",\"metadata\":{"
	    "\"senderName\":\"user 100\","
	    "\"senderSocketId\":\"0123456789abcdefAAAA\"},"
	    "\"timestamp\":1700000000000,\"seq\":";
	struct conn *c = &self.conn[fd];
	struct room *r = &self.room[c->room - 1];
	const char *mid;
	size_t mid_len, n, i, at;
	char seq[24], *out;

	p += sizeof(open) - 1;
	len -= sizeof(open) - 1 + 3;
	if ((mid = find_string(p, len, "\"id\":\"", &mid_len)) == NULL ||
	    mid_len > 100)
		return;
	r->seq++;
	i = (size_t)snprintf(seq, sizeof(seq), "%llu}]",
	    (unsigned long long)r->seq);
	n = sizeof(event) - 1 + len + sizeof(more) - 1 + i;
	out = arena_want(n + 4);
	at = self.arena_len;
	out += frame_head(out, n);
	out = mempcpy(out, event, sizeof(event) - 1);
	out = mempcpy(out, p, len);
	out = mempcpy(out, more, sizeof(more) - 1);
	out = mempcpy(out, seq, i);
	n = (size_t)(out - self.arena) - at;
	self.arena_len += n;
	for (i = 0; i < r->n; i++)
		if (r->member[i] != fd)
			deliver(r->member[i], at, n);
	tell_sender(fd, id, id_len, mid, (int)mid_len, r);
}

static void
on_packet(uint32_t fd, const char *p, size_t len)
{
	static const char join[] = "[\"chat:join-session\",";
	static const char post[] = "[\"chat:send-message\",";
	const char *id = p + 2, *end = p + len;
	char text[64];
	int n = 0;

	if (len >= 2 && memcmp(p, "40", 2) == 0) {
		n = snprintf(text, sizeof(text), "40{\"sid\":\"%020llu\"}",
		    (unsigned long long)self.nsids++);
		answer(fd, text, (size_t)n);
		return;
	}
	if (len < 2 || memcmp(p, "42", 2) != 0)
		return;
	while (id + n < end && id[n] >= '0' && id[n] <= '9')
		n++;
	p = id + n;
	len = (size_t)(end - p);
	if (len > sizeof(post) + 16 && memcmp(p, post, sizeof(post) - 1) == 0 &&
	    self.conn[fd].room != 0)
		on_send(fd, id, n, p + sizeof(post) - 1,
		    len - sizeof(post) + 1);
	else if (len > sizeof(join) && memcmp(p, join, sizeof(join) - 1) == 0)
		on_join(fd, id, n, p, len);
	/* the arena is only needed for longer when sending is put off */
	if (!self.coalesce)
		self.arena_len = 0;
}

static void
unmask(char *p, size_t len, const char *key)
{
	uint64_t wide, word;
	size_t i;

	memcpy(&wide, key, 4);
	memcpy((char *)&wide + 4, key, 4);
	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, p + i, 8);
		word ^= wide;
		memcpy(p + i, &word, 8);
	}
	for (; i < len; i++)
		p[i] = (char)(p[i] ^ key[i % 4]);
}

/* Take one frame off the 'len' bytes at 'p'; 0: it is not all there. */
static size_t
take_frame(uint32_t fd, char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t n, head = 2;

	if (len < 6)
		return 0;
	n = u[1] & 0x7f;
	if (n == 126) {
		head = 4;
		n = (size_t)(u[2] << 8 | u[3]);
	} else if (n == 127) {
		return 0;
	}
	if (len < head + 4 + n)
		return 0;
	unmask(p + head + 4, n, p + head);
	if ((u[0] & 0x0f) == 1)
		on_packet(fd, p + head + 4, n);
	return head + 4 + n;
}

static void
conn_close(uint32_t fd)
{
	struct conn *c = &self.conn[fd];

	room_leave(fd);
	free(c->in);
	free(c->out);
	if (c->dirty != 0)
		self.dirty[c->dirty - 1].n = 0;
	memset(c, 0, sizeof(*c));
	close((int)fd);
}

/* The first bytes of a connection; returns how many belong to its head. */
static int
shake_hands(uint32_t fd, const char *p, size_t len)
{
	char text[512], open[124];
	size_t n, k;
	int head;

	if ((head = floor_http(p, len, text, sizeof(text), &n)) <= 0)
		return head;
	self.conn[fd].open = true;
	k = (size_t)snprintf(open, sizeof(open),
	    "0{\"sid\":\"%020llu\",\"upgrades\":[],\"pingInterval\":3600000,"
	    "\"pingTimeout\":20000,\"maxPayload\":1000000}",
	    (unsigned long long)self.nsids++);
	n += frame_head(text + n, k);
	memcpy(text + n, open, k);
	send_now(fd, text, n + k);
	return head;
}

/* Take what is whole off the 'len' bytes read; false: it is closed now. */
static bool
conn_consume(uint32_t fd, size_t len)
{
	struct conn *c = &self.conn[fd];
	size_t pos = 0, n;
	int head;

	if (!c->open) {
		if ((head = shake_hands(fd, self.buf, len)) == -1) {
			conn_close(fd);
			return false;
		}
		pos = (size_t)head;
	}
	while (c->open && (n = take_frame(fd, self.buf + pos, len - pos)) > 0)
		pos += n;
	c->in_len = (uint32_t)(len - pos);
	if (c->in_len > 0) {
		c->in = xreallocarray(c->in, c->in_len, 1);
		memcpy(c->in, self.buf + pos, c->in_len);
	} else if (c->in != NULL) {
		free(c->in);
		c->in = NULL;
	}
	return true;
}

static void
conn_event(uint32_t fd, uint32_t events)
{
	struct conn *c = &self.conn[fd];
	ssize_t n;
	size_t had;

	if (events & EPOLLOUT && c->out_len > 0) {
		n = send((int)fd, c->out, c->out_len, MSG_NOSIGNAL);
		if (n > 0) {
			memmove(c->out, c->out + n, c->out_len - (size_t)n);
			c->out_len -= (uint32_t)n;
		}
	}
	if ((events & ~(uint32_t)EPOLLOUT) == 0)
		return;
	do {
		if ((had = c->in_len) > READ_SIZE) {
			conn_close(fd);
			return;
		}
		memcpy(self.buf, c->in ? c->in : "", had);
		n = recv((int)fd, self.buf + had, READ_SIZE, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			conn_close(fd);
			return;
		}
		if (!conn_consume(fd, had + (size_t)n))
			return;
	} while (n == READ_SIZE || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

static void
accept_all(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
		    EPOLLET };
	int fd, on = 1;

	while ((fd = accept4(self.listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		ev.data.fd = fd;
		if (epoll_ctl(self.epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
			die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
	}
}

static void
on_signal(int sig)
{
	self.stop = 1;
}

static void
listen_on(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof(to);
	int on = 1;

	self.listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(self.listener, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on));
	if (bind(self.listener, (struct sockaddr *)&to, sizeof(to)) == -1 ||
	    listen(self.listener, 4096) == -1 ||
	    getsockname(self.listener, (struct sockaddr *)&to, &len) == -1)
		die(EXIT_FAILED, "port %u: %s", port, strerror(errno));
	self.epfd = epoll_create1(EPOLL_CLOEXEC);
	ev.data.fd = self.listener;
	if (epoll_ctl(self.epfd, EPOLL_CTL_ADD, self.listener, &ev) == -1)
		die(EXIT_FAILED, "epoll: %s", strerror(errno));
	printf("listening on 127.0.0.1:%u\n", ntohs(to.sin_port));
	fflush(stdout);
}

static void
serve(void)
{
	struct epoll_event ev[EVENTS];
	int i, n;

	while (!self.stop) {
		n = epoll_wait(self.epfd, ev, EVENTS, -1);
		for (i = 0; i < n; i++) {
			if (ev[i].data.fd == self.listener)
				accept_all();
			else
				conn_event((uint32_t)ev[i].data.fd,
				    ev[i].events);
		}
		end_of_turn();
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "coalesce", no_argument, NULL, 'c' },
		{ "port", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct sigaction sa = { .sa_handler = on_signal };
	uint16_t port = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'p')
			port = (uint16_t)arg_number("port", optarg, 0, 65535);
		else if (opt == 'c')
			self.coalesce = true;
		else
			die(EXIT_USAGE, "usage: floor [--coalesce] [--port N]");
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	self.conn = xcalloc(raise_nofile(), sizeof(*self.conn));
	self.buf = xcalloc(1, 2 * READ_SIZE);
	listen_on(port);
	serve();
	return EXIT_FINE;
}
