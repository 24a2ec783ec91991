/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "bridge/http.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "bridge/desk.h"
#include "common/log.h"

#define MS_PER_S 1000
/* how many Cache-Control fields are looked at, and their bytes */
#define CACHE_FIELDS 4
#define CACHE_TEXT 256

/* One POST. */
struct post {
	TAILQ_ENTRY(post) entry;
	struct http *http;
	void *owner;
	uint64_t since_ns;
	CURL *easy;
	char *body;
	size_t len, size;
	bool too_large;
	char error[CURL_ERROR_SIZE];
};

/* A socket of libcurl's. */
struct watch {
	TAILQ_ENTRY(watch) entry;
	struct http *http;
	struct event *ev;
};

struct http {
	struct event_base *base;
	http_fn fn;
	void *arg;
	CURLM *multi;
	struct event *timer;
	struct curl_slist *headers;
	char *url;
	X509_STORE *authorities;
	TAILQ_HEAD(, post) posts;
	TAILQ_HEAD(, watch) watches;
};

const char *
http_version(void)
{
	return curl_version();
}

/* --- sockets and timer --------------------------------------------------- */

/* Those that are done. */
static void finish_posts(struct http *h);

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct http *h = w->http;
	int bits = 0, running;

	if (what & EV_READ)
		bits |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		bits |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(h->multi, fd, bits, &running);
	finish_posts(h);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;
	int running;

	(void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0,
	    &running);
	finish_posts(h);
}

static int
set_timer(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;
	struct timeval tv = { .tv_sec = ms / MS_PER_S,
		.tv_usec = ms % MS_PER_S * 1000 };

	if (ms < 0)
		(void)event_del(h->timer);
	else
		(void)event_add(h->timer, &tv);
	return 0;
}

static void
watch_free(struct watch *w)
{
	TAILQ_REMOVE(&w->http->watches, w, entry);
	event_free(w->ev);
	free(w);
}

static struct watch *
watch_new(struct http *h, curl_socket_t fd)
{
	struct watch *w;

	if ((w = calloc(1, sizeof(*w))) == NULL ||
	    (w->ev = event_new(h->base, fd, 0, on_ready, w)) == NULL)
		fatalx("out of memory");
	w->http = h;
	TAILQ_INSERT_TAIL(&h->watches, w, entry);
	(void)curl_multi_assign(h->multi, fd, w);
	return w;
}

/* libcurl wants to know something of a socket. */
static int
set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct http *h = arg;
	struct watch *w = of_socket;
	short bits = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			watch_free(w);
		(void)curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (w == NULL)
		w = watch_new(h, fd);
	if (what & CURL_POLL_IN)
		bits |= EV_READ;
	if (what & CURL_POLL_OUT)
		bits |= EV_WRITE;
	(void)event_del(w->ev);
	if (event_assign(w->ev, h->base, fd, bits, on_ready, w) == -1 ||
	    event_add(w->ev, NULL) == -1)
		fatalx("cannot watch a socket");
	return 0;
}

/* --- one POST -------------------------------------------------------------- */

static size_t
on_body(char *p, size_t one, size_t n, void *arg)
{
	struct post *post = arg;
	char *bigger;

	if (n > POST_REPLY_MAX - post->len) {
		post->too_large = true;
		return 0;
	}
	if (post->len + n > post->size) {
		bigger = realloc(post->body, (post->len + n) * 2);
		if (bigger == NULL)
			return 0;
		post->body = bigger;
		post->size = (post->len + n) * 2;
	}
	memcpy(post->body + post->len, p, n);
	post->len += n;
	return n;
}

/* Our authorities instead of a file that would be read now. */
static CURLcode
on_tls(CURL *easy, void *ctx, void *arg)
{
	struct http *h = arg;

	if (h->authorities == NULL)
		return CURLE_SSL_CACERT_BADFILE;
	SSL_CTX_set1_cert_store(ctx, h->authorities);
	return CURLE_OK;
}

static void
post_free(struct post *post)
{
	TAILQ_REMOVE(&post->http->posts, post, entry);
	if (post->easy != NULL) {
		(void)curl_multi_remove_handle(post->http->multi, post->easy);
		curl_easy_cleanup(post->easy);
	}
	if (post->body != NULL)
		explicit_bzero(post->body, post->size);
	free(post->body);
	free(post);
}

static bool
set_up_tls(struct post *post)
{
	CURL *e = post->easy;

	return curl_easy_setopt(e, CURLOPT_SSLVERSION,
		   (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_CAINFO, NULL) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, post->http) == CURLE_OK &&
	    /* it would keep ours, and put the old ones over newer ones */
	    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L) == CURLE_OK;
}

/* What it may do, and what not. */
static bool
set_up_rules(struct post *post, uint64_t timeout_ms)
{
	CURL *e = post->easy;

	return curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") ==
	    CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
		(long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)timeout_ms) ==
	    CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms) ==
	    CURLE_OK &&
	    /* a name server that hangs is not waited for by anybody */
	    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
}

static bool
set_up(struct post *post, const char *body, size_t len)
{
	CURL *e = post->easy;

	return curl_easy_setopt(e, CURLOPT_PRIVATE, post) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, post->error) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_URL, post->http->url) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_HTTPHEADER, post->http->headers) ==
	    CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_USERAGENT, "chatd/" CHATD_VERSION) ==
	    CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)len) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	    curl_easy_setopt(e, CURLOPT_WRITEDATA, post) == CURLE_OK;
}

