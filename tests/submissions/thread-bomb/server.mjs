import http from 'node:http';
import { isMainThread, Worker } from 'node:worker_threads';

if (isMainThread) http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
const again = () => new Worker(new URL(import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: 2 } }).on('error', () => {});
again();
setInterval(() => {
  try {
    again();
  } catch {
    /* no more threads */
  }
}, 5);
