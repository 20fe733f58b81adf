// Chromium, and visitors of the dashboard whose pages may not misbehave.
import assert from "node:assert/strict";
import { accessSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740 };

function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const candidates = process.env.PATH.split(":").flatMap((folder) => NAMES.map((name) => path.join(folder, name)));
  const found = candidates.find((candidate) => {
    try {
      accessSync(candidate);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error("no browser: install Chromium or Google Chrome (Debian: apt-get install chromium), or set CHROMIUM to its path");
  return found;
}

// The sandbox of Chromium does not work for root.
export function launch() {
  return chromium.launch({ executablePath: executable(), chromiumSandbox: process.getuid() !== 0 });
}

// A person with a browser profile of their own.
export class Visitor {
  // The statuses of failed requests that the test expects.
  expected = new Set();
  faults = [];

  // `options` are those of a browser context.
  static async arrive(browser, origin, options = {}) {
    const visitor = new Visitor();
    visitor.origin = origin;
    visitor.context = await browser.newContext({ baseURL: origin, viewport: DESKTOP, reducedMotion: "reduce", ...options });
    await visitor.watch();
    visitor.page = await visitor.context.newPage();
    return visitor;
  }

  // Records errors of all pages, violations of the content security policy, and requests to other origins.
  async watch() {
    const fault = (text) => this.faults.push(text);
    await this.context.exposeBinding("reportViolation", ({ page }, text) => fault(`${page.url()}: violation of the policy: ${text}`));
    await this.context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) =>
        window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
    });
    this.context.on("request", (request) => {
      if (!request.url().startsWith(`${this.origin}/`)) fault(`request to another origin: ${request.url()}`);
    });
    this.context.on("weberror", (error) => fault(`${error.page()?.url()}: ${error.error().stack}`));
    this.context.on("console", (message) => {
      const status = message.text().match(/status of (\d{3})/)?.[1];
      const isExpected = status && this.expected.has(Number(status));
      // A page that is left aborts its refresh.
      const isAborted = message.text().includes("htmx:error: Failed to fetch");
      if (["error", "warning"].includes(message.type()) && !isExpected && !isAborted) fault(`${message.page()?.url()}: ${message.text()}`);
    });
    this.context.on("dialog", (dialog) => fault(`dialog: ${dialog.message()}`));
  }

  async logIn(token) {
    await this.page.goto("/login");
    await this.page.getByLabel("API token").fill(token);
    await this.page.getByRole("button", { name: "Log in" }).click();
    await this.page.getByRole("button", { name: "Log out" }).waitFor();
  }

  // Fails if anything was recorded since the last call.
  assertNoFaults() {
    assert.deepEqual(this.faults.splice(0), []);
  }

  async leave() {
    await this.context.close();
    this.assertNoFaults();
  }
}
