// How components read what lives outside of React.

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";

import type { App } from "../app";
import { Code } from "../gen/chatcode/v1/code_pb";
import type { Store } from "../store";

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/** The time, once a second, while `running`. */
export function useNow(running: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!running) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === undefined) throw new Error("a component outside of the app");
  return app;
}

/** Whether the person has no role by which anything is seen. */
export function useNothingGiven(): boolean {
  const { phase, refusal } = useStore(useApp().fleet.line.state);
  return phase !== "open" && refusal?.code === Code.FORBIDDEN;
}
