'use strict';
// Runs inside the learner's Node process, before any cell, and evaluates cells through the process's own inspector.
//
// Channels, as file descriptors in argv: commands in (one JSON a line), frames out (one JSON a line, written synchronously, so that they
// keep their order), and the interrupter's. Standard output and error are free for whoever writes to them past `process.stdout`.
//
// Commands: run, complete, inspect, completeness, set, get, ping, input.   Frames: {ready}, {id, …} replies, {cell, stream, text},
// {cell, display}, {cell, plot}, {cell, truncated}, {cell, ask}.

const { AsyncLocalStorage } = require('node:async_hooks');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const inspector = require('node:inspector');
const net = require('node:net');
const path = require('node:path');
const v8 = require('node:v8');
const { Worker } = require('node:worker_threads');

const { Output } = require('./output.cjs');
const { rewrite, completeness } = require('./rewrite.cjs');
const { installModules } = require('./modules.cjs');
const { installDisplay, mimeBundle } = require('./display.cjs');
const { complete, inspectAt } = require('./look.cjs');
const { describeError } = require('./problem.cjs');

const [commandFd, frameFd, interruptFd] = process.argv.slice(2, 5).map(Number);
process.argv = [process.argv[0], path.join(process.cwd(), 'cell.mjs')];

const { writeSync } = fs;
const stringify = JSON.stringify;
function send(frame) {
  const bytes = Buffer.from(`${stringify(frame)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(frameFd, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') process.reallyExit(0); // the kernel is gone
    }
  }
}

const cells = new AsyncLocalStorage();
let latest = null;
const cellNow = () => cells.getStore() ?? latest;
const output = new Output(send, cellNow);
output.capture('stdout');
output.capture('stderr');
const show = (frame) => {
  output.flush();
  send({ cell: cellNow(), ...frame });
};

const session = new inspector.Session();
session.connect();

// ---- what cells see

const modules = installModules(process.cwd());
Object.defineProperty(globalThis, '__looplab', { value: modules.forCells, enumerable: false });
globalThis.require = modules.require;
installDisplay(globalThis, show);
const answers = new Map();
globalThis.input = (prompt = '', { hidden = false } = {}) =>
  new Promise((resolve, reject) => {
    const id = answers.size ? Math.max(...answers.keys()) + 1 : 1;
    answers.set(id, { resolve, reject });
    show({ ask: { id, prompt: String(prompt), hidden } });
  });
globalThis.sleep = require('node:timers/promises').setTimeout;
for (const name of ['require', 'input', 'sleep', 'display', 'plot', 'claim', 'compare']) {
  Object.defineProperty(globalThis, name, { enumerable: false, writable: true, configurable: true });
}

const problem = (kind) => (error) => {
  const { lines } = describeError(error);
  output.write('stderr', `\x1b[31m${kind}:\x1b[0m ${lines.join('\n')}\n(A program of its own would end here, with exit code 1.)\n`);
};
process.on('unhandledRejection', problem('Unhandled rejection'));
process.on('uncaughtException', problem('Uncaught exception'));
process.on('exit', () => {
  output.settle(cellNow());
  session.disconnect();
});

// ---- evaluating: posts to the own inspector are answered synchronously, except for a cell that awaits

const post = (method, parameters) => {
  let answer;
  session.post(method, parameters, (error, result) => {
    answer = error ? { error } : result;
  });
  return answer;
};
const helpers = post('Runtime.evaluate', { expression: '(() => { const h = {}; return h; })()' }).result.objectId;

/** Calls one of our functions with a value that the inspector holds. */
function withValue(remote, use) {
  const key = ['objectId', 'unserializableValue', 'value'].find((one) => one in remote);
  let held;
  Object.defineProperty(globalThis, '__looplabTake', { value: (value) => (held = { value }), configurable: true });
  post('Runtime.callFunctionOn', {
    objectId: helpers,
    functionDeclaration: 'function (value) { __looplabTake(value); }',
    arguments: key ? [{ [key]: remote[key] }] : [{}],
    silent: true,
  });
  delete globalThis.__looplabTake;
  if (remote.objectId) post('Runtime.releaseObject', { objectId: remote.objectId });
  return held ? use(held.value) : undefined;
}

/** Evaluates at once; gives a function that hands the value to its argument, or null when the expression throws. */
const evaluate = (expression, options = {}) => {
  const answer = post('Runtime.evaluate', { expression, silent: true, ...options });
  if (!answer || answer.error || answer.exceptionDetails) return null;
  return (use) => withValue(answer.result, use);
};

/** The name in V8's refusal to declare it again, or null. Only when nothing of the cell has run: then no frame is inside of it. */
function redeclared(answer) {
  const [message, ...stack] = (answer.exceptionDetails?.exception?.description ?? '').split('\n');
  const found = /^SyntaxError: Identifier '(.+)' has already been declared$/.exec(message);
  return found && !stack.some((line) => line.includes('cell-') && !/at cell-\d+\.js:1:1$/.test(line)) ? found[1] : null;
}

const commands = {
  run({ id, cell, code, url, softly = false }) {
    latest = cell;
    modules.refresh();
    let script;
    try {
      script = rewrite(code, { softly });
    } catch (error) {
      const { line, column } = error.loc ?? { line: 1, column: 0 };
      const text = error.message.replace(/ \(\d+:\d+\)$/, '');
      return send({ id, problem: { name: 'SyntaxError', message: text, lines: [`SyntaxError: ${text}`], at: { file: url, line, column: column + 1 } } });
    }
    // V8 aborts the process when an awaited evaluation's promise is collected: hold the first one that the cell makes.
    let kept = null;
    const stop = v8.promiseHooks.onInit((promise) => {
      kept ??= promise;
    });
    cells.run(cell, () => {
      const parameters = { expression: `${script}\n//# sourceURL=${url}`, replMode: true, awaitPromise: true };
      session.post('Runtime.evaluate', parameters, (error, answer) => {
        stop();
        kept = null;
        const again = error ? null : redeclared(answer);
        if (again && !softly) return commands.run({ id, cell, code, url, softly: true });
        cells.run(cell, () => reply({ id, cell, url, quiet: /;\s*$/.test(code), again }, error, answer));
      });
    });
    stop();
  },
  complete: ({ id, code, position }) => send({ id, ...complete(code, position, { evaluate, post, cwd: process.cwd() }) }),
  inspect: ({ id, code, position }) => send({ id, found: inspectAt(code, position, { evaluate }) }),
  completeness: ({ id, code }) => send({ id, ...completeness(code) }),
  set({ id, name, value }) {
    // As a cell would: only so may a name be declared again. Such an evaluation is answered later.
    const expression = `let ${name} = JSON.parse(${stringify(stringify(value))})`;
    session.post('Runtime.evaluate', { expression, replMode: true, silent: true }, () => send({ id }));
  },
  get({ id, expression }) {
    const value = evaluate(`(${expression})`)?.((one) => {
      try {
        return JSON.parse(stringify(one));
      } catch {
        return undefined;
      }
    });
    send({ id, value });
  },
  ping: ({ id }) => send({ id }),
  input({ answer, text }) {
    const waiting = answers.get(answer);
    answers.delete(answer);
    if (text === null) waiting?.reject(new Error('Nobody can answer here: this notebook is run without a person.'));
    else waiting?.resolve(text);
  },
};

