// modes.mjs - what the Socket.IO modes of the conformance server do.

const later = (ms) => new Promise((done) => setTimeout(done, ms));

function slowly(nsp, delay) {
  if (delay > 0)
    nsp.use((socket, next) => later(delay).then(() => next()));
}

const sio = {
  start(io, { delay }) {
    slowly(io.of("/"), delay);
    slowly(io.of("/custom"), delay);
    io.on("connection", (socket) => {
      socket.emit("auth", socket.handshake.auth);
      socket.on("message", (...args) => socket.emit("message-back", ...args));
      socket.on("message-with-ack", (...args) => args.pop()(...args));
    });
    io.of("/custom").on("connection", (socket) => {
      socket.emit("auth", socket.handshake.auth);
    });
  },
};

const edge = {
  start(io, { delay }) {
    for (const name of ["/", "/a", "/mw"]) {
      slowly(io.of(name), delay);
      io.of(name).on("connection", (socket) => {
        socket.on("big", (n) => socket.emit("bigb", "x".repeat(n)));
        socket.on("kick", (close) => socket.disconnect(close));
        socket.on("ask", (n) => {
          for (let i = 0; i < n; i++)
            socket.emit("asked", i, (...args) =>
              socket.emit("answered", i, ...args));
        });
        socket.onAny((...args) => {
          const last = args.pop();
          if (typeof last === "function") last(...args.slice(1));
        });
        // "error" is an ordinary name: nobody has to listen for it
        socket.on("error", () => {});
      });
    }
    io.of("/mw").use((socket, next) => {
      if (socket.handshake.auth.ok) return next();
      const e = new Error("not authorized");
      e.data = { content: "Please retry later" };
      next(e);
    });
  },
};

// What the official client's own tests expect of their server.
const client = {
  recovery: true,
  start(io) {
    const fail = (text) => (socket, next) => next(new Error(text));
    io.use((socket, next) => socket.handshake.query.fail !== undefined
      ? next(new Error("Auth failed (main namespace)")) : next());
    io.of("/no").use(fail("Auth failed (custom namespace)"));
    for (const name of ["/timeout_socket", "/valid", "/asd"]) io.of(name);
    io.of("/foo").on("connection", (socket) => {
      socket.on("getId", (cb) => cb(socket.id));
    });
    io.of("/abc").on("connection", (socket) => {
      socket.emit("handshake", socket.handshake);
    });
    io.on("connection", (socket) => {
      const on = (name, fn) => socket.on(name, fn);
      on("hi", () => socket.emit("hi"));
      on("echo", (arg, cb) => cb(arg));
      on("ack", () => socket.emit("ack", (a, b) => {
        if (a === 5 && b && b.test) socket.emit("got it");
      }));
      on("getAckDate", (data, cb) => cb(new Date()));
      on("getDate", () => socket.emit("takeDate", new Date()));
      on("getDateObj", () => socket.emit("takeDateObj", { date: new Date() }));
      on("getUtf8", () => {
        for (const s of ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß",
          "utf8 — string", "utf8 — string"]) socket.emit("takeUtf8", s);
      });
      on("false", () => socket.emit("false", false));
      on("doge", () => socket.emit("doge", Buffer.from("asdfasdf")));
      on("getbin", (data) => socket.emit("takebin", data));
      on("buffa", (b) => Buffer.isBuffer(b) && socket.emit("buffack"));
      on("jsonbuff", (o) => o.hello && Buffer.isBuffer(o.message) &&
        o.goodbye && socket.emit("jsonbuff-ack"));
      let first = false;
      on("abuff1", (b) => { first = Buffer.isBuffer(b); });
      on("abuff2", (s) => first && typeof s === "string" &&
        socket.emit("abuff2-ack"));
      on("blob", (b) => socket.emit("back", b));
      on("jsonblob", (o) => o.hello && Buffer.isBuffer(o.message) &&
        o.goodbye && socket.emit("jsonblob-ack"));
      let blobs = 0;
      on("blob1", (b) => { blobs = Buffer.isBuffer(b) ? 1 : 0; });
      on("blob2", (s) => { blobs = blobs === 1 && s === "second" ? 2 : 0; });
      on("blob3", (b) => blobs === 2 && Buffer.isBuffer(b) &&
        socket.emit("blob3-ack"));
      on("getHandshake", (cb) => cb(socket.handshake));
      on("getId", (cb) => cb(socket.id));
    });
  },
};

// Rooms and recovery, under the names that the daemon has for them.
const chat = {
  recovery: true,
  start(io) {
    io.use((socket, next) => {
      socket.data.user = socket.handshake.auth.userId;
      next(socket.data.user ? undefined
        : new Error("Authentication required"));
    });
    const seqs = new Map();
    io.on("connection", (socket) => {
      const room = (id) => `chat:session:${id}`;
      socket.on("chat:join-session", ({ sessionId, workspaceId }, cb) => {
        const answer = { sessionId, workspaceId, roomId: room(sessionId) };
        const there = socket.rooms.has(room(sessionId));
        socket.join([room(sessionId), `chat:workspace:${workspaceId}`]);
        socket.emit("chat:join-session-success", answer);
        if (!there)
          socket.to(room(sessionId)).emit("chat:user-joined",
            { sessionId, userId: socket.data.user, socketId: socket.id });
        cb?.({ ok: true, ...answer });
      });
      socket.on("chat:leave-session", ({ sessionId }, cb) => {
        socket.leave(room(sessionId));
        cb?.({ ok: true, sessionId });
      });
      socket.on("chat:typing", ({ sessionId, isTyping }, cb) => {
        socket.to(room(sessionId)).volatile.emit("chat:typing-indicator",
          { sessionId, userId: socket.data.user, isTyping });
        cb?.({ ok: true });
      });
      socket.on("chat:send-message", ({ message }, cb) => {
        const { sessionId } = message;
        const seq = (seqs.get(sessionId) ?? 0) + 1;
        seqs.set(sessionId, seq);
        const m = { ...message, seq, userId: socket.data.user };
        socket.to(room(sessionId)).emit("chat:message-received", m);
        socket.emit("chat:message-sent",
          { messageId: message.id, sessionId, seq });
        cb?.({ ok: true, messageId: message.id, sessionId, seq });
      });
    });
  },
};

export const modes = { sio, edge, client, chat };
