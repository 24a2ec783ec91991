/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * events - chatctl events: security events of all workers, as they come.
 */

#include "worker/ctl.h"
#include "worker/worker.h"

static void
on_deliver(struct ctl *c, const struct chat_delivery *d)
{
	struct json_out o = { 0 };

	if (d->ev.type != CHAT_SECURITY)
		return;
	json_out_raw(&o, d->ev.field[0].p, d->ev.field[0].len);
	ctl_put(c, &o, true);
	json_out_clear(&o);
	(void)ctl_flush(c);
}

static const struct ctl_ops events_ops = {
	.deliver = on_deliver,
	.ring = CTL_LIVE,
};

void
events_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	c->ops = &events_ops;
}
