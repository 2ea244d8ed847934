// looplab-canary-json-echo-solutions-8fffc451
// Plain node:http, types stripped. The text is checked with JSON.parse, but what goes back is the text itself, letter by letter.
import { createServer, STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const PORT: number = Number(process.env.PORT);
const MAX_BODY: number = Number(process.env.MAX_BODY || 102400);
const JSON_TYPE = 'application/json; charset=utf-8';

class Refusal extends Error {
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(status: number, detail: string, headers: Record<string, string> = {}) {
    super(detail);
    this.status = status;
    this.headers = headers;
  }
}

/** A buffer that grows by doubling and never beyond the limit. */
class Sink {
  #store: Buffer = Buffer.allocUnsafeSlow(Math.min(4096, MAX_BODY));
  #used = 0;

  /** false: it would be too much */
  take(piece: Buffer): boolean {
    const wanted = this.#used + piece.length;
    if (wanted > MAX_BODY) return false;
    if (wanted > this.#store.length) {
      const bigger = Buffer.allocUnsafeSlow(Math.min(MAX_BODY, Math.max(wanted, this.#store.length * 2)));
      this.#store.copy(bigger, 0, 0, this.#used);
      this.#store = bigger;
    }
    piece.copy(this.#store, this.#used);
    this.#used = wanted;
    return true;
  }

  get bytes(): Buffer {
    return this.#store.subarray(0, this.#used);
  }
}

function collect(req: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const tooMuch = () => new Refusal(413, `At most ${MAX_BODY} bytes are accepted.`);
    if (Number(req.headers['content-length'] ?? 0) > MAX_BODY) return reject(tooMuch());
    const sink = new Sink();
    const onData = (piece: Buffer) => {
      if (sink.take(piece)) return;
      req.off('data', onData);
      reject(tooMuch());
    };
    req.on('data', onData);
    req.once('end', () => resolve(sink.bytes));
    req.once('close', () => reject(new Refusal(400, 'The body broke off.')));
  });
}

function requireJsonType(header: string | undefined): void {
  if (header === undefined) throw new Refusal(400, 'There is no content-type.');
  const [type, ...params] = header.split(';');
  if (type.trim().toLowerCase() !== 'application/json') throw new Refusal(415, 'Only application/json is read here.');
  for (const p of params) {
    const m = /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/i.exec(p);
    if (m && !/^(utf-?8|us-ascii)$/i.test(m[1])) throw new Refusal(415, 'Only UTF-8 is read here.');
  }
}

async function echo(req: IncomingMessage): Promise<string> {
  requireJsonType(req.headers['content-type']);
  const body = await collect(req);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    JSON.parse(text);
  } catch {
    throw new Refusal(400, body.length ? 'That is no JSON text.' : 'The body is empty.');
  }
  return `{"received":${text},"bytes":${body.length}}\n`;
}

function answer(res: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  if (res.headersSent || res.destroyed) return;
  res.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': String(Buffer.byteLength(body)), ...headers });
  res.end(res.req.method === 'HEAD' ? undefined : body);
}

function refuse(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
  const { status, message, headers } = refusal;
  const body = JSON.stringify({ status, title: STATUS_CODES[status], detail: message });
  const hasBody = 'transfer-encoding' in req.headers || Number(req.headers['content-length'] ?? 0) > 0;
  if (!hasBody || req.complete) return answer(res, status, body, headers);
  // The whole answer goes out now. The connection is closed when the rest has come, or 2 MB or a second later.
  if (res.headersSent || res.destroyed) return;
  res.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': String(Buffer.byteLength(body)), ...headers, connection: 'close' });
  if (req.method !== 'HEAD') res.write(body);
  const end = () => { clearTimeout(timer); res.end(); };
  const timer = setTimeout(end, 1000);
  let patience = 2_000_000;
  req.on('data', (piece: Buffer) => { if ((patience -= piece.length) < 0) end(); });
  req.once('end', end);
  req.once('close', end);
  req.resume();
}

async function route(req: IncomingMessage, res: ServerResponse): Promise<void> {
  req.on('error', () => {});
  res.on('error', () => {});
  try {
    const path = req.url ?? '';
    if (path === '/health') {
      if (req.method !== 'GET' && req.method !== 'HEAD') throw new Refusal(405, 'Only GET.', { allow: 'GET, HEAD' });
      res.writeHead(200, { 'content-type': 'text/plain' });
      res.end('fine\n');
      return;
    }
    if (path !== '/echo') throw new Refusal(404, 'There is nothing here.');
    if (req.method !== 'POST') throw new Refusal(405, 'Only POST.', { allow: 'POST' });
    answer(res, 200, await echo(req));
  } catch (e) {
    refuse(req, res, e instanceof Refusal ? e : new Refusal(500, 'Something went wrong.'));
  }
}

const server = createServer(route);
server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => {
  if (!(Number(req.headers['content-length'] ?? 0) > MAX_BODY)) res.writeContinue();
  void route(req, res);
});
server.on('clientError', (_e: Error, socket: Socket) => {
  if (!socket.writable) return void socket.destroy();
  const body = '{"status":400,"title":"Bad Request","detail":"That is no HTTP request."}';
  socket.end(`HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
});
server.listen(PORT, '::1');
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
