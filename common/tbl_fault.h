/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * FAULT_POINT(name, who, where) - every step at which dying or stalling must
 * not harm anybody else.
 *
 * who: m(aster), w(orker), s(cribe), (cler)k, b(ridge) come there; e: it may also
 * fail there (FAULT_ERROR).  The rings' own stand first, and what the torture
 * of the rings knows by its order stays in that order.
 */
// clang-format off

/* producers */
FAULT_POINT(ARENA_ALLOC,	"w", "room found in the arena")
FAULT_POINT(COPY_HALF,		"w", "half of the record is in the arena")
FAULT_POINT(BEFORE_CAS,		"w", "record complete, slot found, not published")
FAULT_POINT(AFTER_CAS,		"w", "published, hint not moved")
FAULT_POINT(AFTER_HINT,		"w", "published, nobody woken")
FAULT_POINT(LIVE_SCANNED,	"w", "minimum known, free_seq not raised")
FAULT_POINT(LIVE_EVICTED,	"w", "laggard evicted, free_seq not raised")

/* wakers and sleepers */
FAULT_POINT(WAKE_TAKEN,		"ws", "sleep bit taken, eventfd not written")
FAULT_POINT(SLEEP_SET,		"ws", "sleep announced, work not checked")

/* consumers */
FAULT_POINT(READ_HALF,		"w", "half of a record is copied")
FAULT_POINT(READ_DONE,		"w", "copied, own state not checked")
FAULT_POINT(CURSOR,		"w", "delivered, cursor not stored")
FAULT_POINT(JOIN_WANTED,	"w", "JOINING, the scribe not told")
FAULT_POINT(LIVE_JOINED,	"w", "ACTIVE, cursor still at free_seq")

/* the scribe */
FAULT_POINT(DECIDE_HALF,	"s", "half of an index entry is written")
FAULT_POINT(BEFORE_DURABLE,	"s", "committed, durable_seq not moved")
FAULT_POINT(AFTER_DURABLE,	"s", "durable_seq moved, nobody woken")
FAULT_POINT(ADMIT_CURSOR,	"s", "cursor set, consumer not yet ACTIVE")
FAULT_POINT(EVICTED,		"s", "consumer evicted, free_seq not raised")
FAULT_POINT(BEFORE_RAISE,	"s", "minimum known, free_seq not raised")
FAULT_POINT(SPACE_TAKEN,	"s", "space_wait taken, nobody woken")

/* the store that the tests put behind the ring */
FAULT_POINT(MID_BATCH,		"s", "records put, transaction open")
FAULT_POINT(BEFORE_COMMIT,	"s", "transaction complete, not committed")

/* --- up to here the rings' own; the store that their torture brings has two
 * points that the scribe has as well --- */

/* master: accepting */
FAULT_POINT(ACCEPTED,		"m", "clients accepted, nobody chosen")
FAULT_POINT(DEAL_SLOT_TAKEN,	"m", "slot taken, its record is empty")
FAULT_POINT(DEAL_KEPT,		"m", "duplicate kept, not in a message")
FAULT_POINT(DEAL_BEFORE_SEND,	"m", "clients in a message, not sent")
FAULT_POINT(DEAL_AFTER_SEND,	"m", "clients sent, not noted as waiting")
FAULT_POINT(DEAL_RESCUE,	"m", "worker dead, clients it never took in hand")
FAULT_POINT(DEAL_CLOSED,	"m", "duplicate closed, slot not free")
FAULT_POINT(DEAL_BURIED,	"m", "lost connection shut down, not closed")

