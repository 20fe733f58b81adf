// What the server contains in the tests: deliveries that succeed, an outage of each kind, and the hostile events.
import { eventually, Server } from "./server.mjs";
import * as hostile from "./hostile.mjs";

// A server without subscriptions.
export function empty() {
  return Server.start();
}

// A server with healthy, failing and hostile receivers. Returns the server, the subscriptions and deliveries by name, and the id of
// the reader's token.
export async function outage() {
  const server = await Server.start();
  try {
    const subscriptions = await subscribe(server);
    await fill(server, subscriptions);
    const { tokens } = await server.api("GET /tokens");
    const reader = tokens.find(({ name }) => name === "reader").id;
    return { server, subscriptions, reader, deliveries: await find(server, subscriptions) };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function subscribe(server) {
  const create = (...settings) => server.subscribe(...settings);
  return {
    healthy: await create("siem", ["attacker.>", "warm.up"], { status: 204 }),
    down: await create("ticket-system", "canary.>", { status: 503, body: "upstream is down" }),
    gone: await create("old-archive", "decky.>", { status: 410 }),
    hanging: await create("slow-archive", "attacker.observed", null, { timeout: "200ms", retry_schedule: "10m" }),
    rejecting: await create("partner-feed", "credential.>", { status: 400, body: '{"error":"unknown field"}' }),
    paused: await create("night-shift", "attacker.>", { status: 204 }),
    hostile: await create(hostile.NAME, "hostile.>", hostile.REPLY),
    wide: await create(hostile.LONG_NAME, "hostile.>", { status: 204 }),
  };
}

async function fill(server, { healthy, down, gone, paused }) {
  await server.api(`POST /subscriptions/${paused.uuid}/pause`);
  await eventually("the worker uses the subscriptions", async () => {
    await server.publish({ topic: "warm.up" });
    return healthy.receiver.count > 0;
  });
  const events = (count, topic) =>
    Array.from({ length: count }, (_, n) => ({ topic, type: topic.split(".").pop(), payload: { ip: "192.0.2.17", port: 2200 + n } }));
  await server.publish(["attacker.observed", "canary.t1.triggered", "decky.web-01.state", "credential.captured"].flatMap((topic) => events(12, topic)));
  await server.publish(hostile.EVENTS);
  await server.state(down.uuid, "tripped");
  await server.state(gone.uuid, "gone");
}

// Returns one delivery of each kind.
async function find(server, { healthy, down, hanging, rejecting, hostile: attacked, wide }) {
  const first = async (query) => (await server.deliveries(query))[0].id;
  const of = ({ uuid }, state) => `subscription=${uuid}&state=${state}`;
  await server.deliveries(of(attacked, "dead"), hostile.EVENTS.length);
  await server.deliveries(of(wide, "delivered"), hostile.EVENTS.length);
  const topic = (text) => `&topic=${encodeURIComponent(text)}`;
  return {
    delivered: await first(of(healthy, "delivered")),
    parked: await first(of(down, "parked,retrying")),
    retrying: await first(of(hanging, "retrying,parked")),
    dead: await first(of(rejecting, "dead")),
    hostile: await first(of(attacked, "dead") + topic(hostile.TOPIC)),
    keys: await first(of(attacked, "dead") + topic(hostile.LONG_TOPIC)),
    megabyte: await first(of(wide, "delivered") + topic("hostile.megabyte")),
  };
}
