// The calm faces: nobody is signed in, or nobody answers.

import type { ReactNode } from "react";

import type { Account } from "../account/account";
import { accused } from "../link/health";
import { displaySafe, spanText } from "../words";
import { Command } from "./command";
import { useNow } from "./hooks";
import { Mark } from "./icons";

export function SignedOut({ why }: { why: string | undefined }): ReactNode {
  return (
    <main className="calm" data-testid="sign-in-state" data-state="signed-out">
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">Open the link that chatcode printed</h1>
        {why !== undefined && (
          <p className="calm-why" role="alert" data-testid="sign-in-refused">
            {displaySafe(why)}
          </p>
        )}
        <p>
          A sign-in link works once and for ten minutes. It was printed by <code>chatcode up</code>. For a new one, run this on
          the machine where it runs:
        </p>
        <Command text="chatcode login-url" />
        <p className="calm-small">Then open the address that it prints, here or in another browser.</p>
      </section>
    </main>
  );
}

export function Waiting({ waiting, again }: { waiting: Extract<Account, { state: "waiting" }>; again: () => void }): ReactNode {
  const now = useNow(true);
  const core = accused(waiting.refusal.code) === "core";
  const seconds = Math.max(Math.ceil((waiting.nextTry - now) / 1000), 0);
  return (
    <main className="calm" data-testid="sign-in-state" data-state="waiting">
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">{core ? "The core does not answer" : "The edge does not answer"}</h1>
        <p>
          Your sessions are not touched by this: they run on their machines and wait for you. This page has been trying for{" "}
          {spanText(now - waiting.since)}.
        </p>
        <div className="calm-row">
          <button type="button" className="primary" onClick={again} data-testid="try-now">
            Try now
          </button>
          <span className="calm-small" aria-hidden="true">
            next try {seconds === 0 ? "now" : `in ${seconds} s`}
          </span>
        </div>
      </section>
    </main>
  );
}
