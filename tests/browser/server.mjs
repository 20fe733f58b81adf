// Starts the real program with directories and a port of its own, and receivers that reply as a test says.
import { spawn, execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";
import { promisify } from "node:util";

const PROGRAM = path.resolve(process.env.DECNET ?? "target/debug/decnet");
// The timeout of every condition, long enough for a slow machine.
export const PATIENCE = 60_000;
const POLL = 50;

// A test that is ended by its time limit also ends the servers that it has started.
process.once("SIGTERM", () => process.exit(1));

// Waits until `condition` returns something other than a false value, and returns that.
export async function eventually(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`timeout: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

// A receiver on this host. `reply` is `{status, body, headers}`, or null to never reply; it may change at any time.
export class Receiver {
  static async start(reply = { status: 204 }) {
    const receiver = new Receiver();
    receiver.reply = reply;
    receiver.server = http.createServer((request, response) => receiver.answer(request, response));
    await new Promise((resolve) => receiver.server.listen(0, "127.0.0.1", resolve));
    receiver.origin = `http://127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  count = 0;

  async answer(request, response) {
    for await (const _ of request);
    this.count += 1;
    if (!this.reply) return;
    response.writeHead(this.reply.status, this.reply.headers).end(this.reply.body);
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// A running `decnet serve` with an admin's and a reader's token.
export class Server {
  static async start(environment = {}) {
    const server = new Server();
    server.directory = await mkdtemp(path.join(tmpdir(), "decnet-browser-"));
    server.environment = {
      HOME: server.directory,
      PATH: process.env.PATH,
      DECNET_DATA_DIR: path.join(server.directory, "data"),
      DECNET_BUS_SOCKET: path.join(server.directory, "bus.sock"),
      DECNET_API_PORT: "0",
      DECNET_WEBHOOK_ALLOW_CIDRS: "127.0.0.1/32",
      ...environment,
    };
    try {
      server.origin = await server.spawn();
      server.admin = await server.token("operations", "admin");
      server.reader = await server.token("reader", "read");
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  receivers = [];
  log = [];

  options() {
    return { cwd: this.directory, env: this.environment };
  }

  // Returns the address once the server is ready.
  async spawn() {
    this.process = spawn(PROGRAM, ["serve"], { ...this.options(), stdio: ["ignore", "ignore", "pipe"] });
    process.once("exit", () => this.end());
    this.ended = new Promise((resolve) => this.process.once("close", resolve).once("error", resolve));
    const lines = readline.createInterface({ input: this.process.stderr });
    const address = new Promise((resolve) => {
      lines.on("line", (line) => {
        this.log.push(line);
        const found = line.match(/dashboard at (http:\/\/[^/]+)\//);
        if (found) resolve(found[1]);
      });
    });
    const failed = this.ended.then((reason) => {
      throw new Error(`${PROGRAM} ended (${reason}):\n${this.log.join("\n")}`);
    });
    failed.catch(() => {});
    return Promise.race([address, failed]);
  }

  async run(...command) {
    const { stdout } = await promisify(execFile)(PROGRAM, [...command, "--json"], this.options());
    return JSON.parse(stdout);
  }

  async token(name, scope) {
    return (await this.run("token", "create", "--name", name, "--scope", scope)).token;
  }

  // Sends a request to the API as the admin. `what` is a method and a path below `/api/v1`.
  async api(what, body) {
    const [method, where] = what.split(" ");
    const reply = await fetch(`${this.origin}/api/v1${where}`, {
      method,
      headers: { authorization: `Bearer ${this.admin}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${what}: ${reply.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  // Creates a subscription to a new receiver, and returns both as `{uuid, name, receiver}`.
  async subscribe(name, patterns, reply, settings = {}) {
    const receiver = await Receiver.start(reply);
    this.receivers.push(receiver);
    const topic_patterns = [patterns].flat();
    const created = await this.api("POST /subscriptions", { name, url: `${receiver.origin}/hook`, topic_patterns, settings });
    return { uuid: created.uuid, name, receiver };
  }

  publish(events) {
    return this.api("POST /events", { events: [events].flat() });
  }

  // Waits until at least `count` deliveries match a query, and returns them.
  deliveries(query, count = 1) {
    return eventually(`${count} deliveries with ${query}`, async () => {
      const { deliveries } = await this.api(`GET /deliveries?limit=1000&${query}`);
      return deliveries.length >= count && deliveries;
    });
  }

  // Waits until a subscription has a state.
  state(uuid, state) {
    return eventually(`${uuid} is ${state}`, async () => (await this.api(`GET /subscriptions/${uuid}`)).state === state);
  }

  async stop() {
    this.process.kill();
    await this.ended;
    for (const receiver of this.receivers) receiver.stop();
    this.end();
  }

  end() {
    this.process.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}
