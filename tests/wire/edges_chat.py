"""edges_chat.py - cases 106, 107, 109, 110 and 112: rooms and recovery.

Where the others have a conformance server these have the daemon itself, on
whose stored events recovery rests; its chat events stand for a room's.
"""
import json
import re
import time

from raw import Ended, Polling, Ws, frame
from sio import ID, connected
from suite import Registry

edge = Registry()

MESSAGE = "chat:message-received"
SENT = "chat:message-sent"


class Chat(Ws):
    """A chat client on a WebSocket; events are kept as they come."""

    def begin(self, t, user, query="", **auth):
        q = "EIO=4&transport=websocket" + ("&" + query if query else "")
        self.upgrade(t.target(q))
        self.open_packet()
        self.events = []   # [name, payload, offset or None]
        self.offset = None
        self.acks = 0
        self.text("40" + json.dumps({"userId": user, "userName": user,
                                     **auth}))
        while True:
            got = self.packet()
            if got.startswith("40"):
                break
            self.take(got)
        answer = json.loads(got[2:])
        self.id, self.pid = answer["sid"], answer.get("pid")
        self.missed, self.events = self.events, []
        return self

    def take(self, packet):
        assert packet.startswith("42["), packet
        name, payload, *more = json.loads(packet[2:])
        offset = more[-1] if more and isinstance(more[-1], str) else None
        if offset is not None:
            self.offset = offset
        self.events.append((name, payload, offset))
        return self.events[-1]

    def call(self, name, payload):
        self.acks += 1
        self.text("42%d%s" % (self.acks, json.dumps([name, payload])))
        head = "43%d" % self.acks
        while True:
            got = self.packet()
            if got.startswith(head):
                answer = json.loads(got[len(head):])
                assert len(answer) == 1, answer
                assert answer[0]["ok"], answer
                return answer[0]
            self.take(got)

    def join(self, session, workspace="w"):
        return self.call("chat:join-session", {"sessionId": session,
                                               "workspaceId": workspace})

    def say(self, session, content):
        return self.call("chat:send-message", {"message": {
            "id": content, "sessionId": session, "content": content,
            "type": "user"}})

    def wait(self, name, n=1):
        """The next so many events of that name that were not taken yet."""
        while sum(e[0] == name for e in self.events) < n:
            self.take(self.packet())
        got = [e for e in self.events if e[0] == name]
        self.events = [e for e in self.events if e[0] != name]
        return got

    def contents(self, n):
        return [e[1]["content"] for e in self.wait(MESSAGE, n)]

    def settle_chat(self):
        """Wait until all that was said has been looked at."""
        self.send(frame("settled", opcode=9))
        while True:
            f = self.frame()
            if f.opcode == 10:
                return
            assert f.opcode == 1, f

    def nothing(self, name, seconds=0.4):
        """No event of that name is there and none comes."""
        self.s.settimeout(seconds)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.take(self.packet())
        except AssertionError as e:
            assert "nothing came" in str(e), e
        assert name not in [e[0] for e in self.events], self.events


def chat(t, user, query="", **auth):
    return Chat(t.port).begin(t, user, query, **auth)


def named(events, name=MESSAGE):
    return [e for e in events if e[0] == name]


def again(t, w, user, offset=None, **auth):
    """Come back as that socket; without an offset with its last one."""
    offset = w.offset if offset is None else offset
    if offset:
        auth["offset"] = offset
    return chat(t, user, pid=w.pid, **auth)


def is_recovered(w, before):
    return (w.id, w.pid) == (before.id, before.pid)


def fresh(w, before):
    assert w.id != before.id and w.pid != before.pid, (w.id, w.pid)
    assert re.fullmatch(ID, w.id) and re.fullmatch(ID, w.pid)
    assert w.missed == [], w.missed


# --- 106, 107: rooms

@edge("chat")
def E106_sender_is_excluded(t):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    ada.join("e106a")
    bob.join("e106a")
    bob.say("e106a", "one")
    assert ada.contents(1) == ["one"]
    bob.nothing(MESSAGE)


@edge("chat")
def E106_other_socket_of_the_sender_is_not(t):
    one, two = chat(t, "ada"), chat(t, "ada")
    one.join("e106b")
    two.join("e106b")
    one.say("e106b", "x")
    assert two.contents(1) == ["x"]
    one.nothing(MESSAGE)


