// A viewer is one tab. Its id lives in sessionStorage, so that a reload is the
// same viewer; a lock keeps a duplicated tab, which copies that storage, from
// being the same viewer too.

const KEY = "chatcode.viewer";
/** A page that goes away lets go of the lock; a duplicate never does. Longer only costs a duplicate. */
const WAIT_MS = 1500;

// A page out of the back-forward cache has given its identity away.
if (typeof window !== "undefined") {
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

/** The random part of this tab's viewer ids; a fresh one when another tab has it. */
export async function tabSecret(): Promise<Uint8Array> {
  const stored = sessionStorage.getItem(KEY);
  if (stored !== null && /^[0-9a-f]{32}$/u.test(stored) && (await own(stored))) return fromHex(stored);
  const fresh = crypto.getRandomValues(new Uint8Array(16));
  const text = toHex(fresh);
  sessionStorage.setItem(KEY, text);
  // Whatever the copied tab remembered of its viewers is not ours.
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(REMEMBERED)) sessionStorage.removeItem(key);
  await own(text);
  return fresh;
}

export const REMEMBERED = "chatcode.input.";

/** The id of this tab's viewer of one session: 16 bytes that tell nothing of the others. */
export async function viewerId(secret: Uint8Array, session: string): Promise<Uint8Array> {
  const name = new TextEncoder().encode(session);
  const joined = new Uint8Array(secret.length + name.length);
  joined.set(secret);
  joined.set(name, secret.length);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined)).slice(0, 16);
}

/** Holds the lock of this name until the page goes away; false when another page holds it. */
function own(name: string): Promise<boolean> {
  if (!("locks" in navigator)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), WAIT_MS);
    navigator.locks
      .request(`chatcode.viewer.${name}`, { signal: giveUp.signal }, () => {
        clearTimeout(timer);
        resolve(true);
        return new Promise<void>((release) => {
          // Told while the old page still can, so that the next one does not wait for its end.
          window.addEventListener("pagehide", () => release(), { once: true });
        });
      })
      .catch(() => resolve(false));
  });
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../gu) ?? [], (pair) => parseInt(pair, 16));
}
