// The contract as a table: every event of a client, its success, and each of
// its failures with the exact text and code, as an acknowledgement and as an
// event, on both workers.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, TEXT, METADATA, ask, collect, join_, next, send, sleep, until }
  from "./daemon.mjs";

const d = new Daemon({
  "limits.sessions_per_socket": 3, "limits.members_per_session": 6,
  "content.html": "reject", "content.burst": 10, "stream.max_text": "4k",
});
before(() => d.start());
after(() => d.end());

/** Text, and whether it may be tried again, of every code. */
const ERRORS = {
  INVALID_MESSAGE: ["Invalid message content", false],
  INVALID_REQUEST: ["Invalid request data", false],
  ACCESS_DENIED: ["Access denied to chat session", false],
  NOT_JOINED: ["Not joined to this chat session", false],
  TOO_MANY_SESSIONS: ["Too many chat sessions on this connection", false],
  SESSION_FULL: ["Chat session is full", true],
  CONTENT_EMPTY: ["Message content cannot be empty", false],
  CONTENT_TOO_LONG:
    [`Message content exceeds maximum length (${TEXT} characters)`, false],
  METADATA_TOO_LARGE:
    [`Message metadata exceeds maximum size (${METADATA} bytes)`, false],
  CONTENT_BLOCKED: ["Message contains potentially unsafe content", false],
  SPAM_BLOCKED:
    ["Message appears to contain spam or suspicious content", false],
  FORBIDDEN_TYPE: ["Message type not allowed", false],
  FORBIDDEN: ["Operation not allowed", false],
  ID_TAKEN: ["Message id already used", false],
  NOT_FOUND: ["Message not found", false],
  STREAM_UNKNOWN: ["Unknown stream", false],
  STREAM_TOO_LONG: ["Stream exceeds maximum length", false],
  UNKNOWN_EVENT: ["Unknown event", false],
  MUTED: ["Sending suspended", true],
  RATE_LIMITED: ["Rate limit exceeded", true],
};
const CODES = { INVALID_MESSAGE: "INVALID_PAYLOAD",
  INVALID_REQUEST: "INVALID_PAYLOAD" };

/** The event that tells an error, where the contract has one. */
const ERROR_EVENTS = {
  "chat:join-session": "chat:join-session-error",
  "chat:leave-session": "chat:leave-session-error",
  "chat:send-message": "chat:send-message-error",
  "chat:request-history": "chat:request-history-error",
  "chat:agent-message-stream": "chat:send-message-error",
};

let serial = 0;

/** Somebody in a new session w1/<s>, and somebody else on the other worker. */
async function scene(worker) {
  const n = ++serial;
  const s = `t${n}`;
  const me = await d.clientOn(worker, `me${n}`, { auth: { workspaces: ["w1",
    { id: "w3", sessions: ["only"] }] } });
  const other = await d.clientOn(1 - worker, `other${n}`);
  const agent = await d.clientOn(1 - worker, `agent${n}`,
    { auth: { role: "agent" } });
  const seen = [other, agent].map((x) => collect(x, "chat:user-joined"));
  await join_(other, s);
  await join_(agent, s);
  assert.ok((await join_(me, s)).ok);
  // the others are told when their worker comes to it
  await until(() => seen.every((l) => l.some((x) => x.socketId === me.id)));
  return { n, s, me, other, agent, my: `me${n}` };
}

/** A message of this socket in the scene. */
async function said(c, socket, id) {
  const r = await send(socket, c.s, `text of ${id}`,
    { id, type: socket === c.agent ? "assistant" : "user" });
  assert.ok(r.ok, JSON.stringify(r));
  return id;
}

/** From now on, also at the worker that comes to it last. */
async function mute(c) {
  await d.ctl("mute", c.my, "--for", "1h");
  await until(async () => (await send(c.me, c.s, "still?")).code === "MUTED");
}

