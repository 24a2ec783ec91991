/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client - one question to the daemon, and its answer.
 */

#include "chatctl/client.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chatctl/command.h"
#include "chatctl/show.h"
#include "common/json.h"
#include "common/strbuf.h"

/* how long the daemon may be silent */
#define PATIENCE_S 30
#define READ_SIZE 65536
/* longer than anything that the daemon says in one line */
#define LINE_MAX_BYTES (64 << 20)

/* how long it may take to end when it has said that it does */
#define END_MS 10000

struct answer {
	const struct client *client;
	int fd;
	/* what has been read and not used yet */
	char *buf;
	size_t len, size;
};

static void complain(const struct answer *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
complain(const struct answer *a, const char *fmt, ...)
{
	va_list ap;

	if (a->client->quiet)
		return;
	(void)fprintf(stderr, "chatctl: ");
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

static int
connect_to(struct answer *a)
{
	const bool forever = a->client->how == HOW_STREAM || a->client->patient;
	const char *path = a->client->path;
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sun.sun_path)) {
		complain(a, "%s: too long for a socket's name", path);
		return EXIT_FAILED;
	}
	memcpy(sun.sun_path, path, strlen(path));
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (a->fd == -1 ||
	    setsockopt(a->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		sizeof(patience)) == -1 ||
	    (!forever &&
		setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		    sizeof(patience)) == -1)) {
		complain(a, "cannot make a socket: %s", strerror(errno));
		return EXIT_FAILED;
	}
	if (connect(a->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return EXIT_DONE;
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) {
		complain(a,
		    "no daemon answers on %s; chatd.sock is in the run_dir of "
		    "one that runs (-s, CHATD_SOCKET)",
		    path);
		return EXIT_NO_DAEMON;
	}
	complain(a, "%s: %s%s", path, strerror(errno),
	    errno == EACCES ? "; root, the daemon's user and the members of "
			      "its group may ask"
			    : "");
	return EXIT_FAILED;
}

/* As send(); the first bytes take the file with them. */
static ssize_t
send_some(struct answer *a, const char *p, size_t len, bool first)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *h;

	if (first && a->client->with_file) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &a->client->file, sizeof(int));
	}
	return sendmsg(a->fd, &msg, MSG_NOSIGNAL);
}

static int
send_request(struct answer *a, const char *command, char *const *args,
    int nargs)
{
	struct json_out o = { 0 };
	struct strbuf line = STRBUF_INIT;
	size_t sent = 0;
	ssize_t n = 0;

	json_out_object(&o);
	json_out_key(&o, "v");
	json_out_u64(&o, 1);
	json_out_key(&o, "command");
	json_out_cstring(&o, command);
	json_out_key(&o, "args");
	json_out_array(&o);
	for (int i = 0; i < nargs; i++)
		json_out_cstring(&o, args[i]);
	json_out_array_end(&o);
	json_out_object_end(&o);
	if (!o.failed) {
		sb_add(&line, o.p, o.len);
		sb_addc(&line, '\n');
	}
	json_out_clear(&o);
	while (n != -1 && sent < line.len) {
		n = send_some(a, line.data + sent, line.len - sent, sent == 0);
		if (n == -1 && errno == EINTR)
			n = 0;
		if (n > 0)
			sent += (size_t)n;
	}
	sb_clear(&line);
	/* a daemon that does not want to hear us has said why */
	if (n == -1 && errno != EPIPE && errno != ECONNRESET) {
		complain(a, "cannot ask: %s", strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

/* The last line. */
static int
take_done(const struct answer *a, struct json_value line)
{
	struct json_value error = json_member(line, "error");
	struct json_span span;
	bool ok, usage;
	int status = EXIT_FAILED;

	if (json_to_bool(json_member(line, "ok"), &ok) && ok)
		return EXIT_DONE;
	if (json_to_bool(json_member(line, "usage"), &usage) && usage)
		status = EXIT_USAGE;
	if (a->client->quiet)
		return status;
	(void)fprintf(stderr, "chatctl: ");
	span = json_inside(error);
	if (span.len == 0)
		(void)fprintf(stderr, "refused");
	else
		show_string(error, stderr);
	(void)fputc('\n', stderr);
	return status;
}

/* -1: there is more to come. */
static int
take_line(const struct answer *a, const char *p, size_t len)
{
	struct json_value line, data;
	const char *why;
	bool done;

	if (json_scan(p, len, JSON_MAX_DEPTH, &why) != JSON_FINE) {
		complain(a, "the answer makes no sense: %s", why);
		return EXIT_FAILED;
	}
	line = json_value(p, len);
	if (json_to_bool(json_member(line, "done"), &done) && done)
		return take_done(a, line);
	data = json_member(line, "data");
	if (data.kind != JSON_KIND_NONE)
		line = data;
	a->client->fn(line.text.p, line.text.len, a->client->arg);
	return -1;
}

/* Read some more; -1 when that is not possible. */
static int
read_more(struct answer *a)
{
	char *grown;
	ssize_t n;

	if (a->size - a->len < READ_SIZE) {
		if (a->size >= LINE_MAX_BYTES ||
		    (grown = realloc(a->buf, a->size * 2 + READ_SIZE)) == NULL)
			return -1;
		a->buf = grown;
		a->size = a->size * 2 + READ_SIZE;
	}
	do
		n = recv(a->fd, a->buf + a->len, a->size - a->len, 0);
	while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = 0;
	if (n <= 0)
		return -1;
	a->len += (size_t)n;
	return 0;
}

/* All whole lines that are there; -1: there is more to come. */
static int
take_lines(struct answer *a)
{
	size_t used = 0;
	int status = -1;
	char *end;

	while (status == -1 &&
	    (end = memchr(a->buf + used, '\n', a->len - used)) != NULL) {
		status =
		    take_line(a, a->buf + used, (size_t)(end - a->buf) - used);
		used = (size_t)(end - a->buf) + 1;
	}
	a->len -= used;
	memmove(a->buf, a->buf + used, a->len);
	return status;
}

static int
read_answer(struct answer *a)
{
	int status;

	while (read_more(a) == 0)
		if ((status = take_lines(a)) != -1)
			return status;
	if (a->client->patient)
		complain(a, "the process that did it was killed");
	else if (errno == EAGAIN)
		complain(a, "the daemon does not answer");
	else
		complain(a, "the daemon broke off: %s",
		    errno == 0 ? "it ended" : strerror(errno));
	return EXIT_FAILED;
}

/* A descriptor that tells when the daemon's process has ended; or -1. */
static int
watch_process(const struct answer *a)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (a->client->how != HOW_END ||
	    getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 ||
	    cred.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, cred.pid, 0);
}

static void
wait_end(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	if (pidfd == -1)
		return;
	while (poll(&pfd, 1, END_MS) == -1 && errno == EINTR)
		continue;
	(void)close(pidfd);
}

int
client_ask(const struct client *c, const char *command, char *const *args,
    int nargs)
{
	struct answer a = { .client = c, .fd = -1 };
	int status, pidfd = -1;

	if ((status = connect_to(&a)) == EXIT_DONE) {
		pidfd = watch_process(&a);
		status = send_request(&a, command, args, nargs);
	}
	if (status == EXIT_DONE)
		status = read_answer(&a);
	if (a.fd != -1)
		(void)close(a.fd);
	free(a.buf);
	if (status == EXIT_DONE)
		wait_end(pidfd);
	return status;
}

int
client_listen(const struct client *c, int fd)
{
	struct answer a = { .client = c, .fd = fd };
	int status = read_answer(&a);

	free(a.buf);
	return status;
}
