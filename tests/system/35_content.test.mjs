// What people write: what is passed on as it is, refused, changed, counted.
// Over two workers, under rules that a reload changes.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Daemon, TEXT, next, never, sleep, until, join_, send }
  from "./daemon.mjs";

const d = new Daemon({ "content.burst": 10 });
const rules = join(d.dir, "content.rules");
const BURST = "the same words over and over";

before(async () => {
  chmodSync(d.dir, 0o755);
  writeFileSync(rules, "# nothing\n");
  d.options["content.rules"] = rules;
  await d.start();
});
after(() => d.end());

let sessions = 0;
/** Two in a session of their own, on two workers. */
async function pair() {
  const sessionId = `content-${++sessions}`;
  const a = await d.clientOn(0, `a${sessions}`);
  const b = await d.clientOn(1, `b${sessions}`);
  await join_(a, sessionId);
  await join_(b, sessionId);
  return { a, b, sessionId };
}

async function counters(pattern) {
  return JSON.stringify(await d.ctl("stats", pattern));
}

async function count(name) {
  const text = await counters(name);
  return Number(text.match(/(\d+)[^\d]*$/)[1]);
}

/** What another gets of a text; an object if it is refused. */
async function passes({ a, b, sessionId }, content) {
  const got = next(b, "chat:message-received");
  const answer = await send(a, sessionId, content);
  if (answer.ok) return (await got).content;
  got.catch(() => {});
  return answer;
}

/** The rest of a JSON text of a message as the client has it on its wire. */
function raw(socket, sessionId, content) {
  return new Promise((done) => {
    const { engine } = socket.io;
    const id = 7000 + Math.floor(Math.random() * 1e6);
    const on = (packet) => {
      const data = String(packet.data ?? "");
      if (!data.startsWith(`3${id}[`)) return;
      engine.off("packet", on);
      done(JSON.parse(data.slice(String(id).length + 1))[0]);
    };
    engine.on("packet", on);
    engine.write(`2${id}["chat:send-message",{"message":{"content":` +
      `${content},"sessionId":"${sessionId}"}}]`);
  });
}

test("texts that look odd arrive as they were", async () => {
  const p = await pair();
  for (const text of [
    // bidirectional controls, zero width, joiners, variation selectors
    "\u202eabc\u202c", "\u2066x\u2069", "a\u200bb\u200cc\u200dd", "\ufeffx",
    "\u200ex\u200f", "\u061cx", "a\u00adb", "\u2028x\u2029", "x\ufe0f",
    "👨‍👩‍👧‍👦", "🏴\u{e0067}\u{e0062}\u{e007f}", "e\u0301\u0302",
    // controls, noncharacters, private use, the last of all
    "\u0001\u001f\u007f", "\ufffe\uffff", "\ue000", "\u{10ffff}", "\ufffd",
    // NFC and NFD are two texts
    "é e\u0301", "ﬁ ẞ İ ı", "\r\n\t\f\v x", "\\ \" / \\u0041 \\n",
    // blanks around stay
    "  x  ", "\u00a0x\u3000", "a".repeat(TEXT), "😀".repeat(TEXT / 2),
  ])
    assert.equal(await passes(p, text), text);
});

test("the length is JavaScript's", async () => {
  const p = await pair();
  for (const text of ["a".repeat(TEXT + 1), "😀".repeat(TEXT / 2) + "a",
    "é".repeat(TEXT + 1), "語".repeat(TEXT + 1)]) {
    const answer = await passes(p, text);
    assert.equal(answer.code, "CONTENT_TOO_LONG");
    assert.equal(answer.error,
      `Message content exceeds maximum length (${TEXT} characters)`);
  }
  for (const text of ["é".repeat(TEXT), "語".repeat(TEXT)])
    assert.equal(await passes(p, text), text);
  // measured as it was written, before tags are escaped
  const text = "<script>".repeat(TEXT / 8);
  assert.equal(await passes(p, text), "&lt;script>".repeat(TEXT / 8));
});

