import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InPlace } from '../render/in-place.js';
import { Testbed } from '../testbed.fixture.js';

describe('rollcall watch', () => {
  let testbed: Testbed;

  beforeEach(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register('orders-1e07', 'orders');
    await testbed.register('users-0b9e', 'users');
  });
  afterEach(() => testbed.close());

  it('prints one line per change without a terminal: the instances, then their changes', async () => {
    const shell = testbed.runInBackground(['watch']);
    expect(await shell.line(/orders/)).toMatch(/^\d\d:\d\d:\d\d {2}◌ REGISTERING {4}orders…1e07 +registered/);
    await testbed.run('weight', '1e07', '7');
    expect(await shell.line(/weight/)).toMatch(/orders…1e07 .*proved both ways; weight 7$/);
    await testbed.run('drain', '1e07');
    expect(await shell.line(/DRAINING/)).toMatch(/⊘ DRAINING +orders…1e07 +REGISTERING: .*proved both ways$/);
    await testbed.run('rm', '1e07');
    expect(await shell.line(/REMOVED/)).toMatch(/^\d\d:\d\d:\d\d {2}× REMOVED {8}orders…1e07 +removed by an operator$/);
  });

  it('shows one service alone if requested', async () => {
    const shell = testbed.runInBackground(['watch', 'users']);
    await shell.line(/users…0b9e/);
    await testbed.run('rm', '1e07');
    await testbed.run('rm', '0b9e');
    await shell.line(/REMOVED/);
    expect(shell.outLines.join('\n')).not.toContain('orders');
  });

  it.each([[['watch', '--json']], [['ls', '-w', '-o', 'json']]])('prints JSON line by line for %j', async (argv) => {
    const shell = testbed.runInBackground(argv);
    await shell.line(/orders/);
    await testbed.run('drain', '1e07');
    const changed = JSON.parse(await shell.line(/"change":"changed"/)) as unknown;
    expect(changed).toMatchObject({
      id: 'orders-1e07',
      state: 'REGISTERING',
      before: 'REGISTERING',
      admin: 'DRAINING',
    });
    await testbed.run('rm', '1e07');
    expect(JSON.parse(await shell.line(/"change":"removed"/))).toMatchObject({ id: 'orders-1e07', state: null });
    expect(shell.outLines.map((line) => (JSON.parse(line) as { change: string }).change)).toContain('line');
  });

  it('draws one picture in place on a terminal', async () => {
    const shell = testbed.runInBackground(['watch'], { height: 30, width: 100 });
    const picture = await shell.line(/orders…1e07/);
    expect(picture).toMatch(/rollcall {2}http:\/\/127\.0\.0\.1:\d+ {2}Live/);
    expect(picture).toContain('No service needs attention: 2 of 2 are callable. 2 on the way, nothing to do.');
    await testbed.run('rm', '1e07');
    await shell.line(/1 of 1 are callable/);
    // each begins where the last one began, and hides nothing of it
    // eslint-disable-next-line no-control-regex
    for (const again of shell.outLines.slice(1)) expect(again).toMatch(/^\u001b\[\d+A\r\u001b\[J/);
  });

  it('continues without a connection to the registry, in the past tense', async () => {
    const shell = testbed.runInBackground(['watch'], { height: 30 });
    await shell.line(/orders…1e07/);
    await testbed.registry.close();
    expect(await shell.line(/No line to the registry/)).toContain('were on the way');
  });

  it('waits for a service that does not exist yet, and suggests a name', async () => {
    const shell = testbed.runInBackground(['watch', 'ordres']);
    expect(await shell.errorLine(/ordres/)).toBe('There is no service "ordres". Did you mean orders? Waiting for it.');
    await testbed.register('ordres-1', 'ordres');
    expect(await shell.line(/ordres/)).toContain('REGISTERING');
  });

  it.each([
    [['watch', 'a', 'b'], 2, 'watch takes one service; received 2: a b.'],
    [['ls', '-w', '-o', 'wide'], 2, '--watch shows a table or json'],
    [['ls', '-w', '--fail-on', 'CRITICAL'], 2, 'leave out one'],
    [['watch', '--url', 'http://127.0.0.1:1'], 3, 'No registry answers'],
  ])('exits %j with %i', async (argv, code, why) => {
    expect(await testbed.run(...argv)).toEqual({ code, out: '', err: expect.stringContaining(why) });
  });
});

describe('a picture in place', () => {
  it('returns to the start of the last one, clears it, and restores the cursor', () => {
    const written: string[] = [];
    const inPlace = new InPlace((text) => void written.push(text));
    inPlace.draw(['one', 'two']);
    inPlace.draw(['three'], 10);
    inPlace.end(['done']);
    inPlace.end();
    expect(written).toEqual([
      '\u001b[?25l\r\u001b[Jone\ntwo',
      '\u001b[2A\r\u001b[Jthree',
      '\u001b[1A\r\u001b[Jdone\u001b[?25h',
    ]);
  });

  it('cuts a picture to the height of the terminal', () => {
    const written: string[] = [];
    new InPlace((text) => void written.push(text)).draw(['1', '2', '3', '4'], 3);
    expect(written).toEqual(['\u001b[?25l\r\u001b[J1\n2']);
  });
});
