// The page's own keys. They all hold Ctrl and Shift (on a Mac also Command and
// Shift), which no program in a terminal gets to see anyway.

import type { App } from "../app";
import { Permission } from "../gen/chatcode/v1/rule_pb";
import { isMac } from "../platform";
import type { Attachment } from "../session/attachment";
import { CLIPBOARD_POLICIES } from "../terminal/clipboard";
import { inView } from "../workspace/workspace";

export interface PageCommand {
  id: string;
  label: string;
  keys: string | undefined;
  /** As `KeyboardEvent.code`. */
  code: string | undefined;
  run: (app: App) => void;
  /** Whether it is a choice, and the one in force. */
  isSet?: (app: App) => boolean;
  /** Whether it is there for this person; missing: for all. */
  isThere?: (app: App) => boolean;
}

const zoom = (app: App, by: number): void => app.look.set({ fontSize: app.look.look.get().fontSize + by });

export const COMMANDS: readonly PageCommand[] = [
  {
    id: "new",
    label: "New session",
    keys: "Enter",
    code: "Enter",
    run: (app) => app.overlay.set({ kind: "new-session", gateway: undefined }),
  },
  { id: "add-machine", label: "Add a machine", keys: undefined, code: undefined, run: (app) => app.overlay.set({ kind: "add-machine" }) },
  { id: "tokens", label: "Join tokens that are out", keys: undefined, code: undefined, run: (app) => app.overlay.set({ kind: "add-machine", tokens: true }) },
  {
    id: "audit",
    label: "Audit: who did what",
    keys: undefined,
    code: undefined,
    run: (app) => app.overlay.set({ kind: "audit" }),
    isThere: (app) => app.account.permissions.get().has(Permission.AUDIT_READ),
  },
  {
    id: "directory",
    label: "People, teams and roles",
    keys: undefined,
    code: undefined,
    run: (app) => app.overlay.set({ kind: "directory" }),
    isThere: (app) => app.account.permissions.get().has(Permission.PEOPLE_MANAGE),
  },
  { id: "palette", label: "Commands and sessions", keys: "P", code: "KeyP", run: (app) => app.overlay.set({ kind: "palette" }) },
  { id: "next", label: "Next tab", keys: "→", code: "ArrowRight", run: (app) => app.workspace.step(1) },
  { id: "previous", label: "Previous tab", keys: "←", code: "ArrowLeft", run: (app) => app.workspace.step(-1) },
  { id: "find", label: "Search in the terminal", keys: "F", code: "KeyF", run: (app) => app.searching.set(true) },
  { id: "earlier", label: "Load earlier output", keys: undefined, code: undefined, run: (app) => app.workspace.current()?.askForSkipped() },
  { id: "list", label: "Go to the list of sessions", keys: "L", code: "KeyL", run: focusList },
  { id: "copy", label: "Copy the selection", keys: "C", code: "KeyC", run: copySelection },
  { id: "paste", label: "Paste", keys: "V", code: undefined, run: (app) => void paste(app) },
  { id: "copy-offered", label: "Copy what the program offers", keys: undefined, code: undefined, run: (app) => copyOffered(app, app.workspace.current()) },
  { id: "left", label: "Move this tab to the left", keys: undefined, code: undefined, run: (app) => app.workspace.shift(-1) },
  { id: "right", label: "Move this tab to the right", keys: undefined, code: undefined, run: (app) => app.workspace.shift(1) },
  { id: "notices", label: "Dismiss the notices", keys: undefined, code: undefined, run: dismissNotices },
  { id: "try", label: "Connect now instead of later", keys: undefined, code: undefined, run: connectNow },
  { id: "forget", label: "Forget what I typed while the line was down", keys: undefined, code: undefined, run: (app) => app.workspace.current()?.dropKept() },
  { id: "take", label: "Take over typing", keys: undefined, code: undefined, run: (app) => app.workspace.current()?.takeOver() },
  { id: "rename", label: "Rename this session", keys: undefined, code: undefined, run: rename },
  { id: "share", label: "Share this session…", keys: undefined, code: undefined, run: share, isThere: (app) => app.account.permissions.get().has(Permission.SESSION_SHARE) },
  { id: "end", label: "End this session…", keys: undefined, code: undefined, run: end },
  { id: "close", label: "Close this tab", keys: "X", code: "KeyX", run: closeTab },
  { id: "larger", label: "Larger text", keys: "+", code: "Equal", run: (app) => zoom(app, 1) },
  { id: "smaller", label: "Smaller text", keys: "−", code: "Minus", run: (app) => zoom(app, -1) },
  { id: "scheme", label: "Colours: automatic, dark, light", keys: undefined, code: undefined, run: (app) => app.look.cycleScheme() },
  {
    id: "reader",
    label: "Screen reader support on or off",
    keys: undefined,
    code: undefined,
    run: (app) => app.look.set({ screenReader: !app.look.look.get().screenReader }),
  },
  ...CLIPBOARD_POLICIES.map((clipboard) => ({
    id: `clipboard-${clipboard}`,
    label: `Programs may write the clipboard: ${clipboard}`,
    keys: undefined,
    code: undefined,
    run: (app: App) => app.look.set({ clipboard }),
    isSet: (app: App) => app.look.look.get().clipboard === clipboard,
  })),
  { id: "keys", label: "Show all keys", keys: undefined, code: undefined, run: (app) => app.overlay.set({ kind: "keys" }) },
  { id: "account", label: "Account: passkeys, password, browsers", keys: undefined, code: undefined, run: (app) => app.overlay.set({ kind: "account" }) },
  { id: "device", label: "Log a program in by its code", keys: undefined, code: undefined, run: (app) => app.device.ask("") },
  { id: "sign-out", label: "Sign out", keys: undefined, code: undefined, run: (app) => void app.signOut() },
];

