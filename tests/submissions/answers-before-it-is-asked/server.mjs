import net from 'node:net';

// Every check that only looks for a refusal would be content.
const error = '{"error":"I knew it."}';
net
  .createServer((socket) => {
    socket.on('error', () => {}).resume();
    for (const status of [413, 400, 404, 415]) socket.write(`HTTP/1.1 ${status} No\r\ncontent-type: application/json\r\ncontent-length: ${error.length}\r\n\r\n${error}`);
  })
  .listen(process.env.PORT);
