// looplab-canary-polite-cpu-solutions-5afbb7df
// Express, and the work as a generator: the generator knows how to compute, its driver knows when to pause and when to stop.
import { createHash } from 'node:crypto';
import express from 'express';

const places = { total: Number(process.env.MAX_JOBS || 2), taken: 0 };

function* hashing(seed, rounds) {
  let bytes = Buffer.from(seed, 'utf8');
  for (let left = rounds; left > 0; left--) {
    bytes = createHash('sha256').update(bytes).digest();
    if (left % 500 === 0) yield;
  }
  return bytes.toString('hex');
}

/** Runs a few steps of a generator in each turn of the event loop. Resolves to its result, or to undefined once `stopped()`. */
function drive(steps, stopped) {
  return new Promise((resolve, reject) => {
    const turn = () => {
      if (stopped()) return resolve(undefined);
      try {
        for (const until = Date.now() + 8; Date.now() < until; ) {
          const { done, value } = steps.next();
          if (done) return resolve(value);
        }
      } catch (error) {
        return reject(error);
      }
      setImmediate(turn);
    };
    turn();
  });
}

function checked(req, res, next) {
  const { seed, rounds } = req.query;
  const length = typeof seed === 'string' ? Array.from(seed).length : 0;
  if (length === 0 || length > 100) return res.status(400).json({ message: 'seed: 1 to 100 characters, please' });
  if (typeof rounds !== 'string' || !/^\d{1,6}$/.test(rounds) || Number(rounds) > 600000) {
    return res.status(400).json({ message: 'rounds: a whole number from 0 to 600000, please' });
  }
  res.locals.job = { seed, rounds: Number(rounds) };
  next();
}

function placed(req, res, next) {
  if (places.taken >= places.total) return res.status(503).set('Retry-After', '2').json({ message: 'no place free' });
  places.taken++;
  next();
}

const app = express();
app.disable('x-powered-by');
app.get('/health', (req, res) => res.sendStatus(200));
app.get('/chain', checked, placed, async (req, res) => {
  const { seed, rounds } = res.locals.job;
  let digest;
  try {
    digest = await drive(hashing(seed, rounds), () => res.destroyed || res.closed);
  } finally {
    places.taken--;
  }
  if (digest !== undefined) res.json({ seed, rounds, digest });
});
app.use((req, res) => res.status(404).json({ message: 'not found' }));
app.use((error, req, res, next) => {
  console.error(error);
  if (res.headersSent) return next(error);
  const status = error.status >= 400 && error.status < 500 ? error.status : 500;
  res.status(status).json({ message: status === 500 ? 'internal error' : 'bad request' });
});
app.listen(Number(process.env.PORT || 3000));
