import { RollcallError } from '@rollcall/core';

/** The one operand that a command accepts; null: none. Throws OPTION_INVALID for more. */
export function optionalOperand(command: string, what: string, operands: readonly string[]): string | null {
  const [operand = null, extra] = operands;
  if (extra === undefined) return operand;
  throw new RollcallError(
    'OPTION_INVALID',
    `${command} takes one ${what}; received ${operands.length}: ${operands.join(' ')}.`,
  );
}

/** The operands, if their number is right. Throws OPTION_INVALID with the usage of the command. */
export function requireOperands(
  usage: string,
  operands: readonly string[],
  min: number,
  max: number = min,
): readonly string[] {
  if (operands.length >= min && operands.length <= max) return operands;
  const received = operands.length === 0 ? 'nothing' : `"${operands.join(' ')}"`;
  throw new RollcallError('OPTION_INVALID', `It is used as: rollcall ${usage}. Received ${received}.`);
}
