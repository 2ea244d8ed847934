globalThis.owned = true;
