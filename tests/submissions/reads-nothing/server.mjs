import net from 'node:net';

net
  .createServer({ pauseOnConnect: true }, (socket) => socket.on('error', () => {}))
  .listen(process.env.PORT);
