import http from 'node:http';
import { Transform, pipeline } from 'node:stream';

const MAX_LINE = Number(process.env.MAX_LINE || 65536);

class Numberer extends Transform {
  constructor() {
    super();
    this.parts = []; this.size = 0; this.skip = false;
    this.line = 0; this.ok = 0; this.bad = 0; 
  }
  _transform(chunk, _enc, cb) {
    let out = '', from = 0, at;
    while ((at = chunk.indexOf(10, from)) >= 0) {
      out += this.finish(chunk.subarray(from, at));
      from = at + 1;
    }
    this.keep(chunk.subarray(from));
    if (out) this.push(out);
    cb();
  }
  keep(part) {
    if (!part.length || this.skip) return;
    this.parts.push(Buffer.from(part)); this.size += part.length;
    if (this.size > MAX_LINE + 4) { this.skip = true; this.parts = []; this.size = 0; }
    else if (this.parts.length > 512) this.parts = [Buffer.concat(this.parts)];
  }
  finish(last) {
    this.keep(last);
    const skip = this.skip;
    let line = Buffer.concat(this.parts);
    this.parts = []; this.size = 0; this.skip = false;
    const k = ++this.line;
    if (skip) { this.bad++; return `{"error":"line too long","line":${k}}\n`; }
    if (k === 1 && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf) line = line.subarray(3);
    if (line.at(-1) === 13) line = line.subarray(0, -1);
    if (line.length > MAX_LINE) { this.bad++; return `{"error":"line too long","line":${k}}\n`; }
    const text = line.toString();
    if (text.trim() === '') return '';
    let value;
    try { value = JSON.parse(text); } catch { /* below */ }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.bad++;
      return `{"error":"invalid json","line":${k}}\n`;
    }
    value.n = k;
    let s;
    try { s = JSON.stringify(value); } catch { // too deep for JSON.stringify
      delete value.n;
      s = text.trimEnd().slice(0, -1) + `,"n":${k}}`; 
    }
    this.ok++;
    return s + '\n';
  }
  _flush(cb) {
    let out = '';
    if (this.size || this.skip) out = this.finish(Buffer.alloc(0));
    cb(null, out + JSON.stringify({ summary: { ok: this.ok, bad: this.bad } }) + '\n');
  }
}

const server = http.createServer((req, res) => {
  const { pathname } = new URL(req.url.replace(/^\/+/, '/'), 'http://x');
  const fail = (code, error) => { res.writeHead(code, { 'content-type': 'application/json' }); res.end(JSON.stringify({ error })); };
  if (pathname === '/health') return req.method === 'GET' ? res.end('ok') : fail(405, 'method not allowed');
  if (pathname !== '/transform') return fail(404, 'not found');
  if (req.method !== 'POST') return fail(405, 'method not allowed');
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  pipeline(req, new Numberer(), res, err => { if (err) req.socket?.destroy(); });
});
server.requestTimeout = 0;
server.listen(process.env.PORT, '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));
