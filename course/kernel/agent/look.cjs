'use strict';
// Completion and inspection: what stands at the cursor, looked up in the running process without running anything that changes it.

const fs = require('node:fs');
const { builtinModules } = require('node:module');
const path = require('node:path');
const util = require('node:util');

const { parse } = require('./rewrite.cjs');

const KEYWORDS = 'async await break case catch class const continue debugger default delete do else export extends false finally for function if import in instanceof let new null return static super switch this throw true try typeof undefined var void while yield'.split(' ');
const CHAIN = String.raw`[A-Za-z_$][\w$]*(?:\?\.|\.|\[(?:\d+|'[^']*'|"[^"]*")\]|(?<=[.\]])[A-Za-z_$][\w$]*)*`;
const LOOK = { throwOnSideEffect: true, timeout: 250 };
const MATCHES_MAX = 500;

/** {matches, start, end}: names that fit before `position` (in UTF-16 units). */
function complete(code, position, { evaluate, post, cwd }) {
  const before = code.slice(0, position);
  const specifier = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"])([^'"\n]*)$/.exec(before);
  if (specifier) return result(moduleNames(specifier[2], cwd), specifier[2], position);
  const key = new RegExp(String.raw`(${CHAIN})\[(['"])([^'"\n]*)$`).exec(before);
  if (key) return result(names(evaluate, key[1], () => true), key[3], position);
  const member = new RegExp(String.raw`(${CHAIN}|"[^"\n]*"|'[^'\n]*'|\])(?:\?\.|\.)([\w$]*)$`).exec(before);
  if (member) return result(names(evaluate, member[1] === ']' ? '[]' : member[1], isIdentifier), member[2], position);
  const word = /[\w$]*$/.exec(before)[0];
  let lexical = [];
  post('Runtime.globalLexicalScopeNames', {})?.names?.forEach((name) => lexical.push(name));
  const all = [...lexical, ...Object.getOwnPropertyNames(globalThis).filter((name) => !name.startsWith('__looplab')), ...KEYWORDS];
  return result([...new Set(all)].filter(isIdentifier), word, position);
}

const isIdentifier = (name) => /^[A-Za-z_$][\w$]*$/.test(name);

function result(all, typed, position) {
  const matches = [...new Set(all)].filter((name) => name.startsWith(typed)).slice(0, MATCHES_MAX);
  return { matches, start: position - typed.length, end: position };
}

function names(evaluate, expression, wanted) {
  return evaluate(`(${expression})`, LOOK)?.(properties)?.filter(wanted) ?? [];
}

/** Names of own and inherited properties, the nearest first. */
function properties(value) {
  const found = new Set();
  if (value === null || value === undefined) return [];
  for (let object = Object(value), depth = 0; object && depth < 8; object = Object.getPrototypeOf(object), depth += 1) {
    for (const name of Object.getOwnPropertyNames(object).sort()) found.add(name);
  }
  return [...found];
}

function moduleNames(typed, cwd) {
  if (/^\.{1,2}\//.test(typed)) {
    const folder = typed.slice(0, typed.lastIndexOf('/') + 1);
    return entries(path.resolve(cwd, folder)).map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''));
  }
  const builtin = builtinModules.filter((name) => !name.startsWith('_') && !name.startsWith('node:'));
  const installed = [];
  for (let folder = cwd; ; folder = path.dirname(folder)) {
    for (const { name } of entries(path.join(folder, 'node_modules'))) {
      if (name.startsWith('@')) installed.push(...entries(path.join(folder, 'node_modules', name)).map((one) => `${name}/${one.name}`));
      else if (!name.startsWith('.')) installed.push(name);
    }
    if (folder === path.dirname(folder)) break;
  }
  return [...builtin.map((name) => `node:${name}`), 'node:test', 'node:sqlite', ...installed, ...builtin];
}

function entries(folder) {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** Signature and value of what stands at `position`, as text, or null. Inside of an argument list: of what is called. */
function inspectAt(code, position, { evaluate }) {
  for (const expression of candidates(code, position)) {
    const seen = evaluate(`(${expression})`, LOOK)?.((value) => describe(expression, value));
    if (seen) return seen;
  }
  return null;
}

function* candidates(code, position) {
  for (const match of code.matchAll(new RegExp(CHAIN, 'g'))) {
    if (match.index <= position && position <= match.index + match[0].length) {
      const rest = /^[\w$]*/.exec(code.slice(position))[0].length;
      yield code.slice(match.index, position + rest).replace(/[.?]+$/, '');
      yield match[0];
    }
  }
  let depth = 0;
  for (let at = position - 1; at >= 0; at -= 1) {
    if (code[at] === ')') depth += 1;
    else if (code[at] === '(' && depth-- === 0) {
      const called = new RegExp(`(${CHAIN})$`).exec(code.slice(0, at));
      if (called) yield called[1];
      return;
    }
  }
}

function describe(expression, value) {
  if (typeof value === 'function') {
    const shown = [`${signature(expression, value)}`];
    const statics = Object.getOwnPropertyNames(value).filter((name) => !['length', 'name', 'prototype', 'arguments', 'caller'].includes(name));
    if (statics.length) shown.push(`properties: ${statics.slice(0, 30).join(', ')}`);
    return shown.join('\n');
  }
  const kind = value === null ? 'null' : typeof value === 'object' ? (value.constructor?.name ?? 'Object') : typeof value;
  const text = util.inspect(value, { depth: 1, maxArrayLength: 20, maxStringLength: 500, breakLength: 80 });
  return `${expression}: ${kind}\n${text.length > 4000 ? `${text.slice(0, 4000)}…` : text}`;
}

function signature(expression, value) {
  const source = Function.prototype.toString.call(value);
  const parameters = (node) => (node ? `(${node.params.map((one) => one.text).join(', ')})` : null);
  try {
    const prefix = source.startsWith('class') || /^(?:async\s*)?(?:function|\(|[\w$]+\s*=>)/.test(source) ? '' : 'function_';
    const text = prefix ? `({ ${source} })` : `(${source})`;
    const tree = parse(text).body[0].expression;
    const node = prefix ? tree.properties[0].value : tree;
    const params = (one) => ({ params: one.params.map((p) => ({ text: text.slice(p.start, p.end) })) });
    if (node.type === 'ClassExpression') {
      const constructor = node.body.body.find((member) => member.kind === 'constructor');
      return `class ${value.name || expression}${node.superClass ? ` extends ${text.slice(node.superClass.start, node.superClass.end)}` : ''} · new ${value.name || expression}${constructor ? parameters(params(constructor.value)) : '()'}`;
    }
    return `${node.async ? 'async ' : ''}function${node.generator ? '*' : ''} ${expression}${parameters(params(node))}`;
  } catch {
    return `function ${expression}(${Array.from({ length: value.length }, (_, at) => 'abcdefgh'[at] ?? `a${at}`).join(', ')})  [native]`;
  }
}

module.exports = { complete, inspectAt, properties };
