// The colours that programs have set, which xterm.js 6.0 forgets with every
// theme. The holder's model of the screen keeps them too; the test that
// compares the two loads this file.

const SET = 1;
const RESTORE = 2;
/** Below it are the numbered colours, which are also restored all at once. */
const FOREGROUND = 256;

/** At most 259 of them: xterm.js lets no other numbers through. */
export class ProgramColours {
  #core;
  #set = new Map();
  /** What is shown while that is held. */
  #shown;

  constructor({ _core: core }) {
    this.#core = core;
    core._inputHandler.onColor((requests) => requests.forEach((request) => this.#take(request)));
  }

  get all() {
    return this.#set;
  }

  hold() {
    if (this.#shown !== undefined) return;
    this.#shown = new Map(this.#set);
    this.#core._handleColorEvent = () => undefined;
  }

  release() {
    if (this.#shown === undefined) return;
    delete this.#core._handleColorEvent;
    this.#show(this.#shown);
    this.#shown = undefined;
  }

  showAgain() {
    if (this.#shown === undefined) this.#show(new Map());
    else this.#shown.clear();
  }

  #take({ type, index, color }) {
    if (type === SET) this.#set.set(index, color);
    else if (type === RESTORE && index !== undefined) this.#set.delete(index);
    else if (type === RESTORE) for (const each of [...this.#set.keys()]) if (each < FOREGROUND) this.#set.delete(each);
  }

  /** Makes of what the terminal shows what was set. */
  #show(shown) {
    const gone = [...shown.keys()].filter((index) => !this.#set.has(index));
    const changed = [...this.#set].filter(([index, color]) => shown.get(index)?.join() !== color.join());
    const requests = [...gone.map((index) => ({ type: RESTORE, index })), ...changed.map(([index, color]) => ({ type: SET, index, color }))];
    if (requests.length > 0) this.#core._inputHandler._onColor.fire(requests);
  }
}
