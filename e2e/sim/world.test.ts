import { describe, expect, it } from 'vitest';
import { Network } from './network.js';
import type { End } from './network.js';
import { answerWith, Exchange } from './rpc.js';
import type { Reply } from './rpc.js';
import type { Process } from './world.js';
import { World } from './world.js';

/** Two machines, and a process on each; the one of `there` answers requests. */
function createTwoMachines(seed = 1) {
  const world = new World(seed);
  const network = new Network(world);
  const [here, there] = [network.machine('here', '10.0.0.1'), network.machine('there', '10.0.0.2')];
  const caller = network.spawn(here, 'caller');
  const called = network.spawn(there, 'called');
  network.listen(
    called,
    80,
    answerWith((message) => `${String(message)}!`),
  );
  return {
    world,
    network,
    here,
    there,
    caller,
    called,
    out: network.path(here, there),
    back: network.path(there, here),
  };
}

type TwoMachines = ReturnType<typeof createTwoMachines>;

async function answer({ world, network, caller, there }: TwoMachines, passMs = 5_000): Promise<Reply | null> {
  let reply: Reply | null = null;
  const to = { host: there.address, port: 80 };
  const exchange = new Exchange(network, caller, to, { message: 'hello', timeoutMs: 2_000 });
  void exchange.reply.then((settled) => (reply = settled));
  await world.pass(passMs);
  return reply;
}

const kindOf = async (net: TwoMachines): Promise<string | undefined> => (await answer(net))?.kind;

describe('virtual time', () => {
  it('settles every promise chain, however long, before the next event', async () => {
    const world = new World(1);
    const seen: string[] = [];
    const chain = async (depth: number): Promise<void> => {
      if (depth > 0) await chain(depth - 1);
      else seen.push('chain');
    };
    world.after(1, () => void chain(500));
    world.after(1, () => void seen.push('next'));
    await world.pass(1);
    expect(seen).toEqual(['chain', 'next']);
  });

  it('runs events in the order of their time, and of their creation', async () => {
    const world = new World(1);
    const seen: number[] = [];
    for (const ms of [5, 1, 3, 1]) world.after(ms, () => void seen.push(world.now));
    await world.pass(4);
    expect(seen).toEqual([1, 1, 3]);
    expect(world.now).toBe(4);
  });

  it('rejects with what an event throws', async () => {
    const world = new World(1);
    world.after(1, () => {
      throw new Error('a bug');
    });
    await expect(world.pass(2)).rejects.toThrow('a bug');
  });
});

function alone(): { world: World; process: Process } {
  const { world, called } = createTwoMachines();
  return { world, process: called };
}

describe('a process', () => {
  it('sees its timers late when it was stopped, and none when it is dead', async () => {
    const { world, process } = alone();
    const seen: number[] = [];
    process.setTimer(10, () => seen.push(world.now));
    process.stop();
    await world.pass(50);
    expect(seen).toEqual([]);
    process.resume();
    process.setTimer(10, () => seen.push(world.now));
    await world.pass(5);
    expect(seen).toEqual([50]);
    process.die(true);
    await world.pass(50);
    expect(seen).toEqual([50]);
  });

  it('has a monotonic clock that a jump of the wall clock does not move', async () => {
    const { world, process } = alone();
    const [now, wall] = [process.now(), process.wall()];
    process.machine.skewMs += 3_600_000;
    await world.pass(10);
    expect(process.now() - now).toBe(10);
    expect(process.wall() - wall).toBe(3_600_010);
  });

  it('can stop a timer that is due already', async () => {
    const { world, process } = alone();
    let hasRun = false;
    const timer = process.setTimer(10, () => (hasRun = true));
    process.stop();
    await world.pass(20);
    timer.cancel();
    process.resume();
    await world.pass(20);
    expect(hasRun).toBe(false);
  });
});

