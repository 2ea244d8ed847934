import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
function attack(socket) {
  socket.end('HTTP/1.1 200 OK\r\nx-nul: a\0b\r\nx-cr: a\rset-cookie: x\r\n folded: y\r\n: no name\r\nno colon\r\ncontent-length: 2\r\n\r\n{}');
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
