// looplab-canary-json-echo-solutions-8fffc451
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

const port = Number(process.env.PORT ?? 3000);
const maxBody = Number(process.env.MAX_BODY ?? 102_400);

type Outcome = { status: number; json: string };

const refusal = (status: number, message: string): Outcome => ({ status, json: JSON.stringify({ error: { message } }) });

/** The text of a body and its size in bytes, or undefined as soon as it has more bytes than allowed. */
async function readText(body: ReadableStream<Uint8Array>): Promise<{ text: string; bytes: number } | undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const reader = body.getReader();
  let text = '';
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), bytes };
    bytes += value.byteLength;
    if (bytes > maxBody) return undefined;
    text += decoder.decode(value, { stream: true });
  }
}

async function echo(req: IncomingMessage): Promise<Outcome> {
  const [type = ''] = (req.headers['content-type'] ?? '').split(';');
  if (type.trim().toLowerCase() !== 'application/json') return refusal(415, 'This is not declared as JSON.');
  try {
    const body = await readText(Readable.toWeb(req) as ReadableStream<Uint8Array>);
    if (!body) return refusal(413, 'This is too long.');
    return { status: 200, json: JSON.stringify({ received: JSON.parse(body.text), bytes: body.bytes }) };
  } catch {
    return refusal(400, 'This cannot be read as JSON.');
  }
}

async function route(req: IncomingMessage): Promise<Outcome> {
  const { pathname } = new URL(req.url ?? '/', 'http://server');
  if (pathname === '/health' && req.method === 'GET') return { status: 200, json: '{}' };
  if (pathname !== '/echo') return refusal(404, 'There is nothing here.');
  if (req.method !== 'POST') return refusal(405, 'Only POST works here.');
  return echo(req);
}

createServer(async (req: IncomingMessage, res: ServerResponse) => {
  const { status, json } = await route(req);
  res.writeHead(status, { 'content-type': 'application/json', ...(status === 413 && { connection: 'close' }) });
  res.end(json);
}).listen(port);