/** What a guest may do with the one session: nothing that leads out of it. */
const FOR_GUESTS = /^(?:palette|find|earlier|copy|paste|copy-offered|notices|try|forget|take|larger|smaller|scheme|reader|keys|clipboard-.*)$/u;

/** The commands that are there for whoever uses this page. */
export function commandsOf(app: App): PageCommand[] {
  return COMMANDS.filter(({ id, isThere }) => isThere?.(app) !== false && (app.guest === undefined || FOR_GUESTS.test(id)));
}

/** Runs the command of this key; false when it is nobody's. */
export function runKey(app: App, event: KeyboardEvent): boolean {
  if (!isPageKey(event) || app.overlay.get() !== undefined) return false;
  const command = commandsOf(app).find(({ code }) => code === event.code);
  if (command === undefined) return false;
  event.preventDefault();
  event.stopPropagation();
  if (event.type === "keydown") command.run(app);
  return true;
}

/** Whether the page's keys are held; the terminal leaves these alone. */
export function isPageKey(event: KeyboardEvent): boolean {
  return event.shiftKey && !event.altKey && (event.ctrlKey || event.metaKey);
}

export function keysText(keys: string): string {
  return isMac() ? `⌘⇧${keys}` : `Ctrl+Shift+${keys}`;
}

function focusList(app: App): void {
  app.listOpen.set(true);
  requestAnimationFrame(() => {
    const current = document.querySelector<HTMLElement>("[data-list] [aria-current=true]");
    const target = current ?? document.querySelector<HTMLElement>("[data-list] button");
    target?.focus({ focusVisible: true });
  });
}

function copySelection(app: App): void {
  const screen = app.workspace.current()?.screen;
  if (screen === undefined || screen.selection === "") return;
  navigator.clipboard
    .writeText(screen.selection)
    .catch(() => app.failure.set({ text: "The browser did not let the page write to the clipboard. Press Ctrl+C (or Command+C) instead." }));
}

/** Puts on the clipboard what a program would. */
export function copyOffered(app: App, attachment: Attachment | undefined): void {
  const offered = attachment?.status.get().offered;
  if (attachment === undefined || offered === undefined) return;
  navigator.clipboard.writeText(offered).then(
    () => {
      if (attachment.status.get().offered === offered) attachment.dismissOffered();
    },
    () => app.failure.set({ text: "The browser did not let the page write to the clipboard." }),
  );
}

async function paste(app: App): Promise<void> {
  try {
    app.workspace.current()?.screen.paste(await navigator.clipboard.readText());
  } catch {
    app.failure.set({ text: "The browser did not let the page read the clipboard. Press Ctrl+V (or Command+V) in the terminal instead." });
  }
}

function dismissNotices(app: App): void {
  app.failure.set(undefined);
  const attachment = app.workspace.current();
  for (const { id } of attachment?.status.get().notices ?? []) attachment?.dismiss(id);
  attachment?.dismissOffered();
}

function connectNow(app: App): void {
  app.fleet.line.tryNow();
  app.workspace.current()?.line.tryNow();
}

function rename(app: App): void {
  const { active } = app.workspace.tabs.get();
  app.listOpen.set(true);
  app.renaming.set(active);
}

function end(app: App): void {
  const tab = inView(app.workspace.tabs.get());
  if (tab === undefined) return;
  const name = app.fleet.session(tab.gateway, tab.session)?.name ?? "";
  app.overlay.set({ kind: "end-session", tab, name });
}

function share(app: App): void {
  const tab = inView(app.workspace.tabs.get());
  if (tab === undefined) return;
  const name = app.fleet.session(tab.gateway, tab.session)?.name ?? "";
  app.overlay.set({ kind: "share", tab, name });
}

function closeTab(app: App): void {
  const tab = inView(app.workspace.tabs.get());
  if (tab !== undefined) app.workspace.close(tab);
}
