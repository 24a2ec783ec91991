"""deviations.py - where chatd does something else than the reference.

One row a deviation; HACKING.md explains them.  `advised' are those that the
protocol page itself recommends; of the others there are at most five.  Each
has a test that asserts what chatd does, and with the reference what that does.
"""
from collections import namedtuple

Deviation = namedtuple("Deviation", "advised title reference chatd why")

DEVIATIONS = {
    "D1": Deviation(
        True, "a bad EIO gets 400 before the 101",
        "Answers the websocket handshake with 101 and then writes the HTTP "
        "error on the same stream.",
        "400 with the text `Unsupported protocol version', no 101.",
        "Bytes behind a 101 that are no WebSocket frame are a protocol "
        "error for the client, which then cannot say what was wrong."),
    "D2": Deviation(
        True, "the noop of an upgrade comes at once",
        "Looks every 100 ms for a GET that it can answer with `6'.",
        "Answers a pending GET as soon as the probe arrives, and each later "
        "one at once.",
        "An upgrade takes two round trips and no timer."),
    "D3": Deviation(
        True, "events wait behind a pending CONNECT",
        "An event that comes before the CONNECT of its namespace is "
        "answered closes the connection, even in the same payload.",
        "The event is kept and handled once the CONNECT is accepted.",
        "Authentication takes time; a client that does not wait loses "
        "nothing."),
    "D4": Deviation(
        True, "a close says why",
        "Closes the WebSocket with an empty close frame (1005).",
        "1008 and a reason text.",
        "Whoever looks into a trace or a client's log sees what was wrong "
        "with the packet."),
    "D5": Deviation(
        True, "`1' on a WebSocket closes it",
        "Ignores the packet; the client closes the WebSocket itself.",
        "Closes the session.",
        "The packet says so."),
    "D6": Deviation(
        True, "numbers pass as they are written",
        "Parses and prints: 12345678901234567890 becomes "
        "12345678901234567000, 1e400 null, -0 0; of equal keys the last "
        "stays.",
        "The JSON text of the arguments goes out byte for byte.",
        "A relay has no business to round other people's numbers."),
    "D7": Deviation(
        True, "a pid is good for one live socket",
        "The same pid and offset can be restored again and again, even at "
        "the same time: two live sockets with one id.",
        "The second takes over and the first is closed, also while it is "
        "alive; only its own user can.  The pid alone, without an offset, "
        "recovers too.",
        "One id names one socket; and who missed the very first event has "
        "missed something, too."),
    "D8": Deviation(
        True, "WebSockets of a foreign Origin are refused",
        "CORS does not apply to WebSockets: a foreign Origin gets its 101.",
        "With a list of origins configured, 400 with the text `Forbidden' "
        "for an Origin that is not in it.",
        "Otherwise any page could use a visitor's cookies "
        "(CVE-2019-13611)."),
    "D9": Deviation(
        True, "acknowledgement ids end at 2^53 - 1",
        "Rounds larger ones to the nearest double: the answer names an id "
        "that nobody asked for.",
        "Closes the connection.",
        "No client counts that far; a wrong answer is worse than none."),
    "D10": Deviation(
        True, "an event or acknowledgement has a payload",
        "Takes `42' and `430' and calls nobody, or with no arguments.",
        "Closes the connection.",
        "The protocol's text says so; no known client sends them."),
    "D11": Deviation(
        True, "a placeholder's num is whole",
        "Takes 0.5 and puts undefined in its place.",
        "Closes the connection.",
        "The rule of CVE-2022-2421: an integer within range."),
    "D12": Deviation(
        True, "pid and offset are not part of auth",
        "Hands the whole CONNECT payload to the application, with the pid "
        "and offset that the client has put into it.",
        "Takes both out.",
        "They belong to recovery; a pid is a secret of the connection."),
    "D13": Deviation(
        False, "a session that began on a WebSocket takes no second one",
        "Takes the second for an upgrade and answers its probe; refuses one "
        "only for a session that was upgraded.",
        "101 and an immediate close, as for any session that has its "
        "WebSocket.",
        "There is nothing to upgrade, and a sid that leaked is no way into "
        "somebody's session."),
    "D14": Deviation(
        False, "frames right behind a handshake are kept",
        "Makes the session a moment after the 101: frames that came in one "
        "segment with the request are lost.",
        "Handles them after the open packet.",
        "What TCP has delivered is not lost."),
    "D15": Deviation(
        False, "an upgrade is HTTP/1.1 and has a Host",
        "Takes upgrades of HTTP/1.0 and without Host.",
        "400.",
        "RFC 6455 4.2.1, RFC 9112 3.2; Node itself demands the Host of all "
        "other requests."),
}
