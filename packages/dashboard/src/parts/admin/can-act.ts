import type { RegistryAnswer } from '../../model/live/answers.js';
import { useAnswer } from '../../model/live/session.js';

/**
 * True if the user may change anything: with a registry without tokens everyone, else operators only. False until the
 * registry has answered: nothing is offered that would be refused.
 */
export function useCanAct(): boolean {
  const registry = useAnswer<RegistryAnswer>('api/v1/registry', { everyMs: 30_000 }).value.value;
  if (registry === null) return false;
  return registry.visitor == null || registry.visitor.role === 'operator';
}
