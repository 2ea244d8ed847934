import net from 'node:net';

net.createServer(() => process.exit(0)).listen(process.env.PORT);
