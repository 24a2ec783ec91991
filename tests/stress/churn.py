#!/usr/bin/python3
"""churn.py - connects and disconnects leave the process tree as it was.

Each cycle is a whole life: WebSocket handshake, CONNECT, join, a message,
and one of four ends (close frame, FIN, reset, in the middle of the head).
Compared before and after, for each process: descriptors, private memory;
for the daemon: connections, sockets, members, chunks, the slots of the
client table.  The first thousands only warm up.
"""
import argparse
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(
    os.path.abspath(__file__)), "../system"))
from chatd import Daemon, Raw  # noqa: E402

BATCH = 200


def burst(user, session):
    join = ('420["chat:join-session",{"sessionId":"%s","workspaceId":"w"}]'
            % session)
    # the same ids again and again: what is stored does not grow
    say = ('421["chat:send-message",{"message":{"id":"%s","content":"x",'
           '"type":"user","sessionId":"%s"}}]' % (user, session))
    return (Raw.UPGRADE + Raw.encode('40{"userId":"%s"}' % user) +
            Raw.encode(join), Raw.encode(say))


def wait_for(conns, what):
    """Until each has seen the bytes 'what'."""
    seen = {s: b"" for s in conns}
    end = time.time() + 60
    while seen:
        r, _, _ = select.select(list(seen), [], [], 5)
        if time.time() > end:
            raise RuntimeError("%d connections wait for %r, one has %r" % (
                len(seen), what, next(iter(seen.values()))[-300:]))
        for s in r:
            data = s.recv(262144)
            if not data:
                raise RuntimeError("closed by the daemon: %r"
                                   % seen[s][-300:])
            seen[s] = (seen[s] + data)[-400000:]
            if what in seen[s]:
                del seen[s]


def cycle(port, first, n):
    """n lives, in parallel."""
    conns = []
    for i in range(n):
        s = socket.create_connection(("127.0.0.1", port))
        conns.append(s)
    whole = [s for i, s in enumerate(conns) if i % 4 != 3]
    for i, s in enumerate(conns):
        if i % 4 == 3:
            s.sendall(Raw.UPGRADE[:60])
            continue
        hello, say = burst("u%d" % ((first + i) % 3200),
                           "s%d" % ((first + i) % 3200 // 8))
        s.sendall(hello + say)
    wait_for(whole, b"431[")
    for i, s in enumerate(conns):
        if i % 4 == 0:
            s.sendall(Raw.encode(struct.pack(">H", 1000), opcode=8))
        elif i % 4 == 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
        s.close()


def picture(d):
    """What must not change."""
    p = {}
    for name, pid in [("master", d.proc.pid), *d.children().items()]:
        fds = len(os.listdir("/proc/%d/fd" % pid))
        private = 0
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                if line.startswith(("Private_Dirty", "Private_Clean")):
                    private += int(line.split()[1])
        p[str(name)] = (fds, private)
    return p


def descriptors(p):
    return {name: fds for name, (fds, _) in p.items()}


def still_picture(d, like=None):
    """When nobody opens or closes any more, and as it was, given time."""
    last = picture(d)
    for i in range(60):
        time.sleep(0.3)
        p = picture(d)
        if descriptors(p) == descriptors(last) and (
                like is None or descriptors(p) == descriptors(like)):
            break
        last = p
    return p


def stats(d):
    doc = d.ctl("stats")
    flat = {}

    def walk(x):
        if isinstance(x, dict):
            if "name" in x and "value" in x:
                flat[x["name"]] = x["value"]
            for k, v in x.items():
                if isinstance(v, (int, float)):
                    flat.setdefault(k, v)
                walk(v)
        elif isinstance(x, list):
            for v in x:
                walk(v)

    walk(doc)
    return flat


def settle(d):
    """Until nothing is left, or it is clear that something is."""
    for _ in range(200):
        s = stats(d)
        left = {k: s[k] for k in ("connections", "sockets", "members",
                                  "rooms", "chunks") if s.get(k)}
        if not left:
            return {}
        time.sleep(0.1)
    return left


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--count", type=int, default=50000)
    args = ap.parse_args()
    failed = 0
    with Daemon() as d:
        done = 0
        while done < 6000:
            cycle(d.port, done, BATCH)
            done += BATCH
        if settle(d):
            print("left over after warming up:", settle(d))
            failed += 1
        before = still_picture(d)
        began = time.time()
        done = 0
        while done < args.count:
            cycle(d.port, done, BATCH)
            done += BATCH
        took = time.time() - began
        left = settle(d)
        if left:
            print("left over:", left)
            failed += 1
        # the master closes its duplicates, and chatctl's connections
        after = still_picture(d, before)
        for name, (fds, private) in before.items():
            if name not in after:
                print("%s died" % name)
                failed += 1
                continue
            grown = after[name][1] - private
            print("%-8s descriptors %d -> %d, private memory %d -> %d KiB"
                  % (name, fds, after[name][0], private, after[name][1]))
            if after[name][0] != fds:
                print("%s: descriptors leak" % name)
                failed += 1
            # 16 bytes a life would be seen
            if grown > 1024 + args.count * 16 // 1024:
                print("%s: memory leaks" % name)
                failed += 1
        print("%d lives in %.0f s" % (done, took))
    passed = 1 + 2 * len(before) + 1 - failed
    print("%d passed, %d failed" % (max(passed, 0), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
