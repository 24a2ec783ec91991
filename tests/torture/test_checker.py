#!/usr/bin/python3
# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""Does the checker of the torture find what is wrong?

    test_checker.py [directory]

The ledgers and dumps of a short real run (or those that torture.py --keep
has left in the directory) are changed in one place at a time, so that one
promise is broken; the checker must name it.  Unchanged they must pass.
"""

import collections
import json
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.path.join(ROOT, os.environ.get("TORTURE", "build/torture"))
ENTRY = struct.Struct("<QQQQIIIHBB")
FIELDS = ("ns", "message", "stamp", "hash", "client", "conn", "seq", "room",
          "kind", "code")
E = collections.namedtuple("E", FIELDS)


def kinds():
    with open(os.path.join(HERE, "tbl_kind.h")) as f:
        return {line.split("(")[1].split(",")[0]: i for i, line in enumerate(
            x for x in f if x.startswith("KIND("))}


KIND = kinds()
(SEND, ACK, SENT, REFUSED, DELIVER, JOINED, PAGE, HISTORY, QUIET, STORED,
 GARBLED, CONNECT, END, STREAM, TAKEN, ENDED, CHUNK, CHANGED, REVISED, ITEM,
 REVISION, KICKED, DIED) = (KIND[k] for k in (
     "SEND", "ACK", "SENT", "REFUSED", "DELIVER", "JOINED", "PAGE",
     "HISTORY", "QUIET", "STORED", "GARBLED", "CONNECT", "END", "STREAM",
     "TAKEN", "ENDED", "CHUNK", "CHANGED", "REVISED", "ITEM", "REVISION",
     "KICKED", "DIED"))
READS = 1 << 63
LAST, EMPTY = 1, 2
NEWEST = 1
PLANTS = []


def plants(violation):
    def add(f):
        PLANTS.append((violation, f))
        return f
    return add


class Run:
    """All files of a run, as lists of entries."""

    def __init__(self, directory):
        self.files = {}
        for name in sorted(os.listdir(directory)):
            if name.endswith((".ledger", ".dump")):
                with open(os.path.join(directory, name), "rb") as f:
                    self.files[name] = [
                        E(*e) for e in ENTRY.iter_unpack(f.read())]
        self.ledgers = [n for n in self.files if n.endswith(".ledger")]
        self.rooms = collections.defaultdict(list)
        for e in self.files["final.dump"]:
            if e.kind == STORED:
                self.rooms[e.room].append(e)
        self.row = {e.message: e for r in self.rooms.values() for e in r}
        self.attempts = collections.Counter()
        self.begin, self.seen = {}, {}
        # by message: what its stream says up to each chunk
        self.text = collections.defaultdict(dict)
        for e in self.spoken():
            if e.kind == SEND:
                self.attempts[e.message] += 1
                self.begin.setdefault(e.message, e.ns)
            if e.kind == STREAM and not e.code & EMPTY:
                self.text[e.message][e.seq + 1] = e.hash
            if e.kind in (ACK, SENT, DELIVER):
                self.seen[e.message] = min(e.ns, self.seen.get(
                    e.message, 1 << 63))

    def spoken(self):
        for n in self.ledgers:
            yield from self.files[n]

    def changed(self, name, change):
        """A copy in which that file is change(its entries)."""
        new = Run.__new__(Run)
        new.__dict__ = dict(self.__dict__)
        new.files = {**self.files, name: list(change(self.files[name]))}
        return new

    def everywhere(self, change):
        new = self
        for n in self.files:
            new = new.changed(n, change)
        return new

    def find(self, test):
        """(file, index) of the first entry of a client that fits."""
        for n in self.ledgers:
            for i, e in enumerate(self.files[n]):
                if test(n, i, e):
                    return n, i
        raise LookupError("the run has no place for it")

    def at(self, where):
        return self.files[where[0]][where[1]]

    def replaced(self, where, *entries):
        n, i = where
        return self.changed(n, lambda es: [*es[:i], *entries, *es[i + 1:]])

    def deep_room(self):
        """One with many messages."""
        return max(self.rooms, key=lambda r: len(self.rooms[r]))

    def check(self):
        with tempfile.TemporaryDirectory(prefix="chatd-checker-") as d:
            paths = []
            for n, es in self.files.items():
                paths.append(os.path.join(d, n))
                with open(paths[-1], "wb") as f:
                    f.write(b"".join(ENTRY.pack(*e) for e in es))
            p = subprocess.run([TOOLS + "/check", *paths],
                               capture_output=True, text=True)
        if p.returncode not in (0, 1):
            raise RuntimeError(p.stderr)
        return json.loads(p.stdout)["by"], p.stderr


# --- the store --------------------------------------------------------------

def without_row(run, dump, row):
    return run.changed(dump, lambda es: [
        e for e in es if e.kind != STORED or e.message != row.message])


def with_row(run, dump, row):
    return run.changed(dump, lambda es: [*es[:-1], row, es[-1]])


def in_row(run, dump, row, **change):
    return run.changed(dump, lambda es: [
        e._replace(**change) if e.kind == STORED and
        e.message == row.message else e for e in es])


@plants("GAP")
def gap(run):
    room = run.rooms[run.deep_room()]
    return without_row(run, "final.dump", room[len(room) // 2])


@plants("STORED_TWICE")
def stored_twice(run):
    room = run.rooms[run.deep_room()]
    return with_row(run, "final.dump", room[3]._replace(
        seq=len(room) + 1, ns=room[-1].ns + 1, stamp=room[-1].stamp))


@plants("FORGED")
def forged(run):
    room = run.rooms[run.deep_room()]
    return with_row(run, "final.dump", room[-1]._replace(
        seq=len(room) + 1, ns=room[-1].ns + 1,
        message=room[-1].message + 1000000))


@plants("ALTERED")
def altered(run):
    row = next(r for r in run.rooms[run.deep_room()][5:] if r.code == 0)
    return in_row(run, "final.dump", row, hash=row.hash ^ 1)


@plants("TIME")
def time_runs_back(run):
    room = run.rooms[run.deep_room()]
    return in_row(run, "final.dump", room[7], stamp=room[6].stamp - 1)


@plants("POSITION")
def position(run):
    a, b = run.rooms[run.deep_room()][10:12]
    return in_row(in_row(run, "final.dump", a, ns=b.ns), "final.dump", b,
                  ns=a.ns)


@plants("REWRITTEN")
def rewritten(run):
    row = run.rooms[run.deep_room()][2]
    return in_row(run, "killed.dump", row, stamp=row.stamp + 1)


@plants("REWRITTEN")
def moved_in_the_log(run):
    row = run.rooms[run.deep_room()][2]
    return in_row(run, "killed.dump", row, ns=row.ns + 1)


@plants("REWRITTEN")
def history_differs(run):
    row = run.rooms[run.deep_room()][-1]
    return without_row(run, "daemon.dump", row)


# --- what was said ----------------------------------------------------------

def last_acked(run, before=1 << 63):
    for room in run.rooms.values():
        row = room[-1]
        if row.message not in run.text and run.seen.get(row.message, before) < before:
            return row
    raise LookupError("no session ends with an acknowledged message")


@plants("LOST")
def lost(run):
    row = last_acked(run)
    for dump in ("final.dump", "daemon.dump", "killed.dump"):
        run = without_row(run, dump, row)
    return run


@plants("LOST_BY_KILL")
def lost_by_kill(run):
    dump = run.files["killed.dump"]
    acked = {e.message for e in run.spoken()
             if e.kind == ACK and e.ns < dump[0].ns}
    last = {}
    for e in dump:
        if e.kind == STORED:
            last[e.room] = e
    row = next(e for e in last.values() if e.message in acked)
    return without_row(run, "killed.dump", row)


@plants("ANSWER")
def another_seq(run):
    where = run.find(lambda n, i, e: e.kind == ACK and e.seq > 5)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(seq=e.seq - 1))


@plants("ANSWER")
def another_time_in_a_retry(run):
    where = run.find(lambda n, i, e: e.kind == ACK and e.code == 1 and
                     run.attempts[e.message] > 1)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(stamp=e.stamp + 1))


@plants("NEW_TWICE")
def new_twice(run):
    where = run.find(lambda n, i, e: e.kind == ACK and e.code == 0)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e)


@plants("UNANSWERED")
def unanswered(run):
    n, i = run.find(lambda n, i, e: e.kind == ACK)
    message = run.files[n][i].message
    return run.everywhere(lambda es: [
        e for e in es if e.kind not in (ACK, SENT) or e.message != message])


@plants("REFUSED")
def refused(run):
    where = run.find(lambda n, i, e: e.kind == ACK)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e._replace(kind=REFUSED, code=5))


@plants("TAKEN")
def taken(run):
    where = run.find(lambda n, i, e: e.kind == ACK)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e._replace(hash=1, code=1))


# --- what was delivered -----------------------------------------------------

def delivered(run, test=lambda e: True):
    return run.find(lambda n, i, e: e.kind == DELIVER and e.seq > 5 and
                    e.code == 0 and test(e))


@plants("PHANTOM")
def phantom(run):
    where = delivered(run)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e._replace(
        seq=len(run.rooms[e.room]) + 1, message=e.message + 1000000))


@plants("DIFFERS")
def other_text(run):
    where = delivered(run)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(hash=e.hash ^ 1))


@plants("DIFFERS")
def other_order(run):
    """Two messages in a row, the other way round for one client."""
    n, i, k = neighbours(run, lambda a, b: b.seq == a.seq + 1)
    es = list(run.files[n])
    a, b = es[i], es[k]
    es[i] = b._replace(seq=a.seq, ns=a.ns)
    es[k] = a._replace(seq=b.seq, ns=b.ns)
    return run.changed(n, lambda _: es)


@plants("TWICE")
def late(run):
    """Two messages in a row come in the wrong order."""
    n, i, k = neighbours(run, lambda a, b: b.seq == a.seq + 1)
    es = list(run.files[n])
    es[i], es[k] = es[k]._replace(ns=es[i].ns), es[i]._replace(ns=es[k].ns)
    return run.changed(n, lambda _: es)


def neighbours(run, test):
    """(file, i, k): a client's two deliveries in a session, with nothing
    between them that ends or begins a membership."""
    for n in run.ledgers:
        last = {}
        for k, e in enumerate(run.files[n]):
            if e.kind == CONNECT:
                last = {x: v for x, v in last.items() if x[0] != e.client}
            elif e.kind == JOINED:
                last.pop((e.client, e.room), None)
            elif e.kind == DELIVER:
                i = last.get((e.client, e.room))
                last[e.client, e.room] = k
                if i is not None and e.seq > 10 and \
                        test(run.files[n][i], e):
                    return n, i, k
    raise LookupError("no two deliveries")


@plants("STRAY")
def stray(run):
    joined = {(e.client, e.room) for e in run.spoken() if e.kind == JOINED}
    where = delivered(run, lambda e: (e.client ^ 1, e.room) not in joined)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e._replace(client=e.client ^ 1))


@plants("TWICE")
def twice(run):
    where = delivered(run)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e)


@plants("HOLE")
def hole(run):
    n, i, k = neighbours(run, lambda a, b: b.seq == a.seq + 1)
    return run.replaced((n, i))


@plants("ECHO")
def echo(run):
    # the sender has what stands before and behind its own
    n, i, k = neighbours(
        run, lambda a, b: b.seq == a.seq + 2 and
        (own := run.rooms[a.room][a.seq].message) >> 32 == a.client and
        run.attempts[own] == 1 and run.begin[own] > a.ns)
    b = run.files[n][k]
    row = run.rooms[b.room][b.seq - 2]
    return run.replaced((n, k), b._replace(
        seq=row.seq, message=row.message, stamp=row.stamp, hash=row.hash), b)


@plants("TAIL")
def tail(run):
    """The last delivery of a client that is there at the end."""
    for n in run.ledgers:
        last = {}
        for i, e in enumerate(run.files[n]):
            if e.kind == DELIVER:
                last[e.client, e.room] = i, e.seq
            if e.kind == QUIET:
                i, seq = last.get((e.client, e.room), (0, -1))
                if seq == e.seq:
                    return run.replaced((n, i))
    raise LookupError("nobody was delivered the last message")


@plants("TAIL")
def never_complete(run):
    where = run.find(lambda n, i, e: e.kind == QUIET)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(code=0))


# --- history ----------------------------------------------------------------

@plants("PAGE")
def short_page(run):
    where = run.find(lambda n, i, e: e.kind == HISTORY and
                     run.files[n][i - 1].kind == HISTORY and
                     run.files[n][i + 1].kind == HISTORY)
    return run.replaced(where)


@plants("PAGE")
def another_page(run):
    """Asked for what stands before a seq, given what ends elsewhere."""
    where = run.find(lambda n, i, e: e.kind == PAGE and e.code & 2 and
                     e.hash > 5 and e.seq > 0)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(hash=e.hash + 1))


@plants("HISTORY")
def other_text_in_history(run):
    where = run.find(lambda n, i, e: e.kind == HISTORY and e.code == 0)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(hash=e.hash ^ 1))


@plants("STALE")
def stale_page(run):
    """The newest page lacks a message that somebody has had before."""
    def fits(n, i, e):
        return e.kind == PAGE and e.code & NEWEST and e.seq > e.message and \
            run.seen.get(run.rooms[e.room][e.seq - 1].message,
                         1 << 63) < e.stamp
    n, i = run.find(fits)
    es = list(run.files[n])
    count = es[i].seq - es[i].message + 1
    es[i] = es[i]._replace(seq=es[i].seq - 1)
    del es[i + count]
    return run.changed(n, lambda _: es)


@plants("STALE")
def stale_join(run):
    first = set()

    def fits(n, i, e):
        # who joins again is answered out of what its worker knows
        if e.kind != JOINED or (e.client, e.room) in first:
            return False
        first.add((e.client, e.room))
        return e.code == 0 and e.seq > 1 and \
            run.seen.get(run.rooms[e.room][e.seq - 1].message,
                         1 << 63) < e.stamp
    where = run.find(fits)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e._replace(seq=e.seq - 1))


# --- real time --------------------------------------------------------------

def shifted(run, by):
    """A whole session stands elsewhere in the log; its order is kept."""
    room = run.deep_room()
    for dump in ("final.dump", "killed.dump"):
        run = run.changed(dump, lambda es: [
            e._replace(ns=e.ns + by) if e.kind == STORED and e.room == room
            else e for e in es])
    return run


@plants("CAUSALITY")
def causality_across_sessions(run):
    return shifted(run, 1 << 60)


@plants("CAUSALITY")
def causality_within_a_session(run):
    """Two messages have changed places, for everybody."""
    room = run.rooms[run.deep_room()]
    a, b = next((a, b) for a, b in zip(room[5:], room[6:])
                if a.message in run.begin and b.message in run.begin and
                run.seen[a.message] < run.begin[b.message])
    place = {a.message: b, b.message: a}

    def change(es):
        return [e._replace(seq=place[e.message].seq,
                           stamp=place[e.message].stamp,
                           ns=place[e.message].ns if e.kind == STORED
                           else e.ns)
                if e.kind in (ACK, SENT, DELIVER, HISTORY, STORED) and
                e.message in place else e for e in es]
    return run.everywhere(change)


@plants("FIFO")
def fifo(run):
    return shifted(run, -(1 << 40))


# --- edits, deletions, receipts ---------------------------------------------

def answered_change(run, test=lambda e, row: True):
    """One of a message that is in the store as it was answered."""
    def fits(n, i, e):
        row = run.row.get(e.message)
        return e.kind == CHANGED and row is not None and \
            row.conn == e.seq and test(e, row)
    return run.at(run.find(fits))


def receipts(run):
    """[(revision, state), ...] of somebody who has read on."""
    known = collections.defaultdict(dict)
    for e in run.spoken():
        if e.kind == REVISED and e.message & READS:
            known[e.message][e.seq] = e.hash
    item = max(known, key=lambda k: len(known[k]))
    if len(known[item]) < 2:
        raise LookupError("nobody has read on")
    return item, sorted(known[item].items())


@plants("CHANGE_LOST")
def change_lost(run):
    e = answered_change(run)
    run = in_row(run, "final.dump", e, conn=e.seq - 1)
    return run.changed("final.dump", lambda es: [
        x for x in es if x.kind != ITEM or x.message != e.message])


@plants("CHANGE_LOST")
def receipt_lost(run):
    item, states = receipts(run)
    return run.changed("final.dump", lambda es: [
        e._replace(seq=states[-2][0], hash=states[-2][1])
        if e.kind == ITEM and e.message == item else e for e in es])


@plants("CHANGE_LOST_BY_KILL")
def change_lost_by_kill(run):
    return run.changed("killed.dump", lambda es: [
        e._replace(seq=0) if e.kind == REVISION else e for e in es])


@plants("CHANGE_FORGED")
def change_forged(run):
    where = run.find(lambda n, i, e: e.kind == REVISED)
    e = run.at(where)
    return run.replaced(where, e._replace(hash=e.hash ^ 1 << 62))


@plants("REVISION")
def revision_of_two(run):
    where = run.find(lambda n, i, e: e.kind == REVISED and e.seq > 1)
    e = run.at(where)
    return run.replaced(where, e._replace(seq=e.seq - 1))


@plants("REVISION_HOLE")
def revision_hole(run):
    """A change that nothing has replaced, and another one behind it."""
    latest = {(e.room, e.seq) for e in run.files["final.dump"]
              if e.kind == ITEM}
    for n in run.ledgers:
        last = {}
        for i, e in enumerate(run.files[n]):
            if e.kind == CONNECT:
                last = {x: v for x, v in last.items() if x[0] != e.client}
            elif e.kind == JOINED:
                last.pop((e.client, e.room), None)
            elif e.kind == REVISED:
                k = last.get((e.client, e.room))
                if k is not None:
                    return run.replaced((n, k))
                if (e.room, e.seq) in latest:
                    last[e.client, e.room] = i
    raise LookupError("no two changes")


@plants("REVISION_TWICE")
def revision_twice(run):
    where = run.find(lambda n, i, e: e.kind == REVISED)
    return run.replaced(where, run.at(where), run.at(where))


@plants("REVISION_TAIL")
def revision_tail(run):
    where = run.find(lambda n, i, e: e.kind == QUIET and e.hash > 0)
    e = run.at(where)
    return run.replaced(where, e._replace(hash=e.hash + 1))


@plants("REVISION_TAIL")
def revisions_never_complete(run):
    where = run.find(lambda n, i, e: e.kind == QUIET)
    e = run.at(where)
    return run.replaced(where, e._replace(code=e.code & ~2))


@plants("RUNS_BACK")
def receipt_runs_back(run):
    item, states = receipts(run)
    (r1, s1), (r2, s2) = states[:2]
    place = {r1: s2, r2: s1}
    return run.everywhere(lambda es: [
        e._replace(hash=place[e.seq])
        if e.kind in (CHANGED, REVISED, ITEM) and e.message == item and
        e.seq in place else e for e in es])


@plants("OLD_TEXT")
def old_text(run):
    """A page shows the first text of what was changed before it."""
    when, first = {}, {}
    for e in run.spoken():
        if e.kind == CHANGED and not e.message & READS:
            when[e.message] = max(e.ns, when.get(e.message, 0))
        elif e.kind == SEND:
            first[e.message] = e.hash
    for n in run.ledgers:
        page = None
        for i, e in enumerate(run.files[n]):
            if e.kind == PAGE:
                page = e
            elif e.kind == HISTORY and when.get(e.message,
                                                1 << 63) < page.stamp:
                return run.replaced((n, i), e._replace(
                    code=0, hash=first[e.message],
                    stamp=run.row[e.message].stamp))
    raise LookupError("no page shows a change")


# --- streams ----------------------------------------------------------------

def shown(run, test=lambda a, b: True):
    """(file, i, k): two chunks in a row that one viewer was sent."""
    for n in run.ledgers:
        last = {}
        for k, e in enumerate(run.files[n]):
            if e.kind == CONNECT:
                last = {x: v for x, v in last.items() if x[0] != e.client}
            elif e.kind == CHUNK and e.message in run.row and \
                    not e.code & EMPTY:
                i = last.get((e.client, e.message))
                last[e.client, e.message] = k
                if i is not None and test(run.files[n][i], e):
                    return n, i, k
    raise LookupError("nobody was shown two chunks")


def seen_to_its_end(run):
    """... of which the second is the last, before the message."""
    final = {(e.client, e.conn, e.message) for e in run.spoken()
             if e.kind == DELIVER}
    return shown(run, lambda a, b: b.code == LAST and
                 b.stamp == b.seq - 1 and
                 (b.client, b.conn, b.message) in final)


@plants("STREAM_CUT")
def stream_cut(run):
    n, i, k = shown(run, lambda a, b: run.row[a.message].hash ==
                    run.text[a.message][b.seq] and b.seq > 1)
    b = run.files[n][k]
    run = run.everywhere(lambda es: [
        e._replace(hash=run.text[b.message][b.seq - 1])
        if e.kind in (DELIVER, HISTORY, STORED) and e.message == b.message
        else e for e in es])
    return run.changed("harness.ledger", lambda es: [
        e for e in es if e.kind != DIED])


@plants("STREAM_ENDED")
def stream_ended(run):
    where = run.find(lambda n, i, e: e.kind == ENDED and e.code == 0)
    e = run.at(where)
    return run.replaced(where, e._replace(hash=e.hash + 1))


@plants("STREAM_HOLE")
def stream_hole(run):
    n, i, k = shown(run)
    return run.replaced((n, i))


@plants("STREAM_TWICE")
def stream_twice(run):
    n, i, k = shown(run)
    a = run.files[n][i]
    return run.replaced((n, i), a, a)


@plants("STREAM_LATE")
def two_ends(run):
    n, i, k = shown(run, lambda a, b: b.code & LAST)
    b = run.files[n][k]
    return run.replaced((n, k), b, b)


@plants("STREAM_LATE")
def a_chunk_behind_the_message(run):
    n, i, k = seen_to_its_end(run)
    b = run.files[n][k]
    at = next(x for x in range(k, len(run.files[n]))
              if run.files[n][x].kind == DELIVER and
              run.files[n][x].message == b.message and
              run.files[n][x].client == b.client)
    return run.replaced((n, at), run.files[n][at], b)


@plants("STREAM_OPEN")
def stream_open(run):
    n, i, k = seen_to_its_end(run)
    return run.replaced((n, k))


@plants("STREAM_TEXT")
def stream_text(run):
    """Its end says that nothing is missing, but something is."""
    n, i, k = seen_to_its_end(run)
    b = run.files[n][k]
    return run.replaced((n, k), b._replace(
        code=LAST | EMPTY, stamp=0, seq=0, hash=b.stamp))


@plants("KICK")
def kicked_and_recovered(run):
    where = run.find(lambda n, i, e: e.kind == CONNECT and e.code == 1)
    e = run.at(where)
    return run.replaced(where, e._replace(kind=KICKED), e)


# --- the harness ------------------------------------------------------------

@plants("GARBLED")
def garbled(run):
    where = run.find(lambda n, i, e: e.kind == ACK)
    e = run.files[where[0]][where[1]]
    return run.replaced(where, e, e._replace(kind=GARBLED))


@plants("INCOMPLETE")
def incomplete(run):
    return run.changed(run.ledgers[0], lambda es: es[:-1])


def torture(seed):
    """What a short real run has written; None: it failed."""
    with tempfile.TemporaryDirectory(prefix="chatd-checker-") as d:
        p = subprocess.run(
            [sys.executable, os.path.join(HERE, "torture.py"),
             "--seconds", "8", "--clients", "60", "--rooms", "12",
             "--rate", "500", "--seed", str(seed), "--interval", "0.5",
             "--megabytes", "512", "--no-mix", "--keep", d],
            capture_output=True, text=True)
        if p.returncode != 0:
            print(p.stdout + p.stderr)
            return None
        return Run(d)


def plant_all(run, plants):
    """How many were not found, and those for which the run has no place."""
    failed, homeless = 0, []
    for violation, plant in plants:
        try:
            by, text = plant(run).check()
        except LookupError as e:
            homeless.append((violation, plant))
            print("%s: %s" % (plant.__name__, e))
            continue
        if violation not in by:
            failed += 1
            print("%s: want %s, found %s\n%s" % (
                plant.__name__, violation, by, text))
    return failed, homeless


def main():
    failed, left, seed = 0, PLANTS, 5
    while left and seed < 9:
        run = Run(sys.argv[1]) if len(sys.argv) > 1 else torture(seed)
        if run is None:
            print("0 passed, 1 failed")
            return 1
        by, text = run.check()
        if by:
            failed += 1
            print("unchanged: %s\n%s" % (by, text))
        more, left = plant_all(run, left)
        failed += more
        # what never happened in one run happens in another
        seed = 9 if len(sys.argv) > 1 else seed + 1
    failed += len(left)
    names = subprocess.run([TOOLS + "/check", "--list"], text=True,
                           capture_output=True, check=True).stdout.split()
    for name in sorted(set(names) - {v for v, _ in PLANTS}):
        failed += 1
        print("%s: nobody plants it" % name)
    print("%d passed, %d failed" % (len(PLANTS) + 1 - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