describe('a request over the network', () => {
  it('is answered within a millisecond or three', async () => {
    expect(await answer(createTwoMachines())).toMatchObject({ kind: 'answered', message: 'hello!' });
  });

  it('is refused where no process listens', async () => {
    const net = createTwoMachines();
    net.network.unlisten(net.called);
    expect(await answer(net)).toMatchObject({ kind: 'refused', text: 'connect ECONNREFUSED 10.0.0.2:80' });
  });

  for (const [what, break_] of [
    ['no packet gets there', (net: TwoMachines) => (net.out.cut += 1)],
    ['no packet comes back', (net: TwoMachines) => (net.back.cut += 1)],
    ['new connections are dropped', (net: TwoMachines) => (net.out.blocked += 1)],
    ['the machine has no power', (net: TwoMachines) => net.network.powerOff(net.there)],
    ['the process is stopped', (net: TwoMachines) => net.called.stop()],
  ] as const) {
    it(`times out when ${what}`, async () => {
      const net = createTwoMachines();
      break_(net);
      expect(await kindOf(net)).toBe('failed');
    });
  }

  it('is refused by a firewall that refuses', async () => {
    const net = createTwoMachines();
    net.out.refused += 1;
    expect(await kindOf(net)).toBe('refused');
  });

  it('is answered when only connections the other way are dropped', async () => {
    const net = createTwoMachines();
    net.back.blocked += 1;
    expect(await kindOf(net)).toBe('answered');
  });

  it('is sent again after a second when its first packet is lost', async () => {
    const net = createTwoMachines();
    net.out.blocked += 1;
    net.world.after(500, () => (net.out.blocked -= 1));
    const reply = await answer(net);
    expect(reply?.kind).toBe('answered');
    expect(reply?.ms).toBeGreaterThan(1_000);
  });

  it('is closed without an answer, or refused, by a process that dies', async () => {
    const kinds = new Set<string | undefined>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const net = createTwoMachines(seed);
      net.called.die(true);
      kinds.add(await kindOf(net));
    }
    expect(kinds).toEqual(new Set(['closed', 'refused']));
  });

  it('is distributed in turns to processes that share a port', async () => {
    const net = createTwoMachines();
    const other = net.network.spawn(net.there, 'other');
    net.network.listen(
      other,
      80,
      answerWith(() => 'other'),
      true,
    );
    const first = await answer(net);
    const second = await answer(net);
    expect(first).not.toMatchObject({ message: second?.kind === 'answered' ? second.message : '' });
  });
});

/** Both ends of a connection. */
async function open(net: TwoMachines): Promise<{ mine: End; theirs: End }> {
  const ends: End[] = [];
  net.network.listen(net.called, 81, (end) => void ends.push(end));
  net.network.connect(net.caller, net.there.address, 81, {
    opened: (end) => void ends.push(end),
    failed() {},
  });
  await net.world.pass(10);
  const [mine, theirs] = ends;
  if (mine === undefined || theirs === undefined) throw new Error('no connection');
  return { mine, theirs };
}

describe('a connection', () => {
  it('delivers everything in order, also what was sent while it was cut', async () => {
    const net = createTwoMachines();
    const { mine, theirs } = await open(net);
    const seen: unknown[] = [];
    theirs.onMessage = (message) => void seen.push(message);
    net.out.cut += 1;
    mine.send(1);
    mine.send(2);
    await net.world.pass(5_000);
    expect(seen).toEqual([]);
    net.out.cut -= 1;
    mine.send(3);
    await net.world.pass(6_000);
    expect(seen).toEqual([1, 2, 3]);
  });

  it('goes on when only new connections are dropped', async () => {
    const net = createTwoMachines();
    const { mine, theirs } = await open(net);
    let seen: unknown = null;
    theirs.onMessage = (message) => (seen = message);
    net.out.blocked += 1;
    mine.send('still here');
    await net.world.pass(10);
    expect(seen).toBe('still here');
  });

  it('ends within milliseconds when the process at the other end is killed', async () => {
    const net = createTwoMachines();
    const { mine } = await open(net);
    let endedAt = 0;
    mine.onEnd = () => (endedAt = net.world.now);
    net.called.die(true);
    await net.world.pass(100);
    expect(endedAt).toBeGreaterThan(0);
  });

  it('does not end when the machine at the other end loses its power, until something is sent to it again', async () => {
    const net = createTwoMachines();
    const { mine } = await open(net);
    let hasEnded = false;
    mine.onEnd = () => (hasEnded = true);
    net.network.powerOff(net.there);
    await net.world.pass(60_000);
    expect(hasEnded).toBe(false);
    net.there.isOn = true;
    await net.world.pass(60_000);
    expect(hasEnded).toBe(false);
    mine.send('anybody there?');
    await net.world.pass(10);
    expect(hasEnded).toBe(true);
  });
});
