import net from 'node:net';

// C1 controls are allowed bytes of a header (obs-text, RFC 9110), and a terminal takes U+009B for ESC [.
const head = 'HTTP/1.1 200 \u009b2Jfine\r\ncontent-type: \u009b2J\u0085\u0090text/\u009d0;owned\u009c\r\ncontent-length: 2\r\n\r\n{}';
net
  .createServer((socket) => socket.on('error', () => {}).on('data', () => socket.write(Buffer.from(head, 'latin1'))))
  .listen(process.env.PORT);