@edge("chat")
def E106_receiver_in_two_rooms_gets_one_copy(t):
    """In two sessions and in the room of their workspace."""
    ada, bob = chat(t, "ada"), chat(t, "bob")
    for session in ("e106c", "e106d"):
        ada.join(session)
        bob.join(session)
    bob.say("e106c", "c")
    bob.say("e106d", "d")
    assert ada.contents(2) == ["c", "d"]
    ada.nothing(MESSAGE)


@edge("chat")
def E106_order_of_emission(t):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    ada.join("e106e")
    bob.join("e106e")
    for i in range(50):
        bob.say("e106e", "m%d" % i)
    assert ada.contents(50) == ["m%d" % i for i in range(50)]


@edge("chat")
def E107_who_left_gets_nothing(t):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    ada.join("e107a")
    bob.join("e107a")
    ada.call("chat:leave-session", {"sessionId": "e107a"})
    bob.say("e107a", "x")
    ada.nothing(MESSAGE)


@edge("chat")
def E107_empty_room_can_be_joined_again(t):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    for turn in range(3):
        ada.join("e107b")
        bob.join("e107b")
        bob.say("e107b", "t%d" % turn)
        assert ada.contents(1) == ["t%d" % turn]
        for w in (ada, bob):
            w.call("chat:leave-session", {"sessionId": "e107b"})


@edge("chat")
def E107_empty_room_by_disconnect(t):
    for turn in range(3):
        ada, bob = chat(t, "ada"), chat(t, "bob")
        ada.join("e107c")
        bob.join("e107c")
        bob.say("e107c", "t%d" % turn)
        assert ada.contents(1) == ["t%d" % turn]
        for w in (ada, bob):
            w.text("41")
            w.settle_chat()
            w.close()


# --- 109: offsets

@edge("chat")
def E109_volatile_event_has_no_offset(t):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    ada.join("e109a")
    bob.join("e109a")
    bob.call("chat:typing", {"sessionId": "e109a", "isTyping": True})
    (_, payload, offset), = ada.wait("chat:typing-indicator")
    assert payload["isTyping"] is True and offset is None, (payload, offset)


@edge("chat")
def E109_stored_event_has_one(t):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    ada.join("e109b")
    bob.join("e109b")
    bob.say("e109b", "one")
    bob.say("e109b", "two")
    offsets = [e[2] for e in ada.wait(MESSAGE, 2)]
    assert None not in offsets and offsets[0] != offsets[1], offsets
    assert named(bob.events, SENT)[0][2] is not None, bob.events
    assert named(bob.events, "chat:join-session-success")[0][2] is not None


@edge("chat")
def E109_acknowledgement_has_none(t):
    """Chat.call() lets an acknowledgement have one argument only."""
    ada = chat(t, "ada")
    ada.join("e109c")
    ada.say("e109c", "x")


# --- 110: recovery

def pair(t, session):
    ada, bob = chat(t, "ada"), chat(t, "bob")
    ada.join(session)
    bob.join(session)
    bob.say(session, "seen")
    assert ada.contents(1) == ["seen"]
    return ada, bob


def lost(w):
    """Cut without a word, and noticed by the server."""
    w.reset()
    time.sleep(0.3)


@edge("chat")
def E110_missed_events_precede_connect(t):
    ada, bob = pair(t, "e110a")
    lost(ada)
    for i in range(5):
        bob.say("e110a", "m%d" % i)
    back = again(t, ada, "ada")
    assert is_recovered(back, ada), (back.id, back.pid, ada.id, ada.pid)
    missed = named(back.missed)
    assert [e[1]["content"] for e in missed] == ["m%d" % i for i in range(5)]
    assert None not in [e[2] for e in missed]
    bob.say("e110a", "live")
    assert back.contents(1) == ["live"]


@edge("chat")
def E110_missed_events_of_all_rooms_precede_connect(t):
    rooms = ["e110p%d" % i for i in range(5)]
    ada, bob = chat(t, "ada"), chat(t, "bob")
    for room in rooms:
        ada.join(room)
        bob.join(room)
    bob.say(rooms[0], "seen")
    assert ada.contents(1) == ["seen"]
    lost(ada)
    for room in rooms:
        bob.say(room, "missed-" + room)
    back = again(t, ada, "ada")
    assert is_recovered(back, ada)
    assert (sorted(e[1]["content"] for e in named(back.missed)) ==
            ["missed-" + room for room in rooms]), back.missed


