// Passkeys, as the browser has them: JSON of WebAuthn (Level 3, 5.1) on one side, its bytes on the other.

import { Code } from "../gen/chatcode/v1/code_pb";
import { Refusal } from "../link/refusal";

/** Whether this browser knows passkeys; not over a plain address of the network. */
export function knowsPasskeys(): boolean {
  return typeof PublicKeyCredential === "function" && navigator.credentials !== undefined;
}

/** Whether it offers them in a field of the page, beside names that it knows. */
export async function offersInFields(): Promise<boolean> {
  if (!knowsPasskeys() || typeof PublicKeyCredential.isConditionalMediationAvailable !== "function") return false;
  return await PublicKeyCredential.isConditionalMediationAvailable();
}

/** The browser asks one thing at a time: a newer one ends what waits in a field. */
let asking: AbortController | undefined;

/** Makes a passkey; answers JSON for the core. Throws a refusal in words. */
export async function makePasskey(options: string): Promise<string> {
  const publicKey = creationOptions(JSON.parse(options) as Json);
  const made = await asked((signal) => navigator.credentials.create({ publicKey, signal }));
  const response = made.response as AuthenticatorAttestationResponse;
  return JSON.stringify({
    ...head(made),
    response: {
      attestationObject: text(response.attestationObject),
      clientDataJSON: text(response.clientDataJSON),
      transports: response.getTransports?.() ?? [],
    },
  });
}

/**
 * Proves who somebody is by a passkey; answers JSON for the core. Throws a refusal in words, or what `signal` was
 * aborted with. `inField`: waits until one is chosen in a field of the page.
 */
export async function provePasskey(options: object, inField = false, signal?: AbortSignal): Promise<object> {
  const publicKey = requestOptions(options as Json);
  const request: CredentialRequestOptions = inField ? { publicKey, mediation: "conditional" } : { publicKey };
  const proof = await asked((own) => navigator.credentials.get({ ...request, signal: own }), signal);
  const response = proof.response as AuthenticatorAssertionResponse;
  return {
    ...head(proof),
    response: {
      authenticatorData: text(response.authenticatorData),
      clientDataJSON: text(response.clientDataJSON),
      signature: text(response.signature),
      userHandle: response.userHandle === null ? null : text(response.userHandle),
    },
  };
}

interface Json extends Record<string, unknown> {
  challenge: string;
  user?: { id: string };
  allowCredentials?: { id: string }[];
  excludeCredentials?: { id: string }[];
}

const ids = (all: { id: string }[] | undefined): object[] => (all ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

export function creationOptions(json: Json): PublicKeyCredentialCreationOptions {
  const parts = { challenge: bytes(json.challenge), user: { ...json.user, id: bytes(json.user?.id ?? "") }, excludeCredentials: ids(json.excludeCredentials) };
  return { ...json, ...parts } as unknown as PublicKeyCredentialCreationOptions;
}

export function requestOptions(json: Json): PublicKeyCredentialRequestOptions {
  return { ...json, challenge: bytes(json.challenge), allowCredentials: ids(json.allowCredentials) } as unknown as PublicKeyCredentialRequestOptions;
}

function head(credential: PublicKeyCredential): object {
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, clientExtensionResults: {} };
}

/** Bytes of base64url. */
export function bytes(encoded: string): Uint8Array<ArrayBuffer> {
  const plain = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

/** Base64url of bytes. */
export function text(buffer: ArrayBuffer): string {
  const plain = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function asked(ask: (signal: AbortSignal) => Promise<Credential | null>, outer?: AbortSignal): Promise<PublicKeyCredential> {
  asking?.abort();
  const own = new AbortController();
  asking = own;
  const end = (): void => own.abort();
  outer?.addEventListener("abort", end);
  if (outer?.aborted === true) end();
  try {
    const found = await ask(own.signal);
    if (found !== null) return found as PublicKeyCredential;
  } catch (error) {
    if (own.signal.aborted) throw error;
    throw refusal(error);
  } finally {
    outer?.removeEventListener("abort", end);
  }
  throw refusal(undefined);
}

function refusal(error: unknown): Refusal {
  const name = error instanceof Error ? error.name : "";
  if (name === "InvalidStateError") return new Refusal(Code.INVALID, "this key has a passkey for your account already; use another one");
  if (name === "SecurityError") return new Refusal(Code.BAD_ORIGIN, "the browser takes no passkeys at this address; open the page by its name");
  if (name === "NotSupportedError" || name === "ConstraintError") return new Refusal(Code.INVALID, "this key cannot hold a passkey that knows its user; use another one");
  return new Refusal(Code.INVALID, "no passkey was used; try again");
}