/* master: children */
FAULT_POINT(MASTER_REAPED,	"m", "waitpid() returned, nothing buried")
FAULT_POINT(BURY_RING,		"m", "dead in the log ring, not in the live ring")
FAULT_POINT(BURY_USERS,		"m", "user column clear, connections not buried")
FAULT_POINT(BURY_CLIENTS,	"m", "connections buried, scribe not told")
FAULT_POINT(BURY_SCRIBE,	"m", "scribe dead in the ring, counters not")
FAULT_POINT(BURY_KICK,		"m", "child gone, sleepers not woken")
FAULT_POINT(EQUIP_HALF,		"m", "arena of the log ring taken, no live one")
FAULT_POINT(EQUIPPED,		"m", "arenas taken, no process")
FAULT_POINT(SPAWN_CHILD,	"m", "process made, not executed")
FAULT_POINT(SPAWNED,		"m", "process runs, no HELLO sent")
FAULT_POINT(HELLO_SENT,		"m", "HELLO sent, reload does not know it")
FAULT_POINT(MASTER_READY,	"m", "child READY, no clients for it yet")
FAULT_POINT(USER_DELETING,	"m", "user's row marked, not free")
FAULT_POINT(STOP_STEP,		"m", "some children told to stop")
FAULT_POINT(STOPPED,		"m", "all children gone, socket still there")

/* master: reload and chatctl */
FAULT_POINT(RELOAD_PREPARE,	"m", "some children are to prepare")
FAULT_POINT(RELOAD_PREPARED,	"m", "all have said yes")
FAULT_POINT(RELOAD_SWITCH,	"m", "some children are told to switch")
FAULT_POINT(RELOAD_SWITCHED,	"m", "all are told to switch, the master has not")
FAULT_POINT(RELOAD_DONE,	"m", "all have switched, chatctl not told")
FAULT_POINT(CONTROL_ASKED,	"m", "chatctl's line read, nothing done")
FAULT_POINT(CONTROL_FORWARD,	"m", "chatctl's connection taken, not passed on")
FAULT_POINT(CONTROL_END,	"m", "answer complete, not sent")

/* all children */
FAULT_POINT(CHILD_HELLO,	"ws", "HELLO received, nothing attached")
FAULT_POINT(CHILD_ATTACHED,	"ws", "rings attached, not in the sandbox")
FAULT_POINT(CHILD_READY,	"ws", "about to say READY")
FAULT_POINT(CHILD_PREPARED,	"ws", "configuration decoded, no answer")
FAULT_POINT(CHILD_SWITCHED,	"ws", "on the new configuration, no answer")

/* worker: connections */
FAULT_POINT(WORKER_JOINED,	"w", "in the rings, no probe sent")
FAULT_POINT(CLIENT_OPEN,	"w", "its worker has it, no event loop yet")
FAULT_POINT(CLIENT_HANDED,	"w", "handed over, no message sent")
FAULT_POINT(HANDOFF_SENT,	"w", "message sent, own descriptor open")
FAULT_POINT(HANDOFF_RECEIVED,	"w", "message received, not taken")
FAULT_POINT(CLIENT_TAKEN,	"w", "taken from another, no event loop yet")
FAULT_POINT(CLIENT_CLOSED,	"w", "CLOSED, the master's bit not set")
FAULT_POINT(CONN_READ,		"w", "bytes read, not looked at")
FAULT_POINT(CONN_DROP,		"w", "session told, connection still open")
FAULT_POINT(OUT_WRITE,		"w", "turn's frames not written")
FAULT_POINT(OUT_WRITTEN,	"w", "some frames written, not counted")
FAULT_POINT(OUT_FLUSH,		"w", "one connection flushed, others not")
FAULT_POINT(SESSION_OPEN,	"w", "session known, client not told")
FAULT_POINT(POLL_ANSWER,	"w", "queue emptied for a GET, nothing sent")
FAULT_POINT(POLL_POST,		"w", "POST read whole, no packet looked at")
FAULT_POINT(UPGRADE_HALF,	"w", "queue goes by WebSocket, still polling")
FAULT_POINT(USER_COUNTED,	"w", "connection counted, limit not looked at")
FAULT_POINT(USER_LEFT,		"w", "connection ended, still counted")
FAULT_POINT(GOODBYE,		"w", "clients told of the end, still connected")

