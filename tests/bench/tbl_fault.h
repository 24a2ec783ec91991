/* FAULT(name, text) - what the verifier reports; each makes it exit 1. */
/* clang-format off */
FAULT(LOST,	 "lost",	 "a member never received a message that has a seq")
FAULT(DUPLICATE, "duplicate",	 "a member received a message twice")
FAULT(ORDER,	 "order",	 "a member received a message after a later one")
FAULT(DIFFER,	 "differ",	 "two tell different things of one seq or message")
FAULT(GAP,	 "gap",		 "a seq that no message has")
FAULT(ECHO,	 "echo",	 "a sender received its own message")
FAULT(FOREIGN,	 "foreign",	 "something of another session or connection")
FAULT(GARBLED,	 "garbled",	 "what came cannot be read, or is not what was sent")
FAULT(UNACKED,	 "unacked",	 "a message was never acknowledged")
FAULT(REFUSED,	 "refused",	 "a message was refused")
FAULT(CLOSED,	 "closed",	 "a connection was closed by the server")
FAULT(STUCK,	 "stuck",	 "a connection that got no answer while it was set up")
FAULT(TRUNCATED, "truncated",	 "a replay did not go back far enough")
FAULT(UNKNOWN,	 "unknown",	 "a request of a session was answered as of none")
FAULT(STATUS,	 "status",	 "a request was answered as it should not be")
FAULT(PROBE,	 "probe",	 "more than 3probe came before the upgrade was complete")
FAULT(IDENTITY,	 "identity",	 "a recovered socket has another id")
FAULT(HISTORY,	 "history",	 "history differs from what was delivered")
/* clang-format on */
#undef FAULT
