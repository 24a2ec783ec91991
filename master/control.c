/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * control - chatctl's socket, run_dir/chatd.sock.
 */

#include "master/control.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/fault.h"
#include "common/json.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "master/command.h"
#include "master/master.h"
#include "master/request.h"

/* askers at the same time; more wait in the backlog */
#define ASKERS_MAX 32
/* bytes of an answer that may wait for a slow reader */
#define ANSWER_MAX (4 << 20)
/* how long an asker may be silent before its request, or not read */
#define PATIENCE_S 10
/* out of descriptors */
#define PAUSE_S 1
#define GROUPS_MAX 1024

struct asker {
	TAILQ_ENTRY(asker) link;
	struct control *control;
	uint64_t id;
	int fd;
	/* the descriptor that came with the request, or -1 */
	int file;
	/* 'patience' ends it; it is for reading or writing, not for what we
	 * do in between */
	struct event *readable, *writable, *patience;
	char *line;
	size_t linelen;
	bool asked;
	struct strbuf out;
	size_t sent;
	/* the last line is in 'out': close when it is sent */
	bool done;
};

struct control {
	struct master *master;
	int fd;
	struct event *acceptable, *resume;
	TAILQ_HEAD(, asker) askers;
	unsigned naskers;
	uint64_t ids;
};

/* ------------------------------------------------------------------ */
/* Askers. */

static void
watch_listener(struct control *c)
{
	if (c->acceptable != NULL && c->naskers < ASKERS_MAX)
		(void)event_add(c->acceptable, NULL);
}

static void
asker_free(struct asker *a)
{
	struct control *c = a->control;

	TAILQ_REMOVE(&c->askers, a, link);
	c->naskers--;
	if (a->readable != NULL)
		event_free(a->readable);
	if (a->writable != NULL)
		event_free(a->writable);
	if (a->patience != NULL)
		event_free(a->patience);
	if (a->fd != -1)
		(void)close(a->fd);
	if (a->file != -1)
		(void)close(a->file);
	sb_clear(&a->out);
	free(a->line);
	free(a);
	watch_listener(c);
}

static struct asker *
find(const struct control *c, uint64_t id)
{
	struct asker *a;

	/* an answer that ended is not continued */
	TAILQ_FOREACH(a, &c->askers, link)
		if (a->id == id)
			return a->done ? NULL : a;
	return NULL;
}

static void
be_patient(struct asker *a)
{
	const struct timeval tv = { .tv_sec = PATIENCE_S };

	(void)evtimer_add(a->patience, &tv);
}

/* Send what the socket takes.  The asker may be gone afterwards. */
static void
asker_flush(struct asker *a)
{
	ssize_t n;

	while (a->sent < a->out.len) {
		n = send(a->fd, a->out.data + a->sent, a->out.len - a->sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			(void)event_add(a->writable, NULL);
			be_patient(a);
			return;
		}
		if (n == -1) {
			asker_free(a);
			return;
		}
		a->sent += (size_t)n;
	}
	sb_reset(&a->out);
	a->sent = 0;
	(void)event_del(a->writable);
	(void)evtimer_del(a->patience);
	if (a->done)
		asker_free(a);
}

static void
asker_line(struct asker *a, const char *p, size_t len)
{
	if (a->out.len - a->sent + len > ANSWER_MAX) {
		log_warn("chatctl does not read its answer");
		asker_free(a);
		return;
	}
	sb_add(&a->out, p, len);
	asker_flush(a);
}

/* The last line; 'error' NULL: it went well. */
static void
asker_end(struct asker *a, const char *error)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "done");
	json_out_bool(&o, true);
	json_out_key(&o, "ok");
	json_out_bool(&o, error == NULL);
	if (error != NULL) {
		json_out_key(&o, "error");
		json_out_cstring(&o, error);
	}
	json_out_object_end(&o);
	FAULT(CONTROL_END);
	a->done = true;
	if (o.failed) {
		asker_free(a);
	} else {
		sb_add(&a->out, o.p, o.len);
		asker_line(a, "\n", 1);
	}
	json_out_clear(&o);
}

