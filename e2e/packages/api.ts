import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';
import type { ExtractorMessage, IExtractorMessagesConfig } from '@microsoft/api-extractor';

/** One sub-path of a package, and the path of its types. */
export interface Entry {
  readonly folder: string;
  /** Relative to the folder. */
  readonly types: string;
}

/** We use no release tags, and the layout of docstrings does not matter here; all other messages count. */
const MESSAGES: IExtractorMessagesConfig = {
  compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Warning } },
  extractorMessageReporting: {
    default: { logLevel: ExtractorLogLevel.Warning },
    'ae-missing-release-tag': { logLevel: ExtractorLogLevel.None },
  },
  tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
};

/** The compiler options of a strict user project. */
const COMPILER = {
  target: 'ES2022',
  lib: ['ES2023', 'DOM'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  strict: true,
  skipLibCheck: true,
  types: ['node'],
};

/**
 * The complaints of API Extractor about the types of the entry points of one package, for each of them. A type that
 * another entry point of the same package exports can be named by users, so it does not count as forgotten.
 */
export function findComplaints(entries: readonly Entry[]): readonly (readonly string[])[] {
  const named = new Set(entries.flatMap(namesIn));
  const paths = entries.map(({ folder, types }) => join(folder, types));
  const configs = entries.map((entry) => configOf(entry, paths));
  const [first] = configs;
  if (first === undefined) return [];
  const compilerState = CompilerState.create(first, { additionalEntryPoints: paths });
  return configs.map((config) => {
    const complaints: string[] = [];
    const messageCallback = (message: ExtractorMessage): void => {
      const isComplaint = [ExtractorLogLevel.Warning, ExtractorLogLevel.Error].includes(message.logLevel);
      message.handled = true; // so that it is not printed
      if (isComplaint && !isNamed(message, named)) complaints.push(`${message.messageId}: ${message.text}`);
    };
    const { succeeded } = Extractor.invoke(config, { localBuild: true, compilerState, messageCallback });
    return succeeded || complaints.length > 0 ? complaints : ['API Extractor failed without a message'];
  });
}

function configOf({ folder, types }: Entry, files: readonly string[]): ExtractorConfig {
  const off = { enabled: false };
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: folder,
      mainEntryPointFilePath: join(folder, types),
      compiler: { overrideTsconfig: { compilerOptions: COMPILER, files } },
      apiReport: off,
      docModel: off,
      dtsRollup: off,
      tsdocMetadata: off,
      messages: MESSAGES,
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, 'package.json'),
  });
}

function isNamed({ messageId, text }: ExtractorMessage, named: ReadonlySet<string>): boolean {
  return messageId === 'ae-forgotten-export' && named.has(/^The symbol "(.*?)"/.exec(text)?.[1] ?? '');
}

/** The exports of an entry point, by the names that users write: our entry points list them. */
function namesIn({ folder, types }: Entry): readonly string[] {
  const text = readFileSync(join(folder, types), 'utf8');
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = '']) => list.split(','));
  const listed = lists.map((one) => one.trim().split(' ').at(-1) ?? '');
  const declared = [
    ...text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|interface|function|const|type) (\w+)/gm),
  ];
  return [...listed, ...declared.map(([, name = '']) => name)].filter((name) => name !== '');
}
