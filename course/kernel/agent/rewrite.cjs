'use strict';
// A cell is evaluated as a script, which knows neither `import` statements nor `import.meta`, and whose `import()` has nobody to answer it.
// All three become calls of the agent. Lines stay where they are, so that errors point to what the person wrote.

const acorn = require('acorn');

const OPTIONS = {
  ecmaVersion: 'latest',
  sourceType: 'script',
  allowAwaitOutsideFunction: true,
  allowImportExportEverywhere: true,
  allowHashBang: true,
};

/**
 * The cell as a script. Throws acorn's SyntaxError (with `pos` and `loc`) where only we can explain it; V8 explains the rest.
 *
 * V8 lets a name be declared again in a later script, but only in the same way. So that a person may turn `const` into `let` and run
 * the cell again, a `const` of the top level becomes `let`, unless the cell itself assigns to it (then the error is theirs to see).
 * `softly`: so do `var` and function declarations, which would meet a `let` of an earlier cell.
 */
function rewrite(code, { softly = false } = {}) {
  const ours = /\b(?:import|export)\b/.test(code);
  if (!ours && !softly && !/\bconst\b/.test(code)) return code;
  let tree;
  try {
    tree = acorn.parse(code, OPTIONS);
  } catch (error) {
    if (ours) throw error;
    return code;
  }
  const edits = declarations(tree, softly);
  for (const node of nodes(tree)) {
    if (node.type === 'ImportDeclaration') edits.push([node.start, node.end, statement(node, code)]);
    else if (node.type === 'ImportExpression') edits.push([node.start, node.start + 'import'.length, '__looplab.import']);
    else if (node.type === 'MetaProperty' && node.meta.name === 'import') edits.push([node.start, node.end, '__looplab.meta']);
    else if (/^Export/.test(node.type)) throw exported(node, code);
  }
  let result = code;
  for (const [start, end, text] of edits.sort((a, b) => b[0] - a[0] || b[1] - a[1])) {
    const lines = code.slice(start, end).split('\n').length - text.split('\n').length;
    result = result.slice(0, start) + text + '\n'.repeat(Math.max(0, lines)) + result.slice(end);
  }
  return result;
}

function declarations(tree, softly) {
  const assigned = new Set();
  for (const node of nodes(tree)) {
    const target = node.type === 'AssignmentExpression' ? node.left : node.type === 'UpdateExpression' ? node.argument : null;
    for (const one of target ? nodes(target) : []) if (one.type === 'Identifier') assigned.add(one.name);
  }
  const edits = [];
  for (const node of tree.body) {
    if (node.type === 'VariableDeclaration' && (node.kind === 'const' || (softly && node.kind === 'var'))) {
      const names = node.declarations.flatMap(({ id }) => [...nodes(id)].filter((one) => one.type === 'Identifier').map((one) => one.name));
      if (node.kind === 'var' || !names.some((name) => assigned.has(name))) edits.push([node.start, node.start + node.kind.length, 'let']);
    } else if (softly && node.type === 'FunctionDeclaration') {
      edits.push([node.start, node.start, `let ${node.id.name} = `], [node.end, node.end, ';']);
    }
  }
  return edits;
}

function statement(node, code) {
  const source = node.source.raw;
  const attributes = node.attributes?.length
    ? `, { with: {${node.attributes.map((a) => code.slice(a.start, a.end)).join(', ')}} }`
    : '';
  const named = [];
  let whole = null;
  for (const specifier of node.specifiers) {
    if (specifier.type === 'ImportNamespaceSpecifier') whole = specifier.local.name;
    else {
      const imported = specifier.type === 'ImportDefaultSpecifier' ? 'default' : (specifier.imported.name ?? specifier.imported.value);
      named.push([JSON.stringify(imported), specifier.local.name]);
    }
  }
  const call = `await __looplab.importNames(${source}, [${named.map(([name]) => name).join(', ')}]${attributes})`;
  const fields = `{ ${named.map(([name, local]) => `${name}: ${local}`).join(', ')} }`;
  if (whole) return `let ${whole} = ${call}${named.length ? `, ${fields} = ${whole}` : ''};`;
  return named.length ? `let ${fields} = ${call};` : `${call};`;
}

function exported(node, code) {
  const error = new SyntaxError('A cell cannot export. Write the module to a file with `%%file name.mjs`, then import it.');
  error.pos = node.start;
  error.loc = acorn.getLineInfo(code, node.start);
  return error;
}

function* nodes(node) {
  if (Array.isArray(node)) for (const one of node) yield* nodes(one);
  else if (node && typeof node.type === 'string') {
    yield node;
    for (const value of Object.values(node)) if (value && typeof value === 'object') yield* nodes(value);
  }
}

/** complete, incomplete or invalid, as Jupyter asks before it runs what was typed into a console. */
function completeness(code) {
  try {
    acorn.parse(code, OPTIONS);
    return { status: 'complete' };
  } catch (error) {
    const atTheEnd = error.pos >= code.trimEnd().length || /Unterminated (?:template|comment)/.test(error.message);
    if (!atTheEnd) return { status: 'invalid' };
    const open = (code.match(/[{([]/g)?.length ?? 0) - (code.match(/[})\]]/g)?.length ?? 0);
    return { status: 'incomplete', indent: '  '.repeat(Math.max(0, open)) };
  }
}

module.exports = { rewrite, completeness, parse: (code) => acorn.parse(code, OPTIONS) };
