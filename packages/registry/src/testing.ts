import type { StartOptions } from './http/start-options.js';
import { startRegistry } from './http/start.js';
import type { RunningRegistry } from './http/start.js';

// parts of the engine, for a simulation that plants bugs in them to check that it finds them
export { Feed } from './feed/feed.js';
export type { WatchLimits, WatchLimitsPorts } from './feed/watch-limits.js';
export type { Credential } from './instances/credential.js';
export type { FeedPorts, FeedView, FeedWatcher } from './feed/feed.js';
export type { ServiceRef } from './feed/frames.js';
export type { Happening, EventHistory } from './activity/events.js';
export type { HeartbeatLog } from './activity/heartbeat-log.js';
export type { ListeningGap } from './activity/listening-gaps.js';
export type { Load } from './metrics/host-budget.js';
export type { CommitLog, NewTombstone } from './commit/commit-log.js';
export { LifecycleEngine } from './lifecycle/engine.js';
export type { LifecycleEnginePorts } from './lifecycle/engine.js';
export type { Progress } from './lifecycle/stall-clock.js';
export { WriteBehind } from './store/write-behind.js';
export type { WriteBehindPorts } from './store/write-behind.js';
export { SelfPreservation } from './lifecycle/self-preservation.js';
export { ProvedHosts } from './lifecycle/proved-hosts.js';
export type { Count, Hold, PreservationState, PreservationTerms } from './lifecycle/self-preservation.js';
export { InstanceTable } from './instances/instance-table.js';
export type { DirectionLog, Entry, Party, Round, ServiceEntry } from './instances/instance-table.js';
export type { Refused } from './http/routes/diagnostics.js';

// the parsers of untrusted bytes, for fuzzing
export { RESPONSES as GRPC_ANSWERS } from './probing/protocols/grpc.js';
export type { Answer, AnswerReader, Dialect } from './probing/protocols/dialect.js';
export { readFields, writeFields } from './probing/protocols/hpack.js';
export type { Fields } from './probing/protocols/hpack.js';
export { Malformed, MessageWriter } from './store/etcd/codec.js';
export type { ReadField } from './store/etcd/codec.js';
export { frameOf, FrameReader } from './store/etcd/frames.js';
export { readRange, readStatus, readToken, readTtl, readWatch, readWrite } from './store/etcd/messages.js';
export type { MemberStatus, RangeAnswer, WatchAnswer, WatchEvent } from './store/etcd/messages.js';
export type { Item, WriteAnswer, WriteOutcome } from './store/cluster/cluster-store.js';
export { RESPONSES as HTTP_ANSWERS } from './probing/protocols/http.js';
export { FRAMES as TCP_ANSWERS } from './probing/protocols/tcp.js';
export { OPEN_ENTRANCE } from './http/access/authorization.js';
export type { Authorization, Holder, TokenEntrance, TokenEntranceParts } from './http/access/authorization.js';
export type { RouteContext } from './http/route-context.js';
export type { Clients, ServerTls } from './http/access/tls.js';
export type { ShownCertificate } from './http/access/tls.js';
export { buildApp } from './http/server.js';
export type { Kept } from './store/kept.js';
export { encodeFooter, encodeHeader, encodeRecord, fileName, readRecords } from './store/disk/record-file.js';
export type { Folder, FolderFile, Place } from './store/disk/folder.js';
export type { FileKind, Header, ReadFile } from './store/disk/record-file.js';
export { recover } from './store/disk/recovery.js';
export type { Recovered } from './store/disk/recovery.js';
export { parseTokens, printTokens, TokenBook } from './access/tokens.js';

/** Interval of heartbeats, ms: short, so that tests are fast; a busy machine still answers within 0.4 of it. */
const INTERVAL_MS = 250;

/** Starts a registry for one test: any free port, in memory, with short intervals. The test closes it. */
export function startTestRegistry(options: StartOptions = {}): Promise<RunningRegistry> {
  return startRegistry({ port: 0, intervalMs: INTERVAL_MS, ...options });
}
