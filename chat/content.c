/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/content.h"

#include <stdlib.h>
#include <string.h>

#include "chat/html.h"
#include "chat/rewrite.h"
#include "chat/security.h"
#include "chat/socket.h"
#include "chat/spam.h"
#include "common/log.h"
#include "common/rules.h"
#include "common/strbuf.h"

/* names of what is built in (common/rules_line.c keeps them free) */
#define RULE_HTML "html"
#define RULE_REPEATED "repeated"

/* one is enough for almost everything; then all tags are escaped */
#define HTML_ROUNDS 8
/* places that a rule may change in one text */
#define EDITS_MAX 10000
/* rules that are too slow are told so often */
#define LIMIT_LOG_MS 60000

struct content {
	const struct config *cfg;
	/* NULL: there are none */
	struct rules *rules;
	struct html *html;
	/* the text, decoded; what was written anew of it, and before that */
	struct strbuf text, out, spare;
	/* the text to put in a rule's place, as JSON */
	struct json_out with;
	struct rewrite *edits;
	size_t nedits, cap_edits;
	unsigned nrewrites;
	/* when a rule that is too slow was told of */
	uint64_t limit_logged_ms;
};

struct content *
content_new(const struct config *cfg)
{
	const struct config_blob *blob = &cfg->blob[CONFIG_BLOB_RULES];
	struct content *c = chat_alloc(sizeof(*c));
	struct config_errors errors = { 0 };

	c->cfg = cfg;
	c->html = html_new();
	sb_init(&c->text);
	sb_init(&c->out);
	sb_init(&c->spare);
	if (blob->p == NULL)
		return c;
	c->rules = rules_new(cfg->content_rules, blob->p, blob->len, &errors);
	if (c->rules == NULL)
		fatalx("content rules: %s",
		    errors.n > 0 ? errors.v[0] : "cannot be read");
	if (rules_count(c->rules) == 0)
		rules_free(&c->rules);
	return c;
}

void
content_free(struct content **cp)
{
	struct content *c = *cp;

	if (c == NULL)
		return;
	rules_free(&c->rules);
	html_free(&c->html);
	sb_clear(&c->text);
	sb_clear(&c->out);
	sb_clear(&c->spare);
	json_out_clear(&c->with);
	free(c->edits);
	free(c);
	*cp = NULL;
}

/* --- writing anew ------------------------------------------------------------ */

static void
decode(struct content *c, struct json_value text)
{
	ssize_t len;
	char *p;

	sb_reset(&c->text);
	p = sb_reserve(&c->text, text.text.len);
	len = json_decode(text, p, text.text.len);
	CHECK(len >= 0);
	c->text.len = (size_t)len;
}

/* Of [from, to): joined with the one before, if they touch. */
static void
add_edit(struct content *c, size_t from, size_t to, bool join)
{
	struct rewrite *last = c->nedits == 0 ? NULL : &c->edits[c->nedits - 1];

	if (join && last != NULL && from <= last->to) {
		if (to > last->to)
			last->to = (uint32_t)to;
		return;
	}
	if (c->nedits == c->cap_edits) {
		c->cap_edits = c->cap_edits == 0 ? 64 : c->cap_edits * 2;
		c->edits =
		    chat_realloc(c->edits, c->cap_edits, sizeof(*c->edits));
	}
	c->edits[c->nedits].from = (uint32_t)from;
	c->edits[c->nedits++].to = (uint32_t)to;
}

/* The result's text, which may be the one written last, with the edits. */
static void
rewrite(struct content *c, struct content_result *r, struct json_span with,
    const char *rule)
{
	struct strbuf old = c->spare;

	sb_reset(&old);
	rewrite_string(&old, r->text, c->edits, c->nedits, with);
	c->spare = c->out;
	c->out = old;
	r->text.text.p = c->out.data;
	r->text.text.len = c->out.len;
	r->verdict = CONTENT_SANITIZE;
	if (r->rule == NULL)
		r->rule = rule;
	c->nrewrites++;
	decode(c, r->text);
}

static void
refuse(struct content_result *r, enum content_verdict verdict, const char *rule)
{
	r->verdict = verdict;
	r->rule = rule;
}

/* --- rules ------------------------------------------------------------------- */

/* All that the rule matches becomes edits; RULE_LIMIT: it is not known. */
static enum rule_result
find_all(struct content *c, size_t i)
{
	size_t at = 0, from, to;
	enum rule_result rc;

	c->nedits = 0;
	while ((rc = rules_match(c->rules, i, c->text.data, c->text.len, at,
		    &from, &to)) == RULE_HIT) {
		if (c->nedits == EDITS_MAX)
			return RULE_LIMIT;
		add_edit(c, from, to, false);
		at = to;
	}
	if (rc == RULE_LIMIT)
		return rc;
	return c->nedits > 0 ? RULE_HIT : RULE_MISS;
}

