import net from 'node:net';

// Endless in turn: interim answers, a header, a body, a compressed bomb's promise, a redirect to itself.
const endless = [
  (socket) => setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 1),
  (socket) => socket.write('HTTP/1.1 200 OK\r\n') && setInterval(() => socket.write(`x-${Math.random()}: ${'y'.repeat(1000)}\r\n`), 1),
  (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n') && setInterval(() => socket.write(Buffer.alloc(65536)), 1),
  (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n') && setInterval(() => socket.write('1\r\n\0\r\n'), 1),
  (socket) => socket.end('HTTP/1.1 302 Found\r\nlocation: /echo\r\ncontent-length: 0\r\n\r\n'),
  (socket) => socket.end('\0\u001b[31mHTTP/9.9 banana\r\n\r\n'),
];
let turn = 0;
net
  .createServer((socket) => {
    socket.on('error', () => {});
    const timer = endless[turn++ % endless.length](socket);
    socket.on('close', () => clearInterval(timer));
  })
  .listen(process.env.PORT);
