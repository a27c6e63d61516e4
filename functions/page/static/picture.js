// Turns the SVG text of a QR into a picture, and checks that the browser can show it.
import { Unreachable } from "./net.js";

/**
 * Resolves to the object URL of an SVG that this browser can show. The caller revokes the URL. Throws Unreachable for
 * anything else: a proxy's page, nothing, an SVG that draws nothing, half a picture (of which Chromium would show the upper
 * part).
 */
export async function loadSvg(text) {
  const broken = () => new Unreachable("no picture", { answered: true });
  if (!/<\/svg\s*>\s*$/.test(text) || !/<path\s[^>]*\bd="[^"]+"/.test(text)) throw broken();
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    await new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => (image.naturalWidth && image.naturalHeight ? resolve() : reject(broken()));
      image.onerror = () => reject(broken());
      image.src = url;
    });
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
  return url;
}
