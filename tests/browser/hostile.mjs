// Strings as an attacker writes them into events, replies and names. Everything that they would create carries the attribute
// `data-hostile` or sets `window.hostile`, and everything that a template would compute is 93599359.
export const PRODUCT = "93599359";

const STRINGS = [
  `"><img data-hostile src=x hx-get=/api/v1/x hx-trigger=load>`,
  `'><img data-hostile src=x onerror=window.hostile=1>`,
  `</script></pre></textarea></title><script data-hostile>window.hostile=1</script>`,
  `<svg data-hostile onload=window.hostile=1>`,
  `<iframe data-hostile srcdoc="<script>parent.hostile=1</script>"></iframe>`,
  `</form><form data-hostile action=https://elsewhere.example/><button data-hostile>Log in</button>`,
  `</style><style data-hostile>*{display:none}</style><link data-hostile rel=stylesheet href=https://elsewhere.example/>`,
  `<base data-hostile href=https://elsewhere.example/><meta data-hostile http-equiv=refresh content="0;url=https://elsewhere.example/">`,
  `" autofocus onfocus=window.hostile=1 data-hostile x="`,
  `<div data-hostile hx-on::load="window.hostile=1" hx-get="/" hx-trigger="load" hx-swap="outerHTML" hx-target="body"></div>`,
  `javascript:window.hostile=1`,
  "{{13371337*7}}", "${13371337*7}", "#{13371337*7}", "<%= 13371337*7 %>", "{% set hostile = 13371337*7 %}{{ hostile }}", "@(13371337*7)",
  "&lt;img data-hostile&gt;&#60;img data-hostile&#62;",
  "<!-- --!> ]]>", "\u0000\u0007\u001b[31mred\u001b[0m",
  "abc\u202edcba\u202c \u2066isolate\u2069 \u200b\u200d\ufeff", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
  "Z\u0351\u036b\u0343a\u030e\u0310l\u0334g\u0321o\u0322", "\ud83d\udc69\u200d\ud83d\ude80", "\ufffd\uffff",
];

// A string that has no place to break, as long as an event may be.
const MEGABYTE = "W".repeat(1_000_000);

export const NAME = `"><img data-hostile src=x hx-get=/api/v1/x hx-trigger=load>`;
export const LONG_NAME = "W".repeat(64);
export const TOPIC = `hostile."<img/data-hostile/src=x/onerror=hostile=1//.{{93599351+8}}`;
export const LONG_TOPIC = `hostile.${"W".repeat(900)}`;
export const EVENT_ID = `"><svg/data-hostile/onload=hostile=1>{{13371337*7}}`;

export const EVENTS = [
  { topic: TOPIC, id: EVENT_ID, type: STRINGS[0], payload: STRINGS },
  { topic: LONG_TOPIC, id: "W".repeat(128), type: "W".repeat(1024), payload: Object.fromEntries(STRINGS.map((text) => [text, text])) },
  { topic: "hostile.megabyte", type: STRINGS[2], payload: { [STRINGS[1]]: MEGABYTE } },
  ...STRINGS.map((text) => ({ topic: "hostile.strings", type: text, payload: text })),
];

// A reply of a hostile receiver.
export const REPLY = { status: 400, headers: { "content-type": "text/html", "x-hostile": STRINGS[1] }, body: STRINGS.join("\n") };

// A query for forms that show what was asked.
export const QUERY = encodeURIComponent(STRINGS.slice(0, 12).join(" "));
