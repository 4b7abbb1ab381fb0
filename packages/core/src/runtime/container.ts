/** The kind of container a process runs in; `container`: a container of an unknown engine. */
export type Container = 'kubernetes' | 'docker' | 'podman' | 'container';

export const CONTAINERS: readonly Container[] = ['kubernetes', 'docker', 'podman', 'container'];

/** The traces that a container leaves in its processes. */
export interface ContainerTraces {
  /** The environment: Kubernetes sets KUBERNETES_SERVICE_HOST in each pod. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The files of `CONTAINER_MARKS` that exist. */
  readonly marks: readonly string[];
  /** The text of `/proc/self/cgroup`; empty if it cannot be read. */
  readonly cgroup: string;
}

/** The file that each engine creates in its containers: Docker's, then Podman's. */
export const CONTAINER_MARKS: readonly string[] = ['/.dockerenv', '/run/.containerenv'];

/**
 * The container that these traces indicate; null if they indicate none. On cgroup v2 `/proc/self/cgroup` shows no trace inside a container;
 * the marks and the environment still do.
 */
export function containerIn({ env, marks, cgroup }: ContainerTraces): Container | null {
  if ((env['KUBERNETES_SERVICE_HOST'] ?? '') !== '' || cgroup.includes('/kubepods')) return 'kubernetes';
  if (marks.includes('/run/.containerenv') || cgroup.includes('/libpod')) return 'podman';
  if (marks.includes('/.dockerenv') || /\/docker[/-]/.test(cgroup)) return 'docker';
  return /\/(containerd|lxc|cri-containerd|crio)[/-]/.test(cgroup) ? 'container' : null;
}

/** The container that another process reported, if it is a known value; otherwise null. */
export const containerOf = (received: unknown): Container | null => CONTAINERS.find((one) => one === received) ?? null;
