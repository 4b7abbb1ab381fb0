import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InPlace } from '../render/in-place.js';
import { Town } from '../town.fixture.js';

describe('rollcall watch', () => {
  let town: Town;

  beforeEach(async () => {
    town = await Town.start({ intervalMs: 60_000 });
    await town.register('orders-1e07', 'orders');
    await town.register('users-0b9e', 'users');
  });
  afterEach(() => town.close());

  it('is one line for each change where nobody looks: what is there, and what becomes of it', async () => {
    const shell = town.stay(['watch']);
    expect(await shell.line(/orders/)).toMatch(/^\d\d:\d\d:\d\d {2}◌ REGISTERING {4}orders…1e07 +registered/);
    await town.run('weight', '1e07', '7');
    expect(await shell.line(/weight/)).toMatch(/orders…1e07 .*proved both ways; weight 7$/);
    await town.run('drain', '1e07');
    expect(await shell.line(/DRAINING/)).toMatch(/⊘ DRAINING +orders…1e07 +REGISTERING: .*proved both ways$/);
    await town.run('rm', '1e07');
    expect(await shell.line(/REMOVED/)).toMatch(/^\d\d:\d\d:\d\d {2}× REMOVED {8}orders…1e07 +removed by an operator$/);
  });

  it('tells of one service alone where that is asked for', async () => {
    const shell = town.stay(['watch', 'users']);
    await shell.line(/users…0b9e/);
    await town.run('rm', '1e07');
    await town.run('rm', '0b9e');
    await shell.line(/REMOVED/);
    expect(shell.outLines.join('\n')).not.toContain('orders');
  });

  it.each([[['watch', '--json']], [['ls', '-w', '-o', 'json']]])('%j is JSON, line by line', async (argv) => {
    const shell = town.stay(argv);
    await shell.line(/orders/);
    await town.run('drain', '1e07');
    const changed = JSON.parse(await shell.line(/"change":"changed"/)) as unknown;
    expect(changed).toMatchObject({
      id: 'orders-1e07',
      state: 'REGISTERING',
      before: 'REGISTERING',
      admin: 'DRAINING',
    });
    await town.run('rm', '1e07');
    expect(JSON.parse(await shell.line(/"change":"removed"/))).toMatchObject({ id: 'orders-1e07', state: null });
    expect(shell.outLines.map((line) => (JSON.parse(line) as { change: string }).change)).toContain('line');
  });

  it('draws one picture in place on a terminal', async () => {
    const shell = town.stay(['watch'], { height: 30, width: 100 });
    const picture = await shell.line(/orders…1e07/);
    expect(picture).toMatch(/rollcall {2}http:\/\/127\.0\.0\.1:\d+ {2}Live/);
    expect(picture).toContain('No service needs attention: 2 of 2 are callable. 2 on the way, nothing to do.');
    await town.run('rm', '1e07');
    await shell.line(/1 of 1 are callable/);
    // each begins where the last one began, and hides nothing of it
    // eslint-disable-next-line no-control-regex
    for (const again of shell.outLines.slice(1)) expect(again).toMatch(/^\u001b\[\d+A\r\u001b\[J/);
  });

  it('goes on without a line to the registry, and says so in the past', async () => {
    const shell = town.stay(['watch'], { height: 30 });
    await shell.line(/orders…1e07/);
    await town.registry.close();
    expect(await shell.line(/No line to the registry/)).toContain('were on the way');
  });

  it('waits for a service that is not there yet, and says what may be meant', async () => {
    const shell = town.stay(['watch', 'ordres']);
    expect(await shell.complaint(/ordres/)).toBe('There is no service "ordres". Did you mean orders? Waiting for it.');
    await town.register('ordres-1', 'ordres');
    expect(await shell.line(/ordres/)).toContain('REGISTERING');
  });

  it.each([
    [['watch', 'a', 'b'], 2, 'watch takes one service; received 2: a b.'],
    [['ls', '-w', '-o', 'wide'], 2, '--watch shows a table or json'],
    [['ls', '-w', '--fail-on', 'CRITICAL'], 2, 'leave out one'],
    [['watch', '--url', 'http://127.0.0.1:1'], 3, 'No registry answers'],
  ])('%j exits with %i', async (argv, code, why) => {
    expect(await town.run(...argv)).toEqual({ code, out: '', err: expect.stringContaining(why) });
  });
});

describe('a picture in place', () => {
  it('goes back to where the last one began, wipes it, and gives the cursor back', () => {
    const written: string[] = [];
    const place = new InPlace((text) => void written.push(text));
    place.draw(['one', 'two']);
    place.draw(['three'], 10);
    place.end(['done']);
    place.end();
    expect(written).toEqual([
      '\u001b[?25l\r\u001b[Jone\ntwo',
      '\u001b[2A\r\u001b[Jthree',
      '\u001b[1A\r\u001b[Jdone\u001b[?25h',
    ]);
  });

  it('is cut where it would be higher than the terminal', () => {
    const written: string[] = [];
    new InPlace((text) => void written.push(text)).draw(['1', '2', '3', '4'], 3);
    expect(written).toEqual(['\u001b[?25l\r\u001b[J1\n2']);
  });
});
