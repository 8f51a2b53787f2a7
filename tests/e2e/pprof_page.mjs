// pprof_page.mjs: opens the web pages of a running `go tool pprof -http` in headless Chromium: the graph and the list
// must name the functions. Any error on a page's console fails.
// usage: node pprof_page.mjs MODULES URL SCREENSHOT FUNCTION...
import { createRequire } from "node:module";

const [modules, url, screenshot, ...functions] = process.argv.slice(2);
const { chromium } = createRequire(modules + "/")("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
const errors = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));
try {
  for (const view of ["/ui/", "/ui/top", "/ui/flamegraph"]) {
    await page.goto(url + view + "?si=alloc_space");
    const text = await page.evaluate(() => document.body.textContent);
    for (const name of functions)
      if (!text.includes(name)) throw new Error(`${view} does not name ${name}: ${text.slice(0, 400)}`);
    if (view === "/ui/") {
      const boxes = await page.locator("svg g.node").count();
      if (boxes < 3) throw new Error("the graph has " + boxes + " nodes");
      await page.screenshot({ path: screenshot });
    }
  }
} catch (error) {
  errors.push(String(error));
}
await browser.close();
console.log(errors.length ? errors.join("\n") : "pprof shows it");
process.exit(errors.length ? 1 : 0);
