// What is said of a session and a machine.

import { LinkState, type Gateway } from "../gen/chatcode/v1/fleet_pb";
import { LostReason, RestartPolicy, SessionState, type Exit, type Session } from "../gen/chatcode/v1/sessions_pb";
import type { HostFacts } from "../gen/chatcode/v1/link_pb";
import { DUPLICATE_SHOWN_MS } from "../link/limits";
import { commandText, displaySafe, spanText } from "../words";

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

/** "site=attic, team=kites". */
export function labelsText(labels: Record<string, string>): string {
  const words = Object.entries(labels).map(([key, value]) => (value === "" ? key : `${key}=${value}`));
  return displaySafe(words.sort().join(", "), 2048);
}

/** What people have to look at on a machine; missing when there is nothing. */
export function alarmText({ duplicateUnixMs, linkState }: Gateway, now: number): string | undefined {
  const since = now - Number(duplicateUnixMs);
  if (duplicateUnixMs === 0n || since >= DUPLICATE_SHOWN_MS || linkState === LinkState.REVOKED) return undefined;
  return `Another machine used this one's identity ${spanText(since)} ago. If you copied it, enroll the copy anew; if you did not, revoke it.`;
}

/** "linux 6.1.0 x86_64", as the machine tells. */
export function systemText(host: HostFacts | undefined): string {
  return displaySafe([host?.os, host?.kernel, host?.arch].filter(Boolean).join(" "), 256);
}

export function machineWord(gateway: Gateway, now: number): string {
  const since = spanText(now - Number(gateway.sinceUnixMs));
  switch (gateway.linkState) {
    case LinkState.ONLINE:
      return `linked for ${since}`;
    case LinkState.OFFLINE:
      return `offline for ${since}`;
    case LinkState.NEVER:
      return "never linked yet";
    case LinkState.REVOKED:
      return "revoked";
    default:
      return "";
  }
}
