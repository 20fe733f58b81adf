// What holds on every page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { DESKTOP, PHONE } from "./browser.mjs";
import { PRODUCT } from "./hostile.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
// Each size and each colour scheme once: only contrasts depend on the scheme, and they hardly depend on the size.
const VIEWS = [[PHONE, "dark"], [DESKTOP, "light"]];
const MAX_TABS = 400;

// Inspects a page in both sizes, one in dark and one in light colours. Ends on the desktop, in light colours.
export async function inspect(page) {
  await nothingHostileExists(page);
  await controlsAreReachable(page);
  for (const [viewport, colorScheme] of VIEWS) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await documentFits(page);
    await isAccessible(page, `${viewport.width} px, ${colorScheme}`);
  }
}

async function isAccessible(page, where) {
  await page.evaluate(`window.axe || ${AXE};0`);
  const violations = await page.evaluate(async (tags) => {
    const { violations } = await window.axe.run({ runOnly: tags, resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.slice(0, 5).map((node) => `${node.html} ${node.failureSummary}`) }));
  }, TAGS);
  assert.deepEqual(violations, [], `${page.url()} (${where})`);
}

async function documentFits(page) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const isWide = (element) => element.getBoundingClientRect().right > width + 1;
    return [`${document.documentElement.scrollWidth} px`, ...[...document.body.querySelectorAll("*")].filter(isWide).slice(0, 5).map((element) => element.outerHTML.slice(0, 200))];
  });
  assert.deepEqual(wide, [], `${page.url()}: scrolls sideways at ${page.viewportSize().width} px`);
}

// No string of an event, a reply or a name became an element, ran, was computed by a template, or reorders text.
async function nothingHostileExists(page) {
  const found = await page.evaluate((product) => {
    const nonce = document.querySelector("script").nonce;
    const isForeign = (element) => {
      const attributes = element.getAttributeNames();
      const isLive = attributes.some((name) => name.startsWith("hx-") || name.startsWith("data-hx-"));
      return attributes.some((name) => name === "data-hostile" || name === "style" || name.startsWith("on"))
        || (isLive && element.getAttribute("hx-nonce") !== nonce && element.nonce !== nonce)
        || (element.localName === "script" && element.nonce !== nonce)
        || ["iframe", "object", "embed", "base", "style"].includes(element.localName)
        || (element.href && new URL(element.href, location).origin !== location.origin);
    };
    const faults = [...document.querySelectorAll("*")].filter(isForeign).map((element) => element.outerHTML.slice(0, 300));
    if ("hostile" in window) faults.push("a hostile script ran");
    const text = document.documentElement.textContent;
    if (text.includes(product)) faults.push("a hostile template was computed");
    const hidden = text.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/);
    if (hidden) faults.push(`hidden character U+${hidden[0].charCodeAt().toString(16)}`);
    return faults;
  }, PRODUCT);
  assert.deepEqual(found, [], page.url());
}

// The tab key reaches every control, and the focus is visible there.
async function controlsAreReachable(page) {
  const expected = await page.evaluate(() => {
    document.activeElement?.blur();
    getSelection().removeAllRanges();
    const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
    const isReachable = (control) => control.checkVisibility({ visibilityProperty: true }) && !control.disabled && control.tabIndex >= 0;
    window.controls = new Set(controls.filter(isReachable));
    window.controls.forEach((control) => control.addEventListener("focus", () => {
      const { outlineStyle, outlineWidth } = getComputedStyle(control);
      if (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2) window.controls.delete(control);
    }, { once: true }));
    return window.controls.size;
  });
  for (let pressed = 0; pressed < Math.min(expected * 2 + 20, MAX_TABS); pressed += 1) {
    await page.keyboard.press("Tab");
    if (pressed % 10 === 9 && (await page.evaluate(() => window.controls.size)) === 0) break;
  }
  const missed = await page.evaluate(() => [...window.controls].map((control) => control.outerHTML.slice(0, 200)));
  assert.deepEqual(missed, [], `${page.url()}: not reached by the keyboard, or without visible focus`);
}
