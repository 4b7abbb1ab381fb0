import type { Folder, FolderFile } from './folder.js';

/** What a disk may be told to do wrong, once: the next verb of this kind fails with this code. */
export interface Fault {
  readonly verb: 'append' | 'sync' | 'truncate' | 'create' | 'rename' | 'read' | 'folder-sync' | 'make';
  readonly code: string;
  /** How many verbs of the kind go well before. Default 0. */
  readonly after?: number;
  /** How often it fails from then on. Default 1. */
  readonly times?: number;
}
