/** What kind of container a process runs in; `container`: it is one, and of which engine is not known. */
export type Container = 'kubernetes' | 'docker' | 'podman' | 'container';

export const CONTAINERS: readonly Container[] = ['kubernetes', 'docker', 'podman', 'container'];

/** What a process can see of the container around it. */
export interface ContainerTraces {
  /** The environment: Kubernetes sets KUBERNETES_SERVICE_HOST in each pod. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Which of `CONTAINER_MARKS` exist. */
  readonly marks: readonly string[];
  /** The text of `/proc/self/cgroup`; empty: it cannot be read. */
  readonly cgroup: string;
}

/** Files that an engine puts into each of its containers: Docker's, and Podman's. */
export const CONTAINER_MARKS: readonly string[] = ['/.dockerenv', '/run/.containerenv'];

/** Null: nothing says so. On cgroup v2 the file of groups says nothing inside a container; then the marks and the environment do. */
export function containerIn({ env, marks, cgroup }: ContainerTraces): Container | null {
  if ((env['KUBERNETES_SERVICE_HOST'] ?? '') !== '' || cgroup.includes('/kubepods')) return 'kubernetes';
  if (marks.includes('/run/.containerenv') || cgroup.includes('/libpod')) return 'podman';
  if (marks.includes('/.dockerenv') || /\/docker[/-]/.test(cgroup)) return 'docker';
  return /\/(containerd|lxc|cri-containerd|crio)[/-]/.test(cgroup) ? 'container' : null;
}

/** A container of any kind that another process told of; null: it told of none. */
export const containerOf = (received: unknown): Container | null => CONTAINERS.find((one) => one === received) ?? null;
