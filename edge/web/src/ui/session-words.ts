// What is said of a session.

import { LostReason, RestartPolicy, SessionState, type Exit, type Session } from "../gen/chatcode/v1/sessions_pb";
import { commandText, displaySafe } from "../words";

const SIGNALS: Record<number, string> = { 1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE", 15: "TERM" };

export function isOver(session: Session): boolean {
  return session.state === SessionState.EXITED || session.state === SessionState.LOST;
}

export function exitText(exit: Exit | undefined): string {
  if (exit === undefined) return "ended";
  if (exit.outOfMemory) return "ended: out of memory";
  if (exit.signal !== 0) return `ended by ${SIGNALS[exit.signal] ?? `signal ${exit.signal}`}`;
  return exit.code === 0 ? "ended" : `ended with ${exit.code}`;
}

/** What became of a session that is over. */
export function endText(session: Session): string {
  return session.restartsOver ? `${causeText(session)}; not started again` : causeText(session);
}

function causeText(session: Session): string {
  const restarted = session.lostReason === LostReason.MACHINE_RESTARTED;
  if (session.state === SessionState.LOST) return restarted ? "lost: the machine was restarted" : "lost: its holder vanished";
  return restarted ? "ended by the machine's restart" : exitText(session.exit);
}

/** "ok", "bad" or "lost": how an end is coloured. */
export function exitTone(session: Session): string {
  if (session.state === SessionState.LOST) return "lost";
  return session.exit !== undefined && (session.exit.code !== 0 || session.exit.signal !== 0) ? "bad" : "ok";
}

/** The line below a session's name. */
export function sessionDetail(session: Session): string {
  switch (session.state) {
    case SessionState.EXITED:
    case SessionState.LOST:
      return endText(session);
    case SessionState.ENDING:
      return "ending…";
    default: {
      const command = session.command.length === 0 ? "shell" : commandText(session.command);
      const folder = folderText(session.folder);
      const place = folder === "" ? command : `${command} in ${folder}`;
      return session.restarts === 0 ? place : `${place}, restarted ${session.restarts === 1 ? "once" : `${session.restarts} times`}`;
    }
  }
}

/** When a session is started again, and what that runs; missing when it is not, or no more. */
export function restartText({ restart, resumeCommand, restartsOver }: Session): string | undefined {
  const after = { [RestartPolicy.ON_CRASH]: "a crash", [RestartPolicy.ON_BOOT]: "a crash or reboot", [RestartPolicy.UNSPECIFIED]: undefined }[restart];
  if (after === undefined || restartsOver) return undefined;
  return resumeCommand.length === 0 ? `again after ${after}` : `again after ${after}: ${commandText(resumeCommand)}`;
}

export function folderText(folder: string): string {
  const home = /^\/(?:home|Users)\/[^/]+|^\/root/u.exec(folder)?.[0];
  const short = home === undefined ? folder : `~${folder.slice(home.length)}`;
  return displaySafe(short);
}
