// proxies.mjs - Debian's nginx and HAProxy in a temporary directory, with
// the samples of etc/ and only addresses, paths and certificates replaced.
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync }
  from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT, freePort } from "./stock.mjs";

/** Replace all of 'what' in the sample; it has to be there. */
function replace(text, rows) {
  for (const [what, by] of rows) {
    if (!text.includes(what)) throw new Error(`the sample has no ${what}`);
    text = text.replaceAll(what, by);
  }
  return text;
}

class Proxy {
  constructor(name) {
    this.name = name;
    this.dir = mkdtempSync(join(tmpdir(), `chatd-${name}-`));
    chmodSync(this.dir, 0o755);
    this.log = "";
  }

  async prepare() {
    this.port = await freePort();
    this.plain = await freePort();
    this.url = `https://127.0.0.1:${this.port}`;
    this.key = join(this.dir, "key.pem");
    this.cert = join(this.dir, "cert.pem");
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", this.key,
      "-out", this.cert, "-subj", "/CN=localhost", "-addext",
      "subjectAltName=DNS:localhost,IP:127.0.0.1"], { stdio: "pipe" });
    this.ca = readFileSync(this.cert);
  }

  /** What a client of this proxy needs besides the address. */
  get options() {
    return { ca: this.ca };
  }

  async run(command, args) {
    this.process = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const out of [this.process.stdout, this.process.stderr])
      out.on("data", (d) => (this.log += d));
    let gone = false;
    this.exited = new Promise((done) => this.process.once("exit", (code) => {
      gone = true;
      done(code);
    }));
    for (let i = 0; i < 200; i++) {
      if (gone) break;
      if (await listens(this.port)) return this;
      await sleep(25);
    }
    throw new Error(`${this.name} does not start: ${this.log}`);
  }

  /** As when it is killed: all connections are gone at once. */
  async restart() {
    this.process.kill(this.name === "nginx" ? "SIGTERM" : "SIGKILL");
    await this.exited;
    return this.start();
  }

  async end() {
    if (this.process) {
      this.process.kill("SIGTERM");
      await this.exited;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** options: to (host:port or unix:/path), tls: false for plain HTTP */
export class Nginx extends Proxy {
  constructor(options) {
    super("nginx");
    this.to = options.to;
    this.tls = options.tls ?? true;
  }

  async start() {
    if (!this.port) await this.prepare();
    const sample = readFileSync(join(ROOT, "etc/nginx/chatd.conf"), "utf8");
    writeFileSync(join(this.dir, "chatd.conf"), replace(sample, [
      ["server 127.0.0.1:3002;", `server ${this.to};`],
      ["\tlisten [::]:80;\n", ""],
      ["\tlisten [::]:443 ssl http2;\n", ""],
      ["listen 80;", `listen 127.0.0.1:${this.plain};`],
      ["listen 443 ssl http2;",
        `listen 127.0.0.1:${this.port}${this.tls ? " ssl http2" : ""};`],
      ["/etc/ssl/chat.example.com.pem", this.cert],
      ["/etc/ssl/private/chat.example.com.key", this.key],
      ["chat.example.com", "localhost"],
    ]));
    if (!this.tls) this.url = `http://127.0.0.1:${this.port}`;
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((x) => `${x}_temp_path ${this.dir}/${x};`).join(" ");
    writeFileSync(join(this.dir, "nginx.conf"), `daemon off;
      user root; worker_processes 2; pid ${this.dir}/pid;
      worker_rlimit_nofile 16384;
      error_log stderr error; events { worker_connections 8000; }
      http { access_log off; ${temporary} include ${this.dir}/chatd.conf; }`);
    return this.run("/usr/sbin/nginx",
      ["-p", this.dir, "-c", join(this.dir, "nginx.conf")]);
  }
}

/** options: to (host:port or unix@/path): a listener with ?proxy */
export class Haproxy extends Proxy {
  constructor(options) {
    super("haproxy");
    this.to = options.to;
  }

  async start() {
    if (!this.port) await this.prepare();
    const both = join(this.dir, "both.pem");
    writeFileSync(both, Buffer.concat([readFileSync(this.key), this.ca]),
      { mode: 0o600 });
    const sample = readFileSync(join(ROOT, "etc/haproxy/chatd.cfg"), "utf8");
    const config = join(this.dir, "haproxy.cfg");
    writeFileSync(config, replace(sample, [
      ["server chatd 127.0.0.1:3004 ", `server chatd ${this.to} `],
      ["bind :443 ", `bind 127.0.0.1:${this.port} `],
      ["bind :80\n", `bind 127.0.0.1:${this.plain}\n`],
      ["maxconn 100000", "maxconn 4000"],
      ["/etc/haproxy/chat.example.com.pem", both],
    ]));
    return this.run("/usr/sbin/haproxy", ["-db", "-f", config]);
  }
}

function listens(port) {
  return new Promise((done) => {
    const s = net.connect(port, "127.0.0.1");
    s.on("connect", () => {
      s.destroy();
      done(true);
    });
    s.on("error", () => done(false));
  });
}
