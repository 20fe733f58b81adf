// A browser opens at most six connections to a host over HTTP/1.1. Open pages must not use them up.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { launch, Visitor } from "./browser.mjs";
import { outage } from "./scenes.mjs";

const OPEN_TABS = 8;

const browser = await launch();
after(() => browser.close());
const { server } = await outage();
after(() => server.stop());

test("the ninth page loads while eight are open and live", async () => {
  const visitor = await Visitor.arrive(browser, server.origin);
  await visitor.logIn(server.admin);
  const taken = (page) => page.locator("main time").last().getAttribute("datetime");
  const tabs = [];
  for (let n = 0; n < OPEN_TABS; n += 1) {
    const tab = await visitor.context.newPage();
    await tab.goto("/");
    tabs.push([tab, await taken(tab)]);
  }
  for (const [tab, loaded] of tabs) {
    await tab.waitForFunction((before) => [...document.querySelectorAll("main time")].at(-1).getAttribute("datetime") !== before, loaded);
  }
  const ninth = await visitor.context.newPage();
  await ninth.goto("/subscriptions");
  assert.ok(await ninth.getByRole("heading", { name: "Subscriptions" }).isVisible());
  await visitor.leave();
});

test("a hidden page asks for nothing", async () => {
  const visitor = await Visitor.arrive(browser, server.origin);
  await visitor.logIn(server.admin);
  await visitor.page.addInitScript(() => Object.defineProperty(document, "hidden", { get: () => true }));
  await visitor.page.clock.install();
  const asked = [];
  visitor.page.on("request", (request) => ["eventsource", "fetch", "xhr"].includes(request.resourceType()) && asked.push(request.url()));
  await visitor.page.goto("/");
  await visitor.page.clock.runFor(60_000);
  assert.deepEqual(asked, []);
  await visitor.leave();
});
