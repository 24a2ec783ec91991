/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * KIND(name, text) - what stands in a ledger; see ledger.h.  Python counts
 * these rows: new ones go to the end.
 */
/* clang-format off */
KIND(NONE, "nothing")
KIND(CONNECT, "the namespace is connected")
KIND(CUT, "the connection is gone")
KIND(SEND, "a message is sent, or sent again")
KIND(STEAL, "another user's id is sent")
KIND(ACK, "the acknowledgement came")
KIND(SENT, "chat:message-sent came")
KIND(REFUSED, "the message was refused")
KIND(KEPT, "another user's id was refused")
KIND(DELIVER, "a message was delivered")
KIND(JOINED, "a join was answered")
KIND(LEAVE, "a leave is asked for")
KIND(LEFT, "a leave was answered")
KIND(PAGE, "a page of history came")
KIND(HISTORY, "a message of that page")
KIND(QUIET, "the end, and how far this client is")
KIND(STORED, "a row of the store")
KIND(DUMP, "a dump begins")
KIND(GARBLED, "something that no server may send")
KIND(END, "the ledger is complete")
KIND(JOIN, "a join is asked for")
KIND(STREAM, "a chunk is sent, or sent again")
KIND(TAKEN, "a chunk is acknowledged")
KIND(ENDED, "a stream's last chunk is acknowledged")
KIND(CHUNK, "a chunk came")
KIND(SHOWN, "a stream in progress, in a join's answer or a sync")
KIND(CHANGE, "an edit, a deletion or a receipt is asked for")
KIND(CHANGED, "it was acknowledged")
KIND(REVISED, "a change was delivered")
KIND(ITEM, "what was changed, in a dump, as it is now")
KIND(REVISION, "the last revision of a session, in a dump")
KIND(KICKED, "chatd says that this socket is kicked")
KIND(DIED, "the harness ends the whole daemon")
