// What the original document's own tests wanted to show, done with the real
// daemon and a stock client; and what its first implementation got wrong.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, ask, collect, join_, never, next, send, sleep, spend }
  from "./daemon.mjs";

const d = new Daemon({ "limits.message_rate": 50 });
before(() => d.start());
after(() => d.end());

let serial = 0;
async function two() {
  const n = ++serial;
  const a = await d.clientOn(0, `ann${n}`, { auth: { userName: "Ann" } });
  const b = await d.clientOn(1, `ben${n}`, { auth: { userName: "Ben" } });
  const s = `doc${n}`;
  await join_(a, s);
  const joined = next(a, "chat:user-joined");
  await join_(b, s);
  await joined;
  return { a, b, s, n };
}

test("1 a join succeeds, with both rooms and one's presence", async () => {
  const a = await d.client("ann", { auth: { userName: "Ann" } });
  const success = next(a, "chat:join-session-success");
  a.emit("chat:join-session",
    { sessionId: "one", agentId: "bot", workspaceId: "w1" });
  const x = await success;
  assert.equal(x.sessionId, "one");
  assert.equal(x.agentId, "bot");
  assert.equal(x.workspaceId, "w1");
  assert.equal(x.roomId, "chat:session:one");
  assert.equal(x.workspaceRoomId, "chat:workspace:w1");
  assert.equal(x.presence.sessionId, "one");
  assert.equal(x.presence.userId, "ann");
  assert.equal(x.presence.userName, "Ann");
  assert.equal(x.presence.status, "active");
});

test("2 a join without a session or a workspace is an error", async () => {
  const a = await d.client("ann");
  const error = next(a, "chat:join-session-error");
  a.emit("chat:join-session", { sessionId: "" });
  assert.equal((await error).error, "Invalid request data");
});

test("3 a leave succeeds", async () => {
  const { a, s } = await two();
  const success = next(a, "chat:leave-session-success");
  a.emit("chat:leave-session", { sessionId: s });
  const x = await success;
  assert.equal(x.sessionId, s);
  assert.equal(x.roomId, `chat:session:${s}`);
});

test("4 a message comes from one to the other", async () => {
  const { a, b, s, n } = await two();
  const sent = next(a, "chat:message-sent");
  const received = next(b, "chat:message-received");
  a.emit("chat:send-message", { message: { id: "m", content: "Hello",
    type: "user", timestamp: Date.now(), sessionId: s } });
  const x = await sent;
  assert.equal(x.messageId, "m");
  assert.equal(x.sessionId, s);
  const y = await received;
  assert.equal(y.id, "m");
  assert.equal(y.content, "Hello");
  assert.equal(y.type, "user");
  assert.equal(y.sessionId, s);
  assert.equal(y.userId, `ann${n}`);
  assert.equal(y.metadata.senderName, "Ann");
});

test("5 nothing is said with an empty message", async () => {
  const { a, b, s } = await two();
  const error = next(a, "chat:send-message-error");
  const quiet = never(b, "chat:message-received");
  a.emit("chat:send-message",
    { message: { id: "m", content: "", type: "user", sessionId: s } });
  assert.equal((await error).error, "Message content cannot be empty");
  await quiet;
});

test("6 typing is seen, on and off", async () => {
  const { a, b, s, n } = await two();
  const seen = collect(b, "chat:typing-indicator");
  a.emit("chat:typing", { sessionId: s, isTyping: true });
  await next(b, "chat:typing-indicator");
  a.emit("chat:typing", { sessionId: s, isTyping: false });
  await next(b, "chat:typing-indicator");
  await sleep(300);
  assert.deepEqual(seen.map((x) => [x.sessionId, x.userId, x.isTyping]),
    [[s, `ann${n}`, true], [s, `ann${n}`, false]]);
});

test("7 the others see who has joined", async () => {
  const { a, s } = await two();
  const c = await d.client("cat", { auth: { userName: "Cat" } });
  const joined = next(a, "chat:user-joined");
  await join_(c, s);
  const x = await joined;
  assert.equal(x.sessionId, s);
  assert.equal(x.userId, "cat");
  assert.equal(x.userName, "Cat");
  assert.equal(x.status, "active");
});

test("8 the other sees that one is idle", async () => {
  const { a, b, s, n } = await two();
  const updated = next(b, "chat:presence-updated");
  a.emit("chat:update-presence", { sessionId: s, status: "idle" });
  const x = await updated;
  assert.equal(x.userId, `ann${n}`);
  assert.equal(x.status, "idle");
});

