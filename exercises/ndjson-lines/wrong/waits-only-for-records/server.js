import express from 'express';
import { once } from 'node:events';

const MAX_LINE = Number(process.env.MAX_LINE ?? 65536);
const app = express();
app.disable('x-powered-by');

app.get('/health', (req, res) => { res.json({ ok: true }); });

app.post('/transform', async (req, res) => {
  res.status(200).set('content-type', 'application/x-ndjson');
  res.flushHeaders();
  res.on('error', () => {});
  const closed = new AbortController();
  res.on('close', () => closed.abort());

  let number = 0, ok = 0, bad = 0;
  let notes = '';          // answers to bad lines, sent with the next record or at the end of the packet
  let rest = [], restLength = 0, overflow = false;

  const fail = (error, line) => {
    bad++;
    notes += `{"error":"${error}","line":${line}}\n`;
  };
  const answer = async bytes => {
    number++;
    if (number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    if (bytes.at(-1) === 13) bytes = bytes.subarray(0, -1);
    if (overflow || bytes.length > MAX_LINE) { overflow = false; return fail('line too long', number); }
    if (bytes.every(b => b === 32 || b === 9)) return;
    const text = bytes.toString();
    let record;
    try { record = JSON.parse(text); } catch { return fail('invalid json', number); }
    if (record === null || typeof record !== 'object' || Array.isArray(record)) return fail('invalid json', number);
    record.n = number;
    let json;
    try { json = JSON.stringify(record); } catch { json = `${text.trimEnd().slice(0, -1)},"n":${number}}`; }
    ok++;
    const data = notes + json + '\n';
    notes = '';
    if (!res.write(data)) await once(res, 'drain', { signal: closed.signal });
  };

  try {
    for await (const chunk of req) {
      let start = 0;
      for (let lf = chunk.indexOf(10); lf !== -1; lf = chunk.indexOf(10, start)) {
        const piece = chunk.subarray(start, lf);
        start = lf + 1;
        const bytes = restLength ? Buffer.concat([...rest, piece]) : piece;
        rest = []; restLength = 0;
        await answer(bytes);
      }
      if (notes) { res.write(notes); notes = ''; }
      if (overflow || start === chunk.length) continue;
      rest.push(chunk.subarray(start)); restLength += chunk.length - start;
      if (restLength > MAX_LINE + 4) { overflow = true; rest = []; restLength = 0; }  // room for CR and BOM
    }
    if (restLength || overflow) await answer(Buffer.concat(rest));
    res.end(`${notes}{"summary":{"ok":${ok},"bad":${bad}}}\n`);
  } catch {
    res.destroy();
  }
});

app.all(['/health', '/transform'], (req, res) => { res.status(405).json({ error: 'method not allowed' }); });
app.use((req, res) => { res.status(404).json({ error: 'not found' }); });
app.use((err, req, res, next) => { res.status(err.status ?? 500).json({ error: 'bad request' }); });

const server = app.listen(Number(process.env.PORT));
server.requestTimeout = 0;
process.on('SIGTERM', () => process.exit(0));
