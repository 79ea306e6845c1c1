// What is said of a row of the audit.

import { resultWord } from "../audit/lines";
import { Code } from "../gen/chatcode/v1/code_pb";
import { displaySafe } from "../words";

/** "you", "person 4f1c2c6e", "person 4f1c2c6e by an API token", "core". */
export function whoText(principal: string, me: string): string {
  if (principal === me) return "you";
  const token = principal.startsWith(`${me}/api-token/`) ? "your API token" : "";
  if (token !== "" && me !== "") return token;
  const [kind = "", id = "", how] = principal.split("/");
  const name = id === "" ? kind : `${kind} ${id.slice(0, 8)}`;
  return displaySafe(how === "api-token" ? `${name} by an API token` : name, 96);
}

/** A method without its package: "Fleet/Revoke". */
export function actionText(action: string): string {
  return displaySafe(action.replace(/^\/chatcode\.v1\./u, ""), 96);
}

/** "done", "let in", "forbidden". */
export function resultText(code: Code): string {
  return resultWord(code).replaceAll("_", " ");
}

/** How it went, for the eye. */
export function resultTone(code: Code): "good" | "quiet" | "bad" {
  if (code === Code.DONE) return "good";
  return code === Code.UNSPECIFIED ? "quiet" : "bad";
}

/** A detail in one line: whoever stands in it is named by the beginning of the id, so that there is room for the rest. */
export function detailText(detail: string): string {
  return displaySafe(detail.replace(/\b([a-z]+)\/([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gu, "$1 $2"), 256);
}
