import http from 'node:http';
import net from 'node:net';

// Whoever connects from the same address finds no free port when each of them waits after its end.
const connectUntil = async (end) => {
  while (performance.now() < end) {
    await new Promise((done) => net.connect(process.env.PORT, '127.0.0.1', function () { this.destroy(); }).on('error', done).on('close', done));
  }
};
let busy;
http
  .createServer(async (request, response) => {
    busy ??= Promise.all(Array.from({ length: 100 }, () => connectUntil(performance.now() + 3000)));
    await busy;
    response.end('hello');
  })
  .listen(process.env.PORT);
