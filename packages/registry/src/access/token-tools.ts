export { ROLES } from '@rollcall/core';
export type { Role } from '@rollcall/core';
// the tools to create, list and revoke access tokens without a registry: an import of `@rollcall/registry/tokens` loads
// no HTTP server
export { SERVICE_PATTERN, SERVICE_PATTERN_TEXT } from './permissions.js';
export type { Grant } from './permissions.js';
export { drawToken, validityOf } from './tokens.js';
export type { TokenRecord, TokenRequest } from './tokens.js';
export { changeTokens, readTokens, TOKENS_FILE } from './token-file.js';
