// live_page.mjs: drives the live page in headless Chromium. Any error on the page's console fails.
// usage: node live_page.mjs MODULES URL SCREENSHOT MAPS PREFIX [TOKEN]
// The page must list MAPS maps whose names begin with PREFIX. With a token the button is pressed; without, the program
// collects by itself, and the strokes of collections are waited for.
import { createRequire } from "node:module";

const [modules, url, screenshot, maps, prefix, token] = process.argv.slice(2);
const { chromium } = createRequire(modules + "/")("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
const errors = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));
try {
  await page.goto(url + "/debug/neap");
  await page.waitForFunction(() => Number(document.body.dataset.steps) >= 3, null, { timeout: 30000 });
  const rows = await page.locator("#maps tbody tr").allInnerTexts();
  if (rows.length !== Number(maps) || !rows.every((row) => row.startsWith(prefix)))
    throw new Error("maps: " + rows.join(" | "));
  if (!/^[\d.]+ MB$/.test(await page.locator("#rss").innerText())) throw new Error("no resident memory");
  const painted = await page.evaluate(() => {
    const canvas = document.querySelector("#chart canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.filter((value, i) => i % 4 === 3 && value > 0).length;
  });
  if (painted < 5000) throw new Error("the chart is empty: " + painted + " pixels");
  if (token) {
    await page.fill("#token", token);
    await page.click("#compact button");
    await page.waitForFunction(() => /given back/.test(document.querySelector("#answer").textContent), null, { timeout: 20000 });
  }
  const happened = token ? /[\d.]+ MB given back/ : /[1-9]\d* collections/;
  await page.waitForFunction((source) => Number(document.body.dataset.strokes) > 0 &&
    new RegExp(source).test(document.querySelector("#events").textContent), happened.source, { timeout: 30000 });
  await page.screenshot({ path: screenshot });
} catch (error) {
  errors.push(String(error));
}
await browser.close();
console.log(errors.length ? errors.join("\n") : "the page lives");
process.exit(errors.length ? 1 : 0);
