// Storage of a tab or a profile, for a reload. A browser may deny it: a frame of another site, a private window, a full
// disk. Then nothing is kept, and the page goes on with what it has in memory.

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

    /** Keep a text. When that fails, the older text goes too: a reload must not bring back what is over. */
    set(key, text) {
      if (!attempt((kept) => { kept.setItem(key, text); return true; })) this.remove(key);
    },
  };
}

export const tab = storage("sessionStorage");
export const profile = storage("localStorage");
