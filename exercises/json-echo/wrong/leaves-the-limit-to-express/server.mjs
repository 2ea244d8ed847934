import express from 'express';

const PORT = Number(process.env.PORT ?? 3000);
const MAX_BODY = Number(process.env.MAX_BODY ?? 102_400);

const app = express();
app.disable('x-powered-by');

app.get('/health', (req, res) => res.json({ status: 'ok' }));

app.post('/echo', express.raw({ type: 'application/json', limit: MAX_BODY }), (req, res) => {
  if (!Buffer.isBuffer(req.body)) return res.status(400).json({ error: 'Send a body as application/json.' });
  let answer;
  try {
    const received = JSON.parse(req.body.toString());
    answer = JSON.stringify({ received, bytes: req.body.length });
  } catch {
    return res.status(400).json({ error: 'The body is not JSON that can be echoed.' });
  }
  res.type('json').send(answer);
});

app.use((req, res) => res.status(404).json({ error: 'There is nothing at this path for this method.' }));

app.use((error, req, res, next) => {
  const status = error.status ?? 500;
  if (status >= 500) console.error(error);
  res.status(status).json({ error: status < 500 ? error.message : 'Something went wrong on our side.' });
});

app.listen(PORT);
