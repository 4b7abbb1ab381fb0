import { describe, expect, it } from 'vitest';
import { Network } from './network.js';
import type { End } from './network.js';
import { answering, Inquiry } from './rpc.js';
import type { Reply } from './rpc.js';
import type { Process } from './world.js';
import { World } from './world.js';

/** Two machines, and a process on each; the one of `there` answers what it is asked. */
function aStreet(seed = 1) {
  const world = new World(seed);
  const network = new Network(world);
  const [here, there] = [network.machine('here', '10.0.0.1'), network.machine('there', '10.0.0.2')];
  const caller = network.spawn(here, 'caller');
  const called = network.spawn(there, 'called');
  network.listen(
    called,
    80,
    answering((message) => `${String(message)}!`),
  );
  return { world, network, here, there, caller, called, out: network.way(here, there), back: network.way(there, here) };
}

type Street = ReturnType<typeof aStreet>;

async function answer({ world, network, caller, there }: Street, passMs = 5_000): Promise<Reply | null> {
  let reply: Reply | null = null;
  const to = { host: there.address, port: 80 };
  const inquiry = new Inquiry(network, caller, to, { message: 'hello', timeoutMs: 2_000 });
  void inquiry.reply.then((settled) => (reply = settled));
  await world.pass(passMs);
  return reply;
}

const kindOf = async (street: Street): Promise<string | undefined> => (await answer(street))?.kind;

describe('virtual time', () => {
  it('lets every promise get on before the next event, however long its chain', async () => {
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

  it('runs events in the order of their time, and of their making', async () => {
    const world = new World(1);
    const seen: number[] = [];
    for (const ms of [5, 1, 3, 1]) world.after(ms, () => void seen.push(world.now));
    await world.pass(4);
    expect(seen).toEqual([1, 1, 3]);
    expect(world.now).toBe(4);
  });

  it('gives out what an event throws', async () => {
    const world = new World(1);
    world.after(1, () => {
      throw new Error('a bug');
    });
    await expect(world.pass(2)).rejects.toThrow('a bug');
  });
});

function alone(): { world: World; process: Process } {
  const { world, called } = aStreet();
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
    process.goOn();
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
    process.goOn();
    await world.pass(20);
    expect(hasRun).toBe(false);
  });
});

describe('a question over the network', () => {
  it('is answered within a millisecond or three', async () => {
    expect(await answer(aStreet())).toMatchObject({ kind: 'answered', message: 'hello!' });
  });

  it('is refused where nobody listens', async () => {
    const street = aStreet();
    street.network.unlisten(street.called);
    expect(await answer(street)).toMatchObject({ kind: 'refused', text: 'connect ECONNREFUSED 10.0.0.2:80' });
  });

  for (const [what, break_] of [
    ['no packet gets there', (street: Street) => (street.out.cut += 1)],
    ['no packet comes back', (street: Street) => (street.back.cut += 1)],
    ['new connections are dropped', (street: Street) => (street.out.blocked += 1)],
    ['the machine has no power', (street: Street) => street.network.powerOff(street.there)],
    ['the process is stopped', (street: Street) => street.called.stop()],
  ] as const) {
    it(`times out when ${what}`, async () => {
      const street = aStreet();
      break_(street);
      expect(await kindOf(street)).toBe('failed');
    });
  }

  it('is refused by a firewall that refuses', async () => {
    const street = aStreet();
    street.out.refused += 1;
    expect(await kindOf(street)).toBe('refused');
  });

  it('is answered when only connections the other way are dropped', async () => {
    const street = aStreet();
    street.back.blocked += 1;
    expect(await kindOf(street)).toBe('answered');
  });

  it('of which the first packet is lost is tried again after a second', async () => {
    const street = aStreet();
    street.out.blocked += 1;
    street.world.after(500, () => (street.out.blocked -= 1));
    const reply = await answer(street);
    expect(reply?.kind).toBe('answered');
    expect(reply?.ms).toBeGreaterThan(1_000);
  });

  it('is closed without an answer, or refused, by a process that dies', async () => {
    const kinds = new Set<string | undefined>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const street = aStreet(seed);
      street.called.die(true);
      kinds.add(await kindOf(street));
    }
    expect(kinds).toEqual(new Set(['closed', 'refused']));
  });

  it('goes to those who share a port in turns', async () => {
    const street = aStreet();
    const other = street.network.spawn(street.there, 'other');
    street.network.listen(
      other,
      80,
      answering(() => 'other'),
      true,
    );
    const first = await answer(street);
    const second = await answer(street);
    expect(first).not.toMatchObject({ message: second?.kind === 'answered' ? second.message : '' });
  });
});

/** Both ends of a connection. */
async function open(street: Street): Promise<{ mine: End; theirs: End }> {
  const ends: End[] = [];
  street.network.listen(street.called, 81, (end) => void ends.push(end));
  street.network.connect(street.caller, street.there.address, 81, {
    opened: (end) => void ends.push(end),
    failed() {},
  });
  await street.world.pass(10);
  const [mine, theirs] = ends;
  if (mine === undefined || theirs === undefined) throw new Error('no connection');
  return { mine, theirs };
}

describe('a connection', () => {
  it('brings everything in order, also what was sent while it was cut', async () => {
    const street = aStreet();
    const { mine, theirs } = await open(street);
    const seen: unknown[] = [];
    theirs.onMessage = (message) => void seen.push(message);
    street.out.cut += 1;
    mine.send(1);
    mine.send(2);
    await street.world.pass(5_000);
    expect(seen).toEqual([]);
    street.out.cut -= 1;
    mine.send(3);
    await street.world.pass(6_000);
    expect(seen).toEqual([1, 2, 3]);
  });

  it('goes on when only new connections are dropped', async () => {
    const street = aStreet();
    const { mine, theirs } = await open(street);
    let seen: unknown = null;
    theirs.onMessage = (message) => (seen = message);
    street.out.blocked += 1;
    mine.send('still here');
    await street.world.pass(10);
    expect(seen).toBe('still here');
  });

  it('ends within milliseconds when the process at the other end is killed', async () => {
    const street = aStreet();
    const { mine } = await open(street);
    let endedAt = 0;
    mine.onEnd = () => (endedAt = street.world.now);
    street.called.die(true);
    await street.world.pass(100);
    expect(endedAt).toBeGreaterThan(0);
  });

  it('does not end when the machine at the other end loses its power, until something is sent to it again', async () => {
    const street = aStreet();
    const { mine } = await open(street);
    let hasEnded = false;
    mine.onEnd = () => (hasEnded = true);
    street.network.powerOff(street.there);
    await street.world.pass(60_000);
    expect(hasEnded).toBe(false);
    street.there.isOn = true;
    await street.world.pass(60_000);
    expect(hasEnded).toBe(false);
    mine.send('anybody there?');
    await street.world.pass(10);
    expect(hasEnded).toBe(true);
  });
});