static void
sanitize(struct content *c, const struct rule *rule, struct content_result *r)
{
	struct json_value with = { .kind = JSON_KIND_STRING };

	json_out_reset(&c->with);
	json_out_cstring(&c->with, rule->with);
	chat_check_out(&c->with);
	with.text.p = c->with.p;
	with.text.len = c->with.len;
	rewrite(c, r, json_inside(with), rule->name);
}

/*
 * A rule that cannot be finished counts as one that matches, or who finds
 * out how to slow it down could say anything; and what it was to clean is
 * not delivered unclean.
 */
static void
try_rule(struct content *c, size_t i, struct content_result *r)
{
	const struct rule *rule = rules_get(c->rules, i);
	enum rule_result rc;
	size_t from, to;

	if (rule->verdict == RULE_SANITIZE)
		rc = find_all(c, i);
	else
		rc = rules_match(c->rules, i, c->text.data, c->text.len, 0,
		    &from, &to);
	if (rc == RULE_LIMIT)
		r->limited = rule->name;
	if (rc == RULE_MISS)
		return;
	switch (rule->verdict) {
	case RULE_FLAG:
		r->flagged = true;
		if (r->rule == NULL)
			r->rule = rule->name;
		break;
	case RULE_SANITIZE:
		if (rc == RULE_HIT)
			sanitize(c, rule, r);
		else
			refuse(r, CONTENT_BLOCK, rule->name);
		break;
	case RULE_BLOCK:
		refuse(r, CONTENT_BLOCK, rule->name);
		break;
	case RULE_SPAM:
		refuse(r, CONTENT_SPAM, rule->name);
		break;
	case RULE__MAX:
		break;
	}
}

static bool
is_refused(const struct content_result *r)
{
	return r->verdict == CONTENT_BLOCK || r->verdict == CONTENT_SPAM;
}

static void
try_rules(struct content *c, struct content_result *r)
{
	size_t i;

	if (c->rules == NULL)
		return;
	for (i = 0; i < rules_count(c->rules) && !is_refused(r); i++)
		try_rule(c, i, r);
}

/* --- HTML -------------------------------------------------------------------- */

/*
 * The '<' of a tag becomes "&lt;", or all of it goes.  What is left of a
 * text without its tags may be a tag, so it is judged again; somebody who
 * nests them on purpose has all that looks like one escaped in the end.
 */
static void
judge_html(struct content *c, struct content_result *r)
{
	const struct json_span escaped = { "&lt;", 4 }, nothing = { "", 0 };
	const struct html_tag *tags;
	bool strip = c->cfg->content_html == CONTENT_HTML_STRIP;
	unsigned round;
	size_t i, n;

	if (c->cfg->content_html == CONTENT_HTML_ALLOW || is_refused(r))
		return;
	for (round = 0; round <= HTML_ROUNDS; round++) {
		tags = html_judge(c->html, c->text.data, c->text.len, &n);
		if (n == 0)
			return;
		if (c->cfg->content_html == CONTENT_HTML_REJECT) {
			refuse(r, CONTENT_BLOCK, RULE_HTML);
			return;
		}
		if (round == HTML_ROUNDS) {
			strip = false;
			tags = html_all(c->html, c->text.data, c->text.len, &n);
		}
		c->nedits = 0;
		for (i = 0; i < n; i++)
			add_edit(c, tags[i].from,
			    strip ? tags[i].to : tags[i].from + 1, strip);
		rewrite(c, r, strip ? nothing : escaped, RULE_HTML);
	}
}

/* --- all of it ----------------------------------------------------------------- */

/* False: there is not even a '<' in it, however it is written. */
static bool
may_have_tags(struct json_span text)
{
	return memchr(text.p, '<', text.len) != NULL ||
	    (memchr(text.p, '\\', text.len) != NULL &&
		memmem(text.p, text.len, "\\u003", 5) != NULL);
}

/*
 * May the text have grown so much?  An event that its client could send fits
 * a record of the ring (config_check() sees to it); what is written anew
 * must not take it beyond.
 */
static bool
fits(const struct config *cfg, size_t old_len, size_t new_len)
{
	uint64_t event = cfg->limits_event_bytes;

	if (new_len <= old_len)
		return true;
	if (event == 0 || event > cfg->engine_max_payload)
		event = cfg->engine_max_payload;
	if (event < cfg->stream_max_text)
		event = cfg->stream_max_text;
	return new_len - old_len + event <= config_event_room(cfg);
}

