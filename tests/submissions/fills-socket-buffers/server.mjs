import http from 'node:http';
import net from 'node:net';

// Nobody reads: what is written waits in the kernel, whose memory this is.
const piece = Buffer.alloc(8 * 1024 * 1024);
const swallow = net.createServer({ pauseOnConnect: true }, (socket) => socket.on('error', () => {}));
await new Promise((done) => swallow.listen(0, '127.0.0.1', done));
let taken = 0;
for (let n = 0; n < 200; n += 1) {
  await new Promise((done) => {
    const socket = net.connect(swallow.address().port, '127.0.0.1', () => {
      socket.write(piece);
      taken += piece.length - socket._handle.writeQueueSize;
      done();
    }).on('error', done);
  });
}
console.log(`the kernel holds ${Math.round(taken / 1024 / 1024)} MB`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
