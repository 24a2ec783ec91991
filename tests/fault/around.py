# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""around.py - what goes on beside the members, in threads: sessions that
poll and upgrade, chatctl, reloads.  Whatever fails is tried again."""
import json
import random
import socket
import threading
import time

import talk

PATH = "/socket.io/?EIO=4&transport=%s&sid=%s"


def http(port, method, path, body=None):
    """One request on a connection of its own: any worker may get it."""
    with socket.create_connection(("127.0.0.1", port), 3) as s:
        head = "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % (
            method, path)
        if body is not None:
            head += "Content-Type: text/plain\r\nContent-Length: %d\r\n" % (
                len(body.encode()))
        s.sendall((head + "\r\n" + (body or "")).encode())
        data = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            data += part
    if b" 200 " not in data.split(b"\r\n")[0]:
        raise OSError("%r" % data[:80])
    return data.split(b"\r\n\r\n", 1)[1].decode(errors="replace")


class Around:
    def __init__(self, host):
        self.host = host
        self.paused = False
        self.over = False
        self.polled = self.upgraded = self.asked = self.reloaded = 0
        self.threads = [threading.Thread(target=f, daemon=True)
                        for f in (self.poll, self.control)]
        for t in self.threads:
            t.start()

    def end(self):
        self.over = True
        for t in self.threads:
            t.join(10)

    def again(self, what, pause):
        while not self.over:
            time.sleep(pause * random.uniform(0.5, 1.5))
            if self.paused:
                continue
            try:
                what()
            except (OSError, ValueError, EOFError, IndexError, KeyError,
                    AttributeError):
                pass

    # --- polling

    def poll(self):
        self.again(self.poll_once, 0.05)

    def poll_once(self):
        port = self.host.port
        sid = json.loads(http(
            port, "GET", "/socket.io/?EIO=4&transport=polling")[1:])["sid"]
        path = PATH % ("polling", sid)
        user = "poll-%d" % random.randrange(1 << 30)
        http(port, "POST", path, "40" + json.dumps(
            {"userId": user, "userName": user}))
        http(port, "GET", path)
        http(port, "POST", path, '420["chat:join-session",'
             '{"sessionId":"churn","workspaceId":"w"}]')
        http(port, "GET", path)
        self.polled += 1
        if random.random() < 0.6:
            self.upgrade(port, sid)
        else:
            http(port, "POST", path, "1")

    def upgrade(self, port, sid):
        request = talk.UPGRADE.replace(
            b"transport=websocket", b"transport=websocket&sid=" + sid.encode())
        with socket.create_connection(("127.0.0.1", port), 3) as s:
            s.sendall(request)
            data = b""
            while b"\r\n\r\n" not in data:
                data += self.more(s)
            s.sendall(talk.frame("2probe"))
            while b"3probe" not in data:
                data += self.more(s)
            s.sendall(talk.frame("5"))
            s.sendall(talk.frame('421["chat:request-history",'
                                 '{"sessionId":"churn","limit":1}]'))
            while b"431[" not in data:
                data += self.more(s)
            self.upgraded += 1

    @staticmethod
    def more(s):
        part = s.recv(65536)
        if not part:
            raise EOFError
        return part

    # --- chatctl

    def control(self):
        self.again(self.control_once, 0.08)

    def control_once(self):
        what = random.choice(["status", "history", "stats", "ring", "reload",
                              "steer"])
        if what == "history":
            self.host.ask("history", "w/churn", timeout=2)
        elif what == "reload":
            self.host.configure()
            self.host.ask("reload", timeout=8)
            self.reloaded += 1
        elif what == "steer":
            self.steer()
        else:
            self.host.ask(what, timeout=2)
        self.asked += 1

    def steer(self):
        """Decisions about people who are not there."""
        name = "nobody-%d" % random.randrange(4)
        self.host.ask(*random.choice([
            ("ban", "--for", "1s", name), ("mute", "--for", "1s", name),
            ("unban", name), ("kick", name), ("bans",),
            ("revoke", "--for", "1s", "--token", name),
            ("broadcast", "--workspace", name, "nobody hears it"),
            ("session", "status", "w/churn", "paused", "for a while"),
            ("session", "status", "w/churn", "active")]),
            timeout=2)
