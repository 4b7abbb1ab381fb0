import { recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { RegistryConnectError } from './connect-error.js';
import { Contact } from './connection-status.js';

const URL = 'http://127.0.0.1:1337';

describe('Contact', () => {
  it('logs once how to start a registry, and once that it answers', () => {
    const log = recordingLog();
    const contact = new Contact(log, URL);
    contact.missed('connect ECONNREFUSED');
    const lineCount = log.lines.length;
    for (let i = 0; i < 3; i += 1) contact.missed('connect ECONNREFUSED');
    expect(log.texts('warn')).toEqual([`no registry at ${URL}: run \`npx rollcall up\`, or set ROLLCALL_URL`]);
    expect(log.lines).toHaveLength(lineCount);
    contact.reached();
    contact.opened();
    expect(log.texts('info')).toEqual([`The registry at ${URL} answers.`]);
  });

  it('logs once that a registry is lost, with the reason, and once that it answers again', () => {
    const log = recordingLog();
    const contact = new Contact(log, URL);
    contact.opened();
    contact.closed();
    contact.missed('connect ECONNREFUSED');
    contact.missed('connect ECONNREFUSED');
    expect(log.texts('warn')).toHaveLength(1);
    expect(log.texts('warn')[0]).toContain('connect ECONNREFUSED');
    contact.opened();
    expect(log.texts('info')).toEqual([`The registry at ${URL} answers again.`]);
  });

  it('does not log a broken feed that the first attempt reopens', () => {
    const log = recordingLog();
    const contact = new Contact(log, URL);
    contact.opened();
    contact.closed();
    contact.opened();
    expect(log.lines).toEqual([]);
  });

  it('notifies its listeners when a registry that answered before, or never did, gives no answer', () => {
    const contact = new Contact(recordingLog(), URL);
    let misses = 0;
    contact.onMissing(() => (misses += 1));
    contact.missed('connect ECONNREFUSED');
    contact.missed('connect ECONNREFUSED');
    expect(misses).toBe(1);
    contact.reached();
    contact.missed('connect ECONNREFUSED');
    expect(misses).toBe(2);
  });

  it('logs each problem that the user can fix once, without advice to start another registry', () => {
    const log = recordingLog();
    const contact = new Contact(log, URL);
    contact.missed('the change feed could not be opened');
    for (let i = 0; i < 3; i += 1) {
      contact.missed(new RegistryConnectError('it speaks TLS. Write https://.'));
      contact.missed(new RegistryConnectError('its certificate has expired.'));
    }
    expect(log.texts('warn').slice(1)).toEqual([
      `The registry at ${URL} cannot be reached: it speaks TLS. Write https://. Trying again.`,
      `The registry at ${URL} cannot be reached: its certificate has expired. Trying again.`,
    ]);
    contact.reached();
    contact.missed(new RegistryConnectError('its certificate has expired.'));
    expect(log.texts('warn').at(-1)).toBe(
      `The registry at ${URL} does not answer (its certificate has expired). Calls continue with the known instances; trying again.`,
    );
  });

  it('reports its status and each change of it', () => {
    const contact = new Contact(recordingLog(), URL);
    const statuses: string[] = [];
    const stop = contact.onChange((status) => statuses.push(status));
    expect(contact.status).toBe('waiting');
    contact.opened();
    contact.opened();
    contact.closed();
    stop();
    contact.opened();
    expect(statuses).toEqual(['connected', 'disconnected']);
    expect(contact.status).toBe('connected');
  });
});
