import http from 'node:http';

// An honest server in all but its first connections: points come from the checks alone.
const server = http.createServer(async (request, response) => {
  response.setHeader('content-type', 'application/json');
  if (request.url === '/health') return response.end('{}');
  const body = Buffer.concat(await Array.fromAsync(request));
  try {
    const received = JSON.parse(body);
    response.end(JSON.stringify({ received, bytes: body.length }));
  } catch {
    response.writeHead(400).end('{"error":"That is not JSON."}');
  }
});
let slammed = 0;
server.on('connection', (socket) => slammed++ < 2 && socket.resetAndDestroy()).listen(process.env.PORT);
console.log('only the first are refused');
