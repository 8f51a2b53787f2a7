// report_page.mjs: opens a report from its file in headless Chromium. It must need nothing else: a request for another
// file or server fails, as does an error on the console. Prints the page's text.
// usage: node report_page.mjs MODULES FILE SCREENSHOT
import { createRequire } from "node:module";

const [modules, file, screenshot] = process.argv.slice(2);
const { chromium } = createRequire(modules + "/")("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1200, height: 1400 } });
const errors = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));
page.on("request", (request) => request.url() !== "file://" + file && !request.url().startsWith("data:") &&
  errors.push("asks for " + request.url()));
await page.goto("file://" + file);
const painted = await page.evaluate(() => [...document.querySelectorAll("svg rect")].filter((rect) => {
  const box = rect.getBoundingClientRect();
  return box.width > 0 && box.height > 0;
}).length);
await page.screenshot({ path: screenshot });
console.log(await page.evaluate(() => document.body.innerText));
console.log(`${painted} rectangles are seen`);
await browser.close();
if (errors.length) console.log(errors.join("\n"));
process.exit(errors.length ? 1 : 0);