/* worker: events */
FAULT_POINT(PUBLISH_WAITER,	"w", "waiter noted, record not published")
FAULT_POINT(PUBLISH_SENT,	"w", "published, its place not noted")
FAULT_POINT(PUBLISH_QUEUED,	"w", "ring full, record queued")
FAULT_POINT(PUBLISH_FLUSH,	"w", "queued record published, still queued")
FAULT_POINT(PUBLISH_AGAIN,	"w", "evicted, verdicts asked for again")
FAULT_POINT(DELIVER_TURN,	"w", "durable_seq read, live ring not drained")
FAULT_POINT(DELIVER_OWN,	"w", "waiter found, sender not answered")
FAULT_POINT(DELIVER_HALF,	"w", "copied, members not given it")
FAULT_POINT(DELIVERED,		"w", "members given it, cursor not moved")
FAULT_POINT(LIVE_DELIVERED,	"w", "live events given, cursor not moved")
FAULT_POINT(REJOIN_EVICTED,	"w", "wants to join the log ring again")
FAULT_POINT(REJOIN_ACTIVE,	"w", "joined again, nothing resent")
FAULT_POINT(REJOIN_RESYNCED,	"w", "missed events asked for, own not resent")
FAULT_POINT(ACK_BEFORE,		"w", "acknowledgement encoded, not queued")
FAULT_POINT(ACK_AFTER,		"w", "acknowledgement queued, not written")
FAULT_POINT(INTEREST,		"w", "interest in a room changed, not counted")
FAULT_POINT(JOIN_MEMBER,	"w", "member of the room, not answered")
FAULT_POINT(JOIN_TOLD,		"w", "joiner answered, others not told")
FAULT_POINT(LEAVE_PUBLISH,	"w", "leave to be published")
FAULT_POINT(LEAVE_REMOVED,	"w", "no member any more, not answered")
FAULT_POINT(RESUME_GRANTED,	"w", "row is ours, sessions not read")
FAULT_POINT(RESUME_JOIN,	"w", "some sessions joined again")
FAULT_POINT(RESUME_SEEK,	"w", "all joined again, nothing replayed")
FAULT_POINT(RESUME_END,		"w", "replayed, not told that it is recovered")

/* streams in progress (shm/stream.h) */
FAULT_POINT(STREAM_ROW,		"w", "row taken, nothing in it")
FAULT_POINT(STREAM_MEANT,	"w", "block in the row's list, not taken")
FAULT_POINT(STREAM_TAKEN,	"w", "block taken, perhaps not backed")
FAULT_POINT(STREAM_FILLED,	"w", "row filled in, it cannot be found")
FAULT_POINT(STREAM_KEYED,	"w", "can be found, rivals not looked for")
FAULT_POINT(STREAM_ALONE,	"w", "no rival seen, not confirmed")
FAULT_POINT(STREAM_BEGUN,	"w", "stream runs, its agent is not told")
FAULT_POINT(STREAM_COPIED,	"w", "chunk copied, not published")
FAULT_POINT(STREAM_APPENDED,	"w", "chunk published, nobody told")
FAULT_POINT(STREAM_RETAILED,	"w", "new tail in force, old one not given back")
FAULT_POINT(STREAM_DETACHING,	"w", "time to take it up set, still owned")
FAULT_POINT(STREAM_DETACHED,	"w", "nobody's, nobody told")
FAULT_POINT(STREAM_CLAIMED,	"w", "taken over, nothing done")
FAULT_POINT(STREAM_ENDING,	"w", "ended, all of it still held")
FAULT_POINT(STREAM_GIVEN,	"w", "block given back, still in the list")
FAULT_POINT(STREAM_EMPTY,	"w", "nothing held, row not free")
FAULT_POINT(STREAM_CLOSED,	"w", "tail closed, last chunk not published")
FAULT_POINT(STREAM_LAST,	"w", "last chunk published, message not")
FAULT_POINT(STREAM_STORED,	"w", "message published, row still there")
FAULT_POINT(STREAM_CANCEL,	"w", "cancel set, its owner not told")
FAULT_POINT(STREAM_MARKED,	"w", "slab marked, not given back")
FAULT_POINT(STREAM_PUNCHED,	"w", "slab given back, still marked")

