// `npm run screenshots`: a registry and a small fleet of services, with problems of every kind, and screenshots of each
// screen of the dashboard in docs/images. `npm run screenshots -- fleet`: see screenshots-fleet.mjs. Needs Chromium:
// Debian's, or one that CHROMIUM names. Takes two minutes.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { shootFleet } from './screenshots-fleet.mjs';
import { reduce } from './screenshots-png.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const images = join(root, 'docs', 'images');
const programs = {
  rollcall: join(root, 'packages', 'cli', 'dist', 'main.js'),
  service: join(root, 'tools', 'screenshots-service.mjs'),
};
/** Name → number of instances, callees, duration of a call. */
const FLEET = {
  gateway: { count: 2, calls: 'orders,catalog,users', http: true },
  orders: { count: 3, calls: 'payments,inventory', workMs: 4 },
  payments: { count: 3, calls: 'fraud', workMs: 6 },
  catalog: { count: 3, calls: 'search', workMs: 2 },
  users: { count: 2, workMs: 2 },
  inventory: { count: 2, workMs: 3 },
  search: { count: 2, workMs: 5 },
  fraud: { count: 1, workMs: 8 },
};
const WARM_UP_MS = 60_000;
const PER_SECOND = 40;
const THEMES = ['light', 'dark'];
/** Chromium connects to nothing but the page. */
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
];

const children = [];
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function start(program, args, env) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_'));
  const child = fork(programs[program], args, {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  children.push(child);
  return child;
}

async function startRegistry() {
  const child = start('rollcall', ['up', '--json', '--memory', '--port', '0'], {});
  const [line] = await once(child.stdout, 'data');
  return { child, url: JSON.parse(String(line)).url };
}

/** A proxy that can be cut: then it refuses new connections, and open ones stay. */
async function openProxy(url) {
  const { hostname, port } = new URL(url);
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream])
      socket.on('error', () => [client, upstream].forEach((each) => each.destroy()));
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${proxy.address().port}`, cut: () => proxy.close() };
}

function startService(name, registryUrl) {
  const { calls = '', workMs = 1, http } = FLEET[name];
  const env = { SERVICE: name, VERSION: '1.4.2', CALLS: calls, WORK_MS: String(workMs), ROLLCALL_URL: registryUrl };
  return start('service', [], http ? { ...env, HTTP: 'yes' } : env);
}

async function instancesAt(url) {
  const { services } = await (await fetch(`${url}/api/v1/services`)).json();
  const names = services.map(({ name }) => name);
  const answers = names.map(async (name) => (await fetch(`${url}/api/v1/services/${name}`)).json());
  return (await Promise.all(answers)).flatMap(({ instances }) => instances);
}

async function waitFor(what, condition, timeoutMs = 60_000) {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`Timed out after ${timeoutMs / 1_000} s: ${what}.`);
    await sleep(200);
  }
}

/** Calls the gateways all the time; failures are intended. */
function startLoad(urls) {
  let turn = 0;
  const timer = setInterval(() => {
    turn += 1;
    fetch(`${urls[turn % urls.length]}/work`)
      .then((answer) => answer.arrayBuffer())
      .catch(() => {});
  }, 1_000 / PER_SECOND);
  return () => clearInterval(timer);
}

async function waitForHealthy(url, fleet) {
  const count = Object.values(fleet).flat().length;
  await waitFor(`${count} are HEALTHY`, async () => {
    const instances = await instancesAt(url);
    return instances.filter(({ state }) => state === 'HEALTHY').length === count;
  });
}

async function startFleet(url) {
  const proxy = await openProxy(url);
  const fleet = Object.fromEntries(
    Object.entries(FLEET).map(([name, { count }]) => {
      // the first instance of search reaches the registry through the proxy
      const registryUrls = Array.from({ length: count }, (_, index) =>
        name === 'search' && index === 0 ? proxy.url : url,
      );
      return [name, registryUrls.map((registryUrl) => startService(name, registryUrl))];
    }),
  );
  await waitForHealthy(url, fleet);
  // one more, which starts when the machine is calm again: its round trips are typical
  fleet.orders.unshift(startService('orders', url));
  await waitForHealthy(url, fleet);
  return { fleet, proxy };
}

/** All kinds of problems, at one moment. Resolves with the instances to look at. */
async function injectFaults({ url, fleet, proxy }) {
  const before = await instancesAt(url);
  const idOf = (child) => before.find(({ metadata }) => metadata.pid === String(child.pid)).id;
  fleet.users[0].kill('SIGKILL');
  startService('users', url);
  await sleep(6_000);
  await fetch(`${url}/api/v1/instances/${idOf(fleet.catalog[0])}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
    body: JSON.stringify({ admin: 'DRAINING', reason: 'new kernel' }),
  });
  proxy.cut();
  fleet.payments[0].kill('SIGSTOP');
  await sleep(6_000);
  fleet.orders[0].kill('SIGUSR2');
  const [refused, frozen, cut] = [fleet.orders[0], fleet.payments[0], fleet.search[0]].map(idOf);
  await waitFor('three instances are in trouble', async () => {
    const failing = (await instancesAt(url)).filter(({ state }) => state === 'UNHEALTHY' || state === 'CRITICAL');
    return [refused, frozen, cut].every((id) => failing.some((one) => one.id === id));
  });
  return { refused, frozen };
}

