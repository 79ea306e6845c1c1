// A new session: where, in which folder, what, and under which name.

import { useEffect, useState, type ReactNode } from "react";

import { LinkState } from "../gen/chatcode/v1/fleet_pb";
import { RestartPolicy, type TmuxSession } from "../gen/chatcode/v1/sessions_pb";
import type { Wish } from "../app";
import { ARGUMENTS, SESSION_NAME_CHARS } from "../link/limits";
import { target } from "../link/rpc";
import { commandWords, displaySafe } from "../words";
import { inView } from "../workspace/workspace";
import { Dialog, useAct } from "./dialog";
import { useApp, useStore } from "./hooks";

const LAST_KEY = "chatcode.last-folder";

const RESTARTS = [
  [RestartPolicy.UNSPECIFIED, "never"],
  [RestartPolicy.ON_CRASH, "after a crash"],
  [RestartPolicy.ON_BOOT, "after a crash and a restart of the machine"],
] as const;

export function NewSession({ gateway, close }: { gateway: string | undefined; close: () => void }): ReactNode {
  const app = useApp();
  const { machines } = useStore(app.fleet.state);
  const tabs = useStore(app.workspace.tabs);
  const usable = machines.filter((machine) => machine.gateway.linkState === LinkState.ONLINE);
  const near = gateway ?? inView(tabs)?.gateway;
  const first = usable.find((machine) => machine.gateway.id === near) ?? usable[0];
  const [where, setWhere] = useState(first?.gateway.id ?? "");
  const [folder, setFolder] = useState(() => localStorage.getItem(LAST_KEY) ?? "");
  const [command, setCommand] = useState("");
  const [name, setName] = useState("");
  const [restart, setRestart] = useState(RestartPolicy.UNSPECIFIED);
  const [resume, setResume] = useState("");
  const { busy, refused, refuse, run } = useAct();
  // One id per form: pressing the button again after a lost answer makes no second session.
  const [id] = useState(() => crypto.randomUUID());

  const start = async (wish: Omit<Wish, "id">): Promise<boolean> => {
    const made = await run(() => app.createSession(where, { id, ...wish }));
    if (!made) return false;
    app.listOpen.set(false);
    close();
    return true;
  };

  const submit = async (): Promise<void> => {
    const words = commandWords(command);
    if (words === undefined) return refuse("A quote in the command is not closed.");
    if (words.length > ARGUMENTS) return refuse(`The command has more than ${ARGUMENTS} words.`);
    const resumeCommand = restart === RestartPolicy.UNSPECIFIED ? [] : commandWords(resume);
    if (resumeCommand === undefined) return refuse("A quote in the command for a restart is not closed.");
    if (resumeCommand.length > ARGUMENTS) return refuse(`The command for a restart has more than ${ARGUMENTS} words.`);
    const made = await start({ name: name.trim(), folder: folder.trim(), command: words, restart, resumeCommand });
    if (made) localStorage.setItem(LAST_KEY, folder.trim());
  };

  return (
    <Dialog
      title="New session"
      testId="new-session-dialog"
      close={close}
      refused={refused}
      form={{ testId: "new-session-form", submit: () => void submit() }}
      acts={
        <button type="submit" className="primary" disabled={busy || usable.length === 0} data-testid="new-session-create">
          {busy ? "Starting…" : "Start"}
        </button>
      }
    >
      {usable.length === 0 && <p role="alert">No machine is linked now. A session can be started as soon as one is back.</p>}
      {usable.length > 1 && (
        <Choice
          label="Machine"
          testId="new-session-machine"
          value={where}
          options={usable.map(({ gateway: { id, name } }) => [id, displaySafe(name, 64)])}
          choose={setWhere}
        />
      )}
      <label className="field">
        <span>Folder</span>
        <input
          className="mono"
          value={folder}
          placeholder="~"
          data-testid="new-session-folder"
          spellCheck={false}
          autoCapitalize="off"
          data-autofocus
          onChange={(event) => setFolder(event.target.value)}
        />
        <small>Made when it is missing.</small>
      </label>
      <label className="field">
        <span>Command</span>
        <input
          className="mono"
          value={command}
          placeholder="your login shell"
          data-testid="new-session-command"
          list="commands"
          spellCheck={false}
          autoCapitalize="off"
          onChange={(event) => setCommand(event.target.value)}
        />
        <datalist id="commands">
          {["claude", "codex", "gemini", "htop"].map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      </label>
      <label className="field">
        <span>Name</span>
        <input
          value={name}
          placeholder="after the command"
          maxLength={SESSION_NAME_CHARS}
          data-testid="new-session-name"
          onChange={(event) => setName(event.target.value)}
        />
      </label>
      <Choice label="Start it again" testId="new-session-restart" value={restart} options={RESTARTS} choose={setRestart} />
      {restart !== RestartPolicy.UNSPECIFIED && (
        <label className="field">
          <span>Command then</span>
          <input
            className="mono"
            value={resume}
            placeholder="the same"
            data-testid="new-session-resume"
            spellCheck={false}
            autoCapitalize="off"
            onChange={(event) => setResume(event.target.value)}
          />
        </label>
      )}
      <TmuxSessions
        gateway={where}
        busy={busy}
        open={({ name, command }) => void start({ name, folder: "", command, restart: RestartPolicy.UNSPECIFIED, resumeCommand: [] })}
      />
    </Dialog>
  );
}

interface ChoiceProps<T> {
  label: string;
  testId: string;
  value: T;
  options: readonly (readonly [value: T, words: string])[];
  choose: (value: T) => void;
}

/** One of a few. */
function Choice<T extends string | number>({ label, testId, value, options, choose }: ChoiceProps<T>): ReactNode {
  return (
    <label className="field">
      <span>{label}</span>
      <select
        value={value}
        data-testid={testId}
        onChange={(event) => {
          const chosen = options[event.target.selectedIndex];
          if (chosen !== undefined) choose(chosen[0]);
        }}
      >
        {options.map(([each, words]) => (
          <option key={each} value={each}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The sessions of the machine's own tmux, if it has any. */
function TmuxSessions(props: { gateway: string; busy: boolean; open: (session: TmuxSession) => void }): ReactNode {
  const { rpc } = useApp();
  const { gateway, busy, open } = props;
  const [sessions, setSessions] = useState<TmuxSession[]>([]);
  useEffect(() => {
    let asked = true;
    setSessions([]);
    if (gateway === "") return undefined;
    // Only an offer: a machine that does not answer has none.
    rpc.sessions.listTmux({}, target(gateway)).then(
      (answer) => asked && setSessions(answer.sessions),
      () => undefined,
    );
    return () => {
      asked = false;
    };
  }, [rpc, gateway]);
  if (sessions.length === 0) return null;
  return (
    <fieldset className="tmux">
      <legend>Or open a session of tmux there</legend>
      {sessions.map((session) => (
        <button
          key={session.name}
          type="button"
          className="quiet"
          disabled={busy}
          data-testid="open-tmux"
          onClick={() => open(session)}
        >
          <span className="mono">{displaySafe(session.name, 64)}</span>
          <small>
            {session.windows === 1 ? "1 window" : `${session.windows} windows`}
            {session.clients > 0 && ", in use"}
          </small>
        </button>
      ))}
    </fieldset>
  );
}
