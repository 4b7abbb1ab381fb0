import type { RegistryClient, WatchSink } from '@rollcall/client';
import type { Frame, Instance, InstanceId } from '@rollcall/core';

/**
 * A link on which a service has a single instance, which may be called whatever the settings of operators: for callers
 * that want this one, with all features of a call. It only watches.
 */
export function createSingleInstanceLink(link: RegistryClient, id: InstanceId): RegistryClient {
  const keepOnly = (instances: readonly Instance[]): readonly Instance[] =>
    instances.filter((instance) => instance.id === id).map((instance): Instance => ({ ...instance, admin: 'ENABLED' }));
  const filtered = (frame: Frame): Frame => {
    if (frame.event === 'reset')
      return { ...frame, data: { ...frame.data, instances: keepOnly(frame.data.instances) } };
    if (frame.event === 'change') return { ...frame, data: { ...frame.data, upsert: keepOnly(frame.data.upsert) } };
    return frame;
  };
  return {
    name: link.name,
    register: (registration) => link.register(registration),
    beat: (proof, beat, options) => link.beat(proof, beat, options),
    releaseConnection: () => link.releaseConnection(),
    suspect: (suspected, suspicion) => link.suspect(suspected, suspicion),
    drain: (proof, drain) => link.drain(proof, drain),
    leave: (proof) => link.leave(proof),
    watch: (request, sink) => link.watch(request, filterSink(sink, filtered)),
    close: () => link.close(),
  };
}

function filterSink(sink: WatchSink, filtered: (frame: Frame) => Frame): WatchSink {
  return {
    opened: () => sink.opened(),
    frame: (frame) => sink.frame(filtered(frame)),
    mark: (cursor) => sink.mark(cursor),
    batch: (deliver) => sink.batch(deliver),
    silent: () => sink.silent?.(),
    closed: (problem, trouble) => sink.closed(problem, trouble),
  };
}
