import http from 'node:http';

// Each byte of these takes five in a report: in the output, and in every exchange of every check.
process.stdout.write('\u0001'.repeat(100_000));
http
  .createServer((request, response) => {
    for (let n = 0; n < 15; n += 1) response.setHeader(`x-${n}`, '\u009b'.repeat(1000));
    response.writeHead(200, { 'content-type': `application/json;${'\u0090'.repeat(5000)}` }).end(Buffer.alloc(4096, 1));
  })
  .listen(process.env.PORT);
