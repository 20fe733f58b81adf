// What operators do, from the login to the logout, against the real program while deliveries go on.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { launch, Visitor } from "./browser.mjs";
import { inspect } from "./inspection.mjs";
import { outage } from "./scenes.mjs";
import { eventually } from "./server.mjs";

const browser = await launch();
after(() => browser.close());
const scene = await outage();
after(() => scene.server.stop());
const { server, subscriptions } = scene;
const admin = await Visitor.arrive(browser, server.origin);
const { page } = admin;

const button = (name) => page.getByRole("button", { name, exact: true });
const link = (name) => page.getByRole("link", { name, exact: true });
const field = (name) => page.getByRole("textbox", { name, exact: true });
const main = page.locator("main");
const receiver = () => page.getByRole("combobox", { name: "Subscription", exact: true });
const rows = () => page.locator("main tbody tr:not(.more)");
const figure = (name) => main.locator(".figures > div").filter({ has: page.locator("dt").filter({ hasText: name }) }).locator("dd");

// A test whose pages may not misbehave.
function flow(name, run) {
  test(name, async () => {
    await run();
    admin.assertNoFaults();
  });
}

flow("a wrong token is refused, and a good one leads back to the page", async () => {
  await page.goto("/failures");
  admin.expected.add(401);
  await page.getByLabel("API token").fill("dcn_wrong");
  await button("Log in").click();
  assert.match(await page.getByRole("alert").textContent(), /not valid/);
  admin.expected.clear();
  await page.getByLabel("API token").fill(server.admin);
  await button("Log in").click();
  await page.getByRole("heading", { name: "Failures" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/failures");
});

flow("the overview names the receivers in trouble and refreshes itself", async () => {
  await page.goto("/");
  await page.getByText(/\d+ receivers are in trouble/).waitFor();
  for (const { name } of [subscriptions.down, subscriptions.gone, subscriptions.hostile]) await link(name).waitFor();
  const delivered = figure(/^Delivered/);
  const before = await delivered.textContent();
  await server.publish({ topic: "attacker.observed", payload: { ip: "192.0.2.99" } });
  await eventually("the overview shows the delivery", async () => (await delivered.textContent()) !== before);
});

flow("a broken receiver is found, repaired and gets what waited", async () => {
  const { down } = subscriptions;
  await page.goto("/");
  await link(down.name).click();
  await main.getByText("tripped", { exact: true }).waitFor();
  await button("Send a test ping").click();
  await main.getByText("Status 503").waitFor();
  await main.getByText("upstream is down").waitFor();
  down.receiver.reply = { status: 204 };
  await button("Send").click();
  await main.getByText("accepted", { exact: true }).waitFor();
  await link(down.name).click();
  await page.getByRole("button", { name: /^Enable/ }).click();
  await main.getByText("active", { exact: true }).waitFor();
  await eventually("nothing waits", async () => (await figure(/^Waiting/).textContent()) === "0");
  await server.deliveries(`subscription=${down.uuid}&state=delivered`, 12);
});

flow("a subscription is paused and resumed", async () => {
  const { healthy } = subscriptions;
  await page.goto(`/subscriptions/${healthy.uuid}`);
  await button("Pause").click();
  await page.getByRole("status").getByText(/paused/).waitFor();
  await button("Resume").click();
  await main.getByText("active", { exact: true }).waitFor();
});

flow("deliveries are filtered by the address, and one is opened and redelivered", async () => {
  const { healthy } = subscriptions;
  await page.goto("/deliveries");
  await page.getByLabel("State").selectOption("delivered");
  await receiver().fill(healthy.name);
  await field("Topic").fill("attacker.>");
  await button("Show").click();
  await page.waitForURL(/state=delivered/);
  assert.deepEqual(await main.locator("tbody .badge").allTextContents().then((states) => [...new Set(states)]), ["delivered"]);
  await page.reload();
  assert.equal(await field("Topic").inputValue(), "attacker.>");
  await main.locator("tbody a.main").first().click();
  await main.locator("pre.card").getByText("192.0.2.").waitFor();
  const count = healthy.receiver.count;
  await button("Redeliver").click();
  await page.getByRole("status").getByText(/sent again/).waitFor();
  await eventually("the receiver gets the event again", () => healthy.receiver.count > count);
});

flow("the attempts of a delivery unfold in the list, also after a live update", async () => {
  const { healthy } = subscriptions;
  await page.goto(`/deliveries?state=delivered&subscription=${healthy.uuid}`);
  const first = rows().first();
  const newest = () => first.locator("code").textContent();
  const unfold = async () => {
    await first.getByRole("button", { name: "Attempts" }).click();
    await page.locator("#more-1").getByText("Attempt 1").waitFor();
  };
  await unfold();
  await first.getByRole("button", { name: "Attempts" }).click();
  await page.locator("#more-1").waitFor({ state: "hidden" });
  const before = await newest();
  await server.publish({ topic: "attacker.observed", payload: { ip: "192.0.2.98" } });
  await eventually("the list shows the new delivery", async () => (await newest()) !== before);
  await unfold();
  await page.locator("#more-1").getByText("Request").first().click();
  await page.locator("#more-1 pre").getByText(await newest()).waitFor();
});

flow("failures are redelivered after a preview, and their progress is shown", async () => {
  const { rejecting } = subscriptions;
  rejecting.receiver.reply = { status: 204 };
  await page.goto("/failures");
  await page.getByRole("row", { name: new RegExp(rejecting.name) }).getByRole("button").click();
  await page.getByRole("heading", { name: "12 deliveries to redeliver" }).waitFor();
  await inspect(page);
  await button("Redeliver").click();
  await main.getByText("done", { exact: true }).waitFor();
  await main.getByText("12 deliveries were processed: 12 were sent again.").waitFor();
  await inspect(page);
  await server.deliveries(`subscription=${rejecting.uuid}&state=delivered`, 12);
});

flow("explain names the step at which an event stops", async () => {
  await page.goto("/explain");
  await receiver().fill(subscriptions.gone.name);
  await field("or topic of a new event").fill("attacker.observed");
  await button("Explain").click();
  await page.getByRole("heading", { name: /It stops at/ }).waitFor();
});

flow("a new secret is shown once", async () => {
  await page.goto(`/subscriptions/${subscriptions.healthy.uuid}`);
  await button("Rotate the secret").click();
  const secret = await page.locator("code.secret").textContent();
  assert.match(secret, /^\S{16,}$/);
  await inspect(page);
  await link("Back to the subscription").click();
  assert.ok(!(await page.content()).includes(secret));
});

flow("a subscription is created from a tile, corrected, tested and changed", async () => {
  const { healthy } = subscriptions;
  await page.goto("/subscriptions");
  await link("New subscription").click();
  await page.getByRole("link", { name: /^Slack/ }).click();
  await field("Name").fill("soc-chat");
  await field("URL").fill("ftp://chat.example/hook");
  await field("Topic patterns").fill("attacker.>");
  const matches = page.locator("#matches");
  await matches.getByText("attacker.observed").first().waitFor();
  await field("Topic patterns").fill("attacker..x");
  await matches.getByText(/surplus dot/).waitFor();
  await field("Topic patterns").fill("canary.>");
  await matches.locator("p").getByText("canary.t1.triggered").first().waitFor();
  admin.expected.add(422);
  await button("Create the subscription").click();
  await page.locator("#error-url").waitFor();
  assert.equal(await field("URL").getAttribute("aria-invalid"), "true");
  assert.equal(await field("Topic patterns").inputValue(), "canary.>");
  await inspect(page);
  await field("URL").fill(`${healthy.receiver.origin}/chat`);
  await button("Create the subscription").click();
  await page.getByRole("heading", { name: "soc-chat is created" }).waitFor();
  admin.expected.clear();
  const secret = await page.locator("code.secret").textContent();
  await inspect(page);
  await button("Send a test").click();
  await main.getByText("Status 204").waitFor();
  await main.locator("pre").getByText(/POST http:/).waitFor();
  assert.ok(!(await page.content()).includes(secret));
  await inspect(page);
  await link("soc-chat").click();
  await link("Edit…").click();
  await page.getByLabel("Severity").selectOption("high");
  await button("Save the changes").click();
  await page.getByRole("status").getByText(/saved/).waitFor();
});

flow("a token is created and revoked", async () => {
  await page.goto("/access");
  await field("Name").fill("shift-report");
  await button("Create the token").click();
  const token = await page.locator("code.secret").textContent();
  assert.match(token, /^dcn_/);
  await inspect(page);
  const ask = () => fetch(`${server.origin}/api/v1/subscriptions`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await ask()).status, 200);
  await link("Back to the tokens").click();
  assert.ok(!(await page.content()).includes(token));
  await page.getByRole("row", { name: /shift-report/ }).getByRole("link", { name: "Revoke…" }).click();
  await button("Revoke the token").click();
  await page.getByRole("status").getByText(/revoked/).waitFor();
  assert.equal((await ask()).status, 401);
  await link("Who changed what").click();
  await main.getByText("shift-report").first().waitFor();
});

flow("a deletion is confirmed, also for a hostile name", async () => {
  const { hostile } = subscriptions;
  await page.goto("/subscriptions");
  await link(hostile.name).click();
  await link("Delete…").click();
  await page.getByText(/cannot be undone/).waitFor();
  await link("Cancel").click();
  await link("Delete…").click();
  await button("Delete the subscription").click();
  await page.getByRole("status").getByText(/deleted/).waitFor();
  assert.equal(await link(hostile.name).count(), 0);
});

flow("the logout ends the session", async () => {
  const cookies = await admin.context.cookies();
  assert.ok(cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === "Strict"), JSON.stringify(cookies));
  await button("Log out").click();
  await page.getByLabel("API token").waitFor();
  await admin.context.addCookies(cookies);
  await page.goto("/subscriptions");
  assert.equal(new URL(page.url()).pathname, "/login");
});

