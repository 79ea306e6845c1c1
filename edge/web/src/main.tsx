import "@fontsource-variable/instrument-sans/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "@fontsource-variable/jetbrains-mono/wght-italic.css";
import "@xterm/xterm/css/xterm.css";
import "./ui/styles/tokens.css";
import "./ui/styles/base.css";
import "./ui/styles/shell.css";
import "./ui/styles/tabs.css";
import "./ui/styles/wire.css";
import "./ui/styles/calm.css";
import "./ui/styles/list.css";
import "./ui/styles/terminal.css";
import "./ui/styles/overlay.css";
import "./ui/styles/audit.css";
import "./ui/styles/share.css";
import "./ui/styles/directory.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app";
import { tabSecret } from "./session/viewer-id";
import { guestPage } from "./sharing/entering";
import { keepStylePolicy } from "./terminal/style-policy";
import { Root } from "./ui/root";

/** A terminal measures its cells when it opens, so its font has to be there; not for ever. */
const FONT_WAIT_MS = 1500;

async function main(): Promise<void> {
  keepStylePolicy(document);
  const place = document.getElementById("root");
  if (place === null) throw new Error("the page has no root");
  const fonts = Promise.all(["400", "650", "italic 400"].map((style) => document.fonts.load(`${style} 14px "JetBrains Mono Variable"`)));
  const patience = new Promise((resolve) => setTimeout(resolve, FONT_WAIT_MS));
  const app = new App(await tabSecret(), guestPage(location.pathname));
  await Promise.all([app.workspace.prepare(), Promise.race([fonts, patience])]);
  createRoot(place).render(
    <StrictMode>
      <Root app={app} />
    </StrictMode>,
  );
  if (app.guest !== undefined) {
    await app.guest.ask();
    return;
  }
  app.entering.start();
  app.device.start();
  await app.elsewhere.start();
  await app.account.start();
}

void main();