test("what is no text is refused, never cut", async () => {
  const p = await pair();
  const none = never(p.b, "chat:message-received", 600);
  for (const json of ['"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"',
    '"x\\ud83dy"', '"\\udfff"']) {
    const answer = await raw(p.a, p.sessionId, json);
    assert.equal(answer.code, "INVALID_PAYLOAD", json);
    assert.equal(answer.error, "Invalid message content", json);
  }
  await none;
  // half a pair as the stock client writes it
  assert.equal((await send(p.a, p.sessionId, "a\ud800b")).code,
    "INVALID_PAYLOAD");
  assert.equal((await send(p.a, p.sessionId, "still here")).ok, true);
});

test("escapes stay as their client wrote them, but for a tag's", async () => {
  const p = await pair();
  let wire = "";
  p.b.io.engine.on("packet", (x) => (wire += x.data ?? ""));
  assert.ok((await raw(p.a, p.sessionId,
    '"\\u0041\\/\\u003cscript\\u003e \\u003cb\\u003e\\ud83d\\ude00"')).ok);
  await until(() => wire.includes("chat:message-received"));
  assert.match(wire, /"content":"\\u0041\\\/&lt;script\\u003e \\u003cb\\u003e\\ud83d\\ude00"/);
});

test("metadata is not filtered and keeps its digits", async () => {
  const { a, b, sessionId } = await pair();
  const got = next(b, "chat:message-received");
  let wire = "";
  b.io.engine.on("packet", (x) => (wire += x.data ?? ""));
  await new Promise((done) => {
    a.io.engine.on("packet", (x) => String(x.data).startsWith("399[") && done());
    a.io.engine.write('299["chat:send-message",{"message":{"content":"x",' +
      `"sessionId":"${sessionId}","metadata":{"n":9007199254740993,` +
      '"e":1e400,"f":1.0,"z":-0.0,"h":"<script>alert(1)</script>"}}}]');
  });
  const m = await got;
  assert.equal(m.metadata.h, "<script>alert(1)</script>");
  assert.match(wire,
    /"n":9007199254740993,"e":1e400,"f":1\.0,"z":-0\.0,/);
});

test("one character again and again: delivered and counted", async () => {
  const p = await pair();
  const before = await count("suspicious*");
  const text = "a".repeat(21);
  assert.equal(await passes(p, text), text);
  assert.equal(await passes(p, "a".repeat(20)), "a".repeat(20));
  assert.equal(await passes(p, "-".repeat(80)), "-".repeat(80));
  assert.equal(await count("suspicious*"), before + 1);
});

test("the eleventh of a kind is spam, at all workers", async () => {
  const sessionId = "burst";
  const a0 = await d.clientOn(0, "burster");
  const a1 = await d.clientOn(1, "burster");
  const other = await d.clientOn(1, "other");
  for (const s of [a0, a1, other]) await join_(s, sessionId);
  const before = await count("message_blocked*");
  for (let i = 0; i < 10; i++) {
    const answer = await send(i % 2 ? a1 : a0, sessionId,
      `${i} ${i % 3 ? BURST : BURST.toUpperCase()}  ${i}`, { id: `b${i}` });
    assert.equal(answer.ok, true);
  }
  for (const s of [a0, a1]) {
    const error = next(s, "chat:send-message-error");
    const answer = await send(s, sessionId, BURST, { id: `c-${s.id}` });
    assert.equal(answer.code, "SPAM_BLOCKED");
    assert.equal(answer.error,
      "Message appears to contain spam or suspicious content");
    assert.equal(answer.retryable, false);
    assert.equal((await error).code, "SPAM_BLOCKED");
  }
  assert.equal(await count("message_blocked*"), before + 2);
  // a retry of what is stored is told so
  const again = await send(a0, sessionId, `3 ${BURST}  3`, { id: "b3" });
  assert.equal(again.ok, true);
  assert.equal(again.duplicate, true);
  // others, other texts, and short ones go through
  assert.equal((await send(other, sessionId, BURST)).ok, true);
  assert.equal((await send(a0, sessionId, `not ${BURST}`)).ok, true);
  for (let i = 0; i < 15; i++)
    assert.equal((await send(a0, sessionId, "ok")).ok, true);
});

