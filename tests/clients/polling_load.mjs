#!/usr/bin/env node
// Copyright (c) 2026 The chatd authors
// SPDX-License-Identifier: ISC
//
// polling_load.mjs - 500 sessions that poll, through nginx with upstream
// keep-alive, over 4 workers: nothing is sticky, every request of a session
// may reach another worker, and no message is lost or comes twice.
//
//   polling_load.mjs [--requests N] [--sessions N] [--seconds N]
//
// The load generator (tests/bench/load) verifies what each member got and
// compares it with the history.  Then the same once more without nginx, where
// the sessions share their connections to the daemon: what nginx does, worse.
// At last nginx again, while connections are cut and workers killed.
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { resolve } from "node:path";
import { Daemon, sleep } from "../system/daemon.mjs";
import { Nginx } from "./proxies.mjs";
import { ROOT, freePort } from "./stock.mjs";

const LOAD = resolve(ROOT, process.env.LOAD ?? "build/bench/load");
const MEMBERS = 10;

const { values } = parseArgs({ options: {
  requests: { type: "string", default: "200000" },
  sessions: { type: "string", default: "500" },
} });
const requests = Number(values.requests);
const rooms = Math.ceil(Number(values.sessions) / MEMBERS);

let passed = 0, failed = 0;

function check(fine, what) {
  if (fine) passed++;
  else {
    failed++;
    console.log(`failed: ${what}`);
  }
}

function load(address, ...more) {
  return new Promise((done, fail) => {
    const p = spawn(LOAD, ["--json", "--transport", "polling",
      "--members", MEMBERS, "--warmup", 0, "--history", "--grace", 60,
      ...more, address].map(String), { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    p.stdout.on("data", (d) => (out += d));
    p.on("error", fail);
    p.on("close", (code) => {
      if (out === "") fail(new Error(`load ended with ${code}`));
      else done(JSON.parse(out));
    });
  });
}

/** A counter of chatctl stats; 0 if it never counted. */
async function counter(d, name) {
  const doc = await d.ctl("stats", name);
  const find = (x) => {
    if (x === null || typeof x !== "object") return undefined;
    if (x.name === name) return x.value;
    if (typeof x[name] === "number") return x[name];
    for (const y of Object.values(x)) {
      const n = find(y);
      if (n !== undefined) return n;
    }
    return undefined;
  };
  return find(doc) ?? 0;
}

async function run(title, through, ...more) {
  const d = new Daemon({ workers: 4, trusted_proxies: "127.0.0.1" });
  let nginx;
  try {
    d.port = await freePort();
    await d.start();
    let address = `127.0.0.1:${d.port}`;
    if (through) {
      nginx = await new Nginx({ to: address, tls: false }).start();
      address = `127.0.0.1:${nginx.port}`;
    }
    const r = await load(address, "--rooms", rooms, "--window", 2,
      "--requests", requests, ...more);
    const [handed, unknown, accepted, served] = await Promise.all(
      ["handoffs", "sid_unknown", "accepted", "requests"]
        .map((name) => counter(d, name)));
    const t = r.total;
    console.log(`${title}: ${t.requests} requests, ` +
      `${Math.round(r.requests_per_s)}/s, ${t.sent} messages, ` +
      `${t.deliveries} deliveries, sent after p50 ` +
      `${r.sent_us.p50 / 1000} ms, p99 ${r.sent_us.p99 / 1000} ms; ` +
      `daemon: ${accepted} connections, ${handed} handoffs, ` +
      `${unknown} unknown sessions; ${r.violations.total} violations`);
    check(r.violations.total === 0,
      `${title}: ${JSON.stringify(r.violations)}`);
    check(t.requests >= requests, `${title}: ${t.requests} requests`);
    check(unknown === 0, `${title}: ${unknown} sessions were unknown`);
    check(t.acked === t.sent && t.deliveries === t.sent * (MEMBERS - 1),
      `${title}: ${t.acked} of ${t.sent} acknowledged, ` +
      `${t.deliveries} deliveries`);
    check(t.history_messages === 2 * t.sent,
      `${title}: history has ${t.history_messages / 2} of ${t.sent}`);
    // the test shows something only if requests came to the wrong workers,
    // over connections that carried many
    check(handed > requests / 20, `${title}: only ${handed} handoffs`);
    check(accepted < served / 5,
      `${title}: ${accepted} connections for ${served} requests`);
    check(Object.keys(d.roles().workers).length === 4 &&
      await counter(d, "worker_restarts") === 0, `${title}: a worker died`);
  } finally {
    await nginx?.end();
    await d.end();
  }
}

/** Sessions end all the time, through nginx, and nothing is lost. */
async function storm(kills) {
  const d = new Daemon({ workers: 4, trusted_proxies: "127.0.0.1" });
  let nginx;
  try {
    await d.start();
    nginx = await new Nginx({ to: `127.0.0.1:${d.port}`, tls: false }).start();
    const loaded = load(`127.0.0.1:${nginx.port}`, "--rooms", 10, "--rate",
      200, "--seconds", 2 + 2 * kills, "--reconnect", "--recover",
      "--cut", 20);
    for (let i = 0; i < kills; i++) {
      await sleep(2000);
      const pids = Object.values(d.roles().workers);
      process.kill(pids[i % pids.length], "SIGKILL");
    }
    const r = await loaded, t = r.total;
    const restarts = await counter(d, "worker_restarts");
    console.log(`nginx, ${t.cuts} cuts, ${restarts} workers killed: ` +
      `${t.sent} messages, ${t.deliveries} deliveries, ${t.recovered} ` +
      `recovered, ${t.unrecovered} not; ${r.violations.total} violations`);
    check(r.violations.total === 0, JSON.stringify(r.violations));
    check(restarts === kills, `${restarts} of ${kills} workers were killed`);
    check(t.recovered > t.cuts * 0.8 &&
      t.recovered >= 0.999 * (t.recovered + t.unrecovered),
    `${t.recovered} recovered, ${t.unrecovered} not`);
    check(t.acked === t.sent && t.deliveries === t.sent * (MEMBERS - 1),
      `${t.acked} of ${t.sent} acknowledged, ${t.deliveries} deliveries`);
  } finally {
    await nginx?.end();
    await d.end();
  }
}

await run("nginx", true);
await run("shared connections", false, "--mix");
await storm(5);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
