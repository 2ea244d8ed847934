import http from 'node:http';

// syscalls.c says what is tried and how syscalls.node is made of it.
try {
  process.dlopen({ exports: {} }, `${import.meta.dirname}/syscalls.node`);
} catch (error) {
  console.log(error.message);
}
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
