// Takes the screenshots of the documentation: screenshots.mjs FOLDER. The pages are those of the real program; only the addresses of
// the receivers, which are on this host, are replaced by example names.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { launch, PHONE, Visitor } from "./browser.mjs";
import { demo } from "./demo.mjs";

const FOLDER = process.argv[2];
const SIZE = { width: 1280, height: 800 };
const FORMAT = { format: "webp", quality: 80 };

// The pages of the documentation: the names of the files, the addresses, and the sizes.
const PAGES = [
  ["overview", () => "/", SIZE],
  ["subscription", ({ tickets }) => `/subscriptions/${tickets.uuid}`, SIZE],
  ["delivery", (_, dead) => `/deliveries/${dead}`, SIZE],
  ["deliveries", () => "/deliveries", SIZE],
  ["create", () => "/subscriptions/new?format=slack&topic=canary.>", SIZE],
  ["phone", () => "/", PHONE],
];

const browser = await launch();
const { server, subscriptions } = await demo();
try {
  const [dead] = await server.deliveries(`subscription=${subscriptions.feed.uuid}&state=dead`);
  for (const colorScheme of ["light", "dark"]) {
    const visitor = await Visitor.arrive(browser, server.origin, { colorScheme, locale: "en-GB", timezoneId: "UTC" });
    await visitor.logIn(server.admin);
    await visitor.page.mouse.move(0, 0);
    for (const [name, where, size] of PAGES) {
      await visitor.page.setViewportSize(size);
      await visitor.page.goto(where(subscriptions, dead.id));
      await visitor.page.evaluate(replaceAddresses, Object.values(subscriptions).map(({ host, receiver }) => [receiver.origin, `https://${host}`]));
      await write(visitor, path.join(FOLDER, `dashboard-${name}-${colorScheme}.webp`));
    }
    await visitor.leave();
  }
} finally {
  await browser.close();
  await server.stop();
}

async function write({ context, page }, file) {
  const session = await context.newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", FORMAT);
  await session.detach();
  await writeFile(file, Buffer.from(data, "base64"));
}

function replaceAddresses(pairs) {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [from, to] of pairs) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
  }
}
