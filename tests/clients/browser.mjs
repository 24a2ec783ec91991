// browser.mjs - Debian's Chromium without a window, and the site that its
// pages come from; a page tells what it found by a POST to its site.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import http from "node:http";

/** Pages by path: functions that return HTML. */
export class Site {
  constructor(pages) {
    this.pages = pages;
    this.waiting = new Map();
  }

  start() {
    this.server = http.createServer((request, answer) => {
      const { pathname } = new URL(request.url, "http://x");
      if (request.method === "POST") {
        let text = "";
        request.on("data", (d) => (text += d));
        request.on("end", () => {
          answer.end();
          this.waiting.get(pathname)?.(JSON.parse(text));
        });
      } else if (this.pages[pathname]) {
        answer.setHeader("Content-Type", "text/html; charset=utf-8");
        answer.end(this.pages[pathname]());
      } else {
        answer.statusCode = 404;
        answer.end();
      }
    });
    return new Promise((done) => this.server.listen(0, "127.0.0.1", () => {
      this.port = this.server.address().port;
      done(this);
    }));
  }

  /** What the page of that path will report. */
  report(path, ms = 90000) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(
        `the page ${path} reports nothing`)), ms);
      this.waiting.set(path, (x) => {
        clearTimeout(timer);
        done(x);
      });
    });
  }

  end() {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(done));
  }
}

export class Browser {
  /** Open a page; nothing but this machine is ever asked for anything. */
  open(url) {
    this.dir = mkdtempSync(join(tmpdir(), "chatd-browser-"));
    this.log = "";
    this.process = spawn("/usr/bin/chromium", ["--headless=new",
      "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
      "--no-first-run", "--no-default-browser-check", "--disable-sync",
      "--disable-extensions", "--disable-background-networking",
      "--disable-component-update", "--disable-domain-reliability",
      "--disable-breakpad", "--metrics-recording-only", "--no-proxy-server",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, " +
        "EXCLUDE 127.0.0.1",
      "--ignore-certificate-errors", "--enable-logging=stderr",
      `--user-data-dir=${this.dir}`, url],
    // a process group of its own: all of its processes end with it
    { stdio: ["ignore", "ignore", "pipe"], detached: true });
    this.process.stderr.on("data", (d) => (this.log += d));
    this.exited = new Promise((done) => this.process.once("exit", done));
    return this;
  }

  async close() {
    try {
      process.kill(-this.process.pid, "SIGKILL");
    } catch { /* it has ended by itself */ }
    await this.exited;
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10 });
  }
}
