// The update of one machine: that there is one, and a dialog that does it.

import { useEffect, useState, type ReactNode } from "react";

import { progressText } from "../fleet/updates";
import type { UpdateStatus } from "../gen/chatcode/v1/host_pb";
import { explain } from "../link/refusal";
import { displaySafe } from "../words";
import { Dialog } from "./dialog";
import { useApp, useStore } from "./hooks";

/** A machine looks for updates a few times a day; that often it is asked what it found. */
const LOOK_MS = 30 * 60_000;
const VERSION_CHARS = 64;

/** Says below a machine's name that there is an update; nothing while there is none. */
export function UpdateOffer({ gateway, name, online }: { gateway: string; name: string; online: boolean }): ReactNode {
  const app = useApp();
  const status = useStore(app.updates.state).get(gateway);
  useEffect(() => {
    if (!online) return undefined;
    void app.updates.look(gateway);
    const timer = setInterval(() => void app.updates.look(gateway), LOOK_MS);
    return () => clearInterval(timer);
  }, [app, gateway, online]);
  const version = displaySafe(status?.available ?? "", VERSION_CHARS);
  if (!online || version === "") return null;
  return (
    <button
      type="button"
      className="quiet machine-update"
      data-testid="update-offer"
      aria-label={`Update available: ${version}, for ${name}`}
      onClick={() => {
        app.listOpen.set(false);
        app.overlay.set({ kind: "update", gateway, name });
      }}
    >
      Update available: {version}
    </button>
  );
}

/** Asks, does it, and says what became of it. */
export function UpdateMachine({ gateway, name, close }: { gateway: string; name: string; close: () => void }): ReactNode {
  const app = useApp();
  const status = useStore(app.updates.state).get(gateway);
  const [version] = useState(status?.available ?? "");
  const [busy, setBusy] = useState(false);
  const [ended, setEnded] = useState<{ done: boolean; words: string }>();
  const update = async (): Promise<void> => {
    setBusy(true);
    setEnded(undefined);
    try {
      const outcome = await app.updates.update(gateway);
      setEnded(outcomeText(outcome ?? { done: false, to: version, from: "", reason: "" }, app.updates.state.get().get(gateway)));
    } catch (error) {
      setEnded({ done: false, words: explain(error) });
    }
    setBusy(false);
  };
  const isDone = ended?.done === true;
  return (
    <Dialog
      title={`Update “${name}”?`}
      testId="update"
      later={isDone || busy ? "Close" : "Later"}
      over={isDone}
      close={close}
      refused={ended?.done === false ? ended.words : undefined}
      acts={
        !isDone && (
          <button type="button" className="primary" data-testid="update-confirm" disabled={busy} onClick={() => void update()}>
            Update
          </button>
        )
      }
    >
      <p>
        From {displaySafe(status?.installed ?? "", VERSION_CHARS)} to {displaySafe(version, VERSION_CHARS)}. Sessions go on. A version that does not reach the
        core is taken back by itself.
      </p>
      {busy && (
        <p role="status" data-testid="update-progress">
          {(status !== undefined && progressText(status)) || "Asking the machine…"}
        </p>
      )}
      {isDone && (
        <p role="status" data-testid="update-ended">
          {ended.words}
        </p>
      )}
    </Dialog>
  );
}

/** What became of an update, in words. */
export function outcomeText(
  { done, from, to, reason }: { done: boolean; from: string; to: string; reason: string },
  status: UpdateStatus | undefined,
): { done: boolean; words: string } {
  const [before, after] = [displaySafe(from, VERSION_CHARS), displaySafe(to, VERSION_CHARS)];
  if (done) return { done, words: `Version ${after} runs.` };
  if (before !== "") return { done, words: `Version ${after} was not taken, version ${before} goes on: ${displaySafe(reason, 256)}` };
  return { done, words: displaySafe(status?.problem ?? "", 256) || "The machine has nothing newer." };
}
