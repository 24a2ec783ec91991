// Sessions that were lost because the worker was killed are joined again for
// nothing, also by a client that does not recover.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { Daemon, join_, next, spend, until, workerOf } from "./daemon.mjs";

const SESSIONS = 10;
const d = new Daemon({ "limits.join_rate": SESSIONS });
before(() => d.start());
after(() => d.end());

async function present(i) {
  return (await d.ctl("presence", `w1/lost${i}`)).presence.length > 0;
}

test("who dies takes no joins along", { timeout: 120000 }, async () => {
  const began = Date.now();
  let s = await d.client("unlucky");
  for (let i = 0; i < SESSIONS; i++)
    assert.ok((await join_(s, `lost${i}`)).ok);
  assert.ok(await present(0));
  const no = await spend((i) => join_(s, `more${i}`), 0, SESSIONS, began);
  assert.equal(no.code, "RATE_LIMITED");
  for (let round = 0; round < 3; round++) {
    const worker = workerOf(s);
    const gone = next(s, "disconnect");
    process.kill(d.roles().workers[worker], "SIGKILL");
    await gone;
    for (let i = 0; i < SESSIONS; i++)
      // the other one may not be back yet, and then there is nobody to ask
      await until(async () => !await present(i).catch(() => true));
    s = await d.clientOn(1 - worker, "unlucky");
    for (let i = 0; i < SESSIONS; i++) {
      const answer = await join_(s, `lost${i}`);
      assert.ok(answer.ok, `${round} ${i}: ${answer.code}`);
    }
  }
});