test("a worker's death does not forget a burst", async () => {
  const a = await d.clientOn(0, "survivor");
  await join_(a, "survivors");
  for (let i = 0; i < 10; i++)
    assert.equal((await send(a, "survivors", `${BURST}!`)).ok, true);
  const pid = d.roles().workers[0];
  process.kill(pid, "SIGKILL");
  await until(() => ![0, undefined, pid].includes(d.roles().workers[0]));
  const b = await d.clientOn(1, "survivor");
  await join_(b, "survivors");
  assert.equal((await send(b, "survivors", `${BURST}!`)).code,
    "SPAM_BLOCKED");
});

test("rules are in force when a reload has told so", async () => {
  const p = await pair();
  const text = "my secret, buy now, see evil.example";
  assert.equal(await passes(p, text), text);
  writeFileSync(rules, 'sanitize words with "<b>" match secret\n');
  await d.ctl("reload");
  assert.equal(await passes(p, text), "my <b>, buy now, see evil.example");
  writeFileSync(rules, "spam offers phrase buy now\n");
  await d.ctl("reload");
  assert.equal((await passes(p, text)).code, "SPAM_BLOCKED");
  writeFileSync(rules, "block hosts link evil.example\n");
  await d.ctl("reload");
  assert.equal((await passes(p, text)).code, "CONTENT_BLOCKED");
  const before = await count("suspicious*");
  writeFileSync(rules, "flag hosts link evil.example\n");
  await d.ctl("reload");
  assert.equal(await passes(p, text), text);
  assert.equal(await count("suspicious*"), before + 1);
  // what is wrong changes nothing
  writeFileSync(rules, "block x match (\n");
  await assert.rejects(d.ctl("reload"));
  assert.equal(await passes(p, text), text);
  assert.equal(await count("suspicious*"), before + 2);
  writeFileSync(rules, "# nothing\n");
  await d.ctl("reload");
});

test("filter test tells what would become of a text", async () => {
  writeFileSync(rules, "spam offers phrase buy now\nflag f match odd\n");
  await d.ctl("reload");
  const before = await counters("*blocked*");
  assert.deepEqual(await d.ctl("filter", "test", "hello"),
    { verdict: "allow", flagged: false, text: "hello" });
  assert.deepEqual(await d.ctl("filter", "test", "<script>é"),
    { verdict: "sanitize", rule: "html", flagged: false,
      text: "&lt;script>é" });
  assert.deepEqual(await d.ctl("filter", "test", "Buy now"),
    { verdict: "spam", code: "SPAM_BLOCKED", rule: "offers",
      flagged: false });
  assert.deepEqual(await d.ctl("filter", "test", "odd"),
    { verdict: "allow", rule: "f", flagged: true, text: "odd" });
  assert.deepEqual(await d.ctl("filter", "test", " "),
    { verdict: "block", code: "CONTENT_EMPTY", flagged: false });
  assert.deepEqual(await d.ctl("filter", "test", "--file", rules),
    { verdict: "spam", code: "SPAM_BLOCKED", rule: "offers",
      flagged: false });
  await assert.rejects(d.ctl("filter", "try", "x"));
  await assert.rejects(d.ctl("filter", "test", "--file", "/nowhere"));
  assert.equal(await counters("*blocked*"), before);
  writeFileSync(rules, "# nothing\n");
  await d.ctl("reload");
});

test("no log has a word of what was said", async () => {
  const p = await pair();
  await passes(p, "unspeakable".padEnd(60, "!"));
  await passes(p, "<script>unspeakable</script>");
  await until(() => d.log.includes("suspicious_activity"));
  assert.ok(!d.log.includes("unspeakable"));
});
