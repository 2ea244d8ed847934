'use strict';
const http = require('node:http');
const { once } = require('node:events');

const MAX_LINE = parseInt(process.env.MAX_LINE || '65536', 10);
const isObject = v => v !== null && typeof v === 'object' && !Array.isArray(v);

async function* lines(req) {
  let held = Buffer.alloc(0);
  let start = true;
  let tooLong = false;
  for await (let chunk of req) {
    if (start) {
      held = Buffer.concat([held, chunk]);
      if (held.length < 3 && held.equals(Buffer.from([0xef, 0xbb, 0xbf]).subarray(0, held.length))) continue;
      if (held[0] === 0xef && held[1] === 0xbb && held[2] === 0xbf) held = held.subarray(3);
      start = false;
      chunk = held;
      held = Buffer.alloc(0);
    }
    let pos = 0;
    for (;;) {
      const lf = chunk.indexOf(0x0a, pos);
      if (lf === -1) break;
      let line = chunk.subarray(pos, lf);
      pos = lf + 1;
      if (tooLong) { tooLong = false; yield null; continue; }
      if (held.length) { line = Buffer.concat([held, line]); held = Buffer.alloc(0); }
      if (line.length && line[line.length - 1] === 0x0d) line = line.subarray(0, -1);
      yield line.length > MAX_LINE ? null : line.toString('utf8');
    }
    if (!tooLong && pos < chunk.length) {
      held = Buffer.concat([held, chunk.subarray(pos)]);
      if (held.length > MAX_LINE) { tooLong = true; held = Buffer.alloc(0); }
    }
    yield undefined; // end of a packet
  }
  if (tooLong) yield null;
  else if (held.length) yield held.length > MAX_LINE ? null : held.toString('utf8');
}

async function transform(req, res) {
  const closed = new AbortController();
  res.once('close', () => closed.abort());
  res.on('error', () => {});
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  res.flushHeaders();
  let k = 0, ok = 0, bad = 0, out = '';
  const send = async () => {
    const text = out;
    out = '';
    if (text && !res.write(text)) {
      await once(res, 'drain', { signal: closed.signal });
    }
  };
  for await (const line of lines(req)) {
    if (line === undefined) { await send(); continue; }
    k++;
    if (line === null) { bad++; out += JSON.stringify({ error: 'line too long', line: k }) + '\n'; }
    else if (!/^[\t ]*$/.test(line)) {
      let rec, text;
      try { rec = JSON.parse(line); } catch { rec = null; }
      if (isObject(rec)) {
        try { text = JSON.stringify({ ...rec, n: k }); }
        catch { text = line.trimEnd().slice(0, -1) + ',"n":' + k + '}'; } // nested too deep
        ok++; out += text + '\n';
      } else { bad++; out += JSON.stringify({ error: 'invalid json', line: k }) + '\n'; }
    }
    if (out.length > 65536) await send();
  }
  res.end(out + JSON.stringify({ summary: { ok, bad } }) + '\n');
}

const server = http.createServer({ requestTimeout: 0 }, (req, res) => {
  const path = req.url.split('?', 1)[0];
  const json = (status, body) => { res.statusCode = status; res.setHeader('content-type', 'application/json'); res.end(JSON.stringify(body)); };
  if (path === '/health' && req.method === 'GET') json(200, { ok: true });
  else if (path === '/transform' && req.method === 'POST') transform(req, res).catch(() => res.destroy());
  else if (path === '/health' || path === '/transform') json(405, { error: 'method not allowed' });
  else json(404, { error: 'not found' });
});
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
