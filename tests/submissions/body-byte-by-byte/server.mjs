import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
function attack(socket) {
  socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n');
  const timer = setInterval(() => socket.write(' '), 50);
  socket.on('close', () => clearInterval(timer));
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