const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: CHROMIUM_FLAGS,
});

async function open(url, theme, [width, height] = [1440, 900]) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

/** Name → the screenshot as the browser made it: they are compressed at the end, so that no time passes in between. */
const taken = new Map();
const take = async (page, name) => taken.set(name, await page.screenshot());
/** The same moment in both themes. */
const takeBoth = (pages, name) => Promise.all(pages.map((page, index) => take(page, `${name}-${THEMES[index]}`)));

async function shoot(pages, url, [name, hash]) {
  await Promise.all(pages.map((page) => page.goto(`${url}/${hash}`)));
  await sleep(1_500); // content that arrives after the page: graphs and their data
  await takeBoth(pages, name);
}

function writeAll() {
  for (const [name, png] of taken) {
    const small = reduce(png);
    writeFileSync(join(images, `${name}.png`), small);
    console.log(`${name}.png ${Math.ceil(small.length / 1_024)} KB`);
  }
}

mkdirSync(images, { recursive: true });
if (process.argv[2] === 'fleet') {
  await shootFleet(browser, images, process.argv[3]);
  await browser.close();
  process.exit(0);
}
const { child: registry, url } = await startRegistry();
const { fleet, proxy } = await startFleet(url);
const gateways = (await instancesAt(url)).filter(({ service }) => service === 'gateway');
const stopLoad = startLoad(gateways.map(({ endpoints: [{ host, port }] }) => `http://${host}:${port}`));
console.log('everything is HEALTHY; a minute of calls …');
await sleep(WARM_UP_MS);
const pages = await Promise.all(THEMES.map((theme) => open(url, theme)));
const phone = await open(url, 'light', [390, 844]);
const { refused } = await injectFaults({ url, fleet, proxy });
const SCREENS = [
  ['overview', '#/overview'],
  ['instance', `#/instances/${refused}`],
  ['service', '#/services/default/orders'],
  ['services', '#/services'],
  ['topology', '#/topology'],
  ['events', '#/events'],
  ['registry', '#/registry'],
  ['pictures', '#/pictures'],
];
for (const [index, screen] of SCREENS.entries()) {
  await shoot(pages, url, screen);
  if (index === 0) await take(phone, 'overview-390');
}
await Promise.all(pages.map((page) => page.goto(`${url}/#/overview`)));
await sleep(1_000);
registry.kill('SIGKILL');
await Promise.all(pages.map((page) => page.locator('.pill.stale').waitFor()));
await takeBoth(pages, 'stale');
stopLoad();
const fresh = await startRegistry();
await shoot(pages, fresh.url, ['empty', '#/overview']);
writeAll();
process.exit(0);