const ids = (extra = {}) => [
  undefined, null, 5, "text", [], {},
  { ...extra }, { ...extra, sessionId: "" }, { ...extra, sessionId: null },
  { ...extra, sessionId: 7 }, { ...extra, sessionId: "a b" },
  { ...extra, sessionId: "x".repeat(101) }, { ...extra, sessionId: "a/b" },
  { ...extra, sessionId: "\u00e4" }, { ...extra, sessionId: "a\u0000" },
];

/** [why, payload or function of the scene, code, who: me] */
const FAILURES = {
  "chat:join-session": [
    ...ids({ workspaceId: "w1" }).map((p) => ["ids", p, "INVALID_REQUEST"]),
    ["workspace", { sessionId: "a" }, "INVALID_REQUEST"],
    ["workspace", { sessionId: "a", workspaceId: "" }, "INVALID_REQUEST"],
    ["agent", { sessionId: "a", workspaceId: "w1", agentId: "" },
      "INVALID_REQUEST"],
    ["afterSeq", { sessionId: "a", workspaceId: "w1", afterSeq: -1 },
      "INVALID_REQUEST"],
    ["afterSeq", { sessionId: "a", workspaceId: "w1", afterSeq: "1" },
      "INVALID_REQUEST"],
    ["afterRevision", { sessionId: "a", workspaceId: "w1",
      afterRevision: 1.5 }, "INVALID_REQUEST"],
    ["another workspace", { sessionId: "a", workspaceId: "w2" },
      "ACCESS_DENIED"],
    ["another session of it", { sessionId: "a", workspaceId: "w3" },
      "ACCESS_DENIED"],
    ["the same id elsewhere", async (c) => {
      await ask(c.me, "chat:leave-session", { sessionId: c.s });
      await join_(c.me, "only", { workspaceId: "w3" });
      return { sessionId: "only", workspaceId: "w1" };
    }, "ACCESS_DENIED"],
    ["four sessions", async (c) => {
      await join_(c.me, `${c.s}-2`);
      await join_(c.me, `${c.s}-3`);
      return { sessionId: `${c.s}-4`, workspaceId: "w1" };
    }, "TOO_MANY_SESSIONS"],
    ["a full session", async (c) => {
      for (let i = 0; i < 6; i++)
        await join_(await d.client(`full${c.n}-${i}`), `${c.s}-full`);
      return { sessionId: `${c.s}-full`, workspaceId: "w1" };
    }, "SESSION_FULL"],
  ],
  "chat:leave-session": [
    ...ids().map((p) => ["ids", p, "INVALID_REQUEST"]),
    ["not in it", { sessionId: "elsewhere" }, "NOT_JOINED"],
  ],
  "chat:send-message": [
    ...[undefined, null, 5, "text", [], {}, { message: null },
      { message: "text" }, { message: [] }, { message: {} }]
      .map((p) => ["no message", p, "INVALID_MESSAGE"]),
    ...["content", "type", "sessionId"].flatMap((k) =>
      [null, 5, {}].map((v) => [`${k} ${v}`, (c) => ({ message: {
        content: "x", type: "user", sessionId: c.s, [k]: v } }),
        "INVALID_MESSAGE"])),
    ...["", null, 5, "a b", "x".repeat(101)].map((id) => [`id ${id}`,
      (c) => ({ message: { content: "x", type: "user", sessionId: c.s, id } }),
      "INVALID_MESSAGE"]),
    ["metadata", (c) => ({ message: { content: "x", type: "user",
      sessionId: c.s, metadata: [] } }), "INVALID_MESSAGE"],
    ["type", (c) => ({ message: { content: "x", type: "bot",
      sessionId: c.s } }), "INVALID_MESSAGE"],
    ["a lone surrogate", (c) => ({ message: { content: "a\ud800b",
      type: "user", sessionId: c.s } }), "INVALID_MESSAGE"],
    ["NUL", (c) => ({ message: { content: "a\u0000b", type: "user",
      sessionId: c.s } }), "INVALID_MESSAGE"],
    ["not joined", { message: { content: "x", type: "user",
      sessionId: "elsewhere" } }, "NOT_JOINED"],
    ["as an agent", (c) => ({ message: { content: "x", type: "assistant",
      sessionId: c.s } }), "FORBIDDEN_TYPE"],
    ["as the system", (c) => ({ message: { content: "x", type: "system",
      sessionId: c.s } }), "FORBIDDEN_TYPE"],
    ...["", " ", "\t\n", "\u00a0\u2003\ufeff\u2028"].map((content) => ["blank",
      (c) => ({ message: { content, type: "user", sessionId: c.s } }),
      "CONTENT_EMPTY"]),
    ["too long", (c) => ({ message: { content: "x".repeat(TEXT + 1),
      type: "user", sessionId: c.s } }), "CONTENT_TOO_LONG"],
    ["pairs of surrogates are two", (c) => ({ message: {
      content: "\u{1f600}".repeat(TEXT / 2) + "x", type: "user",
      sessionId: c.s } }), "CONTENT_TOO_LONG"],
    ["much metadata", (c) => ({ message: { content: "x", type: "user",
      sessionId: c.s, metadata: { a: "x".repeat(METADATA) } } }),
      "METADATA_TOO_LARGE"],
    ["active content", (c) => ({ message: {
      content: "<script>alert(1)</script>", type: "user", sessionId: c.s } }),
      "CONTENT_BLOCKED"],
    ["somebody else's id", async (c) => ({ message: { content: "x",
      type: "user", sessionId: c.s, id: await said(c, c.other, "o1") } }),
      "ID_TAKEN"],
    ["the id of a stream", async (c) => {
      const shown = next(c.me, "chat:agent-stream-chunk");
      const r = await ask(c.agent, "chat:agent-message-stream", {
        sessionId: c.s, messageId: "st1", chunk: "a", isComplete: false });
      assert.ok(r.ok, JSON.stringify(r));
      await shown;
      return { message: { content: "x", type: "user", sessionId: c.s,
        id: "st1" } };
    }, "ID_TAKEN"],
    ["the eleventh of its kind", async (c) => {
      const content = "Buy this very nice thing, number 1";
      for (let i = 0; i < 10; i++) {
        const r = await send(c.me, c.s, content.replace("1", `${i}`));
        assert.ok(r.ok, JSON.stringify(r));
      }
      return { message: { content, type: "user", sessionId: c.s } };
    }, "SPAM_BLOCKED"],
    ["muted", async (c) => {
      await mute(c);
      return { message: { content: "x", type: "user", sessionId: c.s } };
    }, "MUTED"],
  ],
  "chat:typing": [
    ...ids({ isTyping: true }).map((p) => ["ids", p, "INVALID_REQUEST"]),
    ...[undefined, null, 1, "true"].map((isTyping) => ["isTyping",
      (c) => ({ sessionId: c.s, isTyping }), "INVALID_REQUEST"]),
    ["not joined", { sessionId: "elsewhere", isTyping: true }, "NOT_JOINED"],
  ],
  "chat:update-presence": [
    ...ids({ status: "idle" }).map((p) => ["ids", p, "INVALID_REQUEST"]),
    ...[undefined, null, 1, "busy", "Active", ""].map((status) => ["status",
      (c) => ({ sessionId: c.s, status }), "INVALID_REQUEST"]),
    ["not joined", { sessionId: "elsewhere", status: "idle" }, "NOT_JOINED"],
  ],
  "chat:request-history": [
    ...ids().map((p) => ["ids", p, "INVALID_REQUEST"]),
    ...[{ limit: 0 }, { limit: -1 }, { limit: "5" }, { limit: 1.5 },
      { offset: -1 }, { offset: null }, { beforeSeq: "x" }, { afterSeq: -2 },
      { offset: 1, beforeSeq: 5 }, { offset: 0, afterSeq: 5 },
      { beforeSeq: 1, afterSeq: 5 }].map((x) => [JSON.stringify(x),
      (c) => ({ sessionId: c.s, ...x }), "INVALID_REQUEST"]),
    ["not joined", { sessionId: "elsewhere" }, "NOT_JOINED"],
  ],
  "chat:edit-message": [
    ...ids({ messageId: "m", content: "x" }).map((p) =>
      ["ids", p, "INVALID_MESSAGE"]),
    ...[{}, { messageId: "" }, { messageId: 5 }].map((x) => ["messageId",
      (c) => ({ sessionId: c.s, content: "x", ...x }), "INVALID_MESSAGE"]),
    ...[{}, { content: null }, { content: 5 }].map((x) => ["content",
      (c) => ({ sessionId: c.s, messageId: "m", ...x }), "INVALID_MESSAGE"]),
    ["not joined", { sessionId: "elsewhere", messageId: "m", content: "x" },
      "NOT_JOINED"],
    ["unknown", (c) => ({ sessionId: c.s, messageId: "nobodys",
      content: "x" }), "NOT_FOUND"],
    ["somebody else's", async (c) => ({ sessionId: c.s, content: "x",
      messageId: await said(c, c.other, "o2") }), "FORBIDDEN"],
    ["deleted", async (c) => {
      const messageId = await said(c, c.me, "m3");
      assert.ok((await ask(c.me, "chat:delete-message",
        { sessionId: c.s, messageId })).ok);
      return { sessionId: c.s, messageId, content: "x" };
    }, "NOT_FOUND"],
    ["blank", async (c) => ({ sessionId: c.s, content: " \n",
      messageId: await said(c, c.me, "m4") }), "CONTENT_EMPTY"],
    ["too long", async (c) => ({ sessionId: c.s, content: "x".repeat(TEXT + 1),
      messageId: await said(c, c.me, "m5") }), "CONTENT_TOO_LONG"],
    ["active content", async (c) => ({ sessionId: c.s,
      content: "<img src=x onerror=alert(1)>",
      messageId: await said(c, c.me, "m6") }), "CONTENT_BLOCKED"],
    ["muted", async (c) => {
      const messageId = await said(c, c.me, "m7");
      await mute(c);
      return { sessionId: c.s, messageId, content: "x" };
    }, "MUTED"],
  ],
  "chat:delete-message": [
    ...ids({ messageId: "m" }).map((p) => ["ids", p, "INVALID_REQUEST"]),
    ...[{}, { messageId: "" }, { messageId: 5 }].map((x) => ["messageId",
      (c) => ({ sessionId: c.s, ...x }), "INVALID_REQUEST"]),
    ["not joined", { sessionId: "elsewhere", messageId: "m" }, "NOT_JOINED"],
    ["unknown", (c) => ({ sessionId: c.s, messageId: "nobodys" }),
      "NOT_FOUND"],
    ["somebody else's", async (c) => ({ sessionId: c.s,
      messageId: await said(c, c.other, "o3") }), "FORBIDDEN"],
    ["an agent's", async (c) => ({ sessionId: c.s,
      messageId: await said(c, c.agent, "a3") }), "FORBIDDEN"],
  ],
  "chat:mark-read": [
    ...ids({ seq: 1 }).map((p) => ["ids", p, "INVALID_REQUEST"]),
    ...[undefined, null, "1", -1, 1.5].map((seq) => ["seq",
      (c) => ({ sessionId: c.s, seq }), "INVALID_REQUEST"]),
    ["beyond the last", async (c) => {
      await said(c, c.me, "m8");
      return { sessionId: c.s, seq: 2 };
    }, "INVALID_REQUEST"],
    ["not joined", { sessionId: "elsewhere", seq: 1 }, "NOT_JOINED"],
  ],
  "chat:agent-message-stream": [
    ...ids({ messageId: "m", chunk: "x", isComplete: false }).map((p) =>
      ["ids", p, "INVALID_MESSAGE"]),
    ...[{ messageId: "" }, { messageId: null }, { chunk: 5 }, { chunk: null },
      { isComplete: "no" }, { isComplete: null }, { index: -1 },
      { index: "0" }, { agentId: "" }, { metadata: [] }].map((x) =>
      [JSON.stringify(x), (c) => ({ sessionId: c.s, messageId: "m",
        chunk: "x", isComplete: false, ...x }), "INVALID_MESSAGE", "agent"]),
    ["not joined", { sessionId: "elsewhere", messageId: "m", chunk: "x",
      isComplete: false }, "NOT_JOINED", "agent"],
    ["a user", (c) => ({ sessionId: c.s, messageId: "m", chunk: "x",
      isComplete: false }), "FORBIDDEN"],
    ["an index beyond the next", async (c) => {
      const chunk = { sessionId: c.s, messageId: "m", chunk: "x",
        isComplete: false };
      assert.ok((await ask(c.agent, "chat:agent-message-stream", chunk)).ok);
      return { ...chunk, index: 2 };
    }, "INVALID_MESSAGE", "agent"],
    ["an index, and nothing before it", (c) => ({ sessionId: c.s,
      messageId: "m9", chunk: "x", isComplete: false, index: 1 }),
      "STREAM_UNKNOWN", "agent"],
    ["too long", (c) => ({ sessionId: c.s, messageId: "m-long",
      chunk: "x".repeat(4097), isComplete: false }), "STREAM_TOO_LONG",
      "agent"],
    ["blank", (c) => ({ sessionId: c.s, messageId: "m-blank", chunk: " ",
      isComplete: true }), "CONTENT_EMPTY", "agent"],
    ["active content", (c) => ({ sessionId: c.s, messageId: "m-html",
      chunk: "<svg onload=alert(1)>", isComplete: true }), "CONTENT_BLOCKED",
      "agent"],
    ["somebody else's id", async (c) => ({ sessionId: c.s, chunk: "x",
      isComplete: true, messageId: await said(c, c.other, "o4") }), "ID_TAKEN",
      "agent"],
  ],
  "chat:cancel-stream": [
    ...ids({ messageId: "m" }).map((p) => ["ids", p, "INVALID_REQUEST"]),
    ["messageId", (c) => ({ sessionId: c.s }), "INVALID_REQUEST"],
    ["not joined", { sessionId: "elsewhere", messageId: "m" }, "NOT_JOINED"],
    ["unknown", (c) => ({ sessionId: c.s, messageId: "none" }),
      "STREAM_UNKNOWN"],
  ],
  "chat:refresh-token": [
    ...[undefined, null, 5, "text", [], {}, { token: null }, { token: 5 }]
      .map((p) => ["no token", p, "INVALID_REQUEST"]),
  ],
  "chat:request-presence": [
    ...ids().map((p) => ["ids", p, "INVALID_REQUEST"]),
    ...[{ limit: 0 }, { limit: "5" }, { after: 5 }].map((x) =>
      [JSON.stringify(x), (c) => ({ sessionId: c.s, ...x }),
        "INVALID_REQUEST"]),
    ["not joined", { sessionId: "elsewhere" }, "NOT_JOINED"],
  ],
  "chat:no-such-event": [
    ["unknown", {}, "UNKNOWN_EVENT"], ["unknown", 5, "UNKNOWN_EVENT"],
  ],
  "other:event": [["unknown", {}, "UNKNOWN_EVENT"]],
};

