import net from 'node:net';

const health = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}';
// In turn: HTTP/2 frames, a TLS alert, an SSH greeting, a status line of another world.
const words = [Buffer.from('000012040000000000000300000064', 'hex'), Buffer.from('15030300020250', 'hex'), 'SSH-2.0-OpenSSH_9.9\r\n', 'HTTP/2 200\r\n\r\n', 'ICY 200 OK\r\n\r\n', 'HTTP/1.1 2000 Fine\r\n\r\n', 'HTTP/1.1 -1 Bad\r\n\r\n'];
let turn = 0;
function attack(socket) {
  socket.end(words[turn++ % words.length]);
}
net
  .createServer((socket) => {
    socket.on('error', () => {}).once('data', (head) => (head.includes(' /health ') ? socket.end(health) : attack(socket, head)));
  })
  .listen(process.env.PORT);
