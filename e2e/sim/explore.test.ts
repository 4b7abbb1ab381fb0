import fc from 'fast-check';
import { it } from 'vitest';
import { plans } from './schedule.js';
import { Town } from './town.js';
it('explore', { timeout: 1e7 }, async () => {
  const runs = Number(process.env['SIM_RUNS'] ?? 0);
  if (runs === 0) return;
  const seed = Number(process.env['SIM_SEED'] ?? 1);
  const found = new Map<string, { count: number; plan: string; text: string }>();
  const t0 = performance.now(); let hours = 0;
  for (const plan of fc.sample(plans(), { seed, numRuns: runs })) {
    const town = new Town(plan);
    try { await town.run(); } catch (e) { town.checker.report('CRASH', String((e as Error).stack).slice(0, 600)); }
    hours += town.world.now / 3.6e6;
    const v = town.checker.violations[0];
    if (!v) continue;
    const key = `${v.name} ${v.text.replace(/[a-z]+-[0-9a-f-]{30,}|gateway-\d|orders-\d+|billing-\d+/g, 'X').replace(/\d+/g, 'N')}`;
    const k = found.get(key);
    if (k) { k.count++; if (JSON.stringify(plan).length < k.plan.length) { k.plan = JSON.stringify(plan); k.text = `${v.at}: ${v.text}`; } }
    else found.set(key, { count: 1, plan: JSON.stringify(plan), text: `${v.at}: ${v.text}` });
  }
  const ms = performance.now() - t0;
  for (const [key, { count, plan, text }] of [...found].sort((a, b) => b[1].count - a[1].count)) console.log(`${count} × ${key}\n   ${text}\n   ${plan}`);
  console.log(hours.toFixed(1), 'h', (ms / 1000).toFixed(1), 's', (hours * 3.6e6 / ms).toFixed(0), 'x', [...found.values()].reduce((s, f) => s + f.count, 0), 'of', runs, 'failed');
});
