globalThis.owned = true;
export const load = async () => ({ format: 'module', source: 'globalThis.owned = true', shortCircuit: true });
