// Which of the page's faces is shown.

import { useEffect, type ReactNode } from "react";

import type { App } from "../app";
import { ArrivalFace } from "./arrival";
import { AppContext, useApp, useStore } from "./hooks";
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
  const { account, elsewhere, fleet } = useApp();
  const arrival = useStore(elsewhere.arrival);
  const who = useStore(account.account);
  const principal = who.state === "signed-in" ? who.principal : undefined;
  useEffect(() => {
    if (principal === undefined) return undefined;
    fleet.start();
    return () => fleet.stop();
  }, [principal, fleet]);
  if (arrival !== undefined) return <ArrivalFace arrival={arrival} />;
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