/** Members of an answer that are those of the payload, where they are ids. */
function checkNames(answer, payload, event) {
  // of what is no proper text nothing is read
  if (/\\u(d800|0000)/.test(JSON.stringify(payload) ?? "")) return;
  const said = event === "chat:send-message" ? payload?.message : payload;
  if (typeof said?.sessionId === "string" &&
      /^[A-Za-z0-9_-]{1,100}$/.test(said.sessionId))
    assert.equal(answer.sessionId, said.sessionId);
}

function check(answer, code, payload, event) {
  const [error, retryable] = ERRORS[code];
  assert.equal(answer.code, CODES[code] ?? code, JSON.stringify(answer));
  assert.equal(answer.error, error);
  assert.equal(answer.retryable, retryable);
  assert.ok(!("retryAfter" in answer) || retryable);
  if (code !== "UNKNOWN_EVENT") checkNames(answer, payload, event);
}

const listed = new Set();
for (const [event, rows] of Object.entries(FAILURES)) {
  for (const worker of [0, 1]) {
    test(`${event}: ${rows.length} failures, worker ${worker}`,
      { timeout: 120000 }, async (t) => {
        let c = await scene(worker);
        for (const [why, make, code, who = "me"] of rows) {
          // what a row does to its scene is not the next one's affair
          if (typeof make === "function" && make.length > 0 &&
              make.constructor.name === "AsyncFunction")
            c = await scene(worker);
          const payload = typeof make === "function" ? await make(c) : make;
          listed.add(code);
          const told = ERROR_EVENTS[event];
          const heard = told === undefined ? null : next(c[who], told);
          const answer = await ask(c[who], event, payload);
          assert.equal(answer.ok, false,
            `${why}: ${JSON.stringify(payload)} ${JSON.stringify(answer)}`);
          try {
            check(answer, code, payload, event);
            if (heard !== null) {
              const ev = await heard;
              check(ev, code, payload, event);
              // the event says what the acknowledgement says
              const { ok, ...rest } = answer;
              assert.deepEqual({ ...rest, retryAfter: 0 },
                { ...ev, retryAfter: 0 });
              // and comes without one, too
              const again = next(c[who], told);
              c[who].emit(event, payload);
              check(await again, code, payload, event);
            }
          } catch (e) {
            e.message = `${event}, ${why}: ${JSON.stringify(payload)}\n` +
              `${JSON.stringify(answer)}\n${e.message}`;
            throw e;
          }
        }
        assert.ok(c.me.connected, "no failure ends a connection");
      });
  }
}

