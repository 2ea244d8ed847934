import { once } from 'node:events';
import { createServer } from 'node:http';

const MAX_BODY = Number(process.env.MAX_BODY ?? 102400);

const json = (res, status, text) => {
  if (!res.headersSent && !res.destroyed) res.writeHead(status, { 'content-type': 'application/json' }).end(text);
};
const error = (res, status, message) => {
  json(res, status, JSON.stringify({ message, status }));
  const { req } = res;
  let rest = 1 << 20;
  req.on('error', () => {});
  req.on('data', (chunk) => (rest -= chunk.length) < 0 && req.destroy());
};

async function read(req, tooMuch) {
  const chunks = [];
  let bytes = 0;
  const take = (chunk) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY) {
      req.off('data', take);
      chunks.length = 0;
      tooMuch();
    } else if (chunks.push(chunk) === 300) chunks.splice(0, 300, Buffer.concat(chunks));
  };
  req.on('data', take);
  await once(req, 'end');
  // Accents come composed or as characters of their own, depending on the sender's system: one form for all.
  const text = new TextDecoder().decode(Buffer.concat(chunks)).normalize('NFC');
  return { bytes, text };
}

async function echo(req, res) {
  const mediaType = req.headers['content-type']?.split(';', 1)[0].trim().toLowerCase();
  if (mediaType !== 'application/json') return error(res, 415, 'Send application/json.');
  const { bytes, text } = await read(req, () => error(res, 413, `The limit is ${MAX_BODY} bytes.`));
  if (bytes > MAX_BODY) return;
  let answer;
  try {
    answer = JSON.stringify({ bytes, received: JSON.parse(text) });
  } catch {
    return error(res, 400, 'The body is not valid JSON.');
  }
  json(res, 200, answer);
}

const routes = {
  '/health': { GET: (req, res) => json(res, 200, '{"healthy":true}') },
  '/echo': { POST: echo },
};

createServer(async (req, res) => {
  try {
    const [path] = req.url.split('?', 1);
    if (!Object.hasOwn(routes, path)) return error(res, 404, 'Not found.');
    if (!Object.hasOwn(routes[path], req.method)) return error(res, 405, 'Method not allowed.');
    await routes[path][req.method](req, res);
  } catch {
    error(res, 400, 'The request broke off.');
  }
}).listen(Number(process.env.PORT), '::');