test("a one-time link begins one session", async () => {
  const { link } = await server.run("token", "link", "--url", server.origin);
  const guest = await Visitor.arrive(browser, server.origin);
  await guest.page.goto(link);
  assert.ok(!guest.page.url().includes("dcl_"));
  await guest.page.getByRole("button", { name: "Log in" }).click();
  await guest.page.getByText("read-only").waitFor();
  await guest.page.getByRole("button", { name: "Log out" }).click();
  await guest.page.goto(link);
  guest.expected.add(401);
  await guest.page.getByRole("button", { name: "Log in" }).click();
  await guest.page.getByRole("alert").waitFor();
  await guest.leave();
});

test("a reader sees no buttons, and the server refuses changes", async () => {
  const reader = await Visitor.arrive(browser, server.origin);
  await reader.logIn(server.reader);
  const path = `/subscriptions/${subscriptions.healthy.uuid}`;
  for (const where of ["/", path, `/deliveries/${scene.deliveries.delivered}`, "/failures", "/access", "/subscriptions"]) {
    await reader.page.goto(where);
    const forms = await reader.page.locator("form[method=post]").evaluateAll((all) => all.map((form) => form.getAttribute("action")));
    assert.deepEqual(forms, ["/logout"], where);
  }
  const csrf = await reader.page.locator("input[name=csrf]").first().inputValue();
  const pause = (headers) => reader.context.request.post(`${path}/pause`, { form: { csrf }, headers, maxRedirects: 0 });
  assert.equal((await pause({ origin: server.origin })).status(), 403);
  assert.equal((await server.api(`GET ${path}`)).paused, false);
  await reader.leave();
});
