import http from 'node:http';
import net from 'node:net';

http.createServer((request, response) => response.end('hello')).listen(process.env.PORT, async () => {
  let open = 0;
  const why = new Map();
  for (let n = 0; n < 100; n += 1) {
    const hundred = Array.from({ length: 100 }, () => new Promise((done) => {
      const socket = net.connect({ port: process.env.PORT, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', (error) => done(why.set(error.code, true))).on('close', done).on('connect', () => {
        open += 1;
        if (n % 2) socket.end('POST /echo HTTP/1.1\r\n'); // half a request, and half closed
        done();
      });
    }));
    await Promise.all(hundred);
  }
  console.log(`opened ${open} connections of 10000 (${[...why.keys()].join()})`);
});