static void
on_patience(evutil_socket_t fd, short what, void *arg)
{
	asker_free(arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	asker_flush(arg);
}

static void
asker_ask(struct asker *a, size_t len)
{
	struct control *c = a->control;
	struct request r;
	const char *why;

	a->asked = true;
	(void)evtimer_del(a->patience);
	if (request_parse(&r, a->line, len, &why) == -1) {
		asker_end(a, why);
		return;
	}
	log_debug("chatctl asks command=%s",
	    log_text(r.command, strlen(r.command)));
	FAULT(CONTROL_ASKED);
	command_run(c->master, a->id, &r, a->line, len);
	request_clear(&r);
}

/* Keep the first descriptor that an asker sends, and none beside it. */
static void
take_files(struct asker *a, struct msghdr *msg)
{
	struct cmsghdr *h;
	size_t n;
	int fd;

	for (h = CMSG_FIRSTHDR(msg); h != NULL; h = CMSG_NXTHDR(msg, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			if (a->file == -1)
				a->file = fd;
			else
				(void)close(fd);
		}
	}
}

/* More of the request; as recv(). */
static ssize_t
read_request(struct asker *a)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { a->line + a->linelen,
		CONTROL_LINE_MAX - a->linelen };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	/* what does not fit into 'control' the kernel closes */
	n = recvmsg(a->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n != -1)
		take_files(a, &msg);
	return n;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct asker *a = arg;
	char drop[256], *end;
	ssize_t n;

	/* it has nothing more to say; its end shows when we write */
	if (a->asked) {
		n = recv(fd, drop, sizeof(drop), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			(void)event_del(a->readable);
		return;
	}
	n = read_request(a);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		asker_free(a);
		return;
	}
	end = memchr(a->line + a->linelen, '\n', (size_t)n);
	a->linelen += (size_t)n;
	if (end != NULL)
		asker_ask(a, (size_t)(end - a->line));
	else if (a->linelen == CONTROL_LINE_MAX)
		asker_end(a, "the request is too long");
}

/* ------------------------------------------------------------------ */
/* Who may ask. */

static bool
in_group(int fd, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static bool
may_ask(const struct control *c, int fd)
{
	const struct rights *r = &c->master->rights;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return false;
	if (cred.uid == 0 || cred.uid == r->uid || cred.gid == r->gid ||
	    in_group(fd, r->gid))
		return true;
	log_warn("chatctl refused uid=%u pid=%d", (unsigned)cred.uid,
	    (int)cred.pid);
	return false;
}

/* ------------------------------------------------------------------ */
/* Accepting. */

static void
asker_new(struct control *c, int fd)
{
	struct event_base *base = c->master->base;
	struct asker *a;

	if ((a = calloc(1, sizeof(*a))) == NULL) {
		(void)close(fd);
		return;
	}
	a->control = c;
	a->id = ++c->ids;
	a->fd = fd;
	a->file = -1;
	sb_init(&a->out);
	TAILQ_INSERT_TAIL(&c->askers, a, link);
	c->naskers++;
	a->line = malloc(CONTROL_LINE_MAX);
	a->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, a);
	a->writable =
	    event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, a);
	a->patience = evtimer_new(base, on_patience, a);
	if (a->line == NULL || a->readable == NULL || a->writable == NULL ||
	    a->patience == NULL || event_add(a->readable, NULL) == -1) {
		asker_free(a);
		return;
	}
	be_patient(a);
	if (!may_ask(c, fd)) {
		a->asked = true;
		asker_end(a,
		    "you may not: root, the daemon's user and the "
		    "members of its group may");
	}
}

