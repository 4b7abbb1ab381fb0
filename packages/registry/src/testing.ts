import { startRegistry } from './http/start.js';
import type { RunningRegistry } from './http/start.js';
import type { StartOptions } from './http/start-options.js';

// the engine's rooms, for a simulation that plants bugs in them to see whether it would find them
export { Feed } from './feed.js';
export type { Audience, AudiencePorts } from './audience.js';
export type { Credential } from './credential.js';
export type { FeedPorts, FeedView, FeedWatcher } from './feed.js';
export type { ServiceRef } from './frame.js';
export type { Happening, History } from './history.js';
export type { BeatLog } from './beat-log.js';
export type { BudgetAnswer, Load } from './host-budget.js';
export type { OpenFiles, ProcessFacts } from './host-facts.js';
export type { EndingToken } from './token-endings.js';
export { Judge } from './judge.js';
export type { JudgePorts, Progress } from './judge.js';
export { Ledger } from './ledger.js';
export type { LedgerPorts, StoreTrouble } from './ledger.js';
export { Preservation } from './preservation.js';
export { ProvedHosts } from './proved-hosts.js';
export type { Count, Hold, PreservationState, PreservationTerms } from './preservation.js';
export { Roster } from './roster.js';
export type { DirectionLog, Entry, Party, Round, ServiceEntry } from './roster.js';
export type { Refused, RefusedAnswer } from './http/condition.js';

// what reads strangers' bytes, for whoever tries it with all kinds of them
export { RESPONSES as GRPC_ANSWERS } from './caller/grpc.js';
export type { Answer, AnswerReader, Dialect } from './caller/dialect.js';
export { readFields, writeFields } from './caller/hpack.js';
export type { Fields } from './caller/hpack.js';
export { RESPONSES as HTTP_ANSWERS } from './caller/http.js';
export { FRAMES as TCP_ANSWERS } from './caller/tcp.js';
export { OPEN_ENTRANCE } from './http/access.js';
export type { Entrance, Holder, TokenEntrance, TokenEntranceParts } from './http/access.js';
export type { Rim } from './http/rim.js';
export type { Clients, ServerTls } from './http/tls.js';
export type { ShownCertificate } from './http/tls.js';
export type { TlsAnswer } from './http/tls.js';
export { buildApp } from './http/server.js';
export type { Kept } from './store/kept.js';
export { encodeFooter, encodeHeader, encodeRecord, fileName, readRecords } from './store/record-file.js';
export type { Folder, FolderFile, Place } from './store/folder.js';
export type { FileKind, Header, ReadFile } from './store/record-file.js';
export { recover } from './store/recovery.js';
export type { Recovered } from './store/recovery.js';
export { parseTokens, printTokens, TokenBook } from './tokens.js';

/** Heartbeats come this often, so that what takes intervals takes no time; a busy machine still answers within 0.4 of it. */
const INTERVAL_MS = 250;

/** A registry of its own for one test: any free port, in memory, with short intervals. The test closes it. */
export function startTestRegistry(options: StartOptions = {}): Promise<RunningRegistry> {
  return startRegistry({ port: 0, intervalMs: INTERVAL_MS, ...options });
}
