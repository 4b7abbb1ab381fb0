import { it } from 'vitest';
import { Town } from './town.js';
it('one', { timeout: 1e6 }, async () => {
  const plan = JSON.parse(process.env['PLAN'] ?? 'null');
  if (plan === null) return;
  const town = new Town(plan);
  await town.run();
  console.log(town.checker.trace.map((l) => { const [t, ...r] = l.split(' '); return `${Number(t) - 20000} ${r.join(' ')}`; }).slice(-Number(process.env['TAIL'] ?? 80)).join('\n'));
  console.log(town.checker.violations.slice(0, 2));
});