static void
on_acceptable(evutil_socket_t listener, short what, void *arg)
{
	const struct timeval pause = { .tv_sec = PAUSE_S };
	struct control *c = arg;
	int fd;

	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd != -1) {
		asker_new(c, fd);
		if (c->naskers == ASKERS_MAX)
			(void)event_del(c->acceptable);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* the asker waits in the backlog until there are descriptors again */
	log_warn_errno("cannot accept a chatctl");
	(void)event_del(c->acceptable);
	(void)evtimer_add(c->resume, &pause);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	watch_listener(arg);
}

/*
 * The directory is locked, so whatever stands there is a dead daemon's.
 * The umask makes the socket before anybody can connect to it what it is
 * meant to be.
 */
static int
bind_socket(const struct master *m)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const struct rights *r = &m->rights;
	mode_t mask;
	int fd, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/" PLACE_SOCKET,
	    m->cfg->run_dir);
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		fatalx("run_dir: %s is too long for a socket", m->cfg->run_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		fatal("run_dir: cannot make a socket");
	if (unlink(sun.sun_path) == -1 && errno != ENOENT)
		fatal("run_dir: cannot remove the old %s", sun.sun_path);
	mask = umask(0117);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		fatal("run_dir: cannot bind %s", sun.sun_path);
	(void)umask(mask);
	if (r->root && lchown(sun.sun_path, r->uid, r->gid) == -1)
		fatal("run_dir: cannot give %s to user %s", sun.sun_path,
		    r->user);
	if (listen(fd, ASKERS_MAX) == -1)
		fatal("run_dir: cannot listen on %s", sun.sun_path);
	return fd;
}

struct control *
control_open(struct master *m)
{
	struct control *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->master = m;
	TAILQ_INIT(&c->askers);
	c->fd = bind_socket(m);
	c->acceptable =
	    event_new(m->base, c->fd, EV_READ | EV_PERSIST, on_acceptable, c);
	c->resume = evtimer_new(m->base, on_resume, c);
	if (c->acceptable == NULL || c->resume == NULL)
		fatalx("out of memory");
	return c;
}

void
control_start(struct control *c)
{
	watch_listener(c);
}

void
control_close_listener(struct control *c)
{
	if (c->acceptable == NULL)
		return;
	event_free(c->acceptable);
	c->acceptable = NULL;
	(void)close(c->fd);
	c->fd = -1;
	(void)unlinkat(c->master->place.run_fd, PLACE_SOCKET, 0);
}

void
control_free(struct control **cp)
{
	struct control *c = *cp;
	struct asker *a, *next;

	*cp = NULL;
	if (c == NULL)
		return;
	control_close_listener(c);
	TAILQ_FOREACH_SAFE(a, &c->askers, link, next)
		if (!a->done && a->asked)
			asker_end(a, NULL);
	while ((a = TAILQ_FIRST(&c->askers)) != NULL)
		asker_free(a);
	event_free(c->resume);
	free(c);
}

/* ------------------------------------------------------------------ */
/* Answers. */

void
control_data(struct control *c, uint64_t id, const char *json, size_t len)
{
	struct asker *a = find(c, id);

	if (a == NULL)
		return;
	sb_adds(&a->out, "{\"data\":");
	sb_add(&a->out, json, len);
	asker_line(a, "}\n", 2);
}

void
control_done(struct control *c, uint64_t id)
{
	struct asker *a = find(c, id);

	if (a != NULL)
		asker_end(a, NULL);
}

void
control_failed(struct control *c, uint64_t id, const char *fmt, ...)
{
	struct asker *a = find(c, id);
	char why[512];
	va_list ap;

	if (a == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	asker_end(a, why);
}

int
control_take_file(struct control *c, uint64_t id)
{
	struct asker *a = find(c, id);
	int fd = a == NULL ? -1 : a->file;

	if (a != NULL)
		a->file = -1;
	return fd;
}

int
control_take(struct control *c, uint64_t id)
{
	struct asker *a = find(c, id);
	int fd;

	if (a == NULL || a->out.len > 0)
		return -1;
	fd = a->fd;
	(void)event_del(a->readable);
	a->fd = -1;
	asker_free(a);
	return fd;
}
