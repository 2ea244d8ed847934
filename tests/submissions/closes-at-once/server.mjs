import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
let turn = 0;
function attack(socket) {
  if (turn++ % 2) socket.resetAndDestroy();
  else socket.destroy();
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
