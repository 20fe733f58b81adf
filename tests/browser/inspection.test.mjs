// The inspection finds the faults that it is there for.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { launch, Visitor } from "./browser.mjs";
import { inspect } from "./inspection.mjs";
import { empty } from "./scenes.mjs";
import { eventually } from "./server.mjs";

const browser = await launch();
after(() => browser.close());
const server = await empty();
after(() => server.stop());
const visitor = await Visitor.arrive(browser, server.origin);
const { page } = visitor;
await visitor.logIn(server.admin);

// Adds an element with these attributes to the page.
function add([name, attributes, text = ""]) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.textContent = text;
  document.querySelector("main").append(element);
}

for (const [fault, element] of [
  ["a control without a name", ["input", {}]],
  ["markup of an event", ["span", { "data-hostile": "" }]],
  ["a live attribute that is not ours", ["span", { "hx-get": "/" }]],
  ["a computed template", ["p", {}, "93599359"]],
  ["reordered text", ["p", {}, "abc\u202edcba"]],
  ["a foreign link", ["a", { href: "https://elsewhere.example/" }, "elsewhere"]],
]) {
  test(fault, async () => {
    await page.goto("/explain");
    await page.evaluate(add, element);
    await assert.rejects(inspect(page), assert.AssertionError);
  });
}

test("content wider than a phone", async () => {
  await page.goto("/explain");
  await page.evaluate(() => {
    document.querySelector("main h1").textContent = "W".repeat(100);
  });
  await assert.rejects(inspect(page), /scrolls sideways/);
});

test("a control that the keyboard does not reach", async () => {
  await page.goto("/explain");
  await page.evaluate(() => {
    document.querySelector("main input").addEventListener("keydown", (event) => event.preventDefault());
  });
  await assert.rejects(inspect(page), /not reached by the keyboard/);
});

for (const [fault, cause] of [
  ["an error in a script", () => setTimeout(() => { throw new Error("of the test"); })],
  ["a message on the console", () => console.error("of the test")],
  ["a violation of the policy", () => document.querySelector("main").setAttribute("style", "color: red")],
  ["a request to another origin", () => void fetch("https://elsewhere.example/").catch(() => {})],
]) {
  test(fault, async () => {
    await page.goto("/explain");
    visitor.faults.length = 0;
    await page.evaluate(cause);
    await eventually(fault, () => visitor.faults.length > 0);
  });
}
