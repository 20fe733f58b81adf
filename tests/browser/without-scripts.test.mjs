// Without JavaScript, pages are complete and forms work.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { launch, PHONE, Visitor } from "./browser.mjs";
import { PAGES } from "./pages.mjs";
import { outage } from "./scenes.mjs";

const browser = await launch();
after(() => browser.close());
const scene = await outage();
after(() => scene.server.stop());
const visitor = await Visitor.arrive(browser, scene.server.origin, { javaScriptEnabled: false, viewport: PHONE });
const { page } = visitor;
await visitor.logIn(scene.server.admin);

test("every page is readable", async () => {
  for (const [name, path] of PAGES) {
    await page.goto(path(scene));
    assert.ok(await page.locator("h1").isVisible(), name);
    const idle = await page.locator("button.copy").filter({ visible: true }).count();
    assert.equal(idle, 0, `${name}: a button does nothing without scripts`);
  }
});

test("times are in UTC", async () => {
  await page.goto(`/deliveries/${scene.deliveries.delivered}`);
  assert.match(await page.locator("time").first().textContent(), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
});

test("a subscription is paused and resumed", async () => {
  await page.goto(`/subscriptions/${scene.subscriptions.healthy.uuid}`);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("status").getByText(/resumed/).waitFor();
});

test("deliveries are filtered", async () => {
  await page.goto("/deliveries");
  await page.getByLabel("State").selectOption("dead");
  await page.getByRole("button", { name: "Show" }).click();
  assert.match(page.url(), /state=dead/);
  assert.ok((await page.locator("tbody tr").count()) > 0);
});

test("the logout works", async () => {
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API token").waitFor();
  await visitor.leave();
});
