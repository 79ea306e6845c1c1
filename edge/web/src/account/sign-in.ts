// Signing in at the edge: which ways are open, a challenge where one is needed, and a proof that becomes the cookie.

import { Code } from "../gen/chatcode/v1/code_pb";
import { CHALLENGE_FRESH_MS, HANDSHAKE_MS, RETRY_AFTER_RANGE_MS, UNARY_DEADLINE_MS } from "../link/limits";
import { codeFromName, explain, Refusal } from "../link/refusal";
import { provePasskey } from "./passkey";

/** The ways to sign in, besides one-time URLs. */
export interface Methods {
  passkeys: boolean;
  passwords: boolean;
  /** A link or code by mail. */
  mail: boolean;
  providers: readonly Provider[];
}

/** An identity provider. */
export interface Provider {
  id: string;
  name: string;
}

/** What proves who somebody is; the edge knows these names. */
export type Proof =
  | { secret: string }
  | { passkey: object }
  | { password: { email: string; password: string } }
  | { mail: { code: string } | { link: string; anywhere: boolean } }
  | { provider: { id: string; code: string; state: string; issuer: string } };

export interface SignedIn {
  displayName: string;
  /** Who was signed in in this browser before, when it was somebody else. */
  insteadOf: string | undefined;
}

/** Which ways are open. Throws a refusal. */
export async function signInMethods(): Promise<Methods> {
  const told = await ask("/api/sign-in/methods");
  return { passkeys: told["passkeys"] === true, passwords: told["passwords"] === true, mail: told["mail"] === true, providers: providersOf(told["providers"]) };
}

/** Signs in; `samePerson`: who is signed in already, and nobody else. Throws a refusal. */
export async function signInBy(proof: Proof, samePerson = false): Promise<SignedIn> {
  // A provider may keep the core waiting.
  const patience = "provider" in proof ? UNARY_DEADLINE_MS : HANDSHAKE_MS;
  const told = await ask("/api/sign-in", samePerson ? { ...proof, same_person: true } : proof, patience);
  const word = (name: string): string => (typeof told[name] === "string" ? told[name] : "");
  return { displayName: word("display_name"), insteadOf: word("instead_of") || undefined };
}

/** Signs in by a passkey; `inField` and `signal` as for `provePasskey`. Throws a refusal. */
export async function signInByPasskey(samePerson = false, inField = false, signal?: AbortSignal): Promise<SignedIn> {
  const { passkey } = await ask("/api/sign-in/begin", { method: "passkey" });
  if (typeof passkey !== "object" || passkey === null) throw new Refusal(Code.INTERNAL, "the edge's challenge is none");
  return await signInBy({ passkey: await provePasskey(passkey, inField, signal) }, samePerson);
}

function providersOf(told: unknown): Provider[] {
  const isOne = (one: unknown): one is Provider =>
    typeof one === "object" && one !== null && "id" in one && "name" in one && typeof one.id === "string" && typeof one.name === "string";
  return Array.isArray(told) ? told.filter(isOne) : [];
}

/**
 * Signs in by a passkey that is chosen in a field of the page, whenever that is: a challenge that has grown old gives way
 * to a new one. `refused` is told why a passkey was no good; then the field offers again. Throws a refusal when nothing can
 * be offered, or what `signal` was aborted with.
 */
export async function signInInField(signal: AbortSignal, refused: (words: string) => void): Promise<SignedIn> {
  for (;;) {
    const fresh = AbortSignal.timeout(CHALLENGE_FRESH_MS);
    try {
      return await signInByPasskey(false, true, AbortSignal.any([signal, fresh]));
    } catch (error) {
      const isWrong = error instanceof Refusal && error.code === Code.BAD_TOKEN;
      if (signal.aborted || !(isWrong || fresh.aborted)) throw error;
      if (isWrong) refused(explain(error));
    }
  }
}

/** The same letters, however they were typed. */
export function passwordProof(email: string, password: string): Proof {
  return { password: { email: email.trim(), password: password.normalize("NFC") } };
}

/** Asks the edge; with a body it is told to do this. Throws why it refused. */
export async function ask(path: string, body?: object, patience: number = HANDSHAKE_MS, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const doing = { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
  let answer: Response;
  try {
    answer = await fetch(path, {
      ...(body === undefined ? {} : doing),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(patience),
    });
  } catch {
    throw new Refusal(Code.UNSPECIFIED, "the edge does not answer");
  }
  const told = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  if (answer.ok) return told;
  const code = typeof told["code"] === "string" ? codeFromName(told["code"]) : undefined;
  const words = typeof told["message"] === "string" ? told["message"] : "The edge refused this.";
  throw new Refusal(code ?? Code.INTERNAL, words, waitOf(answer.headers.get("retry-after")));
}

/** The wait that a `Retry-After` asks for, where it is one in seconds. */
function waitOf(told: string | null): number | undefined {
  if (told === null || !/^\d+$/u.test(told)) return undefined;
  const [shortest, longest] = RETRY_AFTER_RANGE_MS;
  return Math.min(Math.max(Number(told) * 1000, shortest), longest);
}
