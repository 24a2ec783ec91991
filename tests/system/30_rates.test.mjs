// Limits: exact at the edge, shared by the workers, unmoved by a death.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, until, join_, send, spend } from "./daemon.mjs";

const d = new Daemon({
  "limits.message_rate": 30, "limits.join_rate": 10, "limits.typing_rate": 60,
  "limits.history_rate": 30, "limits.presence_rate": 30,
  "limits.sessions_per_socket": 3, "limits.members_per_session": 2,
});
before(() => d.start());
after(() => d.end());

test("30 messages pass, the 31st does not, over two workers", async () => {
  const a = await d.clientOn(0, "quick");
  const b = await d.clientOn(1, "quick");
  await join_(a, "r1");
  await join_(b, "r1");
  const no = await spend((i) =>
    send(i % 2 ? a : b, "r1", `x${i}`, { id: `x${i}` }), 30, 30);
  assert.equal(no.ok, false);
  assert.equal(no.code, "RATE_LIMITED");
  assert.equal(no.error, "Rate limit exceeded");
  assert.equal(no.retryable, true);
  assert.ok(no.retryAfter >= 1 && no.retryAfter <= 2, `${no.retryAfter}`);
  // a retry of what is stored is answered all the same
  const again = await send(a, "r1", "x3", { id: "x3" });
  assert.equal(again.duplicate, true);
  assert.equal(again.seq, 4);
});

test("the death of a worker does not open the limit", async () => {
  const a = await d.clientOn(0, "quick2");
  await join_(a, "r2");
  const began = Date.now();
  for (let i = 0; i < 30; i++) assert.ok((await send(a, "r2", "x")).ok);
  const before = d.roles().workers[0];
  process.kill(before, "SIGKILL");
  await until(() => d.roles().workers[0] && d.roles().workers[0] !== before);
  const b = await until(() => d.client("quick2").catch(() => null));
  await join_(b, "r2");
  const no = await spend(() => send(b, "r2", "x"), 0, 30, began);
  assert.equal(no.code, "RATE_LIMITED");
});

test("joins, sessions of a socket, members of a session", async () => {
  const a = await d.client("joiner");
  for (const s of ["a", "b", "c"]) assert.ok((await join_(a, s)).ok);
  assert.equal((await join_(a, "d")).code, "TOO_MANY_SESSIONS");
  const b = await d.client("second");
  assert.ok((await join_(b, "a")).ok);
  const c = await d.client("third");
  const full = await join_(c, "a");
  assert.equal(full.code, "SESSION_FULL");
  assert.equal(full.retryable, true);
  const e = await d.client("eager");
  const x = await spend(() => join_(e, "only"), 10, 10);
  assert.equal(x.code, "RATE_LIMITED");
  assert.ok(x.retryAfter >= 1 && x.retryAfter <= 6);
});
