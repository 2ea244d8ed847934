// looplab-canary-ndjson-lines-solutions-18a6e3c0
// plain node:http; byte state machine; answers are collected and flushed by a throttle timer (<= 250 ms)
import http from 'node:http';

const MAX = Number(process.env.MAX_LINE ?? 65536);
const LF = 10, CR = 13, SP = 32, TAB = 9;
const BOM = [0xef, 0xbb, 0xbf];

class LineCutter {
  #buf = Buffer.allocUnsafe(1024);
  #len = 0;
  #over = false;       // certain that the line is too long
  #blank = true;       // only spaces and tabs so far (used for lines that are too long)
  #bomAt = 0;          // how many BOM bytes have been matched, -1: settled
  line = 0;

  *feed(chunk) {
    let i = 0;
    while (this.#bomAt >= 0 && i < chunk.length) {
      if (chunk[i] === BOM[this.#bomAt]) {
        i++;
        if (++this.#bomAt === 3) this.#bomAt = -1;
      } else {
        const k = this.#bomAt;
        this.#bomAt = -1;
        this.#add(Buffer.from(BOM.slice(0, k)));
      }
    }
    while (i < chunk.length) {
      const e = chunk.indexOf(LF, i);
      if (e < 0) { this.#add(chunk.subarray(i)); return; }
      this.#add(chunk.subarray(i, e));
      i = e + 1;
      yield this.#take();
    }
  }

  *end() {
    if (this.#bomAt > 0) { const k = this.#bomAt; this.#bomAt = -1; this.#add(Buffer.from(BOM.slice(0, k))); }
    if (this.#len || this.#over) yield this.#take();
  }

  #add(part) {
    if (this.#over) { this.#scan(part); return; }
    const want = this.#len + part.length;
    if (want > MAX + 1) {
      // even if the last byte were a CR before the LF, there are more than MAX bytes ... unless want-1 == MAX
      this.#over = true;
      this.#scan(this.#buf.subarray(0, this.#len));
      this.#scan(part);
      this.#buf = Buffer.allocUnsafe(1024);
      this.#len = 0;
      return;
    }
    if (want > this.#buf.length) {
      const bigger = Buffer.allocUnsafe(Math.min(MAX + 1, Math.max(want, this.#buf.length * 2)));
      this.#buf.copy(bigger, 0, 0, this.#len);
      this.#buf = bigger;
    }
    part.copy(this.#buf, this.#len);
    this.#len = want;
  }

  #scan(part) {
    for (let i = 0; this.#blank && i < part.length; i++)
      if (part[i] !== SP && part[i] !== TAB && part[i] !== CR) this.#blank = false;
  }

  #take() {
    let n = this.#len;
    if (n && this.#buf[n - 1] === CR) n--;
    let out;
    this.line++;
    if (this.#over) out = this.#blank ? '' : null;
    else if (n > MAX) { this.#scan(this.#buf.subarray(0, n)); out = this.#blank ? '' : null; }
    else out = this.#buf.toString('utf8', 0, n);
    this.#len = 0; this.#over = false; this.#blank = true;
    return out;     // null: too long
  }
}

// JSON.stringify is recursive and gives up at some thousand levels; JSON.parse is not.
function write(value) {
  try { return JSON.stringify(value); } catch (e) { if (!(e instanceof RangeError)) throw e; }
  const out = [], todo = [value];
  const RAW = Symbol();
  while (todo.length) {
    const v = todo.pop();
    if (v !== null && typeof v === 'object' && v[RAW] === undefined) {
      if (Array.isArray(v)) {
        out.push('[');
        todo.push({ [RAW]: ']' });
        for (let i = v.length - 1; i >= 0; i--) { todo.push(v[i]); if (i) todo.push({ [RAW]: ',' }); }
      } else {
        out.push('{');
        todo.push({ [RAW]: '}' });
        const ks = Object.keys(v);
        for (let i = ks.length - 1; i >= 0; i--) todo.push(v[ks[i]], { [RAW]: (i ? ',' : '') + JSON.stringify(ks[i]) + ':' });
      }
    } else out.push(v !== null && typeof v === 'object' ? v[RAW] : JSON.stringify(v));
  }
  return out.join('');
}

class Job {
  ok = 0; bad = 0; text = ''; timer = null;
  constructor(res) { this.res = res; }

  answer(s, k) {
    if (s === null) { this.bad++; this.text += `{"error":"line too long","line":${k}}\n`; return; }
    if (/^[ \t]*$/.test(s)) return;
    let v;
    if (s.charCodeAt(0) !== 0xfeff) { try { v = JSON.parse(s); } catch { /* bad */ } }
    if (v === null || typeof v !== 'object' || Array.isArray(v)) {
      this.bad++; this.text += `{"error":"invalid json","line":${k}}\n`; return;
    }
    v.n = k;
    this.ok++; this.text += write(v) + '\n';
  }

  flush() {
    clearTimeout(this.timer); this.timer = null;
    if (this.text && !this.res.destroyed) { const t = this.text; this.text = ''; this.res.write(t); }
  }

  room() {
    const { res } = this;
    if (!res.writableNeedDrain || res.destroyed) return;
    return new Promise(go => {
      const done = () => { res.off('drain', done); res.off('close', done); go(); };
      res.on('drain', done); res.on('close', done);
    });
  }

  async run(req) {
    const cut = new LineCutter();
    for await (const chunk of req) {
      for (const s of cut.feed(chunk)) {
        this.answer(s, cut.line);
        if (this.text.length > 32768) { this.flush(); await this.room(); if (this.res.destroyed) return; }
      }
      if (this.text && !this.timer) this.timer = setTimeout(() => this.flush(), 250);
      await this.room();
    }
    for (const s of cut.end()) this.answer(s, cut.line);
    this.text += `{"summary":{"ok":${this.ok},"bad":${this.bad}}}\n`;
    this.flush();
    this.res.end();
  }
}

function problem(res, status, message) {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message, code: status } }));
}

const server = http.createServer({ requestTimeout: 0, headersTimeout: 60000 }, async (req, res) => {
  const path = req.url.split('?')[0];
  if (path === '/health') {
    if (req.method !== 'GET') return problem(res, 405, 'GET only');
    return res.writeHead(200, { 'content-type': 'text/plain' }).end('fine\n');
  }
  if (path !== '/transform') return problem(res, 404, 'nothing here');
  if (req.method !== 'POST') return problem(res, 405, 'POST only');
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  res.on('error', () => {});
  const job = new Job(res);
  try { await job.run(req); } catch { res.destroy(); req.destroy(); } finally { clearTimeout(job.timer); }
});
server.timeout = 0;
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
