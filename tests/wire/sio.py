"""sio.py - the client's side of Socket.IO, for the edge cases."""
import re

from expect import unknown

ID = "[A-Za-z0-9_-]{20}"
ONE = '{"_placeholder":true,"num":0}'


def connected(text, nsp=""):
    """A CONNECT answer of that namespace: the socket's id."""
    head = "40" + (nsp + "," if nsp else "")
    m = re.fullmatch(re.escape(head) + r'\{"sid":"(%s)"(,"pid":"%s")?\}' %
                     (ID, ID), text)
    assert m, text
    return m.group(1)


def joined(t, *nsps, **kw):
    """A WebSocket with these namespaces joined; without any, with `/'."""
    w = t.websocket(**kw)
    for nsp in nsps or ("",):
        w.text("40" + (nsp + "," if nsp else ""))
        w.id = connected(w.packet(), nsp)
    return w


def call(w, args, n=0, nsp=""):
    """An event that asks for an acknowledgement: its JSON."""
    nsp = nsp + "," if nsp else ""
    w.text("42%s%d[%s]" % (nsp, n, args))
    return answer(w, n, nsp)


def answer(w, n, nsp=""):
    got = w.packet()
    head = "43%s%d" % (nsp, n)
    assert got.startswith(head + "["), got
    return got[len(head):]


def alive(w):
    assert call(w, '"still","there"', 777) == '["there"]'


def refused(w):
    """The whole connection is closed for what was said.  With a code and
    a reason, which the reference does not give."""
    code, reason = w.closed()
    assert code in (1005, 1008), (code, reason)
    return code, reason


def leave(w, nsp=""):
    """`41', and wait until the server has seen it: what comes in the same
    segment the reference may still take for the socket before."""
    w.text("41" + nsp)
    w.settle()


def bad(t, *packets, join=True):
    w = joined(t) if join else t.websocket()
    try:
        for p in packets:
            w.text(p) if isinstance(p, str) else w.binary(p)
    except OSError:
        pass
    return refused(w)


def bad_polling(t, *packets, join=True):
    p = t.polling()
    if join:
        p.say("40")
        connected(p.hear()[0])
    c = p.poll()
    assert c.silent(0.1)
    p.say(*packets)
    r = c.response()
    assert r.text() == "1", r
    unknown(p.get())


def asked(w, n=1, nsp=""):
    """Have the server ask: the ids of its acknowledgements."""
    nsp = nsp + "," if nsp else ""
    w.text('42%s["ask",%d]' % (nsp, n))
    ids = []
    for i in range(n):
        got = w.packet()
        m = re.fullmatch(r'42%s(\d+)\["asked",%d\]' % (nsp, i), got)
        assert m, got
        ids.append(int(m.group(1)))
    return ids
