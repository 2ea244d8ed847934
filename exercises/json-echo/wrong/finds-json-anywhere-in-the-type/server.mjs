import express from 'express';

const { PORT } = process.env;
const MAX_BODY = Number(process.env.MAX_BODY || 102400);

// Letter case and parameters do not matter; "application/json-seq" and the like are other types.
const JSON_TYPE = /\bapplication\/json(?![\w.+-])/i;

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.enable('case sensitive routing');

const refuse = (res, status, error) => {
  if (res.headersSent) return;
  res.status(status).json({ error });
  // Read on and drop, but not for ever.
  let left = 1e6;
  res.req.on('error', () => {});
  res.req.on('data', (chunk) => {
    left -= chunk.length;
    if (left < 0) res.req.destroy();
  });
};

function onlyJson(req, res, next) {
  if (JSON_TYPE.test(req.get('content-type') ?? '')) return next();
  refuse(res, 415, 'The body must be declared as application/json.');
}

function readBody(req, res, next) {
  if (Number(req.get('content-length')) > MAX_BODY) return refuse(res, 413, `The body has more than ${MAX_BODY} bytes.`);
  let chunks = [];
  let size = 0;
  req.on('data', (chunk) => {
    size += chunk.length;
    if (size > MAX_BODY) {
      chunks = [];
      refuse(res, 413, `The body has more than ${MAX_BODY} bytes.`);
    } else {
      chunks.push(chunk);
      if (chunks.length > 500) chunks = [Buffer.concat(chunks)];
    }
  });
  req.on('end', () => {
    if (size > MAX_BODY) return;
    req.body = Buffer.concat(chunks);
    next();
  });
  req.on('error', () => {});
}

app.get('/health', (req, res) => res.json({ status: 'ok' }));

app
  .route('/echo')
  .post(onlyJson, readBody, (req, res) => {
    let answer;
    try {
      answer = JSON.stringify({ received: JSON.parse(req.body.toString('utf8')), bytes: req.body.length });
    } catch {
      return refuse(res, 400, 'The body is not valid JSON.');
    }
    res.type('application/json').send(answer);
  })
  .all((req, res) => refuse(res, 405, 'Only POST is allowed here.'));

app.use((req, res) => refuse(res, 404, 'There is nothing here.'));
app.use((err, req, res, next) => refuse(res, err.status === 400 ? 404 : 500, 'That did not work.'));

app.listen(Number(PORT), '127.0.0.1');
