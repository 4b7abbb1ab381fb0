import type { Container } from '@rollcall/core';
import { command } from './command.js';

/**
 * Commands and lines for checks and fixes. An image has Node and `rollcall`, and mostly neither a shell with tools nor
 * npx; there the commands are those of the engine. Commands are marked.
 */
export interface Remedies {
  /** Starts a registry at this port, for this machine or for others. */
  startRegistry(port: string, isForOthers: boolean): string;
  /** Shows which process listens on a port. */
  showListener(port: string | number): string;
  /** A command that resolves a name. */
  resolveName(name: string): string;
  /** Tries a connection. `from`: the place from which it is tried. */
  tryPort(host: string, port: string | number, from: string): string;
  /** Makes an access token for this role. */
  createToken(role: string): string;
  /** Adds an option to the registry's command line. */
  addOption(option: string): string;
  /** Lets the registry's process open more files. */
  readonly moreFiles: string;
  /** Lets this command open more files. */
  readonly moreLocalFiles: string;
  readonly setClock: string;
  /** A command that shows whether a process is alive, and busy. */
  readonly showLoad: string;
}

/** `rollcall` on a machine of its own. */
const MACHINE: Remedies = {
  startRegistry: (port, isForOthers) => {
    const start = port === '1337' ? 'npx rollcall up' : `npx rollcall up --port ${port}`;
    return command(isForOthers ? `${start} --host 0.0.0.0` : start);
  },
  showListener: (port) => command(`ss -ltnp 'sport = :${port}'`),
  resolveName: (name) => command(`getent hosts ${name}`),
  tryPort: (host, port, from) => `${from === '' ? '' : `${from}: `}${command(`nc -vz ${host} ${port}`)}`,
  createToken: (role) => command(`rollcall token create --role ${role}`),
  addOption: (option) => command(`rollcall up ${option}`),
  moreFiles:
    'raise the limit of its process: ulimit -n 65536 before it starts, or LimitNOFILE=65536 in its unit of systemd',
  moreLocalFiles: `raise the limit in this shell: ${command('ulimit -n 1024')}`,
  setClock: command('timedatectl set-ntp true'),
  showLoad: command('ps -o stat,pcpu,etime,args -C node'),
};

const nodeConnect = (host: string, port: string | number): string =>
  `node -e "require('net').connect(${port},'${host}').on('connect',()=>{console.log('open');process.exit()}).on('error',e=>{console.log(e.message);process.exit(1)})"`;

/** Docker, Podman, and engines with the same commands. */
function engine(name: string): Remedies {
  return {
    startRegistry: (port) =>
      `${command(`${name} run -p ${port}:1337 -v rollcall:/data rollcall`)} (its port is published to the host by -p)`,
    showListener: (port) => `on the host: ${command(`${name} ps --filter publish=${port}`)}`,
    resolveName: (host) =>
      `is the container ${host} in the network of this one? On the host: ${command(`${name} network inspect <network>`)}`,
    tryPort: (host, port) => `on the host: ${command(`${name} exec <container> ${nodeConnect(host, port)}`)}`,
    createToken: (role) =>
      `on the host: ${command(`${name} exec <registry> rollcall token create --data /data --role ${role}`)}`,
    addOption: (option) => `in the registry’s container: ${command(`up --host 0.0.0.0 --data /data ${option}`)}`,
    moreFiles: `give its container more: ${command(`${name} run --ulimit nofile=65536`)}, or ulimits: { nofile: 65536 } in compose`,
    moreLocalFiles: `give this container more: ${command(`${name} run --ulimit nofile=1024`)}`,
    setClock: `on the host, whose clock its containers have: ${command('timedatectl set-ntp true')}`,
    showLoad: `on the host: ${command(`${name} stats --no-stream`)}`,
  };
}

const KUBERNETES: Remedies = {
  startRegistry: () =>
    `is its pod there, and ready? ${command('kubectl get pods -l app=rollcall')}; its log: ${command('kubectl logs statefulset/rollcall')}`,
  showListener: (port) =>
    `which pods does the Service lead to? ${command('kubectl get endpointslices -o wide')}, port ${port}`,
  resolveName: (name) =>
    `is there such a Service, in this namespace? ${command(`kubectl get service ${name.split('.')[0] ?? name}`)}`,
  tryPort: (host, port) => `from the pod that cannot: ${command(`kubectl exec <pod> -- ${nodeConnect(host, port)}`)}`,
  createToken: (role) =>
    `where tokens.json is kept: ${command(`rollcall token create --tokens tokens.json --role ${role}`)}, then put that file into the Secret rollcall-tokens again (docs/guide/kubernetes.md)`,
  addOption: (option) => `in the args of the registry’s container: ${option}`,
  moreFiles:
    'raise the limit of the container runtime on its node: LimitNOFILE=65536 in the unit of containerd or CRI-O',
  moreLocalFiles: `raise LimitNOFILE of the container runtime on its node, or run it from elsewhere: ${command('rollcall doctor --no-ports --url <registry>')}`,
  setClock: `on the node, whose clock its pods have: ${command('timedatectl set-ntp true')}`,
  showLoad: `${command('kubectl top pod')}, and for restarts ${command('kubectl describe pod <pod>')}`,
};

const BY_CONTAINER: Readonly<Record<Container, Remedies>> = {
  kubernetes: KUBERNETES,
  docker: engine('docker'),
  podman: engine('podman'),
  container: engine('docker'),
};

/** Null: no container is known of. */
export const remediesFor = (container: Container | null): Remedies =>
  container === null ? MACHINE : BY_CONTAINER[container];
