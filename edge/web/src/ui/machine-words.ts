// What is said of a machine.

import { Code } from "../gen/chatcode/v1/code_pb";
import { LinkState, type Gateway } from "../gen/chatcode/v1/fleet_pb";
import type { HostFacts } from "../gen/chatcode/v1/link_pb";
import { codeName } from "../link/refusal";
import { dateText, displaySafe, spanText } from "../words";

/** Why a link ended, where its code alone would not say it to a person. */
const ENDS: Partial<Record<Code, string>> = {
  [Code.UNSPECIFIED]: "",
  [Code.DONE]: "its daemon stopped",
  [Code.GATEWAY_OFFLINE]: "the connection broke",
  [Code.TIMEOUT]: "it went silent",
  [Code.DRAINING]: "the core was about to restart",
  [Code.UNAUTHENTICATED]: "its certificate had ended",
  [Code.REVOKED]: "it was revoked",
};

/** "site=attic, team=kites". */
export function labelsText(labels: Record<string, string>): string {
  const words = Object.entries(labels).map(([key, value]) => (value === "" ? key : `${key}=${value}`));
  return displaySafe(words.sort().join(", "), 2048);
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

/** Why a machine is away; empty where nothing is known of it. */
export function endedText({ linkState, linkEnded }: Gateway): string {
  if (linkState !== LinkState.OFFLINE) return "";
  return ENDS[linkEnded] ?? codeName(linkEnded).replaceAll("_", " ");
}

/** Whether another machine used this one's identity, and nobody has acknowledged it. */
export function isAlarmed({ duplicateUnixMs, linkState }: Gateway): boolean {
  return duplicateUnixMs !== 0n && linkState !== LinkState.REVOKED;
}

/** Who else used a machine's identity, and when. */
export function duplicateText({ duplicateUnixMs, duplicateHostname, duplicateAddress }: Gateway, now: number): string {
  const who = duplicateHostname === "" ? "a machine" : `a machine that calls itself “${displaySafe(duplicateHostname, 253)}”`;
  const where = duplicateAddress === "" ? "" : ` from ${displaySafe(duplicateAddress, 64)}`;
  return `${spanText(now - Number(duplicateUnixMs))} ago ${who} came${where} with the key of this one.`;
}

/** How a machine's certificate stands. */
export interface Standing {
  words: string;
  /** Since when and until when. */
  more?: string;
  /** What is wrong, and what that means; missing while all is well. */
  trouble?: string;
}

/** Missing where there is no certificate to speak of. */
export function certificateText({ certificate, linkState }: Gateway, now: number): Standing | undefined {
  const ends = Number(certificate?.notAfterUnixMs ?? 0n);
  if (certificate === undefined || ends === 0 || linkState === LinkState.REVOKED) return undefined;
  if (ends <= now) {
    return { words: `Ended ${spanText(now - ends)} ago`, more: dateText(ends), trouble: "The machine gets another one by itself when it is back." };
  }
  const renewed = certificate.renewedUnixMs === 0n ? "" : `, renewed ${spanText(now - Number(certificate.renewedUnixMs))} ago`;
  const good = { words: `Good for ${spanText(ends - now)} more`, more: `until ${dateText(ends)}${renewed}` };
  if (certificate.failures === 0) return good;
  const times = certificate.failures === 1 ? "Its renewal failed" : `Its renewal failed ${certificate.failures} times`;
  return { ...good, trouble: `${times}. The link ends with the certificate. “chatcode audit” says why.` };
}
