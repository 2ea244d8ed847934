import http from 'node:http';

// hoard.c says what is taken, and how hoard.node is made of it. It is held while the answer takes its time.
try {
  process.dlopen({ exports: {} }, `${import.meta.dirname}/hoard.node`);
} catch (error) {
  console.log(error.message);
}
http.createServer((request, response) => setTimeout(() => response.end('hello'), 2000)).listen(process.env.PORT);
