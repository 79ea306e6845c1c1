// One field for everything: go to a session or a machine, do a thing.

import { useState, type KeyboardEvent, type ReactNode } from "react";

import { displaySafe } from "../words";
import { Modal } from "./dialog";
import { useApp, useNow, useStore } from "./hooks";
import { commandsOf, keysText } from "./keys";
import { machineWord } from "./machine-words";
import { sessionDetail } from "./session-words";

interface Item {
  id: string;
  label: string;
  detail: string;
  command: boolean;
  run: () => void;
}

export function Palette({ close }: { close: () => void }): ReactNode {
  const app = useApp();
  const { machines } = useStore(app.fleet.state);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);

  const sessions: Item[] = machines.flatMap(({ gateway, sessions: all }) =>
    all.map((session) => ({
      id: session.id,
      label: displaySafe(session.name),
      detail: `${displaySafe(gateway.name)} · ${sessionDetail(session)}`,
      command: false,
      run: () => void app.workspace.open(gateway.id, session.id),
    })),
  );
  const now = useNow(true);
  const details: Item[] = machines.map(({ gateway }) => ({
    id: gateway.id,
    label: displaySafe(gateway.name, 64),
    detail: `machine · ${machineWord(gateway, now)}`,
    command: false,
    run: () => app.overlay.set({ kind: "machine", gateway: gateway.id }),
  }));
  const commands: Item[] = commandsOf(app).filter(({ id }) => id !== "palette").map((command) => ({
    id: command.id,
    label: command.isSet?.(app) === true ? `${command.label} (as it is)` : command.label,
    detail: command.keys === undefined ? "" : keysText(command.keys),
    command: true,
    run: () => command.run(app),
  }));
  const found = [...sessions, ...details, ...commands].filter((item) => matches(text, `${item.label} ${item.detail}`));
  const chosen = Math.min(at, found.length - 1);

  const run = (item: Item | undefined): void => {
    if (item === undefined) return;
    close();
    item.run();
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt(Math.min(chosen + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
    else if (event.key === "Enter") run(found[chosen]);
    else return;
    event.preventDefault();
  };

  return (
    <Modal title="Commands and sessions" testId="palette" className="palette" close={close}>
      <input
        className="palette-field"
        value={text}
        placeholder={app.guest === undefined ? "Go to a session, or do something" : "Do something"}
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-items"
        aria-activedescendant={found[chosen] === undefined ? undefined : `palette-${found[chosen].id}`}
        aria-label="Commands and sessions"
        data-autofocus
        spellCheck={false}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={keys}
      />
      <ul id="palette-items" className="palette-items" role="listbox" aria-label="Found">
        {found.map((item, i) => (
          <li
            key={item.id}
            id={`palette-${item.id}`}
            role="option"
            aria-selected={i === chosen}
            data-command={item.command}
            ref={i === chosen ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
            onPointerMove={() => setAt(i)}
            onClick={() => run(item)}
          >
            <span>{item.label}</span>
            <span className="palette-detail">{item.detail}</span>
          </li>
        ))}
        {found.length === 0 && <li className="palette-none">Nothing is called that.</li>}
      </ul>
    </Modal>
  );
}

/** All words of the query occur. */
function matches(query: string, text: string): boolean {
  const lower = text.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/u)
    .every((word) => lower.includes(word));
}
