/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "bridge/breaker.h"

#define MS_PER_S 1000

bool
breaker_is_open(const struct breaker *b)
{
	return b->open_ms != 0;
}

bool
breaker_is_ready(const struct breaker *b, uint64_t now_ms)
{
	return !breaker_is_open(b) || (!b->probing && now_ms >= b->probe_at);
}

bool
breaker_allows(struct breaker *b, uint64_t now_ms, bool *probe_r)
{
	*probe_r = breaker_is_open(b);
	if (!breaker_is_ready(b, now_ms))
		return false;
	b->probing = *probe_r;
	return true;
}

bool
breaker_success(struct breaker *b)
{
	bool was_open = breaker_is_open(b);

	*b = (struct breaker){ 0 };
	return was_open;
}

bool
breaker_failure(struct breaker *b, uint64_t now_ms, bool probe)
{
	bool was_open = breaker_is_open(b);

	if (!was_open && ++b->failures < BREAKER_FAILURES)
		return false;
	/* one that was asked before it opened says nothing new */
	if (was_open && !probe)
		return false;
	b->probing = false;
	b->open_ms = was_open ? b->open_ms * 2 : BREAKER_FIRST_MS;
	if (b->open_ms > BREAKER_MAX_MS)
		b->open_ms = BREAKER_MAX_MS;
	b->probe_at = now_ms + b->open_ms;
	return !was_open;
}

void
breaker_forget(struct breaker *b, bool probe)
{
	/* some other question will be the probe */
	if (probe)
		b->probing = false;
}

unsigned
breaker_retry_after(const struct breaker *b, uint64_t now_ms)
{
	uint64_t ms = 0;

	if (breaker_is_open(b) && b->probe_at > now_ms)
		ms = b->probe_at - now_ms;
	return ms <= MS_PER_S ? 1 : (unsigned)((ms + MS_PER_S - 1) / MS_PER_S);
}
