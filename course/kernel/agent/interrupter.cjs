'use strict';
// A thread beside the learner's code: it can end JavaScript that never lets the main thread breathe, and needs no open port for it.
// A byte on its channel ends what runs; the end of the channel means that the kernel is gone, and then nothing may stay.

const inspector = require('node:inspector');
const net = require('node:net');
const { workerData } = require('node:worker_threads');

const session = new inspector.Session();
session.connectToMainThread();
new net.Socket({ fd: workerData.fd })
  .on('data', () => session.post('Runtime.terminateExecution'))
  .on('error', () => process.kill(process.pid, 'SIGKILL'))
  .on('end', () => process.kill(process.pid, 'SIGKILL'));
