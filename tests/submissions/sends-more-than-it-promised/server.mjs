import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
// What is too much would be the answer to the next request on the same connection.
function attack(socket) {
  const error = '{"error":"no"}';
  const refusal = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${error.length}\r\n\r\n${error}`;
  socket.write(refusal.repeat(50));
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
