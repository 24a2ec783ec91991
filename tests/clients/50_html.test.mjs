// What content.html=inert makes of texts that are meant to run in a browser,
// in Chromium: nothing runs and nothing is loaded, however they are put into
// a page.  Without it they do, or this test could see nothing.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { Daemon } from "../system/daemon.mjs";
import { corpus } from "../html/corpus.mjs";
import { Browser } from "./browser.mjs";

const script = readFileSync(new URL("../html/page.js", import.meta.url));
const attacks = corpus("attacks.txt");
const harmless = [...corpus("harmless_code.txt"),
  ...corpus("harmless_text.txt")];
const daemons = {};

before(async () => {
  for (const html of ["inert", "allow", "strip", "reject"])
    daemons[html] = await new Daemon({ workers: 1, "content.html": html,
      "content.burst": 0 }).start();
});
after(async () => {
  for (const d of Object.values(daemons)) await d.end();
});

let sessions = 0;
/** What others get of these texts; null for what is refused. */
async function said(d, texts) {
  const sessionId = `s${++sessions}`;
  const [a, b] = [await d.client("a"), await d.client("b")];
  for (const s of [a, b])
    await s.emitWithAck("chat:join-session",
      { sessionId, workspaceId: "w" });
  const got = new Map();
  b.on("chat:message-received", (m) => got.set(m.id, m.content));
  const results = [];
  for (let i = 0; i < texts.length; i += 50)
    results.push(...await Promise.all(texts.slice(i, i + 50).map((content, k) =>
      a.emitWithAck("chat:send-message",
        { message: { id: `m-${i + k}`, content, sessionId } }))));
  await b.emitWithAck("chat:leave-session", { sessionId });
  a.disconnect();
  b.disconnect();
  return results.map((r, i) => {
    if (!r.ok) assert.equal(r.code, "CONTENT_BLOCKED", texts[i]);
    else assert.ok(got.has(`m-${i}`), texts[i]);
    return r.ok ? got.get(`m-${i}`) : null;
  });
}

test("harmless texts come out byte for byte", async () => {
  assert.ok(harmless.length >= 500);
  const texts = harmless.map((h) => h.text);
  for (const html of ["inert", "allow", "strip", "reject"])
    assert.deepEqual(await said(daemons[html], texts), texts, html);
});

test("allow lets all pass, reject none", async () => {
  const texts = attacks.map((a) => a.text);
  assert.deepEqual(await said(daemons.allow, texts), texts);
  assert.deepEqual(await said(daemons.reject, texts), texts.map(() => null));
});

test("inert cuts nothing: only < becomes &lt;", async () => {
  const texts = attacks.map((a) => a.text);
  for (const [i, out] of (await said(daemons.inert, texts)).entries()) {
    let k = 0;
    for (const c of texts[i]) {
      if (c === "<" && out.startsWith("&lt;", k)) k += 4;
      else if (out.startsWith(c, k)) k += c.length;
      else assert.fail(`${texts[i]} became ${out}`);
    }
    assert.equal(k, out.length);
    assert.notEqual(out, texts[i]);
  }
});

/** The page, its texts, and who asked for what. */
class Range {
  constructor(texts) {
    this.texts = texts;
    this.asked = [];
    this.seen = [];
  }

  start() {
    this.reported = new Promise((done) => (this.report = done));
    this.server = http.createServer((q, a) => this.answer(q, a));
    return new Promise((done) => this.server.listen(0, "127.0.0.1", () => {
      this.port = this.server.address().port;
      done(this);
    }));
  }

  answer(request, answer) {
    const path = decodeURIComponent(new URL(request.url, "http://x").pathname);
    const [, what, rest] = path.match(/^\/([a-z]+)\/?(.*)$/) ?? [];
    if (what === "texts") {
      answer.end(JSON.stringify(this.texts[rest].map((text, id) =>
        ({ text: this.live(text, id) }))));
    } else if (what === "done") {
      this.seen.push(...this.asked.map((x) => `${rest} ${x}`));
      this.asked = [];
      answer.end();
    } else if (what === "report") {
      let body = "";
      request.on("data", (d) => (body += d));
      request.on("end", () => {
        answer.end();
        this.report(JSON.parse(body));
      });
    } else if (what === "page") {
      answer.setHeader("Content-Type", "text/html; charset=utf-8");
      answer.end(`<!doctype html><link rel=icon href=data:,><body><script>` +
        `const setup = ${JSON.stringify(this.setup)};${script}</script>`);
    } else {
      // /load/17, or whatever a text makes of it: x, a
      this.asked.push(what === "load" ? rest.match(/^\d*/)[0] : path);
      answer.statusCode = 404;
      answer.end();
    }
  }

  /** The text with a call and a URL that tell. */
  live(text, id) {
    return text.replaceAll("HIT", `top.hit(${id})`)
      .replaceAll("LOAD", `http://127.0.0.1:${this.port}/load/${id}`);
  }

  end() {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(done));
  }
}

test("nothing runs and nothing is loaded in a browser", async (t) => {
  const raw = attacks.map((a) => a.text);
  const texts = { raw };
  for (const html of ["inert", "strip"])
    texts[html] = (await said(daemons[html], raw)).map((x) => x ?? "");
  const range = await new Range(texts).start();
  // what is active may take its document with it: it has one of its own
  range.setup = { wait: 100, batch: 200, phases: {
    inert: { each: 50 },
    strip: { each: 50, names: ["body", "again", "written"] },
    raw: { each: 1, names: ["body", "document"] } } };
  const browser =
    new Browser().open(`http://127.0.0.1:${range.port}/page`);
  let hits;
  try {
    hits = await Promise.race([range.reported, new Promise((_, fail) =>
      setTimeout(() => fail(new Error(
        `the page reports nothing: ${browser.log.slice(-2000)}`)), 280000)
        .unref())]);
  } finally {
    await browser.close();
    await range.end();
  }
  const all = [...hits, ...range.seen];
  const active = all.filter((x) => !x.startsWith("raw "));
  assert.deepEqual(active.slice(0, 20).map((x) => {
    const [, phase, id] = x.match(/^(\w+) .* (\d+)$/) ?? [];
    return id ? `${x}: ${raw[id]} became ${texts[phase][id]}` : x;
  }), []);
  const ids = new Set(all.filter((x) => x.startsWith("raw "))
    .map((x) => x.match(/ (\d+)$/)?.[1]).filter(Boolean));
  t.diagnostic(`${ids.size} of ${raw.length} do something untreated`);
  for (const [i, a] of attacks.entries())
    if (!ids.has(String(i))) t.diagnostic(`sleeps: ${a.kind}: ${a.text}`);
  assert.ok(ids.size >= 150);
});