int
http_post(struct http *h, void *owner, uint64_t since_ns, const char *body,
    size_t len, uint64_t timeout_ms)
{
	struct post *post;

	if ((post = calloc(1, sizeof(*post))) == NULL)
		return -1;
	post->http = h;
	post->owner = owner;
	post->since_ns = since_ns;
	TAILQ_INSERT_TAIL(&h->posts, post, entry);
	if ((post->easy = curl_easy_init()) != NULL &&
	    set_up(post, body, len) && set_up_rules(post, timeout_ms) &&
	    set_up_tls(post) &&
	    curl_multi_add_handle(h->multi, post->easy) == CURLM_OK)
		return 0;
	post_free(post);
	errno = ENOMEM;
	return -1;
}

/* All Cache-Control fields, with commas between. */
static const char *
cache_control(CURL *easy, char buf[CACHE_TEXT])
{
	struct curl_header *field;

	buf[0] = '\0';
	for (size_t i = 0; i < CACHE_FIELDS; i++) {
		if (curl_easy_header(easy, "Cache-Control", i, CURLH_HEADER, -1,
			&field) != CURLHE_OK)
			break;
		if (i > 0)
			(void)strlcat(buf, ",", CACHE_TEXT);
		/* one that is cut might say something else */
		if (strlcat(buf, field->value, CACHE_TEXT) >= CACHE_TEXT)
			return NULL;
	}
	return buf[0] == '\0' ? NULL : buf;
}

static void
finish_post(struct http *h, struct post *post, CURLcode rc)
{
	struct post_reply r = { .body = { post->body, post->len },
		.too_large = post->too_large };
	char text[CACHE_TEXT];
	long status = 0;

	(void)curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
	/* half an answer is none, but for one that is too large */
	if (rc == CURLE_OK || post->too_large) {
		r.status = (int)status;
		r.cache_control = cache_control(post->easy, text);
	} else {
		r.why = post->error[0] != '\0' ? post->error
					       : curl_easy_strerror(rc);
	}
	/* the owner's body goes with the owner */
	(void)curl_multi_remove_handle(h->multi, post->easy);
	h->fn(h->arg, post->owner, post->since_ns, &r);
	post_free(post);
}

static void
finish_posts(struct http *h)
{
	struct post *post;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
			(char **)&post) != CURLE_OK)
			continue;
		finish_post(h, post, msg->data.result);
	}
}

/* --- all of it --------------------------------------------------------------- */

void
http_set_url(struct http *h, const char *url)
{
	free(h->url);
	if ((h->url = strdup(url)) == NULL)
		fatal("strdup");
}

int
http_trust(struct http *h, const char **why_r)
{
	const char *file = getenv("SSL_CERT_FILE");
	X509_STORE *store;

	if (file == NULL || file[0] == '\0')
		file = curl_version_info(CURLVERSION_NOW)->cainfo;
	if (file == NULL) {
		*why_r = "no file of certificates is known";
		return -1;
	}
	if ((store = X509_STORE_new()) == NULL)
		fatalx("out of memory");
	if (X509_STORE_load_file(store, file) != 1) {
		X509_STORE_free(store);
		*why_r = "the file of certificates cannot be read";
		return -1;
	}
	X509_STORE_free(h->authorities);
	h->authorities = store;
	return 0;
}

void
http_prepare_resolver(void)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *before = getenv("RES_OPTIONS");
	struct addrinfo *list = NULL;
	char *saved = before == NULL ? NULL : strdup(before);

	/* nobody needs the answer, and workers may be waiting */
	(void)setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
	if (getaddrinfo("chatd.invalid.", "80", &hints, &list) == 0)
		freeaddrinfo(list);
	if (saved != NULL)
		(void)setenv("RES_OPTIONS", saved, 1);
	else
		(void)unsetenv("RES_OPTIONS");
	free(saved);
}

static void
start_libraries(void)
{
	const uint64_t flags =
	    OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS;

	/* what others configured for their programs is not for this one */
	if (OPENSSL_init_ssl(flags, NULL) != 1 ||
	    curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		fatalx("libcurl does not work");
}

static struct curl_slist *
make_headers(void)
{
	static const char *const fields[] = { "Content-Type: application/json",
		"Accept: application/json",
		/* the body is small, and goes at once */
		"Expect:" };
	struct curl_slist *list = NULL, *longer;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if ((longer = curl_slist_append(list, fields[i])) == NULL)
			fatalx("out of memory");
		list = longer;
	}
	return list;
}

struct http *
http_new(struct event_base *base, http_fn fn, void *arg)
{
	struct http *h;

	start_libraries();
	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("calloc");
	h->base = base;
	h->fn = fn;
	h->arg = arg;
	TAILQ_INIT(&h->posts);
	TAILQ_INIT(&h->watches);
	h->headers = make_headers();
	h->timer = evtimer_new(base, on_timer, h);
	if (h->timer == NULL || (h->multi = curl_multi_init()) == NULL)
		fatalx("out of memory");
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
	    (long)DESK_CALLS);
	return h;
}

void
http_free(struct http **hp)
{
	struct http *h = *hp;
	struct post *post;
	struct watch *w;

	*hp = NULL;
	if (h == NULL)
		return;
	while ((post = TAILQ_FIRST(&h->posts)) != NULL)
		post_free(post);
	(void)curl_multi_cleanup(h->multi);
	while ((w = TAILQ_FIRST(&h->watches)) != NULL)
		watch_free(w);
	event_free(h->timer);
	curl_slist_free_all(h->headers);
	X509_STORE_free(h->authorities);
	free(h->url);
	free(h);
	curl_global_cleanup();
}
