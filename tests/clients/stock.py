# Copyright (c) 2026 The chatd authors
# SPDX-License-Identifier: ISC
"""stock.py - Debian's Python client behind one face for its two kinds, the
conformance server, and a wire that can be cut."""

import asyncio
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time

import engineio.payload
import socketio

# It takes 16 packets of one answer, as a defence of servers; its manual
# tells clients of busy servers to raise that.
engineio.payload.Payload.max_decode_packets = 10000

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))
from chatd import ROOT, free_port  # noqa: E402

CONFORMANCE = os.path.join(ROOT, os.environ.get("CONFORMANCE",
                                                "build/chatd-conformance"))
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"],
              "upgrade": ["polling", "websocket"]}
AGAIN = {"reconnection_delay": 0.3, "reconnection_delay_max": 0.3,
         "randomization_factor": 0}


class Sync:
    """socketio.Client: requests and websocket-client, with threads."""

    def __init__(self, reconnection=False):
        self.sio = socketio.Client(reconnection=reconnection,
                                   handle_sigint=False,
                                   **(AGAIN if reconnection else {}))

    def connect(self, url, transport, auth=None, namespaces=None):
        self.sio.connect(url, auth=auth, transports=TRANSPORTS[transport],
                         namespaces=namespaces or ["/"], wait_timeout=30)
        return self

    def on(self, event, handler, namespace=None):
        self.sio.on(event, handler, namespace=namespace)

    def emit(self, event, data=None, callback=None, namespace=None):
        self.sio.emit(event, data, namespace=namespace, callback=callback)

    def call(self, event, data=None, namespace=None):
        return self.sio.call(event, data, namespace=namespace, timeout=30)

    def disconnect(self):
        self.sio.disconnect()

    def close(self):
        # what would come back must not
        self.sio.reconnection = False
        self.disconnect()

    @property
    def id(self):
        return self.sio.get_sid()

    @property
    def transport(self):
        return self.sio.transport()


class Async:
    """socketio.AsyncClient: aiohttp, in a loop of its own."""

    loop = None

    def __init__(self, reconnection=False):
        if Async.loop is None:
            Async.loop = asyncio.new_event_loop()
            threading.Thread(target=Async.loop.run_forever,
                             daemon=True).start()
        self.run(self._make(reconnection))

    async def _make(self, reconnection):
        self.sio = socketio.AsyncClient(reconnection=reconnection,
                                        handle_sigint=False,
                                        **(AGAIN if reconnection else {}))

    def run(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(15)

    def connect(self, url, transport, auth=None, namespaces=None):
        self.run(self.sio.connect(url, auth=auth,
                                  transports=TRANSPORTS[transport],
                                  namespaces=namespaces or ["/"],
                                  wait_timeout=30))
        return self

    def on(self, event, handler, namespace=None):
        async def run(*args):
            return handler(*args)
        self.sio.on(event, run, namespace=namespace)

    def emit(self, event, data=None, callback=None, namespace=None):
        self.run(self.sio.emit(event, data, namespace=namespace,
                               callback=callback))

    def call(self, event, data=None, namespace=None):
        return self.run(self.sio.call(event, data, namespace=namespace,
                                      timeout=30))

    def disconnect(self):
        self.run(self.sio.disconnect())

    def close(self):
        self.sio.reconnection = False
        self.disconnect()

    @property
    def id(self):
        return self.sio.get_sid()

    @property
    def transport(self):
        return self.sio.transport()


class Inbox:
    """Waits for an event: inbox = Inbox(client, "name"); inbox.get()"""

    def __init__(self, client, event, namespace=None):
        self.q = queue.Queue()
        client.on(event, lambda *args: self.q.put(args), namespace)

    def get(self, timeout=30):
        return self.q.get(timeout=timeout)


def until(what, timeout=30):
    end = time.monotonic() + timeout
    while True:
        x = what()
        if x:
            return x
        if time.monotonic() > end:
            raise AssertionError("condition not met")
        time.sleep(0.01)


class Conformance:
    """The conformance server; use it in a with statement."""

    def __init__(self, mode, *options):
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.args = [CONFORMANCE, "--port", str(self.port), "--mode", mode,
                     "--workers", "2", *options]

    def __enter__(self):
        self.proc = subprocess.Popen(self.args, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, text=True)
        line = self.proc.stdout.readline()
        if line != "listening on 127.0.0.1:%d\n" % self.port:
            raise RuntimeError("the conformance server said %r" % line)
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.code = self.proc.wait(20)
        self.proc.stdout.close()


class Wire:
    """A wire to 127.0.0.1:port that can be cut, and kept cut."""

    def __init__(self, port):
        self.to = port
        self.broken = False
        self.pairs = set()
        self.lock = threading.Lock()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.cut()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    @staticmethod
    def _reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack("ii", 1, 0))
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()

    def _accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            if self.broken:
                self._reset(a)
                continue
            b = socket.create_connection(("127.0.0.1", self.to))
            with self.lock:
                self.pairs.add((a, b))
            for x, y in ((a, b), (b, a)):
                x.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._copy, args=(x, y),
                                 daemon=True).start()

    def _copy(self, x, y):
        try:
            while True:
                data = x.recv(65536)
                if not data:
                    break
                y.sendall(data)
            y.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        with self.lock:
            done = [p for p in self.pairs if x in p and y.fileno() == -1]
            self.pairs.difference_update(done)

    def cut(self):
        """All connections are reset, and new ones until mend()."""
        self.broken = True
        with self.lock:
            for a, b in self.pairs:
                self._reset(a)
                self._reset(b)
            self.pairs.clear()

    def mend(self):
        self.broken = False
