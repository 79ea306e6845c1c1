// Whether drawing by WebGL is worth it: a graphics card that is played by the
// processor is slower than the page's own text.

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/iu;

let answer: boolean | undefined;

export function hasGraphicsCard(): boolean {
  answer ??= ask();
  return answer;
}

function ask(): boolean {
  const context = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (context === null) return false;
  const names = context.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(context.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER));
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return !SOFTWARE.test(renderer);
}
