// Whether everybody can use what a page shows now, as far as a program can tell.

import { createRequire } from "node:module";

const { source } = createRequire(import.meta.url)("axe-core");

/** Waits until what arrives has arrived: half seen, a state is none yet. */
export async function settled(page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations === 1).map((one) => one.finished)));
}

/** The serious and critical violations on a page of Playwright, each in a line. */
export async function violations(page) {
  await settled(page);
  // By the debugger, which the page's policy does not bind.
  if (!(await page.evaluate("typeof axe === 'object'"))) await page.evaluate(source);
  const found = await page.evaluate(() =>
    // What a terminal shows in which colours is its program's.
    axe.run({ exclude: [[".xterm"]] }, { resultTypes: ["violations"], rules: { region: { enabled: false } } }),
  );
  const bad = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return bad.flatMap(({ id, help, nodes }) => nodes.map(({ target, any }) => `${id} (${help}) at ${target.join(" ")}: ${any[0]?.message ?? ""}`));
}
