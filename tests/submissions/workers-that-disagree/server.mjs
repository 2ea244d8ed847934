import cluster from 'node:cluster';
import http from 'node:http';

// One worker knows the value, one its size, one nothing; together they might look right.
if (cluster.isPrimary) {
  for (const role of ['value', 'size', 'nothing']) cluster.fork({ ROLE: role });
} else {
  http
    .createServer(async (request, response) => {
      const body = Buffer.concat(await Array.fromAsync(request));
      const answers = { value: `{"received":${body}}`, size: `{"bytes":${body.length}}`, nothing: '{}' };
      response.setHeader('content-type', 'application/json').end(answers[process.env.ROLE]);
    })
    .listen(process.env.PORT);
}