/** What a statement such as `server.listen(0);` leaves: sixty lines of internals that nobody asked for. */
function isMachinery(value) {
  return value instanceof EventEmitter || (typeof value === 'object' && /^(?:Timeout|Immediate)$/.test(value?.constructor?.name));
}

function reply({ id, cell, url, quiet, again }, error, answer) {
  let frame;
  if (error) frame = { id, problem: { name: 'Error', message: error.message, lines: [error.message], at: null } };
  else if (answer.exceptionDetails) {
    const details = answer.exceptionDetails;
    frame = { id, problem: withValue(details.exception ?? details, describeError) ?? describeError(details.text) };
    if (again) frame.problem.lines.push(`An earlier cell declared ${again} in a way that cannot be changed. Choose another name, or start afresh with %reset.`);
    frame.problem.at ??= { file: url, line: details.lineNumber + 1, column: details.columnNumber + 1 };
  } else {
    frame = { id, data: withValue(answer.result, (value) => {
      globalThis._ = value;
      if (value === undefined || (quiet && isMachinery(value))) return null;
      return mimeBundle(value);
    }) ?? null };
  }
  output.settle(cell);
  send(frame);
}

// ---- the channel to the kernel

let received = '';
new net.Socket({ fd: commandFd, readable: true, writable: false })
  .setEncoding('utf8')
  .on('data', (text) => {
    received += text;
    for (let end; (end = received.indexOf('\n')) !== -1; ) {
      const { op, ...parameters } = JSON.parse(received.slice(0, end));
      received = received.slice(end + 1);
      commands[op](parameters);
    }
  })
  .on('end', () => process.reallyExit(0));

const interrupter = new Worker(path.join(__dirname, 'interrupter.cjs'), { workerData: { fd: interruptFd }, stdout: true, stderr: true });
interrupter.unref();
interrupter.once('online', () => send({ ready: { version: process.version, pid: process.pid } }));
