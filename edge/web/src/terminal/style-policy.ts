// xterm.js writes its colours into <style> elements, which `style-src 'self'`
// refuses, even while they are empty, and true colours into style attributes,
// refused as well. Constructed style sheets and the style object of an element
// are not inline style, so here the former become the latter. With this the
// policy needs no 'unsafe-inline'.

/** From here on xterm.js draws under `style-src 'self'`; call once, before the first terminal. */
export function keepStylePolicy(document: Document): void {
  constructSheets(document);
  // Spans are the cells of xterm.js; nothing else here sets a style attribute.
  const setAttribute = Element.prototype.setAttribute;
  HTMLSpanElement.prototype.setAttribute = function (this: HTMLSpanElement, name: string, value: string) {
    if (name === "style") this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}

/** `createElement("style")` makes elements that feed a constructed sheet. */
function constructSheets(document: Document): void {
  const original = document.createElement.bind(document) as (name: string, options?: ElementCreationOptions) => HTMLElement;
  const patched = (name: string, options?: ElementCreationOptions): HTMLElement => {
    if (name.toLowerCase() === "style") return feedSheet(document, original("template"));
    return original(name, options);
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
