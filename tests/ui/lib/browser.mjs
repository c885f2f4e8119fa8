// Chromium on the dashboard. Notes what must not be: console errors, and requests to anywhere else.
import { mkdirSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import { chromium } from "playwright-core";
import { API, KEY, ORG, REPO } from "./stack.mjs";

const SCREENSHOTS = `${REPO}/build/ui-screenshots`;
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 780 };

export class Dashboard {
  static async start() {
    const dashboard = new Dashboard();
    dashboard.browser = await chromium.launch({
      executablePath: process.env.DISPATCH_CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"],
    });
    mkdirSync(SCREENSHOTS, { recursive: true });
    await dashboard.fresh();
    return dashboard;
  }

  /** A new session, as a new tab of another person. */
  async fresh(options = {}) {
    await this.context?.close();
    this.context = await this.browser.newContext({ viewport: WIDE, ...options });
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(15_000);
    this.faults ??= [];
    this.page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.faults.push(message.text());
    });
    this.page.on("pageerror", (error) => this.faults.push(String(error)));
    this.page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(API).origin) this.faults.push(`outside request: ${request.url()}`);
    });
  }

  async signIn(key = KEY, org = ORG) {
    await this.page.goto(`${API}/ui`);
    await this.page.getByLabel("API key").fill(key);
    await this.page.getByLabel("Organisation").fill(org);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  /** hash as "/topics/orders". */
  async go(hash) {
    await this.page.evaluate((to) => (location.hash = to), hash);
  }

  /** A row of the board; filtered for, so that it is among those that are drawn. */
  row(name) {
    return this.page.getByRole("row").filter({ has: this.page.getByRole("link", { name, exact: true }) });
  }

  /** The texts of the row's cells by column. */
  async cells(name) {
    return this.row(name).evaluate((row) => {
      const text = (column) => row.querySelector(`.c-${column}`).innerText.trim();
      return Object.fromEntries(["state", "verdict", "age", "waiting", "in", "out", "drain", "balance"].map((c) => [c, text(c)]));
    });
  }

  async screenshots(name) {
    for (const [size, viewport] of [["1280", WIDE], ["360", NARROW]]) {
      await this.page.setViewportSize(viewport);
      await this.page.screenshot({ path: `${SCREENSHOTS}/${name}-${size}.png`, fullPage: true });
    }
    await this.page.setViewportSize(WIDE);
  }

  /** Violations that are serious or worse, wide, narrow and dark. */
  async barriers() {
    const found = new Set();
    for (const [viewport, colorScheme] of [[WIDE, "light"], [NARROW, "light"], [WIDE, "dark"]]) {
      await this.page.setViewportSize(viewport);
      await this.page.emulateMedia({ colorScheme });
      const { violations } = await new AxeBuilder({ page: this.page }).analyze();
      for (const violation of violations.filter(({ impact }) => impact === "serious" || impact === "critical")) {
        found.add(`${violation.id} (${viewport.width}, ${colorScheme}): ${violation.nodes[0].target} ${violation.nodes[0].failureSummary}`);
      }
      const over = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) found.add(`${viewport.width}: the page is ${over} px wider than the window`);
    }
    await this.page.setViewportSize(WIDE);
    await this.page.emulateMedia({ colorScheme: "light" });
    return [...found];
  }

  /** What was noted since the last time. */
  takeFaults() {
    return this.faults.splice(0);
  }
}
