/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <string.h>

#include "chat/identity.h"
#include "chat/socket.h"
#include "common/log.h"

static const char *const names[CHAT_COUNT__MAX] = {
#define CHAT_COUNT(NAME, name, text) [CHAT_COUNT_##NAME] = #name,
#include "chat/tbl_counts.h"
};

void
security_event(struct chat *chat, const struct chat_socket *s,
    enum chat_count what, const char *session)
{
	uint64_t now = chat_mono_ms(chat) / MS_PER_S;
	const char *user = s->identity->user_id;

	chat_count(chat, what);
	if (now != chat->security_second) {
		if (chat->security_left_out > 0)
			log_info("security events left out count=%u",
			    chat->security_left_out);
		chat->security_second = now;
		chat->security_lines = chat->security_left_out = 0;
	}
	if (chat->security_lines >= SECURITY_LINES) {
		chat->security_left_out++;
		return;
	}
	chat->security_lines++;
	log_info("security event=%s user=%s socket=%s session=%s", names[what],
	    log_text(user, strlen(user)), s->id,
	    session == NULL ? "" : session);
}
