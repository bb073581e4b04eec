// Two people look at the board. One buys, both see it; the server is killed, and nobody notices but by a word.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { CHROMIUM, DRIVER, SERVER, FOLDER } = process.env;
const { chromium } = createRequire(`${DRIVER}/`)("playwright-core");

/** Starts the server on a port, or any that is free; it says where, once it answers. */
async function start(port = 0) {
  const server = spawn(SERVER, [`${FOLDER}/shop`, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: server.stdout })) {
    const url = line.match(/http:\S+/)?.[0];
    if (url) return { server, url, port: Number(new URL(url).port) };
  }
  throw new Error("the server does not start");
}

/** Ends it as a power cut would. */
async function kill(server) {
  const gone = once(server, "exit");
  server.kill("SIGKILL");
  await gone;
}

const COLUMNS = ["Shelf", "Price", "Left", "Sold", "Customers", "Takings"];

/** One who looks at the page. */
class Visitor {
  constructor(page) {
    this.page = page;
  }

  static async comes(context, url, errors) {
    const page = await context.newPage();
    page.on("pageerror", error => {
      console.error(error);
      errors.push(error);
    });
    await page.goto(url);
    // A page that is loaded anew does not have it.
    await page.evaluate(() => (window.sameAsBefore = true));
    return new Visitor(page);
  }

  /** Waits until the row of an item has these texts, by column. */
  async sees(item, texts) {
    const row = this.page.getByRole("row").filter({ has: this.page.getByRole("rowheader", { name: item, exact: true }) });
    for (const [column, text] of Object.entries(texts)) {
      const cell = row.getByRole("cell").nth(COLUMNS.indexOf(column));
      await cell.filter({ hasText: new RegExp(`^${text}$`) }).waitFor();
    }
  }

  async reads(text) {
    await this.page.getByRole("status").filter({ hasText: text }).waitFor();
  }

  async buys(customer, qty, item) {
    await this.page.getByLabel("Customer").fill(customer);
    await this.page.getByLabel("Item").selectOption(item);
    await this.page.getByLabel("Pieces").fill(String(qty));
    await this.page.getByRole("button", { name: "Buy" }).click();
  }

  async board() {
    return this.page.getByRole("row").allInnerTexts();
  }
}

const context = await chromium.launchPersistentContext(`${FOLDER}/profile`, {
  executablePath: CHROMIUM,
  headless: true,
  viewport: { width: 1000, height: 640 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
context.setDefaultTimeout(30_000);
let { server, url, port } = await start();
try {
  const errors = [];
  const [ann, bob] = [await Visitor.comes(context, url, errors), await Visitor.comes(context, url, errors)];
  const visitors = [ann, bob];
  const all = look => Promise.all(visitors.map(look));
  await all(visitor => visitor.reads("live"));
  await all(visitor => visitor.sees("Bowler", { Shelf: "hats", Price: "49.00", Left: 12, Sold: 0 }));

  await ann.buys("ann", 2, "Bowler");
  await ann.reads("ann has bought 2 of Bowler.");
  await all(visitor => visitor.sees("Bowler", { Left: 10, Sold: 2, Customers: 1, Takings: "98.00" }));

  await bob.buys("bob", 4, "Panama");
  await bob.reads("Only 3 of Panama left.");
  await bob.buys("bob", 3, "Panama");
  await all(visitor => visitor.sees("Panama", { Left: "sold out", Sold: 3 }));
  await ann.buys("ann", 11, "Umbrella");
  await ann.reads("11 is no quantity: take 1 to 10.");

  // It is bought, and the answer is lost. The page sends it again.
  let lost = 0;
  await ann.page.route("**/purchases", async route => {
    await route.fetch();
    lost += 1;
    await route.abort();
  }, { times: 1 });
  await ann.buys("ann", 2, "Umbrella");
  await ann.reads("ann has bought 2 of Umbrella.");
  assert.equal(lost, 1);
  await all(visitor => visitor.sees("Umbrella", { Left: 28, Sold: 2 }));

  await kill(server);
  await all(visitor => visitor.reads("reconnecting"));
  await bob.buys("bob", 1, "Fedora");
  await bob.reads("No answer yet");
  ({ server } = await start(port));
  await bob.reads("bob has bought 1 of Fedora.");
  await all(visitor => visitor.reads("live"));
  await all(visitor => visitor.sees("Fedora", { Left: 7, Sold: 1, Customers: 1, Takings: "64.50" }));

  // Nothing is counted twice, and nothing is missing: the page that was there all the time shows what a new one does.
  visitors.push(await Visitor.comes(context, url, errors));
  await all(visitor => visitor.sees("Umbrella", { Left: 28, Sold: 2, Customers: 1, Takings: "39.00" }));
  const [kept, other, fresh] = await all(visitor => visitor.board());
  assert.equal(fresh.length, 8);
  assert.deepEqual(kept, fresh);
  assert.deepEqual(other, fresh);
  for (const visitor of visitors) assert.equal(await visitor.page.evaluate(() => window.sameAsBefore), true);
  assert.deepEqual(errors, []);

  if (process.argv.includes("--screenshot")) {
    await ann.page.bringToFront();
    await ann.buys("carl", 3, "Bowler");
    await ann.reads("carl has bought 3 of Bowler.");
    await ann.sees("Bowler", { Left: 7 });
    await ann.page.screenshot({ path: new URL("../live.png", import.meta.url).pathname });
  }
  console.log("The page shows what happens.");
} finally {
  await context.close();
  await kill(server);
}
