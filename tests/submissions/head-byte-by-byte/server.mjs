import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
function attack(socket) {
  const head = Buffer.from(`HTTP/1.1 200 OK\r\nx-slow: ${'y'.repeat(10000)}`);
  let at = 0;
  const timer = setInterval(() => socket.write(head.subarray(at, ++at)), 50);
  socket.on('close', () => clearInterval(timer));
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
