// The oxlint rule `rooms/order`: a file may import files of its own room, and of rooms that precede it in the list of its package.
// Files at the top of a package may import every room.
import { dirname, relative, resolve, sep } from 'node:path';

/**
 * The rooms of each package, lowest first; rooms on one line do not import each other. `base`: files that every room
 * may import.
 */
const PACKAGES = {
  core: { order: [['runtime'], ['options'], ['lifecycle'], ['wire']] },
  client: {
    order: [
      ['breaker', 'transport'],
      ['transport/grpc', 'transport/http', 'transport/tcp', 'balance/nodes', 'registry-client'],
      ['balance/pickers', 'discovery'],
      ['balance'],
      ['call/policy', 'telemetry'],
      ['call/service', 'registration'],
      ['integrations/grpc-js'],
      ['call'],
      ['integrations/undici'],
    ],
  },
  registry: {
    base: ['registry-api', 'http/route-context'],
    order: [
      ['probing/protocols', 'runtime', 'store'],
      ['instances', 'store/disk', 'store/cluster'],
      ['access', 'activity', 'store/etcd'],
      ['feed'],
      ['commit'],
      ['lifecycle', 'queries'],
      ['probing'],
      ['metrics', 'registration'],
      ['http/exchange'],
      ['http/access'],
      ['http/overload'],
      ['http/routes'],
      ['http/openapi'],
      ['http'],
    ],
  },
  nestjs: {
    base: ['inject', 'ports', 'rollcall.module-definition'],
    order: [['calls', 'handlers', 'testing'], ['servers'], ['registration'], ['instance-events', 'telemetry']],
  },
  cli: {
    order: [
      ['terminal'],
      ['commands/up', 'registry'],
      ['render'],
      ['doctor/facts'],
      ['doctor/findings'],
      ['doctor'],
      ['commands/admin'],
      ['commands'],
    ],
  },
};
/** Exceptions from the order, each with its reason. */
const ALLOWED = new Set([
  // the registry as a whole, which start.ts creates
  'registry: http/start -> registry',
]);

const order = {
  create(context) {
    const source = placeOf(context.filename);
    if (source === null || /\.(?:test|fixture)$|(?:^|\/)contract$/.test(source.file)) return {};
    const check = (node) => {
      if (node.source === null || typeof node.source.value !== 'string' || !node.source.value.startsWith('.')) return;
      const target = placeOf(resolve(dirname(context.filename), node.source.value));
      const message = target === null || target.name !== source.name ? null : violationOf(source, target);
      if (message !== null) context.report({ node: node.source, message });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};

/** Why a file may not import another one of its package; null: it may. */
function violationOf(from, to) {
  const { order: rooms, base = [] } = PACKAGES[from.name];
  if (from.room === '' || from.room === to.room || base.includes(to.file)) return null;
  if (ALLOWED.has(`${from.name}: ${from.file} -> ${to.file}`)) return null;
  if (to.room === '') {
    return `A room may not import ${to.file}.js, which lies above all rooms of ${from.name} (tools/lint-rooms.mjs).`;
  }
  const level = (room) => rooms.findIndex((names) => names.includes(room));
  if (level(from.room) < 0 || level(to.room) < 0) {
    return `The room ${level(from.room) < 0 ? from.room : to.room} has no place in the order of ${from.name} (tools/lint-rooms.mjs).`;
  }
  if (level(to.room) < level(from.room)) return null;
  return `${from.room}/ may not import ${to.room}/: of the rooms of ${from.name} it does not stand below (tools/lint-rooms.mjs).`;
}

/** Package, room and file (without extension) of a path; null: it is in no package with rooms. */
function placeOf(path) {
  const [folder, name, src, ...rest] = relative(process.cwd(), path).split(sep);
  if (folder !== 'packages' || src !== 'src' || rest.length === 0 || !Object.hasOwn(PACKAGES, name)) return null;
  const file = rest.join('/').replace(/\.[jt]sx?$/, '');
  return { name, room: rest.slice(0, -1).join('/'), file };
}

export default { meta: { name: 'rooms' }, rules: { order } };