static void
judge(struct content *c, struct content_result *r)
{
	const size_t len = r->text.text.len;
	unsigned before;

	c->nrewrites = 0;
	decode(c, r->text);
	try_rules(c, r);
	before = c->nrewrites;
	judge_html(c, r);
	/* what it has become is new to the rules, and what they make of it to
	 * the other; who is last leaves nothing active */
	if (c->nrewrites > before) {
		try_rules(c, r);
		judge_html(c, r);
	}
	if (c->nrewrites > 0 && !is_refused(r) &&
	    (content_is_blank(r->text) || !fits(c->cfg, len, r->text.text.len)))
		refuse(r, CONTENT_BLOCK, r->rule);
}

void
content_judge(struct content *c, struct json_value text,
    struct content_result *result_r)
{
	struct content_result *r = result_r;

	*r = (struct content_result){ .text = text };
	if (c->rules != NULL ||
	    (c->cfg->content_html != CONTENT_HTML_ALLOW &&
		may_have_tags(text.text)))
		judge(c, r);
	if (!is_refused(r) && spam_repeats(text)) {
		r->flagged = true;
		if (r->rule == NULL)
			r->rule = RULE_REPEATED;
	}
}

bool
content_is_blank(struct json_value text)
{
	const char *at = NULL;
	uint32_t c;

	while (json_next_char(text, &at, &c)) {
		if (!spam_is_space(c))
			return false;
	}
	return true;
}

enum chat_error
content_measure(const struct chat *chat, struct json_value text)
{
	const uint32_t max = chat->cfg->limits_message_length;

	if (content_is_blank(text))
		return CHAT_E_CONTENT_EMPTY;
	/* there are never more units than bytes */
	if (max > 0 && text.text.len > max && json_utf16_length(text) > max)
		return CHAT_E_CONTENT_TOO_LONG;
	return CHAT_OK;
}

/* Whose socket is gone has nobody to be named; it counts all the same. */
static void
report(struct chat *chat, const struct chat_socket *s, enum chat_count what,
    const char *session, const char *rule)
{
	const struct security sec = { .what = what,
		.s = s,
		.session = session,
		.details = rule };

	security_report(chat, &sec);
}

static enum chat_error
error_of_verdict(enum content_verdict verdict)
{
	switch (verdict) {
	case CONTENT_BLOCK:
		return CHAT_E_CONTENT_BLOCKED;
	case CONTENT_SPAM:
		return CHAT_E_SPAM_BLOCKED;
	case CONTENT_ALLOW:
	case CONTENT_SANITIZE:
		break;
	}
	return CHAT_OK;
}

enum chat_error
content_try(struct chat *chat, struct json_value text,
    struct content_result *result_r)
{
	enum chat_error err = content_measure(chat, text);

	if (err == CHAT_OK) {
		content_judge(chat->content, text, result_r);
		return error_of_verdict(result_r->verdict);
	}
	*result_r =
	    (struct content_result){ .verdict = CONTENT_BLOCK, .text = text };
	return err;
}

static void
log_limit(struct chat *chat, const char *rule)
{
	struct content *c = chat->content;
	uint64_t now = chat_mono_ms(chat);

	if (c->limit_logged_ms != 0 && now - c->limit_logged_ms < LIMIT_LOG_MS)
		return;
	c->limit_logged_ms = now;
	log_warn("content rule %s takes too many steps; texts for which it "
		 "does count as met by it",
	    rule);
}

enum chat_error
content_pass(struct chat *chat, const struct chat_socket *s,
    const char *session, struct json_value *text)
{
	struct content_result result;
	enum chat_error err;

	content_judge(chat->content, *text, &result);
	if (result.limited != NULL)
		log_limit(chat, result.limited);
	if ((err = error_of_verdict(result.verdict)) != CHAT_OK) {
		report(chat, s, CHAT_COUNT_MESSAGE_BLOCKED, session,
		    result.rule);
		return err;
	}
	if (result.flagged)
		report(chat, s, CHAT_COUNT_SUSPICIOUS_ACTIVITY, session,
		    result.rule);
	*text = result.text;
	return CHAT_OK;
}

enum chat_error
content_burst(struct chat *chat, const struct chat_socket *s,
    struct json_value text, uint64_t *mark_r)
{
	uint64_t mark = 0;

	if (chat->cfg->content_burst > 0 && (mark = spam_mark(text)) != 0 &&
	    !chat->ops->burst(chat->ctx, s->conn, mark))
		return CHAT_E_SPAM_BLOCKED;
	*mark_r = mark;
	return CHAT_OK;
}

void
content_burst_give_back(struct chat *chat, const struct chat_socket *s,
    uint64_t mark)
{
	if (mark != 0)
		chat->ops->burst_give_back(chat->ctx, s->conn, mark);
}

void
content_burst_refused(struct chat *chat, const struct chat_socket *s,
    const char *session)
{
	report(chat, s, CHAT_COUNT_MESSAGE_BLOCKED, session, "burst");
}
