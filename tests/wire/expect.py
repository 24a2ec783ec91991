"""expect.py - what the suites expect of answers."""
import time


def error(r, code, message, status=400):
    """The JSON error of a plain request."""
    assert r.status == status, r
    assert r.get("content-type") == "application/json", r
    assert r.body == ('{"code":%d,"message":"%s"}' % (code, message)
                      ).encode(), r


def unknown(r):
    error(r, 1, "Session ID unknown")


def mismatch(r):
    error(r, 3, "Bad request")


def bare(r, status):
    assert r.status == status and r.body == b"", r


def gone(p):
    """The session is no more; it may take a moment to be noticed."""
    end = time.monotonic() + 10
    while True:
        r = p.post("")
        if r.status != 200 or time.monotonic() > end:
            break
        time.sleep(0.05)
    unknown(r)
    unknown(p.get())


def echoes(p, text="4hi"):
    p.say(text)
    assert p.hear() == [text]
