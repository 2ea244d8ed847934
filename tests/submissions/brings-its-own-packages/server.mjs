import { createRequire } from 'node:module';

import express from 'express';

const where = createRequire(import.meta.url).resolve('express');
console.log(`express: ${globalThis.owned ? 'replaced' : 'real'}, from ${where.replace(/node_modules.*/, '')}`);
const app = express();
app.use((request, response) => response.end('hello'));
app.listen(process.env.PORT);
