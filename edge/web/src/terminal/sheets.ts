// xterm.js writes its colours into <style> elements, which `style-src 'self'`
// refuses. A constructed style sheet is not inline style, so the page gives
// xterm.js elements whose text becomes one. With this the policy needs no
// 'unsafe-inline'.

/** From here on `createElement("style")` makes elements that feed a constructed sheet. */
export function constructStyleSheets(document: Document): void {
  const original = document.createElement.bind(document) as (name: string, options?: ElementCreationOptions) => HTMLElement;
  const patched = (name: string, options?: ElementCreationOptions): HTMLElement => {
    const element = original(name, options);
    return name.toLowerCase() === "style" ? feedSheet(document, element) : element;
  };
  document.createElement = patched as typeof document.createElement;
}

function feedSheet(document: Document, element: HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet();
  let text = "";
  Object.defineProperty(element, "textContent", {
    get: () => text,
    set: (value: string | null) => {
      text = value ?? "";
      sheet.replaceSync(text);
      if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
    },
  });
  const remove = element.remove.bind(element);
  element.remove = () => {
    remove();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
  };
  return element;
}
