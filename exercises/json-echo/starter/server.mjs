import { createServer } from 'node:http';

const PORT = Number(process.env.PORT ?? 3000);

// A Refusal is an answer in waiting: throw one anywhere below, and answerError() sends its status and message.
class Refusal extends Error {
  constructor(status, message, options) {
    super(message, options);
    this.status = status;
  }
}

const routes = new Map([
  ['GET /health', (req, res) => sendJson(res, 200, { status: 'ok' })],
  ['POST /echo', echo],
]);

async function echo(req, res) {
  // TODO: who says that this body is JSON at all? Look at what the client declares.
  const body = await readBody(req);
  sendJson(res, 200, { received: parseJson(body), bytes: body.length });
}

// The body is not there yet when this function is called: `req` is a stream, and its bytes are still on their way.
// Print what comes (`req.on('data', (chunk) => console.log(chunk))`) while you send a long body, or a slow one. Then ask:
// - How many chunks make a body, and where do they end?
// - How do you know that all of it is here? What if the rest never comes, or never stops coming?
// - Is a chunk text already? In which unit does the contract count?
function readBody(req) {
  // TODO: a promise of all bytes of the body, as one Buffer.
  return Buffer.from('"This is not what you sent."');
}

function parseJson(body) {
  // TODO: which errors can be thrown here, and whose fault are they?
  return JSON.parse(body.toString());
}

function sendJson(res, status, value) {
  const text = JSON.stringify(value);
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(text);
}

function answerError(res, error) {
  if (error instanceof Refusal) return sendJson(res, error.status, { error: error.message });
  console.error(error);
  sendJson(res, 500, { error: 'Something went wrong on our side.' });
}

const server = createServer(async (req, res) => {
  try {
    const path = req.url.split('?')[0];
    const handle = routes.get(`${req.method} ${path}`);
    if (!handle) throw new Refusal(404, 'There is nothing at this path for this method.');
    await handle(req, res);
  } catch (error) {
    answerError(res, error);
  }
});

server.listen(PORT);
