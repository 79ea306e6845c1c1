// Which of the page's faces is shown.

import { useEffect, type ReactNode } from "react";

import type { App } from "../app";
import { ArrivalFace } from "./arrival";
import { GuestFace } from "./guest";
import { AppContext, useApp, useStore } from "./hooks";
import { ComingFace } from "./share-arrival";
import { SignedOut, Waiting } from "./sign-in";
import { WorkspaceView } from "./workspace";

export function Root({ app }: { app: App }): ReactNode {
  return (
    <AppContext value={app}>
      <Face />
    </AppContext>
  );
}

function Face(): ReactNode {
  const { guest } = useApp();
  return guest === undefined ? <OwnFace /> : <GuestFace guest={guest} />;
}

function OwnFace(): ReactNode {
  const { account, elsewhere, entering, fleet } = useApp();
  const arrival = useStore(elsewhere.arrival);
  const coming = useStore(entering.coming);
  const who = useStore(account.account);
  const principal = who.state === "signed-in" ? who.principal : undefined;
  useEffect(() => {
    if (principal === undefined) return undefined;
    entering.signedIn();
    fleet.start();
    return () => fleet.stop();
  }, [principal, fleet, entering]);
  if (arrival !== undefined) return <ArrivalFace arrival={arrival} />;
  if (coming !== undefined) return <ComingFace coming={coming} />;
  switch (who.state) {
    case "asking":
      return <div className="calm" data-testid="sign-in-state" data-state="asking" />;
    case "waiting":
      return <Waiting waiting={who} again={() => void account.ask()} />;
    case "signed-out":
      return <SignedOut why={who.why} />;
    case "signed-in":
      return <WorkspaceView key={who.principal} />;
  }
}
