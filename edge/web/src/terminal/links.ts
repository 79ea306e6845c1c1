// Links in a terminal are made by whatever prints.

/** Opens http and https in a new tab that knows nothing of this one; all else is refused. */
export function openLink(text: string): boolean {
  if (!isWebLink(text)) return false;
  window.open(text, "_blank", "noopener,noreferrer");
  return true;
}

export function isWebLink(text: string): boolean {
  try {
    const { protocol, username, password } = new URL(text);
    return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
  } catch {
    return false;
  }
}
