// `npm run screenshots`: a registry and a small fleet of services, with problems of every kind, and screenshots of each
// screen of the dashboard in docs/images. `npm run screenshots -- fleet`: see screenshots-fleet.mjs. Needs Chromium:
// Debian's, or one that CHROMIUM names. Takes two minutes.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
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
const TOWN = {
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
const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];

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
async function openGate(url) {
  const { hostname, port } = new URL(url);
  const gate = createServer((near) => {
    const far = connect(Number(port), hostname);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on('error', () => [near, far].forEach((each) => each.destroy()));
  });
  await once(gate.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${gate.address().port}`, cut: () => gate.close() };
}

function startService(name, registryUrl) {
  const { calls = '', workMs = 1, http } = TOWN[name];
  const env = { SERVICE: name, VERSION: '1.4.2', CALLS: calls, WORK_MS: String(workMs), ROLLCALL_URL: registryUrl };
  return start('service', [], http ? { ...env, HTTP: 'yes' } : env);
}

async function instancesAt(url) {
  const { services } = await (await fetch(`${url}/api/v1/services`)).json();
  const names = services.map(({ name }) => name);
  const answers = names.map(async (name) => (await fetch(`${url}/api/v1/services/${name}`)).json());
  return (await Promise.all(answers)).flatMap(({ instances }) => instances);
}

async function until(what, isSo, patienceMs = 60_000) {
  const end = Date.now() + patienceMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`Not so after ${patienceMs / 1_000} s: ${what}.`);
    await pass(200);
  }
}

/** Calls the gateways all the time; failures are intended. */
function load(urls) {
  let turn = 0;
  const timer = setInterval(() => {
    turn += 1;
    fetch(`${urls[turn % urls.length]}/work`)
      .then((answer) => answer.arrayBuffer())
      .catch(() => {});
  }, 1_000 / PER_SECOND);
  return () => clearInterval(timer);
}

async function whole(url, town) {
  const count = Object.values(town).flat().length;
  await until(`${count} are HEALTHY`, async () => {
    const instances = await instancesAt(url);
    return instances.filter(({ state }) => state === 'HEALTHY').length === count;
  });
}

async function openTown(url) {
  const gate = await openGate(url);
  const town = Object.fromEntries(
    Object.entries(TOWN).map(([name, { count }]) => {
      // the first instance of search reaches the registry through the proxy
      const homes = Array.from({ length: count }, (_, index) => (name === 'search' && index === 0 ? gate.url : url));
      return [name, homes.map((home) => startService(name, home))];
    }),
  );
  await whole(url, town);
  // one more, which starts when the machine is calm again: its round trips are typical
  town.orders.unshift(startService('orders', url));
  await whole(url, town);
  return { town, gate };
}

/** All kinds of problems, at one moment. Resolves with the instances to look at. */
async function makeTrouble({ url, town, gate }) {
  const before = await instancesAt(url);
  const idOf = (child) => before.find(({ metadata }) => metadata.pid === String(child.pid)).id;
  town.users[0].kill('SIGKILL');
  startService('users', url);
  await pass(6_000);
  await fetch(`${url}/api/v1/instances/${idOf(town.catalog[0])}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
    body: JSON.stringify({ admin: 'DRAINING', reason: 'new kernel' }),
  });
  gate.cut();
  town.payments[0].kill('SIGSTOP');
  await pass(6_000);
  town.orders[0].kill('SIGUSR2');
  const [refused, frozen, cut] = [town.orders[0], town.payments[0], town.search[0]].map(idOf);
  await until('three instances are in trouble', async () => {
    const sick = (await instancesAt(url)).filter(({ state }) => state === 'UNHEALTHY' || state === 'CRITICAL');
    return [refused, frozen, cut].every((id) => sick.some((one) => one.id === id));
  });
  return { refused, frozen };
}

const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: QUIET,
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
  await pass(1_500); // content that arrives after the page: graphs and their data
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
const { town, gate } = await openTown(url);
const gateways = (await instancesAt(url)).filter(({ service }) => service === 'gateway');
const stopLoad = load(gateways.map(({ endpoints: [{ host, port }] }) => `http://${host}:${port}`));
console.log('everything is HEALTHY; a minute of calls …');
await pass(WARM_UP_MS);
const pages = await Promise.all(THEMES.map((theme) => open(url, theme)));
const phone = await open(url, 'light', [390, 844]);
const { refused } = await makeTrouble({ url, town, gate });
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
await pass(1_000);
registry.kill('SIGKILL');
await Promise.all(pages.map((page) => page.locator('.pill.stale').waitFor()));
await takeBoth(pages, 'stale');
stopLoad();
const fresh = await startRegistry();
await shoot(pages, fresh.url, ['empty', '#/overview']);
writeAll();
process.exit(0);
