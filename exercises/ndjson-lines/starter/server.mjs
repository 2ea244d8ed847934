import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_LINE = Number(process.env.MAX_LINE ?? 65536); // bytes

/** Every answer is one line of JSON. */
const toLine = (value) => `${JSON.stringify(value)}\n`;

/**
 * What one whole line is answered with: a string, or '' when there is nothing to say.
 * `text` is the line without its line ending, `number` its place in the body.
 */
function answerLine(text, number) {
  // TODO (task 1): is it blank, a record, or a bad line? And who counts for the summary?
  return '';
}

async function handleTransform(req, res) {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });

  // `req` is a stream of the body's bytes. Print a few chunks and their lengths: where do they begin, where do they end?
  for await (const chunk of req) {
    // TODO (task 2): chunk -> lines. What will you do with the bytes that are left over?
    // TODO (task 3): when does a line become too long, and what has to be remembered until it ends?
    // TODO (task 4): res.write() returns something. What is it good for?
  }

  res.end(toLine({ summary: { ok: 0, bad: 0 } }));
}

function sendJson(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

const server = createServer((req, res) => {
  const [path] = req.url.split('?');
  if (path === '/health') return sendJson(res, 200, { status: 'ok' });
  if (path !== '/transform') return sendJson(res, 404, { error: 'there is nothing here' });
  if (req.method !== 'POST') return sendJson(res, 405, { error: 'use POST' });
  return handleTransform(req, res);
});

server.listen(PORT, () => console.log(`listening on ${PORT}`));