test("9 the other sees who has left", async () => {
  const { a, b, s, n } = await two();
  const left = next(b, "chat:user-left");
  a.emit("chat:leave-session", { sessionId: s });
  const x = await left;
  assert.equal(x.userId, `ann${n}`);
  assert.equal(x.sessionId, s);
});

test("10 nothing comes over from another workspace", async () => {
  const a = await d.client("ann", { auth: { workspaces: ["wa"] } });
  const b = await d.client("ben", { auth: { workspaces: ["wb"] } });
  await join_(a, "sa", { workspaceId: "wa" });
  await join_(b, "sb", { workspaceId: "wb" });
  const quiet = never(b, "chat:message-received", 500);
  assert.ok((await send(a, "sa", "a secret")).ok);
  await quiet;
  // nor when the sessions have the same name
  assert.ok((await join_(b, "sa", { workspaceId: "wb" })).ok);
  const again = never(b, "chat:message-received", 500);
  assert.ok((await send(a, "sa", "another")).ok);
  await again;
  assert.equal((await join_(b, "sb", { workspaceId: "wa" })).code,
    "ACCESS_DENIED");
});

test("11 fifty fast messages pass, one more does not", async () => {
  const { a, s } = await two();
  const error = next(a, "chat:send-message-error");
  const no = await spend((i) => send(a, s, `number ${i}`), 50, 50);
  assert.equal(no.error, "Rate limit exceeded");
  assert.equal((await error).error, "Rate limit exceeded");
});

test("12 the other sees who is disconnected", async () => {
  const { a, b, n } = await two();
  const left = next(b, "chat:user-left");
  a.disconnect();
  assert.equal((await left).userId, `ann${n}`);
});

test("13 history tells its page", async () => {
  const { a, s } = await two();
  const page = next(a, "chat:history-response");
  a.emit("chat:request-history", { sessionId: s, limit: 10, offset: 0 });
  const x = await page;
  assert.equal(x.sessionId, s);
  assert.deepEqual(x.messages, []);
  assert.equal(x.limit, 10);
  assert.equal(x.offset, 0);
  assert.equal(x.hasMore, false);
});

// --- what must not come back ------------------------------------------------

test("who is in no session cannot make a room believe that somebody left",
  async () => {
    const { a, s } = await two();
    const c = await d.client("outsider");
    const quiet = never(a, "chat:user-left", 500);
    assert.equal((await ask(c, "chat:leave-session", { sessionId: s })).code,
      "NOT_JOINED");
    await quiet;
  });

test("no user speaks as an agent, or as the system", async () => {
  const { a, b, s } = await two();
  const quiet = never(b, "chat:message-received", 500);
  const chunks = never(b, "chat:agent-stream-chunk", 500);
  assert.equal((await ask(a, "chat:agent-message-stream", { sessionId: s,
    messageId: "m", chunk: "I am the bot", isComplete: true })).code,
  "FORBIDDEN");
  for (const type of ["assistant", "system"])
    assert.equal((await send(a, s, "I am the bot", { type })).code,
      "FORBIDDEN_TYPE");
  await quiet;
  await chunks;
});

test("an id that somebody uses hides nobody's message", async () => {
  const { a, b, s } = await two();
  assert.ok((await send(a, s, "first", { id: "mine" })).ok);
  assert.equal((await send(b, s, "second", { id: "mine" })).code, "ID_TAKEN");
  assert.ok((await send(b, s, "second", { id: "other" })).ok);
});

test("a message without a message is answered", async () => {
  const { a } = await two();
  for (const x of [undefined, null, {}, { message: { content: { a: 1 } } }])
    assert.equal((await ask(a, "chat:send-message", x)).error,
      "Invalid message content");
});

test("a second session leaves the first as it is", async () => {
  const { a, b, s } = await two();
  await join_(a, `${s}-second`);
  const received = next(a, "chat:message-received");
  assert.ok((await send(b, s, "still here?")).ok);
  assert.equal((await received).content, "still here?");
  assert.ok((await send(a, s, "yes")).ok);
});

test("links and code are not spam", async () => {
  const { a, b, s } = await two();
  for (const text of ["see https://example.org/x?a=1&b=2",
    "call fetch('/api') and document.cookie", "click here, act now",
    "on x = 3, if a < b && c > d", "vector<int> v; // eval(x)"]) {
    const received = next(b, "chat:message-received");
    assert.ok((await send(a, s, text)).ok, text);
    assert.equal((await received).content, text);
  }
});

test("the log holds no text of messages", () => {
  assert.ok(!d.log.includes("still here?"));
  assert.ok(!d.log.includes("a secret"));
});
