# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""webapp.py - a web application that is asked whose token it is, and that can
be slow, hang, talk nonsense, or not be there."""

import json
import socket
import ssl
import threading
import time

from chatd import free_port


class Connection(threading.Thread):
    """One kept-alive connection, request by request."""

    def __init__(self, app, sock):
        super().__init__(daemon=True)
        self.app, self.sock = app, sock

    def run(self):
        try:
            if self.app.tls is not None:
                self.sock = self.app.tls.wrap_socket(self.sock,
                                                     server_side=True)
            self.file = self.sock.makefile("rb")
            while self.one():
                pass
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            self.app.forget(self)
            self.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def one(self):
        line = self.file.readline()
        if not line:
            return False
        head = {}
        while True:
            h = self.file.readline().strip()
            if not h:
                break
            k, v = h.decode("latin-1").split(":", 1)
            head[k.lower()] = v.strip()
        body = self.file.read(int(head.get("content-length", 0)))
        self.app.serve(self, line.decode().strip(), head, body)
        return True

    def answer(self, status, body=b"", head=()):
        lines = ["HTTP/1.1 %d X" % status, "Content-Length: %d" % len(body)]
        lines += ["%s: %s" % h for h in head]
        self.sock.sendall("\r\n".join(lines + ["", ""]).encode() + body)


class Application:
    """Listens on 127.0.0.1; what it says is in its attributes."""

    def __init__(self, tls=None):
        self.tls = tls
        self.lock = threading.Lock()
        self.connections = set()
        self.asked = []
        self.busy = self.most_busy = 0
        # how it is: ok, or a way of being wrong
        self.mode = "ok"
        self.delay = 0
        # of all answers
        self.head = ()
        # by token: a status, or what is told of the user
        self.tokens = {}
        self.accepted = 0
        self.listener = None
        # nobody else is given it while nobody listens there
        self.port = free_port()
        self.open()

    @property
    def url(self):
        return "%s://localhost:%d/who?x=1" % (
            "https" if self.tls else "http", self.port)

    # --- there, or not

    def open(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        s.listen(512)
        self.listener = s
        threading.Thread(target=self.accept, args=(s,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = Connection(self, sock)
            with self.lock:
                self.connections.add(c)
                self.accepted += 1
            c.start()

    def close(self):
        if self.listener is None:
            return
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.listener = None
        with self.lock:
            gone = list(self.connections)
        for c in gone:
            c.close()

    def forget(self, connection):
        with self.lock:
            self.connections.discard(connection)

    # --- what it is asked, and says

    def count(self, token):
        with self.lock:
            return sum(1 for a in self.asked if a.get("token") == token)

    def serve(self, c, line, head, body):
        try:
            q = json.loads(body)
        except ValueError:
            q = {"body": body}
        q["_line"], q["_head"], q["_at"] = line, head, time.time()
        with self.lock:
            self.asked.append(q)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            mode, delay = self.mode, self.delay
        try:
            if delay:
                time.sleep(delay)
            self.say(c, mode, q)
        finally:
            with self.lock:
                self.busy -= 1

    def say(self, c, mode, q):
        if mode == "hang":
            time.sleep(60)
        elif mode == "half":
            c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            c.close()
        elif mode == "trickle":
            c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in range(100):
                c.sock.sendall(b" ")
                time.sleep(0.3)
        elif mode == "reset":
            c.close()
        elif mode == "http nonsense":
            c.sock.sendall(b"whatever\r\n\r\n")
            c.close()
        elif mode == "huge":
            self.give(c, q, pad=300 * 1024)
        elif mode == "large":
            self.give(c, q, pad=200 * 1024)
        elif mode == "redirect":
            c.answer(302, head=[("Location", self.url)])
        elif isinstance(mode, int):
            c.answer(mode, b"{}")
        elif isinstance(mode, bytes):
            c.answer(200, mode)
        else:
            self.give(c, q)

    def give(self, c, q, pad=0):
        token = q.get("token", "")
        who = self.tokens.get(token)
        if isinstance(who, int):
            c.answer(who, b"{}", self.head)
            return
        if who is None:
            who = {"userId": token, "userName": "User " + token,
                   "workspaces": ["w"]}
        body = json.dumps(who)
        if pad:
            body = body[:-1] + ', "more": "' + "x" * pad + '"}'
        c.answer(200, body.encode(), self.head)
