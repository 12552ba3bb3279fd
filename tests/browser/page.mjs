// Opens pages in a headless Chromium, as a person would, and says what is wrong with them, as JSON.
//
// node page.mjs NODE_MODULES OUTPUT_FOLDER PAGE.html...
//
// Chromium is that of @sparticuz/chromium: it needs no root and no shared libraries of a desktop.

import { createRequire } from "node:module";
import { mkdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder, ...pages] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), "x.js"));
const imported = async (name) => (await import(pathToFileURL(require.resolve(name)))).default;
const chromium = await imported("@sparticuz/chromium");
const puppeteer = await imported("puppeteer-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

await mkdir(folder, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  args: chromium.args,
  headless: "shell",
});
const found = [];
const LONGEST = 8000;

/** Elements that are wider than the window, or whose text another element covers. */
function overflows() {
  const wide = document.documentElement.scrollWidth > window.innerWidth + 1;
  const out = [...document.querySelectorAll("body *")]
    .filter((element) => {
      const box = element.getBoundingClientRect();
      const hidden = element.closest("thead") && getComputedStyle(element.closest("thead")).position === "absolute";
      return !hidden && !element.closest("svg") && box.width > 0 && (box.right > window.innerWidth + 1 || box.left < -1);
    })
    .slice(0, 5)
    .map((element) => `${element.tagName} ${element.textContent.slice(0, 60)}`);
  // Cells of one row must not lie upon each other.
  const boxes = (row) => [...row.children].map((cell) => cell.getBoundingClientRect()).filter((box) => box.width > 0);
  const cover = (one, other) =>
    one.left < other.right - 1 && other.left < one.right - 1 && one.top < other.bottom - 1 && other.top < one.bottom - 1;
  const over = [...document.querySelectorAll("tbody tr")].filter((row) => {
    const cells = boxes(row);
    return cells.some((cell, place) => cells.slice(place + 1).some((other) => cover(cell, other)));
  }).length;
  // A text that is larger than its own box is drawn upon its neighbours.
  const spilled = [...document.querySelectorAll("td, th, li, p, code, figcaption, a")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline")
    .filter((element) => !element.closest("thead"))
    .slice(0, 5)
    .map((element) => element.textContent.slice(0, 60));
  return { wide, out, over, spilled };
}

/** The beginning of a page: what is longer, Chromium cannot draw at once. */
async function beginning(page, width) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  return { x: 0, y: 0, width, height: Math.min(height, LONGEST) };
}

/** Opens a page, as its window or its paper shows it, and says what is wrong with it. */
async function look(file, name, scheme, width, height, isPrint) {
  const page = await browser.newPage();
  const errors = [];
  const requests = [];
  page.on("console", (message) => errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport({ width, height });
  const address = pathToFileURL(resolve(file)).href;
  await page.goto(address, { waitUntil: "load" });
  if (isPrint) {
    // The height of A4, so that wide things would show.
    await page.pdf({ path: join(folder, `${name}-a4-${scheme}.pdf`), format: "A4", preferCSSPageSize: true });
    await page.emulateMediaType("print");
  }
  const layout = await page.evaluate(overflows);
  // The page's policy forbids scripts; axe is run by the browser's debugger, which it does not bind.
  await page.evaluate(axe);
  const axed = await page.evaluate(async () => {
    const result = await window.axe.run(document);
    const text = (one) => `${one.id} (${one.nodes.length}): ${one.nodes[0].html.slice(0, 160)}`;
    return { violations: result.violations.map(text), passes: result.passes.map((one) => one.id) };
  });
  const shot = join(folder, `${name}-${isPrint ? "print" : width}-${scheme}.png`);
  await page.screenshot({ path: shot, clip: await beginning(page, width) });
  const outside = requests.filter((url) => url !== address);
  found.push({ name, scheme, width: isPrint ? "A4" : width, errors, outside, ...axed, layout, shot });
  await page.close();
}

for (const file of pages) {
  const name = basename(file, ".html");
  for (const scheme of ["light", "dark"]) {
    for (const width of [360, 1280]) {
      await look(file, name, scheme, width, 900, false);
    }
    // 210 mm less two margins of 12 mm, at 96 pixels an inch.
    await look(file, name, scheme, 703, 1032, true);
  }
}
await browser.close();
console.log(JSON.stringify(found));