test("every code of the contract's table is somewhere in the tests", () => {
  for (const code of Object.keys(ERRORS))
    if (code !== "RATE_LIMITED")
      assert.ok(listed.has(code), `${code} is in no row`);
});

// --- successes -------------------------------------------------------------

const keys = (x) => Object.keys(x).sort().join(" ");
const PRESENCE =
  "joinedAt lastActivity sessionId socketId status userId userName";

/** The same by acknowledgement and by event. */
function same(ack, ev) {
  const { ok, ...rest } = ack;
  assert.equal(ok, true, JSON.stringify(ack));
  assert.deepEqual(rest, ev);
}

for (const worker of [0, 1]) {
  test(`successes, worker ${worker}`, { timeout: 120000 }, async () => {
    const c = await scene(worker);
    const { me, other, agent, s } = c;
    await until(() => true);
    const now = Date.now();
    const close = (t) => assert.ok(Math.abs(t - now) < 60000, `${t}`);

    // join: everything that the contract lists, and to the room who it is
    const third = await d.clientOn(worker, `third${c.n}`);
    const joined = [me, other, agent].map((x) => next(x, "chat:user-joined"));
    const success = next(third, "chat:join-session-success");
    let ack = await ask(third, "chat:join-session",
      { sessionId: s, workspaceId: "w1", agentId: "bot" });
    same(ack, await success);
    assert.equal(keys(ack), "agentId count lastRevision lastSeq ok presence " +
      "presences receipts roomId sessionId streams timestamp workspaceId " +
      "workspaceRoomId");
    assert.equal(ack.roomId, `chat:session:${s}`);
    assert.equal(ack.workspaceRoomId, "chat:workspace:w1");
    assert.equal(ack.presences.length, 4);
    assert.equal(ack.count, 4);
    close(ack.timestamp);
    for (const x of await Promise.all(joined)) {
      assert.equal(keys(x), PRESENCE);
      assert.equal(x.socketId, third.id);
      assert.equal(x.status, "active");
    }

    // a message: to all but the sender; the sender is told
    const got = [other, agent, third].map((x) =>
      next(x, "chat:message-received"));
    const mine = collect(me, "chat:message-received");
    const sent = next(me, "chat:message-sent");
    ack = await send(me, s, "hello", { id: "m1", metadata: { a: 1, tokens: 2 },
      userId: "forged", timestamp: 1, seq: 99 });
    same(ack, await sent);
    assert.equal(keys(ack), "messageId ok seq sessionId timestamp");
    assert.equal(ack.messageId, "m1");
    assert.equal(ack.seq, 1);
    for (const x of await Promise.all(got)) {
      assert.equal(keys(x),
        "content id metadata seq sessionId timestamp type userId");
      assert.equal(x.userId, c.my);
      assert.equal(x.type, "user");
      assert.equal(x.timestamp, ack.timestamp);
      assert.deepEqual(x.metadata,
        { a: 1, tokens: 2, senderName: c.my, senderSocketId: me.id });
    }
    ack = await send(me, s, "hello", { id: "m1" });
    assert.equal(ack.duplicate, true);
    assert.equal(ack.seq, 1);
    assert.equal(mine.length, 0);

    // an edit, a deletion: to all, the whole message or its place
    let all = [me, other, third].map((x) => next(x, "chat:message-updated"));
    ack = await ask(me, "chat:edit-message",
      { sessionId: s, messageId: "m1", content: "hello!" });
    assert.equal(ack.ok, true, JSON.stringify(ack));
    for (const x of await Promise.all(all)) {
      assert.equal(x.id, "m1");
      assert.equal(x.content, "hello!");
      assert.equal(x.seq, 1);
      assert.equal(x.revision, 1);
      close(x.editedAt);
      assert.deepEqual(x.metadata,
        { a: 1, tokens: 2, senderName: c.my, senderSocketId: me.id });
    }
    await said(c, me, "m2");
    all = [me, other, third].map((x) => next(x, "chat:message-deleted"));
    ack = await ask(me, "chat:delete-message",
      { sessionId: s, messageId: "m2" });
    assert.equal(ack.ok, true, JSON.stringify(ack));
    for (const x of await Promise.all(all)) {
      assert.equal(keys(x), "messageId revision seq sessionId timestamp");
      assert.equal(x.seq, 2);
      assert.equal(x.revision, 2);
    }
    assert.equal((await send(other, s, "x", { id: "m2" })).code, "ID_TAKEN");

    // receipts
    all = [me, other, third].map((x) => next(x, "chat:read-receipt"));
    ack = await ask(other, "chat:mark-read", { sessionId: s, seq: 2 });
    assert.equal(ack.ok, true);
    for (const x of await Promise.all(all)) {
      assert.equal(keys(x), "revision seq sessionId timestamp userId");
      assert.equal(x.userId, `other${c.n}`);
      assert.equal(x.seq, 2);
    }
    const none = collect(me, "chat:read-receipt");
    ack = await ask(other, "chat:mark-read", { sessionId: s, seq: 1 });
    assert.equal(ack.ok, true);

    // typing: to others
    all = [other, third].map((x) => next(x, "chat:typing-indicator"));
    ack = await ask(me, "chat:typing", { sessionId: s, isTyping: true });
    assert.deepEqual(ack, { ok: true });
    for (const x of await Promise.all(all)) {
      assert.equal(keys(x), "isTyping sessionId timestamp userId");
      assert.equal(x.isTyping, true);
    }

    // presence
    all = [other, third].map((x) => next(x, "chat:presence-updated"));
    ack = await ask(me, "chat:update-presence",
      { sessionId: s, status: "away" });
    assert.deepEqual(ack, { ok: true });
    for (const x of await Promise.all(all)) {
      assert.equal(keys(x), PRESENCE);
      assert.equal(x.status, "away");
    }
    const page = next(third, "chat:presence-sync");
    ack = await ask(third, "chat:request-presence", { sessionId: s, limit: 3 });
    same(ack, await page);
    assert.equal(ack.presences.length, 3);
    assert.equal(ack.count, 4);
    const rest = await ask(third, "chat:request-presence",
      { sessionId: s, after: ack.presences[2].socketId });
    assert.deepEqual([...ack.presences, ...rest.presences]
      .map((x) => x.socketId).sort(),
    [me, other, agent, third].map((x) => x.id).sort());

    // history
    const heard = next(me, "chat:history-response");
    ack = await ask(me, "chat:request-history", { sessionId: s });
    same(ack, await heard);
    assert.equal(keys(ack), "firstSeq hasMore lastSeq limit messages offset " +
      "ok sessionId timestamp");
    assert.equal(ack.messages[0].content, "hello!");
    assert.equal(ack.messages[1].deleted, true);
    assert.equal("content" in ack.messages[1], false);

    // a stream, and that it can be cancelled
    const chunks = collect(me, "chat:agent-stream-chunk");
    const whole = next(me, "chat:message-received");
    for (const [i, chunk] of ["One ", "two ", "three"].entries()) {
      ack = await ask(agent, "chat:agent-message-stream", { sessionId: s,
        messageId: "s1", chunk, isComplete: i === 2, agentId: "bot" });
      assert.equal(ack.ok, true, JSON.stringify(ack));
    }
    assert.equal(ack.seq, 3);
    const text = await whole;
    assert.equal(text.content, "One two three");
    assert.equal(text.type, "assistant");
    assert.equal(text.agentId, "bot");
    assert.equal(text.metadata.isStreaming, false);
    assert.equal(text.metadata.isComplete, true);
    assert.deepEqual(chunks.map((x) => [x.index, x.chunk, x.isComplete]),
      [[0, "One ", false], [1, "two ", false], [2, "three", true]]);
    await ask(agent, "chat:agent-message-stream",
      { sessionId: s, messageId: "s2", chunk: "never", isComplete: false });
    const cancelled = next(agent, "chat:stream-cancelled");
    ack = await ask(me, "chat:cancel-stream",
      { sessionId: s, messageId: "s2" });
    assert.equal(ack.ok, true);
    assert.equal((await cancelled).messageId, "s2");
    const last = next(me, "chat:message-received", 15000);
    const end = await ask(agent, "chat:agent-message-stream",
      { sessionId: s, messageId: "s2", chunk: " more", isComplete: true });
    assert.equal(end.ok, true);
    assert.equal((await last).metadata.cancelled, true);
    await until(() => chunks.some((x) => x.cancelled && x.isComplete));

    // leaving
    const gone = next(me, "chat:user-left");
    const left = next(third, "chat:leave-session-success");
    ack = await ask(third, "chat:leave-session", { sessionId: s });
    same(ack, await left);
    assert.equal(keys(ack), "ok roomId sessionId timestamp");
    const x = await gone;
    assert.equal(x.socketId, third.id);
    assert.equal(x.remaining, 0);
    await sleep(100);
    assert.equal(none.length, 0, "a lower mark tells nobody");
  });
}

