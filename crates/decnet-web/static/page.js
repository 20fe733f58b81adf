// Improves the pages: times in the reader's zone, copying, and live updates while the page is visible.
// Everything works without it, except for refreshing and copying.
(() => {
  "use strict";

  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

  function showTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const isToday = at.toDateString() === new Date().toDateString();
      const text = (isToday ? clock : day).format(at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without HTTPS there is no clipboard API: select a hidden field and copy that.
      const field = document.createElement("textarea");
      field.value = text;
      field.className = "offscreen";
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  }

  function showButtons(root) {
    for (const button of root.querySelectorAll("button:is(.copy, .unfold)[hidden]")) button.hidden = false;
  }

  function improve(root) {
    showTimes(root);
    showButtons(root);
  }

  // The code of a one-time link is in the fragment, which browsers do not send. It moves into the form and leaves the address.
  function moveCode() {
    const field = document.getElementById("token");
    if (!field || !location.hash.startsWith("#dcl_")) return;
    field.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    // A button without a text of its own copies the text before it.
    const text = button.dataset.copy ?? button.previousElementSibling?.textContent ?? "";
    await copy("copyLink" in button.dataset ? location.href : text);
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // A row unfolds in place; its content is loaded once. The button has no attributes of htmx, which need the nonce of the first page:
  // parts that are refreshed do not have it.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.unfold");
    if (!button) return;
    const row = document.getElementById(button.getAttribute("aria-controls"));
    row.hidden = !row.hidden;
    button.setAttribute("aria-expanded", String(!row.hidden));
    const path = button.dataset.load;
    delete button.dataset.load;
    if (path) htmx.ajax("GET", path, { target: row.cells[0], select: ".attempts", swap: "innerMorph" });
    if (!toggled.delete(row)) toggled.add(row);
    apply();
  });

  function span(seconds) {
    const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
    if (minutes < 1) return `${seconds} s`;
    if (hours < 1) return `${minutes} min`;
    return days < 1 ? `${hours} h ${minutes % 60} min` : `${days} d ${hours % 24} h`;
  }

  // Counts down to the times of next attempts.
  setInterval(() => {
    if (document.hidden) return;
    for (const left of document.querySelectorAll("[data-until]")) {
      const seconds = Math.floor((new Date(left.dataset.until) - Date.now()) / 1000);
      const text = seconds > 0 ? `in ${span(seconds)}` : "now";
      if (!Number.isNaN(seconds) && left.textContent !== text) left.textContent = text;
    }
  }, 1000);

  // A page does not change while text in it is selected, or while the reader has a part of it unfolded or folded.
  const toggled = new Set();
  function isBusy(live) {
    const selection = document.getSelection();
    const isSelected = selection && !selection.isCollapsed && live.contains(selection.anchorNode);
    return isSelected || [...toggled].some((details) => details.isConnected);
  }

  // Live updates: a stream while the page is visible and not paused. If the server wants no further stream, the page asks for
  // itself from time to time. The part of the page that changes has the id "live".
  const SLOW = 10_000;
  const PAUSED = "decnet.paused";
  const WORDS = { live: "Live", slow: "Live, slowly", paused: "Paused", lost: "Reconnecting", ended: "" };
  let stream = null;
  let polling = null;
  let latest = null;

  function isPaused() {
    try { return sessionStorage.getItem(PAUSED) !== null; } catch { return false; }
  }

  function setPaused(paused) {
    try {
      if (paused) sessionStorage.setItem(PAUSED, ""); else sessionStorage.removeItem(PAUSED);
    } catch { /* Without storage the choice lasts until the next page. */ }
  }

  function show(state) {
    const button = document.getElementById("live-toggle");
    if (!button) return;
    button.hidden = state === "ended";
    button.dataset.state = state;
    button.textContent = WORDS[state];
    button.title = state === "paused" ? "Resume the updates of this tab" : "Pause the updates of this tab";
    button.setAttribute("aria-label", `${WORDS[state]}: ${button.title}`);
  }

  async function apply() {
    const live = document.getElementById("live");
    if (latest === null || !live || isBusy(live)) return;
    const text = latest;
    latest = null;
    await htmx.swap({ sourceElement: live, target: live, text, select: "#live > *", swap: "innerMorph" });
  }

  function close() {
    stream?.close();
    clearInterval(polling);
    stream = polling = latest = null;
  }

  function refresh() {
    const live = document.getElementById("live");
    if (!live?.dataset.live) end();
    else if (!isBusy(live)) htmx.trigger(live, "refresh");
  }

  // The reply to an ordinary request leads to the login if the session has ended.
  function poll() {
    close();
    show("slow");
    polling = setInterval(refresh, SLOW);
    refresh();
  }

  function end() {
    const last = latest;
    close();
    latest = last;
    apply();
    show("ended");
  }

  function connect(paused = isPaused()) {
    close();
    const view = document.getElementById("live")?.dataset.live;
    if (!view) return show("ended");
    if (paused) return show("paused");
    if (document.hidden) return;
    stream = new EventSource(`/live?view=${encodeURIComponent(view)}`);
    stream.addEventListener("open", () => show("live"));
    stream.addEventListener("view", (event) => { latest = event.data; apply(); });
    stream.addEventListener("end", end);
    stream.addEventListener("poll", poll);
    stream.addEventListener("error", () => {
      if (stream?.readyState === EventSource.CLOSED) poll(); else show("lost");
    });
    show("live");
  }

  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else connect(); });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  document.addEventListener("selectionchange", apply);
  document.addEventListener("click", (event) => {
    const details = event.target.closest("#live summary")?.parentElement;
    if (details && !toggled.delete(details)) toggled.add(details);
    if (details) apply();
    if (!event.target.closest("#live-toggle")) return;
    const paused = stream !== null || polling !== null;
    setPaused(paused);
    connect(paused);
  });

  // The legend of a chart shows the values under the pointer.
  let pointed = null;
  function point(chart, part) {
    let time = null;
    for (const value of chart.querySelectorAll("[data-values]")) {
      const values = value.dataset.values.split("|");
      const place = Math.round(part * (values.length - 1));
      time = document.querySelector(`#live tr[data-place="${place}"] time`)?.textContent;
      value.textContent = part < 0 ? values.findLast((text) => text) ?? "–" : values[place] || "–";
    }
    const label = chart.querySelector("[data-label]");
    label.textContent = time ?? label.dataset.label;
  }
  document.addEventListener("pointermove", (event) => {
    const chart = event.target.closest?.(".chart");
    if (pointed && pointed !== chart) point(pointed, -1);
    pointed = chart;
    if (!chart) return;
    const box = chart.querySelector("svg").getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    point(chart, part >= 0 && part <= 1 ? part : -1);
  });

  // Times are shown before the page is compared with the new content, so that nothing flickers.
  document.addEventListener("htmx:after:swap", () => improve(document));
  document.addEventListener("DOMContentLoaded", () => { improve(document); connect(); });
  moveCode();
})();
