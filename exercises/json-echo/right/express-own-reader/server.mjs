// looplab-canary-json-echo-solutions-8fffc451
import express from 'express';

const { PORT = 3000, MAX_BODY = 102_400 } = process.env;
const limit = Number(MAX_BODY);

// express.raw() would do, but it answers a body that is too long only when the client has stopped sending.
function collectBody(req, res, next) {
  const parts = [];
  let size = 0;
  const onData = (part) => {
    size += part.length;
    parts.push(part);
    if (size > limit) finish({ status: 413, message: `At most ${limit} bytes, please.` });
  };
  const onEnd = () => {
    req.body = Buffer.concat(parts);
    finish();
  };
  const finish = (problem) => {
    req.off('data', onData).off('end', onEnd);
    // The answer goes out first, then Express's response closes the connection: there is nothing to wait for.
    if (problem) res.set('connection', 'close');
    next(problem);
  };
  req.on('data', onData).on('end', onEnd).on('error', () => console.log('a client broke off'));
}

function requireJson(req, res, next) {
  const type = (req.get('content-type') ?? '').toLowerCase();
  if (/^\s*application\/json\s*(;|$)/.test(type)) return next();
  next({ status: 415, message: 'Only application/json is understood here.' });
}

const app = express();
app.disable('x-powered-by');

app.get('/health', (req, res) => res.send('ok'));

app.post('/echo', requireJson, collectBody, (req, res) => {
  let answer;
  try {
    answer = JSON.stringify({ received: JSON.parse(req.body.toString('utf8')), bytes: req.body.length });
  } catch {
    return res.status(400).json({ message: 'This body is no JSON that can be echoed.' });
  }
  res.type('json').send(answer);
});

app.all('/echo', (req, res) => res.status(405).set('allow', 'POST').json({ message: 'Only POST.' }));
app.use((req, res) => res.status(404).json({ message: 'Nothing here.' }));

app.use((problem, req, res, next) => {
  if (!problem.status) console.error(problem);
  res.status(problem.status ?? 500).json({ message: problem.status ? problem.message : 'Our fault.' });
});

app.listen(Number(PORT));
