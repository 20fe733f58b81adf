// The times and sizes of pages: measured and written down, never asserted.
import { appendFile, mkdir } from "node:fs/promises";
import path from "node:path";

const FILE = path.resolve(process.env.BROWSER_REPORT ?? "target/browser/report.tsv");

// Appends the page that was just loaded: its name, the milliseconds to the first byte and to the first paint, and its bytes.
export async function report(name, page, response) {
  const bytes = (await response.body()).length;
  const { firstByte, firstPaint } = await page.evaluate(async () => {
    const { requestStart, responseStart } = performance.getEntriesByType("navigation")[0];
    const paint = await new Promise((resolve) => {
      const observer = new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach(resolve));
      observer.observe({ type: "paint", buffered: true });
    });
    return { firstByte: responseStart - requestStart, firstPaint: paint.startTime };
  });
  const cells = [name, firstByte.toFixed(1), firstPaint.toFixed(1), bytes];
  await mkdir(path.dirname(FILE), { recursive: true });
  await appendFile(FILE, `${cells.join("\t")}\n`);
}