/* the scribe */
FAULT_POINT(SCRIBE_OPEN,	"s", "store open, not resumed")
FAULT_POINT(SCRIBE_SYNCED,	"s", "flushed at start, place not read")
FAULT_POINT(SCRIBE_RESUME,	"s", "place known, durable_seq not moved")
FAULT_POINT(BEGIN_LOG,		"s", "new ring's place put, not committed")
FAULT_POINT(SCRIBE_FETCHED,	"s", "record copied, no verdict")
FAULT_POINT(SCRIBE_DECIDED,	"s", "verdict known, not in the index")
FAULT_POINT(AFTER_COMMIT,	"s", "committed, nobody knows")
FAULT_POINT(SCRIBE_DONE,	"s", "durable_seq moved, batch not counted")
FAULT_POINT(SCRIBE_FAILED,	"s", "commit failed, not tried again")
FAULT_POINT(SEQ_MESSAGE,	"s", "message put, its id not remembered")
FAULT_POINT(SEQ_ROOM,		"s", "new room put, its number not")
FAULT_POINT(SEQ_USER,		"s", "new user put, their number not")
FAULT_POINT(SEQ_JOINED,		"s", "presence put, recovery row not")
FAULT_POINT(SEQ_LEFT,		"s", "presence deleted, recovery row not")
FAULT_POINT(SEQ_STREAM,		"s", "message of a stream decided, its row deleted")
FAULT_POINT(SEQ_STATUS,		"s", "status put")
FAULT_POINT(SEQ_STEER,		"s", "ban put")
FAULT_POINT(SEQ_CHANGED,	"s", "message edited or deleted, its revision not remembered")
FAULT_POINT(SEQ_READ,		"s", "receipt put, its revision not remembered")
FAULT_POINT(SEQ_SAID,		"s", "session's status put")
FAULT_POINT(SEQ_RESUMED,	"s", "row given to another, not put")
FAULT_POINT(ORPHANS_TOLD,	"s", "worker's death noted, no walk yet")
FAULT_POINT(ORPHANS_LEAVE,	"s", "leave of an orphan published, others not")
FAULT_POINT(SWEEP,		"s", "a slice of recovery rows looked at")
FAULT_POINT(MERGE_BEGIN,	"s", "room chosen, no id read")
FAULT_POINT(MERGE_PUT,		"s", "some ids of a merge put, not committed")
FAULT_POINT(MERGE_DONE,		"s", "ids merged, memory still holds them")
FAULT_POINT(RETENTION_TRIM,	"s", "a room trimmed, not committed")
FAULT_POINT(RETENTION_DONE,	"s", "messages removed, rooms not told")
FAULT_POINT(STEER_SWEEP,	"s", "bans that have ended deleted, not committed")
FAULT_POINT(EXPIRE,		"s", "ids deleted, not committed")
FAULT_POINT(STREAMS_PUT,	"s", "text of a stream put, not committed")
FAULT_POINT(STREAMS_GONE,	"s", "row of a stream that is gone deleted")
FAULT_POINT(STREAMS_COMMIT,	"s", "texts of streams put, to be committed")
FAULT_POINT(STREAMS_COMMITTED,	"s", "texts committed, still to be written")
FAULT_POINT(BALLAST_USED,	"s", "ballast given up, nothing stored")
FAULT_POINT(SCRIBE_STOP,	"s", "all stored, about to end")

/* the store: its calls */
FAULT_POINT(STORE_SYNC,		"se", "flush before the first verdict")
FAULT_POINT(STORE_BEGIN,	"se", "transaction to be begun")
FAULT_POINT(STORE_PUT,		"se", "row to be put")
FAULT_POINT(STORE_PUT_END,	"s", "row put, not sealed")
FAULT_POINT(STORE_COMMIT,	"se", "transaction to be committed")
FAULT_POINT(STORE_READ,		"we", "reader's thread: read to be begun")
FAULT_POINT(STORE_SNAPSHOT,	"wse", "snapshot to be taken")
FAULT_POINT(STORE_SNAPSHOT_END,	"ws", "snapshot to be given back")
FAULT_POINT(STORE_GET,		"wse", "row to be looked up")
FAULT_POINT(STORE_SCAN,		"wse", "next row of a walk")

