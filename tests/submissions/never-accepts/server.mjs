import http from 'node:http';

// The probe is accepted by the kernel; then nobody is there to accept anybody.
http.createServer().listen({ port: process.env.PORT, backlog: 1 }).on('connection', () => {
  for (;;);
});