test("over a rate each event is refused by name", { timeout: 60000 },
  async () => {
    const one = new Daemon(Object.fromEntries(
      ["message", "typing", "join", "history", "presence", "chunk"]
        .map((k) => [`limits.${k}_rate`, 1])));
    await one.start();
    try {
      const a = await one.client("quick", { auth: { role: "agent" } });
      assert.ok((await join_(a, "r")).ok);
      const twice = {
        "chat:join-session": { sessionId: "q", workspaceId: "w1" },
        "chat:send-message": { message: { content: "x", sessionId: "r" } },
        "chat:typing": { sessionId: "r", isTyping: true },
        "chat:update-presence": { sessionId: "r", status: "idle" },
        "chat:request-history": { sessionId: "r" },
        "chat:agent-message-stream": { sessionId: "r", messageId: "m",
          chunk: "x", isComplete: false },
      };
      for (const [event, payload] of Object.entries(twice)) {
        await ask(a, event, payload);
        const told = ERROR_EVENTS[event];
        const heard = told === undefined ? null : next(a, told);
        const no = await ask(a, event, payload);
        for (const x of heard === null ? [no] : [no, await heard]) {
          assert.equal(x.code, "RATE_LIMITED", `${event} ${JSON.stringify(x)}`);
          assert.equal(x.error, "Rate limit exceeded");
          assert.equal(x.retryable, true);
          assert.ok(x.retryAfter >= 1 && x.retryAfter <= 60);
        }
      }
    } finally {
      await one.end();
    }
  });