/* the store: system calls under it (tests/fault/disk.c) */
FAULT_POINT(DISK_OPEN,		"ws", "a file of the store is opened")
FAULT_POINT(DISK_PAGES,		"se", "pages to be written")
FAULT_POINT(DISK_PAGES_HALF,	"se", "half of the pages are written")
FAULT_POINT(DISK_PAGES_DONE,	"s", "pages written, not flushed")
FAULT_POINT(DISK_FLUSH,		"se", "pages to be flushed")
FAULT_POINT(DISK_FLUSHED,	"s", "pages flushed, no meta page")
FAULT_POINT(DISK_META,		"se", "meta page to be written")
FAULT_POINT(DISK_META_HALF,	"s", "half of the meta page is written")
FAULT_POINT(DISK_META_DONE,	"s", "meta page written")
FAULT_POINT(DISK_FSYNC,		"se", "directory to be flushed")

/* from one ring to the next */
FAULT_POINT(RING_CLOSED,	"m", "the word that ends a ring is there, nobody told")
FAULT_POINT(RINGS_CLOSED,	"m", "both rings closed, the new not in force")
FAULT_POINT(RINGS_SEATED,	"w", "seat taken in the next rings, not said so")
FAULT_POINT(RINGS_PASS_LOG,	"w", "at the end of the log ring, not in the next")
FAULT_POINT(RINGS_PASS_LIVE,	"w", "at the end of the live ring, not in the next")
FAULT_POINT(RINGS_LEFT,		"ws", "out of the old rings, master not told")
FAULT_POINT(SWITCH_DECIDED,	"s", "at the end of the log ring, not in the next")
FAULT_POINT(SWITCH_MOVED,	"s", "in the next ring, not in the store")
FAULT_POINT(SWITCH_STORED,	"s", "next ring in the store, old one not left")

/* clerks */
FAULT_POINT(CLERK_SPAWNED,	"m", "a clerk runs, it has no order")
FAULT_POINT(CLERK_REAPED,	"m", "a clerk has ended, chatctl not told")
FAULT_POINT(CLERK_ORDER,	"k", "order read, store not open")
FAULT_POINT(CLERK_OPEN,		"k", "store open, not in the sandbox")
FAULT_POINT(CLERK_COPY,		"k", "a part of a copy is written")
FAULT_POINT(CLERK_EXPORT,	"k", "a snapshot of an export is open")
FAULT_POINT(CLERK_COMPACT,	"k", "about to write the compact copy")
FAULT_POINT(CLERK_DONE,		"k", "all done, nobody told")

/* what chatctl asks a worker */
FAULT_POINT(CTL_REQUEST,	"w", "request there, nothing done")
FAULT_POINT(CTL_PUBLISH,	"w", "decision to be published")
FAULT_POINT(CTL_VERDICT,	"w", "verdict there, chatctl not told")
FAULT_POINT(CTL_DONE,		"w", "answer complete, not sent")
FAULT_POINT(STEER_ACTED,	"w", "sockets told to go, nobody told how many")

/* the thread that reads the store for a worker */
FAULT_POINT(READER_TODO,	"w", "a read is handed to the thread, not woken")
FAULT_POINT(READER_TAKEN,	"w", "the thread has it, nothing is read")
FAULT_POINT(READER_DONE,	"w", "read, the loop not woken")
FAULT_POINT(READER_COLLECT,	"w", "the loop has it, who asked is not told")

/* whose token it is (auth.mode webhook) */
FAULT_POINT(BRIDGE_STARTED,	"b", "all it needs is there, not in the sandbox")
FAULT_POINT(ASK_SEND,		"w", "question noted, not sent")
FAULT_POINT(BRIDGE_QUESTION,	"b", "question read, the application not asked")
FAULT_POINT(BRIDGE_ASKED,	"b", "the application is being asked")
FAULT_POINT(BRIDGE_ANSWERED,	"b", "the application has answered, no worker is told")
FAULT_POINT(ASK_ANSWER,		"b", "answer known, not sent")
FAULT_POINT(WEBHOOK_ANSWER,	"w", "answer read, CONNECT not answered")
FAULT_POINT(WEBHOOK_RECHECK,	"w", "an identity is due to be looked at again")

#undef FAULT_POINT
