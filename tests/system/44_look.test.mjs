// What chatctl shows of sessions and users, as documents and as tables.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, ask, join_, send, spend, until } from "./daemon.mjs";

const d = new Daemon({ "limits.message_rate": 30 });
let ada, ada2, bob;
before(async () => {
  await d.start();
  ada = await d.clientOn(0, "ada");
  ada2 = await d.clientOn(1, "ada");
  bob = await d.client("bob\u202e|x", { auth: { userName: "Bob" } });
  for (const s of [ada, ada2, bob]) await join_(s, "s1");
  await join_(bob, "s1", { workspaceId: "w2" });
  await join_(bob, "s2", { workspaceId: "w2" });
  for (let i = 0; i < 3; i++) await send(ada, "s1", "hello");
  await ask(ada2, "chat:update-presence", { sessionId: "s1", status: "idle" });
});
after(() => d.end());

test("workspaces and sessions", async () => {
  const { workspaces } = await d.ctl("workspaces");
  assert.deepEqual(workspaces.sort((a, b) => a.workspace < b.workspace ? -1 : 1),
    [{ workspace: "w1", sessions: 1, sockets: 3 },
      { workspace: "w2", sessions: 1, sockets: 1 }]);
  const { sessions } = await d.ctl("sessions");
  assert.deepEqual(sessions.map((s) => `${s.workspace}/${s.session}`),
    ["w1/s1", "w2/s2"]);
  assert.equal(sessions[0].last_seq, 3);
  assert.equal(sessions[0].sockets, 3);
  assert.equal(sessions[0].status, "active");
  const of = await d.ctl("sessions", "w2");
  assert.equal(of.sessions.length, 1);
  assert.equal(of.sessions[0].session, "s2");
  assert.deepEqual((await d.ctl("sessions", "w3")).sessions, []);
});

test("one session, its members, its sockets", async () => {
  const s = await d.ctl("session", "show", "w1/s1");
  assert.equal(s.last_seq, 3);
  assert.equal(s.sockets, 3);
  const { members } = await d.ctl("members", "w1/s1");
  assert.deepEqual(members.map((m) => [m.user, m.name, m.sockets]),
    [["ada", "ada", 2], ["bob\u202e|x", "Bob", 1]]);
  const { presence } = await d.ctl("presence", "w1/s1");
  assert.deepEqual(presence.map((p) => p.socket).sort(),
    [ada, ada2, bob].map((x) => x.id).sort());
  assert.equal(presence.find((p) => p.socket === ada2.id).status, "idle");
  for (const what of ["members", "presence"]) {
    await assert.rejects(d.ctl(what, "w1/none"), /no such session/);
    await assert.rejects(d.ctl(what, "none"), /workspace\/session/);
  }
  await assert.rejects(d.ctl("session", "show", "w2/none"), /no such session/);
});

test("users, who is here and who was", async () => {
  const gone = await d.client("gone");
  await join_(gone, "s1");
  gone.disconnect();
  await until(async () => (await d.ctl("users")).users.length === 2);
  const { users } = await d.ctl("users", "--all");
  assert.deepEqual(users.map((u) => [u.user, u.connections]),
    [["ada", 2], ["bob\u202e|x", 1], ["gone", 0]]);
  const u = await d.ctl("user", "show", "ada");
  assert.equal(u.connections, 2);
  assert.equal(u.sessions.length, 2);
  assert.ok(u.sessions.every((s) => s.workspace === "w1"));
  assert.ok(!("banned_until_at_ms" in u));
  await d.ctl("mute", "ada", "--for", "1h");
  // any worker may answer
  await until(async () =>
    (await d.ctl("user", "show", "ada")).muted_until_at_ms > Date.now());
  await d.ctl("unmute", "ada");
  await assert.rejects(d.ctl("user", "show", "nobody"), /no such user/);
  // banned before it ever came
  await d.ctl("ban", "nobody");
  await until(async () => (await d.ctl("user", "show", "nobody")
    .catch(() => ({}))).banned_until_at_ms === 0);
  await d.ctl("unban", "nobody");
  await until(() => d.ctl("user", "show", "nobody").then(() => false, () => true));
});

test("what a user has left", async () => {
  const all = await d.ctl("limits");
  assert.equal(all.rates.find((r) => r.rate === "message").a_minute, 30);
  assert.equal(all.overload, 0);
  const eve = await d.client("eve");
  await join_(eve, "e");
  const began = Date.now();
  // what comes back in the meantime
  const back = () => Math.floor((Date.now() - began + 100) / 2000);
  for (let i = 0; i < 10; i++) await send(eve, "e", "x");
  const message = async () => (await d.ctl("limits", "eve")).rates
    .find((r) => r.rate === "message");
  let m = await message();
  assert.ok(m.left >= 20 && m.left <= 20 + back(), `${m.left}`);
  assert.equal(m.retry_after_s, 0);
  await spend(() => send(eve, "e", "x"), 20, 30, began);
  // nothing, as long as nothing has come back
  await until(async () => {
    await send(eve, "e", "x");
    m = await message();
    return m.left === 0;
  });
  assert.ok(m.retry_after_s >= 1);
  assert.ok((await d.ctl("limits", "eve")).refusals >= 1);
  await assert.rejects(d.ctl("limits", "stranger"), /not connected/);
});

test("as many sessions and sockets as need several pages", async () => {
  const many = [];
  for (let i = 0; i < 30; i++) many.push(await d.client(`m${i % 7}`));
  for (let k = 0; k < 20; k++)
    await Promise.all(many.map((s, i) =>
      join_(s, `page-${k}-${i}`, { workspaceId: "many" })));
  const { sessions } = await d.ctl("sessions", "many");
  assert.equal(sessions.length, 600);
  assert.equal(new Set(sessions.map((s) => s.session)).size, 600);
  const crowd = [];
  for (let i = 0; i < 520; i++) crowd.push(d.client(`c${i % 100}`));
  await Promise.all((await Promise.all(crowd)).map((s) =>
    join_(s, "crowd", { workspaceId: "many" })));
  const { presence } = await d.ctl("presence", "many/crowd");
  assert.equal(presence.length, 520);
  assert.equal(new Set(presence.map((p) => p.socket)).size, 520);
  const { members } = await d.ctl("members", "many/crowd");
  assert.equal(members.length, 100);
  assert.equal(members.reduce((n, m) => n + m.sockets, 0), 520);
});
