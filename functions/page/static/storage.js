// Texts that a tab or a profile keeps for a reload. A browser may deny the storage, for example in a frame of another
// site, in a private window or on a full disk. Then nothing is kept, and the page goes on with what it has in memory.

function storage(name) {
  const attempt = (work) => {
    try {
      return work(window[name]);
    } catch {
      return null;
    }
  };
  return {
    get: (key) => attempt((kept) => kept.getItem(key)),
    keys: () => attempt((kept) => Object.keys(kept)) ?? [],
    remove: (key) => void attempt((kept) => kept.removeItem(key)),

    /** Keep a text. If that fails, remove the older text, because a reload must not bring it back. */
    set(key, text) {
      if (!attempt((kept) => { kept.setItem(key, text); return true; })) this.remove(key);
    },
  };
}

export const tab = storage("sessionStorage");
export const profile = storage("localStorage");
