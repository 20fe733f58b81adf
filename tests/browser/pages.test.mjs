// Every page is accessible, fits, can be used with the keyboard, and shows hostile text as text.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { launch, Visitor } from "./browser.mjs";
import { inspect } from "./inspection.mjs";
import { PAGES } from "./pages.mjs";
import { report } from "./report.mjs";
import { outage } from "./scenes.mjs";

const browser = await launch();
after(() => browser.close());
const scene = await outage();
after(() => scene.server.stop());
const visitor = await Visitor.arrive(browser, scene.server.origin);

test("login", async () => {
  const { page } = visitor;
  await page.goto("/login");
  await inspect(page);
  visitor.expected.add(401);
  await page.getByLabel("API token").fill("dcn_wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await inspect(page);
  visitor.assertNoFaults();
  visitor.expected.clear();
  await visitor.logIn(scene.server.admin);
});

for (const [name, path] of PAGES) {
  test(name, async () => {
    const response = await visitor.page.goto(path(scene));
    await report(name, visitor.page, response);
    await inspect(visitor.page);
    visitor.assertNoFaults();
  });
}

test("a page that does not exist", async () => {
  visitor.expected.add(404);
  await visitor.page.goto("/deliveries/999.0");
  assert.match(await visitor.page.locator("h1").textContent(), /Not found/i);
  await inspect(visitor.page);
  visitor.assertNoFaults();
});
