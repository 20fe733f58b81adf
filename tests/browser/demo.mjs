// The scene of the screenshots: receivers of a security team, an outage, and events as a network of honeypots publishes them.
import { eventually, Server } from "./server.mjs";

const ATTACKERS = ["192.0.2.17", "198.51.100.4", "203.0.113.99", "198.51.100.212", "192.0.2.143"];
const DECKIES = ["web-01", "ssh-02", "smb-03", "rdp-04"];
const USERS = ["root", "admin", "oracle", "backup"];

function sample(n) {
  const [ip, decky, user] = [ATTACKERS[n % 5], DECKIES[n % 4], USERS[n % 3]];
  return [
    { topic: "attacker.observed", type: "observed", payload: { ip, decky, port: 22 + (n % 7) } },
    { topic: "credential.captured", type: "captured", payload: { ip, decky, service: "ssh", user } },
    { topic: `decky.${decky}.state`, type: "state", payload: { decky, state: n % 2 ? "running" : "starting" } },
    { topic: "canary.t1.triggered", type: "triggered", payload: { ip, token: "t1", path: "/finance/plan.docx" } },
  ][n % 4];
}

// Returns the server and the subscriptions; each has the `host` that its receiver is shown with.
export async function demo() {
  const server = await Server.start();
  const subscriptions = await subscribe(server);
  const { siem, tickets, archive } = subscriptions;
  await eventually("the worker uses the subscriptions", async () => {
    await server.publish(sample(0));
    return siem.receiver.count > 0;
  });
  for (let n = 0; n < 40; n += 1) await server.publish(Array.from({ length: 5 }, (_, m) => sample(n * 5 + m)));
  await server.state(tickets.uuid, "tripped");
  await server.state(archive.uuid, "gone");
  await eventually("the abuse desk fails", async () =>
    (await server.api(`GET /subscriptions/${subscriptions.abuse.uuid}`)).consecutive_failures > 0);
  await server.deliveries(`subscription=${subscriptions.feed.uuid}&state=dead`, 40);
  await server.deliveries(`subscription=${siem.uuid}&state=delivered`, 90);
  return { server, subscriptions };
}

async function subscribe(server) {
  const create = async (host, ...settings) => ({ host, ...(await server.subscribe(...settings)) });
  return {
    siem: await create("siem.example", "siem", ["attacker.>", "credential.>"], { status: 200, body: '{"accepted":true}' }),
    chat: await create("chat.example", "soc-chat", "canary.>", { status: 204 }),
    tickets: await create("tickets.example", "ticket-system", ["canary.>", "attacker.>"], { status: 503, body: "upstream connect error: connection refused" }),
    archive: await create("archive.example", "old-archive", "decky.>", { status: 410, body: "this archive has moved" }),
    feed: await create("feed.example", "partner-feed", "credential.>", { status: 400, body: '{"error":"unknown field: service"}' }),
    intel: await create("intel.example", "threat-intel", "attacker.>", { status: 202 }),
    abuse: await create("abuse.example", "abuse-desk", "attacker.>", null, { timeout: "1s" }),
    lake: await create("lake.example", "data-lake", ">", { status: 200 }),
  };
}