@edge("chat")
def E110_nothing_missed(t):
    ada, bob = pair(t, "e110b")
    lost(ada)
    back = again(t, ada, "ada")
    assert is_recovered(back, ada)
    assert named(back.missed) == [], back.missed
    bob.say("e110b", "live")
    assert back.contents(1) == ["live"]


@edge("chat")
def E110_older_offset_brings_more(t):
    """What was sent but may not have arrived comes again, once."""
    ada, bob = pair(t, "e110c")
    first = ada.offset
    bob.say("e110c", "sent")
    assert ada.contents(1) == ["sent"]
    lost(ada)
    bob.say("e110c", "missed")
    back = again(t, ada, "ada", offset=first)
    assert is_recovered(back, ada)
    assert ([e[1]["content"] for e in named(back.missed)] ==
            ["sent", "missed"])


@edge("chat")
def E110_again_and_again(t):
    ada, bob = pair(t, "e110d")
    now = ada
    for i in range(5):
        lost(now)
        bob.say("e110d", "m%d" % i)
        offset = now.offset
        now = again(t, now, "ada", offset=offset)
        assert is_recovered(now, ada), i
        assert [e[1]["content"] for e in named(now.missed)] == ["m%d" % i]


@edge("chat")
def E110_unknown_pid_is_a_new_session(t):
    ada, bob = pair(t, "e110e")
    for pid in ("A" * 20, "x", "", "__proto__", "A" * 3000):
        w = chat(t, "ada", pid=pid, offset=ada.offset)
        fresh(w, ada)


@edge("chat")
def E110_unknown_offset_is_a_new_session(t):
    for i, offset in enumerate((
            "?", "z" * 200, "\u00e9", "-1", "1:2.3:", "Q84gah_", " 1",
            "1795374663599-0")):
        ada, bob = pair(t, "e110f%d" % i)
        lost(ada)
        back = again(t, ada, "ada", offset=offset)
        assert not is_recovered(back, ada), offset
        fresh(back, ada)


@edge("chat")
def E110_offset_of_the_future_is_a_new_session(t):
    """It is not one that the server has given; to take it would skip what
    comes before it."""
    ada, bob = pair(t, "e110o")
    lost(ada)
    bob.say("e110o", "missed")
    back = again(t, ada, "ada", offset="zzzzzzzzzz")
    assert not is_recovered(back, ada)
    fresh(back, ada)


@edge("chat")
def E110_pid_that_is_no_string(t):
    ada, bob = pair(t, "e110g")
    for pid, offset in ((5, "x"), (None, None), ([], {}), ({}, 5)):
        w = chat(t, "ada", pid=pid, offset=offset)
        assert w.id != ada.id
    bob.say("e110g", "live")
    assert ada.contents(1) == ["live"]


@edge("chat")
def E110_two_restores_with_one_pid(t):
    ada, bob = pair(t, "e110h")
    lost(ada)
    first = again(t, ada, "ada")
    assert is_recovered(first, ada)
    second = again(t, ada, "ada")
    assert is_recovered(second, ada)
    if t.deviates("D7"):
        # one id, one socket: the second has taken over
        try:
            while True:
                f = first.frame()
                if f.opcode == 8:
                    break
        except Ended:
            pass
        first.close()
        bob.say("e110h", "live")
        assert second.contents(1) == ["live"]
        second.nothing(MESSAGE)
    else:
        bob.say("e110h", "live")
        assert second.contents(1) == ["live"]
        # the other lives, too, under the same id, and gets nothing
        first.settle_chat()


@edge("chat")
def E110_taken_over_while_it_lives(t):
    ada, bob = pair(t, "e110i")
    second = again(t, ada, "ada")
    if t.deviates("D7"):
        assert is_recovered(second, ada)
        try:
            while ada.frame().opcode != 8:
                pass
        except Ended:
            pass
        ada.close()
        bob.say("e110i", "live")
        assert second.contents(1) == ["live"]
    else:
        # the session is not stored while it lives
        fresh(second, ada)


