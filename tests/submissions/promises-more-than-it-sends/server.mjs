import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
function attack(socket) {
  socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"received":');
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
