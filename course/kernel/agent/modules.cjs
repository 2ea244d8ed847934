'use strict';
// Imports from a cell start at the notebook's folder. A local file that has changed since it was imported is imported anew: every
// local module then gets a fresh copy, because an unchanged one may itself import the changed one.

const fs = require('node:fs');
const { createRequire, registerHooks } = require('node:module');
const path = require('node:path');
const { fileURLToPath, pathToFileURL } = require('node:url');

const HERE = pathToFileURL(__filename).href;

function installModules(cwd) {
  const cell = pathToFileURL(path.join(cwd, 'cell.mjs'));
  const seen = new Map(); // file -> its fingerprint when it was imported
  let generation = 0;

  registerHooks({
    resolve(specifier, context, next) {
      const fromCell = context.parentURL === HERE;
      const found = next(specifier, fromCell ? { ...context, parentURL: cell.href } : context);
      if (!found.url?.startsWith('file:') || found.url.includes('/node_modules/') || found.url.startsWith(HERE)) return found;
      if (fileURLToPath(found.url).startsWith(__dirname)) return found;
      const file = fileURLToPath(found.url);
      if (!seen.has(file)) seen.set(file, fingerprint(file));
      if (!generation || context.conditions?.includes('require') || found.url.includes('?')) return found;
      return { ...found, url: `${found.url}?v=${generation}` };
    },
  });

  const require = createRequire(cell);

  async function importNames(specifier, names, options) {
    const namespace = await import(specifier, options);
    for (const name of names) {
      if (!(name in namespace)) throw new SyntaxError(`The module '${specifier}' does not provide an export named '${name}'`);
    }
    return namespace;
  }

  return {
    require,
    refresh() {
      const stale = [...seen].filter(([file, before]) => fingerprint(file) !== before);
      if (!stale.length) return;
      generation += 1;
      seen.clear();
      for (const file of Object.keys(require.cache)) {
        if (!file.includes('/node_modules/') && !file.startsWith(__dirname)) delete require.cache[file];
      }
    },
    forCells: {
      import: (specifier, options) => import(specifier, options),
      importNames,
      meta: {
        url: cell.href,
        filename: fileURLToPath(cell),
        dirname: cwd,
        main: false,
        resolve: (specifier) => (/^\.{0,2}\//.test(specifier) ? new URL(specifier, cell).href : pathToFileURL(require.resolve(specifier)).href),
      },
    },
  };
}

function fingerprint(file) {
  try {
    const { mtimeNs, size, ino } = fs.statSync(file, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch {
    return 'gone';
  }
}

module.exports = { installModules };
