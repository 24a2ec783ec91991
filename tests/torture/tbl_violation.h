/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * VIOLATION(name, text) - what the checker finds.  test_checker.py plants
 * each of them.
 */
/* clang-format off */
/* the store by itself */
VIOLATION(GAP, "a number of a session is missing in the store")
VIOLATION(STORED_TWICE, "a message is stored twice")
VIOLATION(FORGED, "a stored message was never sent")
VIOLATION(ALTERED, "a stored text is not what was sent")
VIOLATION(TIME, "a session's time runs back")
VIOLATION(POSITION, "a session's order is not the log's")
VIOLATION(REWRITTEN, "a row differs from dump to dump, or is gone")
/* what was said, against the store */
VIOLATION(LOST, "acknowledged, and not in the store")
VIOLATION(LOST_BY_KILL, "acknowledged, and not in the store after a kill")
VIOLATION(ANSWER, "an answer tells another place or time than the store")
VIOLATION(NEW_TWICE, "a retry was not called a duplicate")
VIOLATION(UNANSWERED, "never acknowledged, whatever the client tried")
VIOLATION(REFUSED, "refused with a code that does not fit")
VIOLATION(TAKEN, "another user's id was accepted")
/* what was delivered */
VIOLATION(PHANTOM, "delivered, and not in the store")
VIOLATION(DIFFERS, "delivered otherwise than it is stored")
VIOLATION(STRAY, "delivered to who is not in the session")
VIOLATION(TWICE, "delivered twice, or late")
VIOLATION(HOLE, "something between was not delivered")
VIOLATION(ECHO, "delivered to the socket that has sent it")
VIOLATION(TAIL, "the end was not delivered")
/* history */
VIOLATION(PAGE, "a page of history is not what was asked for")
VIOLATION(HISTORY, "a message of history is not what is stored")
VIOLATION(STALE, "a page or join does not know what others had seen")
/* real time */
VIOLATION(CAUSALITY, "seen by somebody before an earlier one was sent")
VIOLATION(FIFO, "a connection's messages are not in its order")
/* edits, deletions and receipts */
VIOLATION(CHANGE_LOST, "an acknowledged change is not in the store")
VIOLATION(CHANGE_LOST_BY_KILL, "... and not in the store after a kill")
VIOLATION(CHANGE_FORGED, "a change that nobody has asked for")
VIOLATION(REVISION, "a revision is two changes, or was never given")
VIOLATION(REVISION_HOLE, "a change between was not delivered")
VIOLATION(REVISION_TWICE, "a change was delivered twice, or late")
VIOLATION(REVISION_TAIL, "the last changes were not delivered")
VIOLATION(RUNS_BACK, "a receipt runs back")
VIOLATION(OLD_TEXT, "a page shows what an acknowledged change replaced")
/* streams */
VIOLATION(STREAM_CUT, "a chunk that somebody has is not in the message")
VIOLATION(STREAM_ENDED, "its end was acknowledged, its message lacks some")
VIOLATION(STREAM_HOLE, "a viewer lacks a chunk")
VIOLATION(STREAM_TWICE, "a viewer was sent a chunk twice")
VIOLATION(STREAM_LATE, "a chunk behind the last one or the message")
VIOLATION(STREAM_OPEN, "the message came before the last chunk")
VIOLATION(STREAM_TEXT, "what was shown is not what the message says")
VIOLATION(KICK, "a socket that was kicked is back")
/* the harness */
VIOLATION(GARBLED, "something that no server may send")
VIOLATION(INCOMPLETE, "a ledger or dump breaks off")