@edge("chat")
def E110_without_an_offset(t):
    """The connection was lost before the first event arrived: everything
    since the connect is missed."""
    ada, bob = pair(t, "e110n")
    lost(ada)
    bob.say("e110n", "missed")
    back = chat(t, "ada", pid=ada.pid)
    if t.deviates("D7"):
        assert is_recovered(back, ada)
        assert ([e[1]["content"] for e in named(back.missed)] ==
                ["seen", "missed"]), back.missed
        assert named(back.missed, "chat:join-session-success"), back.missed
    else:
        fresh(back, ada)


@edge("chat")
def E110_in_no_room(t):
    """Nothing can have been missed: either answer is honest."""
    ada = chat(t, "ada")
    lost(ada)
    back = chat(t, "ada", pid=ada.pid)
    assert named(back.missed) == [] and back.id, back.missed
    t.note("recovered" if is_recovered(back, ada) else "fresh")


@edge("chat")
def E110_pid_of_somebody_else(t):
    ada, bob = pair(t, "e110j")
    lost(ada)
    bob.say("e110j", "secret")
    eve = again(t, ada, "eve")
    if t.deviates("D7"):
        fresh(eve, ada)
        eve.nothing(MESSAGE)
        # and she has not used it up
        back = again(t, ada, "ada")
        assert is_recovered(back, ada)
        assert [e[1]["content"] for e in named(back.missed)] == ["secret"]
    else:
        assert is_recovered(eve, ada)


@edge("chat")
def E110_not_behind_a_disconnect(t):
    """Who left on purpose starts anew."""
    ada, bob = pair(t, "e110k")
    ada.text("41")
    ada.settle_chat()
    ada.close()
    time.sleep(0.3)
    fresh(again(t, ada, "ada"), ada)


@edge("chat")
def E110_by_polling(t):
    ada, bob = pair(t, "e110l")
    lost(ada)
    bob.say("e110l", "missed")
    p = Polling(t.port, t.path)
    p.say("40" + json.dumps({"userId": "ada", "userName": "ada",
                             "pid": ada.pid, "offset": ada.offset}))
    got = []
    while not any(x.startswith("40") for x in got):
        got += p.hear()
    events = [json.loads(x[2:]) for x in got if x.startswith("42")]
    answer = [x for x in got if x.startswith("40")][0]
    assert json.loads(answer[2:]) == {"sid": ada.id, "pid": ada.pid}, got
    before = [json.loads(x[2:]) for x in got[:got.index(answer)]]
    assert [e[1]["content"] for e in before if e[0] == MESSAGE] == ["missed"]
    assert events


@edge("chat", workers=3, seconds=3)
def E110_on_any_worker(t):
    ada, bob = pair(t, "e110m")
    now = ada
    for i in range(12):
        lost(now)
        bob.say("e110m", "m%d" % i)
        now = again(t, now, "ada")
        assert is_recovered(now, ada), i
        assert [e[1]["content"] for e in named(now.missed)] == ["m%d" % i]


@edge("sio", recovery=True)
def E110_pid_and_offset_are_not_the_applications(t):
    w = t.websocket()
    w.text('40{"token":"x","pid":"%s","offset":"o"}' % ("A" * 20))
    answer = w.packet()
    assert '"pid":"' in answer, answer
    got = w.packet()
    assert got.startswith('42["auth",'), got
    auth = json.loads(got[2:])[1]
    if t.deviates("D12"):
        assert auth == {"token": "x"}, auth
    else:
        assert sorted(auth) == ["offset", "pid", "token"], auth


@edge("sio", recovery=True)
def E110_auth_wins_over_pid_and_offset(t):
    """The client merges them, keys of auth last: a pid of the application's
    own is simply not known."""
    w = t.websocket()
    w.text('40{"pid":"mine","offset":5,"token":"x"}')
    connected(w.packet())


# --- 112

@edge("chat")
def E112_two_tabs_are_two_sockets(t):
    one, two = chat(t, "ada"), chat(t, "ada")
    assert one.id != two.id and one.pid != two.pid
    one.join("e112a")
    two.join("e112a")
    bob = chat(t, "bob")
    bob.join("e112a")
    bob.say("e112a", "x")
    assert one.contents(1) == two.contents(1) == ["x"]


@edge("chat")
def E112_ids_are_not_used_again(t):
    ids = set()
    for _ in range(20):
        w = chat(t, "ada")
        ids |= {w.id, w.pid, w.sid}
        w.close()
    assert len(ids) == 60, ids
