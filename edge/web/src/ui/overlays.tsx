// Dialogs over the workspace, one at a time.

import { useEffect, type ReactNode } from "react";

import type { Tab } from "../workspace/workspace";
import { AccountDialog } from "./account";
import { AddMachine } from "./add-machine";
import { Approval } from "./approval";
import { AuditDialog } from "./audit";
import { DeviceLogin } from "./device";
import { Dialog } from "./dialog";
import { DirectoryDialog } from "./directory";
import { useApp, useStore } from "./hooks";
import { commandsOf, keysText } from "./keys";
import { MachineDetails, RevokeMachine } from "./machine";
import { NewSession } from "./new-session";
import { Palette } from "./palette";
import { ShareDialog } from "./share";
import { UpdateMachine } from "./update";

export function Overlays(): ReactNode {
  const app = useApp();
  const overlay = useStore(app.overlay);
  const isOpen = overlay !== undefined;
  // What lies under an open dialog takes no focus, so the terminal gets it once
  // the dialog is gone, unless something else has it by then.
  useEffect(() => {
    if (!isOpen && document.activeElement === document.body) app.workspace.current()?.screen.focus();
  }, [app, isOpen]);
  const close = (): void => {
    app.overlay.set(undefined);
    app.workspace.current()?.screen.focus();
  };
  switch (overlay?.kind) {
    case "new-session":
      return <NewSession gateway={overlay.gateway} close={close} />;
    case "add-machine":
      return <AddMachine tokens={overlay.tokens === true} close={close} />;
    case "machine":
      return <MachineDetails id={overlay.gateway} close={close} />;
    case "revoke":
      return <RevokeMachine id={overlay.gateway} close={close} />;
    case "approval":
      return <Approval pending={overlay.pending} close={close} />;
    case "update":
      return <UpdateMachine gateway={overlay.gateway} name={overlay.name} close={close} />;
    case "audit":
      return <AuditDialog gateway={overlay.gateway ?? ""} close={close} />;
    case "directory":
      return <DirectoryDialog close={close} />;
    case "end-session":
      return <EndSession tab={overlay.tab} name={overlay.name} close={close} />;
    case "share":
      return <ShareDialog tab={overlay.tab} name={overlay.name} close={close} />;
    case "account":
      return <AccountDialog close={close} />;
    case "device":
      return (
        <DeviceLogin
          close={() => {
            app.device.over();
            close();
          }}
        />
      );
    case "palette":
      return <Palette close={close} />;
    case "keys":
      return <Keys close={close} />;
    default:
      return null;
  }
}

function EndSession({ tab, name, close }: { tab: Tab; name: string; close: () => void }): ReactNode {
  const app = useApp();
  const end = (): void => {
    close();
    app.endSession(tab).catch(app.failed);
  };
  return (
    <Dialog
      title={`End “${name}”?`}
      testId="end-question"
      close={close}
      acts={
        <button type="button" className="danger" data-autofocus data-testid="end-confirm" onClick={end}>
          End the session
        </button>
      }
    >
      <p>What runs in it is asked to stop, then told, then killed. This cannot be taken back. To leave it running, close its tab instead.</p>
    </Dialog>
  );
}

function Keys({ close }: { close: () => void }): ReactNode {
  const app = useApp();
  return (
    <Dialog title="Keys" testId="keys" later="Close" over close={close}>
      <dl className="hints">
        {commandsOf(app).filter(({ keys }) => keys !== undefined).map(({ id, label, keys }) => (
          <div key={id}>
            <dt>{label}</dt>
            <dd>
              <kbd>{keysText(keys ?? "")}</kbd>
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
