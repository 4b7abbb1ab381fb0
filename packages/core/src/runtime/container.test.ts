import { describe, expect, it } from 'vitest';
import { CONTAINER_MARKS, containerIn, containerOf } from './container.js';
import type { Container, ContainerTraces } from './container.js';

const noTraces: ContainerTraces = { env: {}, marks: [], cgroup: '0::/\n' };
const [docker = '', podman = ''] = CONTAINER_MARKS;

describe('containerIn', () => {
  it.each<[string, Partial<ContainerTraces>, Container | null]>([
    ['no trace of a container', {}, null],
    ['an ordinary service of systemd', { cgroup: '0::/system.slice/rollcall.service\n' }, null],
    ['Kubernetes, by its environment', { env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, marks: [docker] }, 'kubernetes'],
    ['Kubernetes, by its groups', { cgroup: '4:cpu:/kubepods/besteffort/pod1\n' }, 'kubernetes'],
    ['Docker, by its file', { marks: [docker] }, 'docker'],
    ['Docker, by its groups', { cgroup: '4:cpu:/docker/0123\n' }, 'docker'],
    ['Podman, which may also have the file of Docker', { marks: [docker, podman] }, 'podman'],
    ['another engine', { cgroup: '4:cpu:/lxc/web/init\n' }, 'container'],
  ])('is recognised: %s', (_, traces, container) => {
    expect(containerIn({ ...noTraces, ...traces })).toBe(container);
  });

  it('accepts only known values from another process', () => {
    expect(['docker', 'ship', null].map(containerOf)).toEqual(['docker', null, null]);
  });
});
